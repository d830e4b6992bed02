"""What is beyond the core: tasks of both eras, and methods of extensions that one server has.

    tasks/…           the server named in the id, the replica if there are several;
                      on /mcp/{server} that server, ids as they are unless they name a replica
    any other method  the only server here that has extensions, in the client's own era;
                      where there are several, each has its own at /mcp/{server} alone

A task belongs to the principal it was made for, and so does a visit to a URL.
Source  SEP-2663; MCP 2025-11-25 basic/utilities/tasks; 2026-07-28 basic/extensions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from msgspec import Raw

from only1mcp.catalog.listing import Target
from only1mcp.catalog.view import View
from only1mcp.protocol import headers, message, tasks
from only1mcp.protocol.errors import InvalidParams, McpError, MethodNotFound, UpstreamError
from only1mcp.protocol.message import Params, as_raw
from only1mcp.protocol.methods import METHODS, Method
from only1mcp.relay.handed import TASK, VISIT, Holder, Thing

log = logging.getLogger("only1mcp.extensions")

MAX_PAGES: Final = 100
"""Of the task list of one server."""
_ELICITATION: Final = b'"elicitationId"'
_LIST: Final = METHODS["tasks/list"]

Ask = Callable[[str, Params], Awaitable[bytes]]
"""Puts the request with these params to a place; its result."""
Places = Callable[[str], Sequence[str]]
"""The places of a server (see protocol/tasks.py)."""


class Client(Protocol):
    """Whose request it is; part of relay.request.Caller."""

    principal: str
    headers: Any

    @property
    def session(self) -> str | None:
        """The id of its session; None for a modern client."""

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it declared, in the words of its era."""


# --- what is offered ---


def offered(view: View, *, modern: bool) -> dict[str, Any]:
    """The `extensions`, or `experimental` features, that a client can use here: those of the
    only server that has any, and tasks."""
    able = [*_beyond(view, modern=modern).values()]
    found = dict(able[0]) if len(able) == 1 else {}
    for one in view.declared("extensions").values() if modern else ():
        if tasks.EXTENSION in one:
            found[tasks.EXTENSION] = one[tasks.EXTENSION]
    return found


def offered_tasks(view: View) -> dict[str, Any]:
    """The `tasks` capability for a client of 2025-11-25: what any server here can do."""
    merged: dict[str, Any] = {}
    for one in view.declared("tasks").values():
        merged |= one
    return merged


# --- whose it is ---


def task_target(row: Method, params: Params, view: View, caller: Client, mine: Holder) -> Target:
    """The server that handed out `params.taskId`; `params` then hold its own id.

    Raises:
        MethodNotFound: no server here has tasks for this era.
        MissingCapability: the client has not declared the extension.
        InvalidParams: there is no such task for this client.
    """
    able = _with_tasks(row, view, caller)
    id = message.text(params.get("taskId"))
    if id is None:
        raise InvalidParams("params.taskId must be a string")
    place, own = _whereabouts(id, view)
    server = tasks.server(place)
    if server not in able or not mine.has(place, TASK, own):
        raise InvalidParams(f"unknown task: {id}", {"hint": "it may have expired"})
    if own != id:
        params["taskId"] = as_raw(own)
    return Target(server, own, as_raw(own), place="" if place == server else place)


def task(id: str, view: View, mine: Holder) -> Thing | None:
    """The task of the extension that a client calls `id` here; None: it has no such task."""
    place, own = _whereabouts(id, view)
    if tasks.server(place) not in _extended(view) or not mine.has(place, TASK, own):
        return None
    return mine.thing(place, TASK, own)


def _whereabouts(id: str, view: View) -> tuple[str, str]:
    """The place of a task and its own id there, from the id that is shown here."""
    place, own = tasks.owner(id)
    server = tasks.server(place)
    if view.server is not None and (server != view.server or place == server):
        return view.server, id
    return place, own


def other_target(method: str, view: View, caller: Client, *, modern: bool) -> Target:
    """The one server here that may have this method.

    Raises:
        MethodNotFound: there is none, or more than one.
    """
    able = [*_beyond(view, modern=modern)]
    if len(able) != 1:
        hint = {"hint": f"servers with extensions: {', '.join(able)}; ask one at its own path"}
        raise MethodNotFound(f"unknown method {method}", hint if able else None)
    said = caller.headers.get(headers.NAME) if caller.headers is not None else None
    name = "" if said is None else headers.decode(said)
    return Target(able[0], name, as_raw(name))


def _beyond(view: View, *, modern: bool) -> dict[str, dict[str, Any]]:
    """What the servers here have beyond the core and tasks; without those that have nothing."""
    declared = view.declared("extensions" if modern else "experimental")
    found = {
        server: {name: setting for name, setting in one.items() if name != tasks.EXTENSION}
        for server, one in declared.items()
    }
    return {server: one for server, one in found.items() if one}


def _with_tasks(row: Method, view: View, caller: Client) -> list[str]:
    modern = caller.session is None
    able = _extended(view) if modern else list(view.declared("tasks"))
    if not able:
        raise MethodNotFound(f"no server here has {row.name}")
    if modern:
        tasks.check_declared(caller.capabilities)
    return able


def _extended(view: View) -> list[str]:
    """The servers here that have tasks of the extension."""
    found = view.declared("extensions").items()
    return [server for server, names in found if tasks.EXTENSION in names]


# --- ids on their way ---


def respelt(
    result: bytes, row: Method, place: str, view: View, caller: Client, mine: Holder
) -> bytes:
    """A result of `place` with ids of tasks as this client sees them; a new task is its own."""

    def respell(own: str) -> str:
        if row.name == "tools/call":
            mine.take(place, TASK, own)
        if row.name == "tasks/result" or tasks.is_over(result):
            mine.ended(place, own)
        return spelt(place, own, view.server)

    return tasks.respelt_result(result, row.name, respell, modern=caller.session is None)


def spelt(place: str, own: str, mount: str | None) -> str:
    """The id of a task of `place` as clients of a mount see it."""
    return own if mount == place else tasks.shown(place, own)


def note_question(params: Raw, place: str, mine: Holder) -> None:
    """A legacy server asks this client something, perhaps to open a URL."""
    if _ELICITATION in bytes(params):
        note_visit(message.members(params), place, mine)


def note_visit(elicitation: Params, place: str, mine: Holder) -> None:
    """The client is asked to open a URL; that it is done will be told to it alone."""
    if id := message.text(elicitation.get("elicitationId")):
        mine.take(place, VISIT, id)


def note_visits(error: UpstreamError, place: str, mine: Holder) -> None:
    """A server's -32042 asks the client to open URLs."""
    with suppress(McpError):  # an error of another form is the client's to judge
        data = message.members(message.members(error.raw).get("data", message.NO_RAW))
        for one in message.objects(data.get("elicitations", message.NO_RAW)):
            note_visit(one, place, mine)


async def task_list(view: View, caller: Client, mine: Holder, ask: Ask, places: Places) -> bytes:
    """`tasks/list` of all servers here, all asked at once: the tasks of this client's principal.

    In  `places` are the replicas of a server, each with tasks of its own.

    Raises:
        MethodNotFound: no server here has tasks. McpError: of the only server that has.
    """
    able = [place for one in _with_tasks(_LIST, view, caller) for place in places(one)]
    found: list[Params] = []
    listed = await asyncio.gather(*(_entries(place, ask) for place in able))
    for place, entries in zip(able, listed, strict=True):
        if isinstance(entries, McpError):
            if len(able) == 1:
                raise entries
            log.warning("server %s: tasks/list: %s", place, entries.message)
            continue
        for entry in entries:
            own = message.text(entry.get("taskId")) or ""
            if not mine.has(place, TASK, own):
                continue
            entry["taskId"] = as_raw(spelt(place, own, view.server))
            found.append(entry)
    return message.encode({"tasks": found})


async def _entries(place: str, ask: Ask) -> list[Params] | McpError:
    """All pages of one place; the error as a value, for it hides no other."""
    entries: list[Params] = []
    params: Params = {}
    try:
        for _ in range(MAX_PAGES):
            page = message.members(await ask(place, params))
            entries += message.objects(page.get("tasks", message.NO_RAW))
            if message.text(page.get("nextCursor")) is None:
                break
            params = {"cursor": page["nextCursor"]}
    except McpError as error:
        return error
    return entries
