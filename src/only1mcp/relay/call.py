"""The hot path: carry one client request to one server and bring its answer back.

In      Request: parsed, authenticated, size-checked by server/.
Out     the result as JSON text, without envelope; server/ alone knows ids and bytes.
Cost    one table row, one name look-up, one await; the payload is never parsed when client
        and server are of the same era.
Source  docs/life-of-a-request.md.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol

from msgspec import Raw

from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import Kind
from only1mcp.catalog.view import Target, View
from only1mcp.policy.access import ANONYMOUS
from only1mcp.protocol import downlevel, eras, message, questions, tasks
from only1mcp.protocol.errors import (
    InvalidParams,
    McpError,
    MethodNotFound,
    ResourceNotFound,
    ServerFault,
    ServerTimeout,
    UpstreamError,
)
from only1mcp.protocol.message import Params
from only1mcp.protocol.methods import METHODS, Method, Route, known
from only1mcp.protocol.subscription import SUBSCRIBE, UNSUBSCRIBE
from only1mcp.relay import extensions, mirror, whose
from only1mcp.relay.admission import FIRST, Before, after, once_more, refuse
from only1mcp.relay.bridge import asker
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.subscriptions import Place
from only1mcp.upstream.base import Call, Callee
from only1mcp.upstream.roster import Live, Replica, State
from only1mcp.upstream.turns import InTurn

_KIND_OF: Final = {row.value: row for row in Kind}
_TOOLS_CALL: Final = METHODS["tools/call"]
_LINK: Final = b'"resource_link"'
_TASK: Final = b'"taskId"'
_UP: Final = (State.READY, State.IDLE)
"""A server in these states has said what it offers."""


class Caller(Protocol):
    """The client of one request while it runs; implemented by each edge."""

    principal: str
    headers: Mapping[bytes, bytes] | None
    """Of its HTTP request, names in lower case; None on stdio."""

    @property
    def session(self) -> str | None:
        """The id of its session; None for a modern client."""

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it declared, in the words of its era."""

    @property
    def log_level(self) -> str | None:
        """The least grave log message it wants; None: it has not said."""

    def notify(self, method: str, params: Raw) -> None:
        """Pass on a notification that belongs to this request. Never blocks."""

    async def ask(self, method: str, params: bytes) -> bytes:
        """Put a server's question to a legacy client; its result as JSON text.

        Raises:
            ClientRefused: the client's own error.
        """

    def resumable(self, retry_s: float | None) -> None:
        """The server's stream can be resumed, or it hung up and wants to be asked in so long."""


@dataclass(slots=True)
class Request:
    """One client request. `params` belongs to it: the relay rewrites members in place."""

    method: str
    params: Params
    revision: str
    modern: bool
    view: View
    caller: Caller


async def relay(request: Request, snapshot: Snapshot) -> bytes:
    """Answer `request` from `snapshot`, the one consistent view it started with.

    Raises:
        MethodNotFound, InvalidParams, ResourceNotFound: nobody offers that.
        UpstreamError: the server's own error, passed on unchanged.
        ServerFault: the server failed us; says whether the call may have run.
    """
    row = known(request.method, request.revision)
    if row is None or row.route is Route.LOCAL:
        raise MethodNotFound(f"unknown method {request.method}")
    if row.route is Route.LIST:
        return await _list(request, row, snapshot)
    gate, who = snapshot.gate, request.caller.principal
    caller = None if who == ANONYMOUS else who
    if (bound := gate.enter(caller)) is not None:
        refuse(bound, gate)
    try:
        if row.route is Route.TASKS:
            return await _task_list(request, row, snapshot)
        target = await _target(request, row, snapshot)
        if row.name in (SUBSCRIBE, UNSUBSCRIBE):
            return await _subscribe(request, row, target, snapshot)
        live, began = snapshot.servers[target.server], monotonic()
        live.repeats.total += 1
        try:
            return await _call(request, row, target, snapshot)
        except ServerFault as fault:
            if "requestState" in request.params:  # it goes on with a call: with that, or with none
                raise
            before = await once_more(fault, live, row, target.name, began)
            with after(fault):
                return await _call(request, row, target, snapshot, before)
    finally:
        gate.leave(caller)


async def _list(request: Request, row: Method, snapshot: Snapshot) -> bytes:
    cursor = request.params.get("cursor")
    start = message.text(cursor)
    if cursor is not None and start is None:
        raise InvalidParams("cursor must be a string")
    view = request.view
    if start is None:  # a further page belongs to the list it was cut from
        view = await snapshot.listings.renewed(view)
    return view.page(_KIND_OF[row.items or ""], start, request.modern)


async def _task_list(request: Request, row: Method, snapshot: Snapshot) -> bytes:
    began = asyncio.get_running_loop().time()

    async def ask(place: str, params: Params) -> bytes:
        asked = replace(request, params=params)
        target = Target(tasks.server(place), "", message.NO_RAW, place=place)
        list_s = snapshot.servers[target.server].config.timeouts.list
        try:
            async with asyncio.timeout_at(began + list_s):
                return await _call(asked, row, target, snapshot)
        except TimeoutError:
            said = f"server '{target.server}' has not listed its tasks within {list_s:g} s"
            hint = "see timeouts.list of that server"
            raise ServerTimeout(target.server, said, hint=hint) from None

    def places(server: str) -> list[str]:
        return [one.place for one in snapshot.servers[server].replicas]

    mine = whose.holder(request.caller, snapshot)
    return await extensions.task_list(request.view, request.caller, mine, ask, places)


async def _subscribe(request: Request, row: Method, target: Target, snapshot: Snapshot) -> bytes:
    """One session of many that may want the same: the servers see only the first and the last."""
    owner, place = request.caller.session, Place(target.server, target.name)
    subscriptions = snapshot.audience.subscriptions
    if row.name == SUBSCRIBE:
        await subscriptions.subscribe(owner, place)
    else:
        await subscriptions.unsubscribe(owner, place)
    return b"{}"


async def _call(
    request: Request, row: Method, target: Target, snapshot: Snapshot, before: Before = FIRST
) -> bytes:
    """One attempt; `before` is what has been tried."""
    live = snapshot.servers[target.server]
    who = whose.isolated(live.config.isolation, request.caller)
    if live.several:
        replica = _chosen(request, target, live, who, before, snapshot)
    else:
        replica = live.pick(who)
    upstream = replica.calls
    if upstream is None or not replica.shares(request.modern):
        upstream = await replica.apart(request.modern, who)
    modern = upstream.greeting.modern
    if row.route is Route.OTHER and modern != request.modern:
        raise MethodNotFound(f"unknown method {request.method}")
    call = _outgoing(request, target, modern, replica, before.spent_s)
    if request.modern and not modern and (level := request.caller.log_level) is not None:
        await snapshot.levels.called(upstream.upstream, level)
    if row.asks and modern != request.modern:  # a client may think between two calls to the server
        callee = InTurn(upstream, live.turns, whose.line(request.caller))
        result = await _answer(call, callee, request, row, snapshot)
    else:
        turns = live.turns
        if not turns.enter():
            await turns.wait(whose.line(request.caller))
        try:
            result = await _answer(call, upstream, request, row, snapshot)
        finally:
            turns.end()
    if _LINK in result:
        _learn(result, target.server, snapshot.catalog)
    if _TASK in result and (row is _TOOLS_CALL or row.route is Route.TASK):
        mine = request.view, request.caller, whose.holder(request.caller, snapshot)
        result = extensions.respelt(result, row, replica.place, *mine)
    if modern != request.modern:
        result = eras.result_across(result, target.server, row.name, modern=request.modern)
    return downlevel.tool_result(result, request.revision) if row is _TOOLS_CALL else result


def _chosen(
    request: Request,
    target: Target,
    live: Live,
    who: str | None,
    before: Before,
    snapshot: Snapshot,
) -> Replica:
    """One of several replicas: the only one that can answer, the one that asked, or any."""
    if target.place:
        return live.at(target.place)
    if not before.tried and (place := snapshot.bridge.place(request.params)):
        with suppress(ServerFault):  # a state should be enough for the others, too
            return live.at(place)
    kind = live.hash_key
    key = whose.hash_key(kind, request.params, request.caller) if kind else None
    return live.pick(who, key, before.tried)


def _outgoing(
    request: Request, target: Target, modern: bool, replica: Replica, spent_s: float
) -> Call:
    """The request as a server of this era gets it."""
    params, wanted = request.params, target.header_params
    if wanted and request.modern and request.caller.headers is not None:
        mirror.check(wanted, params, request.caller.headers)
    if modern != request.modern:
        params = dict(params)  # the next attempt may be at a server of another era
        params = eras.params_to_legacy(params) if request.modern else _stamped(params, request)
    timeouts = replica.config.timeouts
    return Call(
        request.method,
        params,
        target.name or None,
        request.caller.notify,
        timeouts.call_idle,
        timeouts.call_max - spent_s,
        mirror.mirrored(wanted, params) if wanted and modern else (),
        on_resumable=request.caller.resumable,
        place=replica.place,
        who=whose.line(request.caller),
    )


async def _target(request: Request, row: Method, snapshot: Snapshot) -> Target:
    """Whose it is. A client need not list before it calls: while servers start, wait for them."""
    try:
        target = _resolve(request, row, snapshot)
        if (live := snapshot.servers[target.server]).upstream is None:
            await live.awake()
            await snapshot.listings.started((target.server,))
        return target
    except McpError:
        if not await snapshot.listings.started(request.view.servers):
            raise
    request.view = snapshot.listings.catalog.view(request.view.server) or request.view
    return _resolve(request, row, snapshot)


async def _answer(
    call: Call, upstream: Callee, request: Request, row: Method, snapshot: Snapshot
) -> bytes:
    """The server's answer, its own error as the client's era spells it."""
    try:
        if row.asks:
            return await _asked(call, upstream, request, snapshot)
        return await upstream.call(call)
    except UpstreamError as error:
        if upstream.greeting.modern == request.modern:
            if error.own_code == questions.URL_REQUIRED:
                mine = whose.holder(request.caller, snapshot)
                extensions.note_visits(error, call.place, mine)
            raise
        raise eras.error_across(error, call.method, modern=request.modern) from None


async def _asked(call: Call, upstream: Callee, request: Request, snapshot: Snapshot) -> bytes:
    """A call in which the server may ask the client; see relay/bridge.py for the four ways."""
    bridge, caller = snapshot.bridge, request.caller
    match request.modern, upstream.greeting.modern:
        case True, True:
            return await bridge.pass_on(upstream, call, caller)
        case False, True:
            return await bridge.unfold(upstream, call, caller)
        case True, False if questions.can_be_asked(caller.capabilities):
            assert isinstance(upstream, InTurn)  # as every call between the eras
            return await bridge.park(upstream, call, caller)
        case True, False:
            questions.answers(call.params or {})  # to no question; malformed ones are refused
        case False, False:
            seen = partial(_question_seen, call.place, request, snapshot)
            call.on_question = asker(caller, seen)
    return await upstream.call(call)


def _question_seen(place: str, request: Request, snapshot: Snapshot, params: Raw) -> Raw:
    mine = whose.holder(request.caller, snapshot)
    return extensions.question(place, request.view, mine, params)


def _stamped(params: Params, request: Request) -> Params:
    capabilities = questions.client_capabilities(request.caller.capabilities)
    return eras.params_to_modern(params, capabilities, request.caller.log_level)


def _resolve(request: Request, row: Method, snapshot: Snapshot) -> Target:
    """Whose it is; `params` then name it as that server does."""
    params, view = request.params, request.view
    if row.route is Route.REF:
        return _resolve_ref(params, view, snapshot)
    if row.route is Route.TASK:
        mine = whose.holder(request.caller, snapshot)
        return extensions.task_target(row, params, view, request.caller, mine)
    if row.route is Route.OTHER:
        return extensions.other_target(row.name, view, request.caller, modern=request.modern)
    name = message.text(params.get(row.target or ""))
    if name is None:
        raise InvalidParams(f"params.{row.target} must be a string")
    if row.route is Route.URI:
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


def _learn(result: bytes, server: str, catalog: Catalog) -> None:
    """Remember whose the linked resources are: they need not be in any list."""
    with suppress(McpError):  # a result of another form is the client's to judge
        content = message.members(result).get("content", message.NO_RAW)
        for block in message.objects(content):
            uri = message.text(block.get("uri"))
            if uri is not None and message.text(block.get("type")) == "resource_link":
                catalog.learn(uri, server)
