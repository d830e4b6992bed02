"""Whose a request is: the server, and what that one calls the tool, the prompt or the resource.

listed   from the catalogue as it is     find   the same, but waits for servers that start
wake     its server, if that rests
connection   where a call goes: one of the server's replicas, and the way to it
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from only1mcp.catalog.listing import Kind, Target
from only1mcp.catalog.view import View
from only1mcp.protocol import message
from only1mcp.protocol.errors import InvalidParams, McpError, ResourceNotFound, ServerFault
from only1mcp.protocol.message import Params
from only1mcp.protocol.methods import Method, Route
from only1mcp.relay import extensions, whose
from only1mcp.relay.admission import Before
from only1mcp.relay.snapshot import Snapshot
from only1mcp.upstream.roster import Live, Replica, State
from only1mcp.upstream.standing import Counted

if TYPE_CHECKING:
    from only1mcp.relay.request import Request

_REF, _TASK, _OTHER, _URI = Route.REF, Route.TASK, Route.OTHER, Route.URI
_UP: Final = (State.READY, State.IDLE)
"""A server in these states has said what it offers."""


def listed(request: "Request", row: Method, snapshot: Snapshot) -> Target | None:
    """Whose it is, as far as is known now."""
    try:
        return _resolve(request, row, snapshot)
    except McpError:
        return None


async def find(request: "Request", row: Method, snapshot: Snapshot) -> Target:
    """Whose it is. A client need not list before it calls: while servers start, wait until one of
    them has it.

    Raises:
        MethodNotFound, InvalidParams, ResourceNotFound: nobody offers that.
    """
    while True:
        try:
            return _resolve(request, row, snapshot)
        except McpError:
            if not await snapshot.listings.news(request.view.servers):
                raise
        request.view = snapshot.listings.catalog.view(request.view.server) or request.view


async def wake(target: Target, snapshot: Snapshot) -> None:
    """Start its server if that rests, and wait a moment if it starts."""
    await snapshot.servers[target.server].awake()
    await snapshot.listings.started((target.server,))


async def connection(
    request: "Request", target: Target, live: Live, before: Before, snapshot: Snapshot
) -> tuple[Replica, Counted]:
    """Where the call goes, and by which way."""
    who = whose.isolated(live.config.isolation, request.caller)
    chosen, request.replica = request.replica, None
    if chosen is None or before.tried or chosen.calls is None:  # it may have been lost since
        chosen = replica(request, target, live, who, before, snapshot)
    upstream = chosen.calls
    if upstream is None or not chosen.shares(request.modern):
        upstream = await chosen.apart(request.modern, who)
    return chosen, upstream


def replica(
    request: "Request",
    target: Target,
    live: Live,
    who: str | None,
    before: Before,
    snapshot: Snapshot,
) -> Replica:
    """One of the replicas: the only one that can answer, the one that asked, or any.

    Raises:
        ServerUnavailable, CircuitOpen: there is none.
    """
    if not live.several:
        return live.pick(who)
    if target.place:
        return live.at(target.place)
    if not before.tried and (place := snapshot.bridge.place(request.params)):
        with suppress(ServerFault):  # a state should be enough for the others, too
            return live.at(place)
    kind = live.hash_key
    key = whose.hash_key(kind, request.params, request.caller) if kind else None
    return live.pick(who, key, before.tried)


def _resolve(request: "Request", row: Method, snapshot: Snapshot) -> Target:
    """Whose it is; `params` then name it as that server does."""
    params, view = request.params, request.view
    if row.route is _REF:
        return _resolve_ref(params, view, snapshot)
    if row.route is _TASK:
        mine = whose.holder(request.caller, snapshot)
        return extensions.task_target(row, params, view, request.caller, mine)
    if row.route is _OTHER:
        return extensions.other_target(row.name, view, request.caller, modern=request.modern)
    name = message.text(params.get(row.target or ""))
    if name is None:
        raise InvalidParams(f"params.{row.target} must be a string")
    if row.route is _URI:
        target = view.resource(name)
        if target is None:
            hint = "resources/list and resources/templates/list show what there is"
            raise ResourceNotFound(f"resource not found: {name}", {"uri": name, "hint": hint})
        return target
    tools = row.name == "tools/call"
    target = view.tool(name) if tools else view.prompt(name)
    if target is None:
        raise _unknown(Kind.TOOLS if tools else Kind.PROMPTS, name, view, snapshot)
    if target.name != name:
        params["name"] = target.raw_name
    return target


def _resolve_ref(params: Params, view: View, snapshot: Snapshot) -> Target:
    ref = message.members(params.get("ref", message.NO_RAW))
    kind = message.text(ref.get("type"))
    if kind == "ref/prompt":
        name = message.text(ref.get("name")) or ""
        target = view.prompt(name)
        if target is None:
            raise _unknown(Kind.PROMPTS, name, view, snapshot)
        if target.name != name:
            ref["name"] = target.raw_name
            params["ref"] = message.as_raw(ref)
        return target
    if kind == "ref/resource":
        uri = message.text(ref.get("uri")) or ""
        target = view.template(uri)
        if target is None:
            hint = "resources/templates/list shows what there is"
            raise InvalidParams(f"unknown resource template: {uri}", {"hint": hint})
        return target
    raise InvalidParams("params.ref.type must be ref/prompt or ref/resource")


def _unknown(kind: Kind, name: str, view: View, snapshot: Snapshot) -> McpError:
    """Why there is no such tool or prompt: its server may not be up, or the name is wrong."""
    meant = None
    if view.server is None:
        owner = snapshot.catalog.prefix_owner(name)
        if owner is not None and snapshot.servers[owner].state not in _UP:
            return snapshot.servers[owner].unavailable()
        meant = snapshot.catalog.suggest(kind, name)
    word = "tool" if kind is Kind.TOOLS else "prompt"
    hint = f"did you mean {meant}?" if meant else f"{word}s/list shows what there is"
    return InvalidParams(f"unknown {word}: {name}", {"hint": hint})
