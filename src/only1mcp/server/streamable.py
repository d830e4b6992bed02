"""Streamable HTTP on `/mcp` and `/mcp/{server}`, both eras on one endpoint.

    POST ── decode ──► `_meta` names a revision, or the header a modern one? ──► modern ladder
                  └──► else: session by Mcp-Session-Id; `initialize` opens one

An answer is JSON; the first notification that belongs to the request turns it into an SSE
stream, and so does KEEP_ALIVE_S of silence.
Source  MCP 2025-11-25 and 2026-07-28 basic/transports; era by the body: basic/versioning.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import eras, message
from only1mcp.protocol.errors import InternalError, InvalidRequest, McpError
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.methods import LEGACY, MODERN
from only1mcp.relay import local
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server import dispatch, reply
from only1mcp.server.http import Exchange
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
    Peer,
    Session,
    Sessions,
    TooManySessions,
)

KEEP_ALIVE_S: Final = 15.0
"""Silence after which a waiting client gets an SSE comment: many give up at 60 s."""
_COMMENT: Final = b": keep-alive\n\n"
_ROOT: Final = "/mcp"


def event(body: bytes) -> bytes:
    """One JSON-RPC message as an SSE event."""
    return b"event: message\ndata: %b\n\n" % message.one_line(body)


class HttpCaller:
    """The client of one POST while its requests run, or of one GET while its stream lasts."""

    __slots__ = ("_exchange", "_peer", "headers", "last_sent", "principal")

    def __init__(self, exchange: Exchange, peer: Peer, now: float) -> None:
        self._exchange = exchange
        self._peer = peer
        self.principal = exchange.request.principal
        self.headers: Mapping[bytes, bytes] | None = exchange.request.headers
        self.last_sent = now

    def notify(self, method: str, params: Raw) -> None:
        """Send a notification on this POST's stream."""
        if self._peer.wants(method, params):
            self.push(message.notification(method, params))

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the client declared."""
        return self._peer.capabilities

    @property
    def log_level(self) -> str | None:
        """The least grave log message the client wants."""
        return self._peer.log_level

    @property
    def session(self) -> str | None:
        """The id of the client's session."""
        return self._peer.id

    async def ask(self, method: str, params: bytes) -> bytes:
        """Put a server's question to the client on this POST's stream."""
        if self._exchange.closed:
            raise InternalError("the client has left the stream of this call")
        return await self._peer.ask(method, params, self.push)

    def push(self, body: bytes) -> None:
        """Send a message on the stream."""
        self.send(event(body))

    def send(self, data: bytes) -> None:
        """Put SSE bytes on the stream, opening it if need be."""
        if self._exchange.closed:
            return
        if not self._exchange.streaming:
            self._exchange.open_stream()
        self._exchange.send(data)
        self.last_sent = asyncio.get_running_loop().time()

    def finish(self, body: bytes, status: int) -> None:
        """The answer: JSON, or the last event of the stream."""
        if self._exchange.closed:
            return
        if self._exchange.streaming:
            self._exchange.send(event(body))
            self._exchange.end()
        else:
            self._exchange.respond(status, body)

    def finish_all(self, bodies: list[bytes]) -> None:
        """The answers to an array: one, or the last events of the stream; 202 for none."""
        if not bodies:
            self._exchange.respond(HTTPStatus.ACCEPTED)
        elif self._exchange.streaming:
            for body in bodies[:-1]:
                self.push(body)
            self.finish(bodies[-1], HTTPStatus.OK)
        else:
            self.finish(b"[" + b",".join(bodies) + b"]", HTTPStatus.OK)


class Streamable:
    """The MCP endpoint of the HTTP edge."""

    def __init__(self, snapshot: Callable[[], Snapshot], sessions: Sessions) -> None:
        self._snapshot = snapshot
        self._sessions = sessions
        self._waiting: set[HttpCaller] = set()

    def sweep(self, now: float) -> None:
        """Tell clients that have waited in silence that they still are served."""
        for caller in [one for one in self._waiting if now - one.last_sent >= KEEP_ALIVE_S]:
            caller.send(_COMMENT)
        self._sessions.sweep()

    async def handle(self, exchange: Exchange) -> None:
        """Answer one HTTP request; never raises."""
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
            await self._post(exchange, mount, snapshot)
        elif request.method == "GET" and version(request) not in MODERN:
            self._get(exchange, mount)
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

    async def _post(self, exchange: Exchange, mount: str | None, snapshot: Snapshot) -> None:
        request = exchange.request
        if problem := refused(request):
            refuse(exchange, *problem)
            return
        try:
            incoming = message.decode_client(request.body)
            if isinstance(incoming, list):
                await self._batch(exchange, incoming, mount, snapshot)
                return
            meta = dispatch.modern_meta(incoming)
        except McpError as error:
            refuse(exchange, HTTPStatus.BAD_REQUEST, error, message.readable_id(request.body))
            return
        if meta is not None or version(request) not in ("", *LEGACY):
            await self._modern(exchange, incoming, meta, mount, snapshot)
        else:
            await self._legacy(exchange, incoming, mount, snapshot)

    async def _modern(
        self,
        exchange: Exchange,
        incoming: Message,
        meta: Params | None,
        mount: str | None,
        snapshot: Snapshot,
    ) -> None:
        try:
            revision = check_modern(exchange.request, incoming, meta)
        except McpError as error:
            refuse(exchange, reply.status(error), error, incoming.id, modern=True)
            return
        if not incoming.is_request:
            exchange.respond(HTTPStatus.ACCEPTED)  # core defines none over HTTP: accepted, unused
            return
        task = asyncio.current_task()
        if task is not None:  # a client that hangs up cancels: 2026-07-28 transports "Cancellation"
            exchange.on_disconnect = partial(_cancel, task)
        caller = self._caller(exchange, SelfDescribed(meta))
        try:
            answer = await dispatch.modern(incoming, revision, mount, snapshot, caller)
            caller.finish(*answer)
        except asyncio.CancelledError:
            caller.finish(reply.draining(incoming.id), HTTPStatus.OK)
            raise
        finally:
            self._waiting.discard(caller)

    async def _legacy(
        self, exchange: Exchange, incoming: Message, mount: str | None, snapshot: Snapshot
    ) -> None:
        if incoming.method == "initialize" and incoming.id:
            await self._initialize(exchange, incoming, mount, snapshot)
            return
        session = self._session(exchange, mount, incoming.id)
        if session is None:
            return
        if not incoming.is_request:
            session.told(incoming)
            exchange.respond(HTTPStatus.ACCEPTED)
            return
        caller = self._caller(exchange, session)
        try:
            body, status = await dispatch.legacy(incoming, session, snapshot, caller)
            caller.finish(body or _cancelled(incoming.id), status)
        except asyncio.CancelledError:
            caller.finish(reply.draining(incoming.id), HTTPStatus.OK)
            raise
        finally:
            self._waiting.discard(caller)

    async def _batch(
        self, exchange: Exchange, items: list[Message], mount: str | None, snapshot: Snapshot
    ) -> None:
        """A JSON-RPC array: only 2025-03-26 has them (its basic "Batching")."""
        if b"mcp-session-id" not in exchange.request.headers:
            raise InvalidRequest("arrays are for 2025-03-26 sessions; initialize first")
        session = self._session(exchange, mount, message.NO_RAW)
        if session is None:
            return
        ids = [item.id for item in items if item.is_request]
        caller = self._caller(exchange, session)
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
            view = await snapshot.listings.renewed(view)
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
        if version(request) not in ("", *LEGACY):
            refuse(exchange, HTTPStatus.BAD_REQUEST, unsupported(version(request)), id)
            return None
        return session

    def _get(self, exchange: Exchange, mount: str | None) -> None:
        """The session's stream for messages that belong to no request."""
        if not accepts(exchange.request.headers.get(b"accept"), b"text/event-stream"):
            error = InvalidRequest("GET needs Accept: text/event-stream")
            refuse(exchange, HTTPStatus.NOT_ACCEPTABLE, error)
            return
        session = self._session(exchange, mount, message.NO_RAW)
        if session is None:
            return
        if session.outlet is not None:
            error = InvalidRequest("this session has its stream already")
            refuse(exchange, HTTPStatus.CONFLICT, error)
            return

        caller = self._caller(exchange, session)

        def gone() -> None:
            session.outlet = session.end_stream = None
            session.last_used = asyncio.get_running_loop().time()
            self._waiting.discard(caller)

        def end() -> None:
            gone()
            exchange.end()

        exchange.on_disconnect = gone
        session.outlet, session.end_stream = caller.push, end
        caller.send(_COMMENT)

    def _delete(self, exchange: Exchange, mount: str | None) -> None:
        session = self._session(exchange, mount, message.NO_RAW)
        if session is not None:
            self._sessions.close(session)
            exchange.respond(HTTPStatus.OK)

    def _caller(self, exchange: Exchange, peer: Peer) -> HttpCaller:
        caller = HttpCaller(exchange, peer, asyncio.get_running_loop().time())
        self._waiting.add(caller)
        return caller


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
