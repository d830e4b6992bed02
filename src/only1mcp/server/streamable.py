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
from typing import Final

from msgspec import Raw

from only1mcp.protocol import eras, headers, message
from only1mcp.protocol.errors import InvalidRequest, McpError
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.methods import LEGACY, MODERN
from only1mcp.relay import local
from only1mcp.relay.request import Request as Asked
from only1mcp.relay.request import View
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server import dispatch, reply
from only1mcp.server.begun import Begun
from only1mcp.server.caller import HttpCaller, SessionCaller
from only1mcp.server.events import Memory
from only1mcp.server.http import Exchange, Rest
from only1mcp.server.ladder import Said, SelfDescribed, accepts, check_modern, unsupported
from only1mcp.server.session import (
    Session,
    Sessions,
    TooManySessions,
    still_running,
)

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
        said: Said | None = request.memo.found
        if said is None:
            said = request.memo.found = Said(request)
        snapshot = self._snapshot()
        view = snapshot.catalog.view(said.mount)
        if view is None:
            known = ", ".join(snapshot.servers) or "none"
            refuse(
                exchange,
                HTTPStatus.NOT_FOUND,
                InvalidRequest(f"no server '{said.mount}' here", {"hint": f"servers: {known}"}),
            )
        elif request.method == "POST":
            return self._post(exchange, said, view, snapshot)
        elif request.method == "GET" and said.version not in MODERN:
            return self._get(exchange, said)
        elif request.method == "DELETE" and said.version not in MODERN:
            self._delete(exchange, said)
        else:
            allow = b"Allow: POST\r\n" if said.version in MODERN else _ALLOW
            refuse(
                exchange,
                HTTPStatus.METHOD_NOT_ALLOWED,
                InvalidRequest(f"{request.method} is not for this endpoint"),
                headers=allow,
            )
        return None

    def _post(self, exchange: Exchange, said: Said, view: View, snapshot: Snapshot) -> Rest:
        if said.problem is not None:
            refuse(exchange, *said.problem)
            return None
        body = exchange.request.body
        try:
            incoming = message.decode_client(body)
            if isinstance(incoming, list):
                return self._batch(exchange, incoming, said, snapshot)
            meta = dispatch.modern_meta(incoming)
        except McpError as error:
            refuse(exchange, HTTPStatus.BAD_REQUEST, error, message.readable_id(body))
            return None
        if meta is not None or said.version not in _HANDSHAKE:
            return self._modern(exchange, incoming, meta, view, snapshot)
        return self._legacy(exchange, incoming, said, view, snapshot)

    def _modern(
        self,
        exchange: Exchange,
        incoming: Message,
        meta: Params | None,
        view: View,
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
        found = dispatch.at_once(incoming, revision, True, view, snapshot, caller)
        if isinstance(found, tuple):
            caller.finish(*found)
            return None
        later = partial(self._modern_later, incoming, revision, view, snapshot, caller)
        begun = Begun(exchange, caller, self._waiting, incoming.id, None, later)
        return None if found and begun.begin(found, snapshot) else later(found)

    async def _modern_later(
        self,
        incoming: Message,
        revision: str,
        view: View,
        snapshot: Snapshot,
        caller: HttpCaller,
        found: Asked | None,
    ) -> None:
        caller.hang_up_cancels()  # 2026-07-28 transports "Cancellation"
        self._waiting.add(caller)
        try:
            answer = dispatch.modern(incoming, revision, view, snapshot, caller, found)
            caller.finish(*await answer)
        except asyncio.CancelledError:
            caller.finish(reply.draining(incoming.id), HTTPStatus.OK)
            raise
        finally:
            caller.let_go()
            self._waiting.discard(caller)

    def _legacy(
        self, exchange: Exchange, incoming: Message, said: Said, view: View, snapshot: Snapshot
    ) -> Rest:
        if incoming.method == "initialize" and incoming.id:
            return self._initialize(exchange, incoming, view, snapshot)
        session = self._session(exchange, said, incoming.id)
        if session is None:
            return None
        if not (incoming.method and incoming.id):
            session.told(incoming)
            exchange.respond(HTTPStatus.ACCEPTED)
            return None
        if session.runs(incoming.id):
            refuse(exchange, HTTPStatus.BAD_REQUEST, still_running(incoming.id), incoming.id)
            return None
        caller = SessionCaller(exchange, session, self._memory, session.last_used)
        found = dispatch.at_once(incoming, session.revision, False, view, snapshot, caller)
        if isinstance(found, tuple):
            caller.finish(*found)
            return None
        later = partial(self._legacy_later, incoming, session, snapshot, caller)
        begun = Begun(exchange, caller, self._waiting, incoming.id, session, later)
        return None if found and begun.begin(found, snapshot) else begun.in_task(found)

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
            answer = dispatch.legacy(incoming, session, snapshot, caller, found, noted=True)
            body, status = await answer
            caller.finish(body or _cancelled(incoming.id), status)
        except asyncio.CancelledError:
            caller.finish(reply.draining(incoming.id), HTTPStatus.OK)
            raise
        finally:
            self._waiting.discard(caller)

    def _batch(
        self, exchange: Exchange, items: list[Message], said: Said, snapshot: Snapshot
    ) -> Rest:
        """A JSON-RPC array: only 2025-03-26 has them (its basic "Batching")."""
        if said.session is None:
            raise InvalidRequest("arrays are for 2025-03-26 sessions; initialize first")
        session = self._session(exchange, said, message.NO_RAW)
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
        self, exchange: Exchange, incoming: Message, view: View, snapshot: Snapshot
    ) -> None:
        try:
            params = message.members(incoming.params)
            revision = local.negotiate(params)
            principal = exchange.request.principal
            session = self._sessions.open(revision, params, principal, view.server)
        except McpError as error:
            full = isinstance(error, TooManySessions)
            status = HTTPStatus.SERVICE_UNAVAILABLE if full else HTTPStatus.BAD_REQUEST
            refuse(exchange, status, error, incoming.id)
            return
        if view.server is not None:  # what it can do is what its one server can do
            view, _ = await snapshot.listings.renewed(view)
        exchange.respond(
            HTTPStatus.OK,
            message.result(incoming.id, local.initialize(view, revision)),
            headers=b"Mcp-Session-Id: %b\r\n" % session.id.encode(),
        )

    def _session(self, exchange: Exchange, said: Said, id: Raw) -> Session | None:
        """The session the request names, or None after it has been refused."""
        if said.session is not None and said.version in _HANDSHAKE:
            principal = exchange.request.principal
            session = self._sessions.find(said.session, principal, said.mount)
            if session is not None:
                return session
            gone = InvalidRequest("unknown or ended session: initialize again")
            refuse(exchange, HTTPStatus.NOT_FOUND, gone, id)
        elif said.session is not None:
            refuse(exchange, HTTPStatus.BAD_REQUEST, unsupported(said.version), id)
        else:
            error = InvalidRequest(
                "no Mcp-Session-Id: send initialize first, or a request with "
                f"{eras.VERSION_KEY} in params._meta"
            )
            refuse(exchange, HTTPStatus.BAD_REQUEST, error, id)
        return None

    def _get(self, exchange: Exchange, said: Said) -> Rest:
        """The session's stream for messages that belong to no request."""
        if not accepts(exchange.request.headers.get(b"accept"), b"text/event-stream"):
            error = InvalidRequest("GET needs Accept: text/event-stream")
            refuse(exchange, HTTPStatus.NOT_ACCEPTABLE, error)
            return None
        session = self._session(exchange, said, message.NO_RAW)
        if session is None:
            return None
        if after := exchange.request.headers.get(headers.LAST_EVENT_ID):
            self._resume(exchange, session, after)
        elif session.end_stream is not None:
            return self._listen_if_left(exchange, session, said)
        else:
            self._listen(exchange, session)
        return None

    async def _listen_if_left(self, exchange: Exchange, session: Session, said: Said) -> None:
        """A client that reconnects has closed its former stream, but may be heard here first."""
        for _ in range(LOOKS):
            if session.end_stream is None:
                break
            await asyncio.sleep(LEFT_S / LOOKS)
        if session.end_stream is not None:
            error = InvalidRequest("this session has its stream already")
            refuse(exchange, HTTPStatus.CONFLICT, error)
        elif self._session(exchange, said, message.NO_RAW) is not None:  # it may have ended, too
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

    def _delete(self, exchange: Exchange, said: Said) -> None:
        session = self._session(exchange, said, message.NO_RAW)
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


def _cancelled(id: Raw) -> bytes:
    """Ends the HTTP answer of a cancelled request, as the official server does."""
    return message.error(id, b'{"code":-32800,"message":"request cancelled"}')


def _now() -> float:
    return asyncio.get_running_loop().time()
