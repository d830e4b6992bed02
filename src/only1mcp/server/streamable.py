"""Streamable HTTP on `/mcp` and `/mcp/{server}`, both eras on one endpoint.

    POST ── decode ──► `_meta` names a revision, or the header a modern one? ──► modern ladder
                  └──► else: session by Mcp-Session-Id; `initialize` opens one

An answer is JSON; the first notification that belongs to the request turns it into an SSE
stream, and so does silence. The streams of a session can be resumed: server/events.py.
Source  MCP 2025-11-25 and 2026-07-28 basic/transports; era by the body: basic/versioning.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import eras, headers, message
from only1mcp.protocol.errors import InvalidRequest, McpError
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.methods import LEGACY, MODERN
from only1mcp.relay import local
from only1mcp.relay.request import Request as Asked
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server import dispatch, reply
from only1mcp.server.begun import Begun, Later
from only1mcp.server.caller import HttpCaller, SessionCaller
from only1mcp.server.events import Memory
from only1mcp.server.http import Exchange, Rest
from only1mcp.server.ladder import (
    SelfDescribed,
    accepts,
    check_modern,
    refused,
    unsupported,
    version,
)
from only1mcp.server.session import (
    CLIENT_CANCELLED,
    Session,
    Sessions,
    TooManySessions,
)

_ROOT: Final = "/mcp"
LOOKS: Final = 10
LEFT_S: Final = 0.1
"""How long the end of a session's former stream may come after the wish for another."""
_HANDSHAKE: Final = frozenset(("", *LEGACY))
"""What the header says on requests of clients that shake hands."""


class Streamable:
    """The MCP endpoint of the HTTP edge."""

    def __init__(self, snapshot: Callable[[], Snapshot], sessions: Sessions) -> None:
        self._snapshot = snapshot
        self._sessions = sessions
        self._memory = Memory()
        self._waiting: set[HttpCaller] = set()

    def sweep(self, now: float) -> None:
        """Tell clients that have waited in silence that they still are served."""
        for caller in list(self._waiting):
            caller.tick(now)
        self._sessions.sweep()

    def handle(self, exchange: Exchange) -> Rest:
        """Answer one HTTP request, or begin to; never raises."""
        request = exchange.request
        snapshot = self._snapshot()
        mount = request.path[len(_ROOT) + 1 :].rstrip("/") or None
        if snapshot.view(mount) is None:
            known = ", ".join(snapshot.servers) or "none"
            refuse(
                exchange,
                HTTPStatus.NOT_FOUND,
                InvalidRequest(f"no server '{mount}' here", {"hint": f"servers: {known}"}),
            )
        elif request.method == "POST":
            return self._post(exchange, mount, snapshot)
        elif request.method == "GET" and version(request) not in MODERN:
            return self._get(exchange, mount)
        elif request.method == "DELETE" and version(request) not in MODERN:
            self._delete(exchange, mount)
        else:
            allow = b"Allow: POST\r\n" if version(request) in MODERN else _ALLOW
            refuse(
                exchange,
                HTTPStatus.METHOD_NOT_ALLOWED,
                InvalidRequest(f"{request.method} is not for this endpoint"),
                headers=allow,
            )
        return None

    def _post(self, exchange: Exchange, mount: str | None, snapshot: Snapshot) -> Rest:
        request = exchange.request
        if problem := refused(request):
            refuse(exchange, *problem)
            return None
        try:
            incoming = message.decode_client(request.body)
            if isinstance(incoming, list):
                return self._batch(exchange, incoming, mount, snapshot)
            meta = dispatch.modern_meta(incoming)
        except McpError as error:
            refuse(exchange, HTTPStatus.BAD_REQUEST, error, message.readable_id(request.body))
            return None
        if meta is not None or version(request) not in _HANDSHAKE:
            return self._modern(exchange, incoming, meta, mount, snapshot)
        return self._legacy(exchange, incoming, mount, snapshot)

    def _modern(
        self,
        exchange: Exchange,
        incoming: Message,
        meta: Params | None,
        mount: str | None,
        snapshot: Snapshot,
    ) -> Rest:
        try:
            revision = check_modern(exchange.request, incoming, meta)
        except McpError as error:
            refuse(exchange, reply.status(error), error, incoming.id, modern=True)
            return None
        if not incoming.is_request:
            exchange.respond(HTTPStatus.ACCEPTED)  # core defines none over HTTP: accepted, unused
            return None
        caller = HttpCaller(exchange, SelfDescribed(meta), _now())
        found = dispatch.modern_at_once(incoming, revision, mount, snapshot, caller)
        if isinstance(found, tuple):
            caller.finish(*found)
            return None
        later = partial(self._modern_later, exchange, incoming, revision, mount, snapshot, caller)
        return self._begin(exchange, incoming.id, None, snapshot, caller, found, later)

    def _begin(
        self,
        exchange: Exchange,
        id: Raw,
        session: Session | None,
        snapshot: Snapshot,
        caller: HttpCaller,
        found: Asked | None,
        later: Later,
    ) -> Rest:
        """Send the request, if that can be done now, or leave all of it to a task."""
        if found is not None:
            begun = Begun(exchange, caller, self._waiting, id, session, later)
            if begun.begin(found, snapshot):
                return None
        return later(found)

    async def _modern_later(
        self,
        exchange: Exchange,
        incoming: Message,
        revision: str,
        mount: str | None,
        snapshot: Snapshot,
        caller: HttpCaller,
        found: Asked | None,
    ) -> None:
        if (task := exchange.task) is not None:
            # a client that hangs up cancels: 2026-07-28 transports "Cancellation"
            exchange.on_disconnect = partial(_cancel, task)
        self._waiting.add(caller)
        try:
            answer = dispatch.modern(incoming, revision, mount, snapshot, caller, found)
            caller.finish(*await answer)
        except asyncio.CancelledError:
            caller.finish(reply.draining(incoming.id), HTTPStatus.OK)
            raise
        finally:
            self._waiting.discard(caller)

    def _legacy(
        self, exchange: Exchange, incoming: Message, mount: str | None, snapshot: Snapshot
    ) -> Rest:
        if incoming.method == "initialize" and incoming.id:
            return self._initialize(exchange, incoming, mount, snapshot)
        session = self._session(exchange, mount, incoming.id)
        if session is None:
            return None
        if not incoming.is_request:
            session.told(incoming)
            exchange.respond(HTTPStatus.ACCEPTED)
            return None
        caller = SessionCaller(exchange, session, self._memory, _now())
        found = dispatch.legacy_at_once(incoming, session, snapshot, caller)
        if isinstance(found, tuple):
            caller.finish(*found)
            return None
        later = partial(self._legacy_later, incoming, session, snapshot, caller)
        return self._begin(exchange, incoming.id, session, snapshot, caller, found, later)

    async def _legacy_later(
        self,
        incoming: Message,
        session: Session,
        snapshot: Snapshot,
        caller: SessionCaller,
        found: Asked | None,
    ) -> None:
        self._waiting.add(caller)
        try:
            answer = dispatch.legacy(incoming, session, snapshot, caller, found)
            body, status = await answer
            caller.finish(body or _cancelled(incoming.id), status)
        except asyncio.CancelledError:
            caller.finish(reply.draining(incoming.id), HTTPStatus.OK)
            raise
        finally:
            self._waiting.discard(caller)

    def _batch(
        self, exchange: Exchange, items: list[Message], mount: str | None, snapshot: Snapshot
    ) -> Rest:
        """A JSON-RPC array: only 2025-03-26 has them (its basic "Batching")."""
        if b"mcp-session-id" not in exchange.request.headers:
            raise InvalidRequest("arrays are for 2025-03-26 sessions; initialize first")
        session = self._session(exchange, mount, message.NO_RAW)
        if session is None:
            return None
        dispatch.check_batch(items, session)
        caller = SessionCaller(exchange, session, self._memory, _now())
        return self._batch_later(items, session, snapshot, caller)

    async def _batch_later(
        self, items: list[Message], session: Session, snapshot: Snapshot, caller: SessionCaller
    ) -> None:
        ids = [item.id for item in items if item.is_request]
        self._waiting.add(caller)
        try:
            found = await dispatch.batch(items, session, snapshot, caller)
            bodies = [body or _cancelled(id) for id, body in zip(ids, found, strict=True)]
            caller.finish_all(bodies)
        except asyncio.CancelledError:
            caller.finish_all([reply.draining(id) for id in ids])
            raise
        finally:
            self._waiting.discard(caller)

    async def _initialize(
        self, exchange: Exchange, incoming: Message, mount: str | None, snapshot: Snapshot
    ) -> None:
        try:
            params = message.members(incoming.params)
            revision = local.negotiate(params)
            session = self._sessions.open(revision, params, exchange.request.principal, mount)
        except McpError as error:
            full = isinstance(error, TooManySessions)
            status = HTTPStatus.SERVICE_UNAVAILABLE if full else HTTPStatus.BAD_REQUEST
            refuse(exchange, status, error, incoming.id)
            return
        view = snapshot.view(mount)
        assert view is not None
        if mount is not None:  # what it can do is what its one server can do
            view, _ = await snapshot.listings.renewed(view)
        exchange.respond(
            HTTPStatus.OK,
            message.result(incoming.id, local.initialize(view, revision)),
            headers=b"Mcp-Session-Id: %b\r\n" % session.id.encode(),
        )

    def _session(self, exchange: Exchange, mount: str | None, id: Raw) -> Session | None:
        """The session the request names, or None after it has been refused."""
        request = exchange.request
        named = request.headers.get(b"mcp-session-id")
        if named is None:
            error = InvalidRequest(
                "no Mcp-Session-Id: send initialize first, or a request with "
                f"{eras.VERSION_KEY} in params._meta"
            )
            refuse(exchange, HTTPStatus.BAD_REQUEST, error, id)
            return None
        session = self._sessions.find(named.decode("latin-1"), request.principal, mount)
        if session is None:
            error = InvalidRequest("unknown or ended session: initialize again")
            refuse(exchange, HTTPStatus.NOT_FOUND, error, id)
            return None
        if version(request) not in _HANDSHAKE:
            refuse(exchange, HTTPStatus.BAD_REQUEST, unsupported(version(request)), id)
            return None
        return session

    def _get(self, exchange: Exchange, mount: str | None) -> Rest:
        """The session's stream for messages that belong to no request."""
        if not accepts(exchange.request.headers.get(b"accept"), b"text/event-stream"):
            error = InvalidRequest("GET needs Accept: text/event-stream")
            refuse(exchange, HTTPStatus.NOT_ACCEPTABLE, error)
            return None
        session = self._session(exchange, mount, message.NO_RAW)
        if session is None:
            return None
        if after := exchange.request.headers.get(headers.LAST_EVENT_ID):
            self._resume(exchange, session, after)
        elif session.end_stream is not None:
            return self._listen_if_left(exchange, session, mount)
        else:
            self._listen(exchange, session)
        return None

    async def _listen_if_left(
        self, exchange: Exchange, session: Session, mount: str | None
    ) -> None:
        """A client that reconnects has closed its former stream, but may be heard here first."""
        for _ in range(LOOKS):
            if session.end_stream is None:
                break
            await asyncio.sleep(LEFT_S / LOOKS)
        if session.end_stream is not None:
            error = InvalidRequest("this session has its stream already")
            refuse(exchange, HTTPStatus.CONFLICT, error)
        elif self._session(exchange, mount, message.NO_RAW) is not None:  # it may have ended, too
            self._listen(exchange, session)

    def _resume(self, exchange: Exchange, session: Session, id: bytes) -> None:
        """Go on with the stream that an event id names, from there."""
        found = session.events.find(id) if session.events is not None else None
        if found is None:
            hint = "open the stream without it; the call it was for may have run"
            error = InvalidRequest("unknown or expired Last-Event-ID", {"hint": hint})
            refuse(exchange, HTTPStatus.BAD_REQUEST, error)
            return
        stream, place = found
        if stream.listening:
            self._listen(exchange, session, place)
        else:
            stream.carry(exchange)
            stream.replay(place)

    def _listen(self, exchange: Exchange, session: Session, after: int | None = None) -> None:
        """The session's own stream; one that is resumed leaves its former connection."""
        if session.end_stream is not None:
            session.end_stream()
        caller = SessionCaller(exchange, session, self._memory, _now())
        self._waiting.add(caller)

        def gone() -> None:
            if session.end_stream is end:  # another connection may have taken over
                session.end_stream = None
                session.last_used = _now()
            self._waiting.discard(caller)

        def end() -> None:
            gone()
            exchange.end()

        exchange.on_disconnect = gone
        session.outlet, session.end_stream = caller.push, end
        caller.listen(after)

    def _delete(self, exchange: Exchange, mount: str | None) -> None:
        session = self._session(exchange, mount, message.NO_RAW)
        if session is not None:
            self._sessions.close(session)
            exchange.respond(HTTPStatus.OK)


_ALLOW: Final = b"Allow: GET, POST, DELETE\r\n"


def refuse(
    exchange: Exchange,
    status: int,
    error: McpError,
    id: Raw = message.NO_RAW,
    *,
    modern: bool = False,
    headers: bytes = b"",
) -> None:
    """Answer with an error before any work was done."""
    exchange.respond(status, reply.refusal(id, error, modern=modern), headers=headers)


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel(CLIENT_CANCELLED)


def _cancelled(id: Raw) -> bytes:
    """Ends the HTTP answer of a cancelled request, as the official server does."""
    return message.error(id, b'{"code":-32800,"message":"request cancelled"}')


def _now() -> float:
    return asyncio.get_running_loop().time()
