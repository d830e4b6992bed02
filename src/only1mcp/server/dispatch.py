"""One client message to its answer, the same for every edge.

    legacy:  initialize opens a Session, everything else happens in it
    modern:  each request describes itself; check its `_meta`, then answer

What an edge adds is framing: HTTP status and headers, or lines on stdout.
"""

import asyncio
from http import HTTPStatus
from typing import Final

from msgspec import Raw

from only1mcp.protocol import eras, message
from only1mcp.protocol.errors import InvalidRequest, McpError, UnsupportedVersion
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.methods import MODERN, R2025_03_26
from only1mcp.protocol.subscription import LISTEN
from only1mcp.relay import local, whose
from only1mcp.relay.request import Caller, Request, View
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.under_way import DIRECT
from only1mcp.server import reply
from only1mcp.server.session import CLIENT_CANCELLED, Session

MAX_BATCH: Final = 1000
"""Messages in one JSON-RPC array: each request in it is a task."""
_VERSION_WORD: Final = eras.VERSION_KEY.removeprefix(eras.META).encode()
"""The part of the key that is written in one way only: some libraries escape slashes."""

Answer = tuple[bytes, int]
"""A complete JSON-RPC answer, and the HTTP status it has on a modern request."""


def modern_meta(incoming: Message) -> Params | None:
    """The `_meta` of a request that describes itself; None for a handshake client's."""
    text = bytes(incoming.params)
    # an escape may spell any letter; find, as `in` makes and drops an exception each time
    if text.find(_VERSION_WORD) < 0 and text.find(b"\\u") < 0:
        return None
    params = message.members(incoming.params)
    meta = message.members(params.get("_meta", Raw()))
    return meta if eras.is_modern_meta(meta) else None


def served(requested: str) -> str:
    """The revision a modern request is written in, if we serve it.

    Raises:
        UnsupportedVersion: we do not.
    """
    if requested not in MODERN:
        raise UnsupportedVersion(
            f"revision {requested} is not served here",
            {"supported": list(MODERN), "requested": requested},
        )
    return requested


def at_once(
    incoming: Message, revision: str, modern: bool, view: View, snapshot: Snapshot, caller: Caller
) -> Answer | Request | None:
    """The answer to a request, if it is there; else `modern` or `legacy` will have it, from what
    is known of it now."""
    held = incoming.method in snapshot.answers.may_hold
    if not held and incoming.method not in DIRECT:
        return None
    try:
        params = message.members(incoming.params)
    except McpError:
        return None
    request = Request(incoming.method, params, revision, modern, view, caller)
    return (reply.at_once(incoming.id, request, snapshot) if held else None) or request


async def modern(
    incoming: Message,
    revision: str,
    view: View,
    snapshot: Snapshot,
    caller: Caller,
    begun: Request | None = None,
) -> Answer:
    """Answer a modern request whose `_meta` has been checked, on a view of this snapshot.

    In  `begun` is what `at_once` has made of it.
    """
    if begun is not None:
        return await reply.answer(incoming.id, begun, snapshot)
    if incoming.method == "server/discover":
        if view.server is not None:  # what it can do is what its one server can do
            view, _ = await snapshot.listings.renewed(view)
        return message.result(incoming.id, local.discover(view)), HTTPStatus.OK
    params = message.members(incoming.params)
    if incoming.method == LISTEN:
        try:
            mine = whose.holder(caller, snapshot)
            result = await snapshot.audience.listen(incoming.id, params, view, caller, mine)
        except McpError as error:
            return reply.refusal(incoming.id, error, modern=True), reply.status(error)
        return message.result(incoming.id, result), HTTPStatus.OK
    request = Request(incoming.method, params, revision, True, view, caller)
    return await reply.answer(incoming.id, request, snapshot)


async def legacy(
    incoming: Message,
    session: Session,
    snapshot: Snapshot,
    caller: Caller,
    begun: Request | None = None,
    *,
    noted: bool = False,
) -> Answer:
    """Answer a request within a handshake session, on a mount of this snapshot.

    In   `begun` is what `at_once` has made of it; `noted`: the session knows that it runs.
    Out  a cancelled one is answered b"".
    """
    task = asyncio.current_task()
    assert task is not None
    try:
        key = (session.goes_on if noted else session.begin)(incoming.id, task)
    except McpError as error:
        return reply.refusal(incoming.id, error), HTTPStatus.BAD_REQUEST
    try:
        if begun is not None:
            return await reply.answer(incoming.id, begun, snapshot)
        return await _in_session(incoming, session, snapshot, caller)
    except McpError as error:
        return reply.refusal(incoming.id, error), HTTPStatus.OK
    except asyncio.CancelledError as cancel:
        if cancel.args[:1] != (CLIENT_CANCELLED,):
            raise
        return b"", HTTPStatus.OK
    finally:
        session.end(key)


async def batch(
    items: list[Message], session: Session, snapshot: Snapshot, caller: Caller
) -> list[bytes]:
    """The answers to the requests of a JSON-RPC array that `check_batch` lets pass, in its order;
    b"" for a cancelled one."""
    for item in items:
        if not item.is_request:
            session.told(item)
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(legacy(item, session, snapshot, caller))
            for item in items
            if item.is_request
        ]
    return [task.result()[0] for task in running]


def check_batch(items: list[Message], session: Session) -> None:
    """Whether the array may be sent here.

    Raises:
        InvalidRequest: the session has no arrays, or this one is too long.
    """
    if session.revision != R2025_03_26:
        raise InvalidRequest(f"revision {session.revision} has no JSON-RPC arrays")
    if len(items) > MAX_BATCH:
        raise InvalidRequest(f"an array of {len(items)} messages; at most {MAX_BATCH} are taken")


async def _in_session(
    incoming: Message, session: Session, snapshot: Snapshot, caller: Caller
) -> Answer:
    params = message.members(incoming.params)
    match incoming.method:
        case "initialize":
            raise InvalidRequest("this session has been initialized already")
        case "ping":
            return message.result(incoming.id, b"{}"), HTTPStatus.OK
        case "logging/setLevel":
            session.set_log_level(params)
            await snapshot.levels.changed()
            return message.result(incoming.id, b"{}"), HTTPStatus.OK
    view = snapshot.view(session.mount)
    assert view is not None
    request = Request(incoming.method, params, session.revision, False, view, caller)
    return await reply.answer(incoming.id, request, snapshot)
