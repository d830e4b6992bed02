"""HTTP+SSE of 2024-11-05: `GET /sse` is the session, each `POST /messages` one message in it.

    GET /sse ──► event `endpoint`: /messages?session=… ──► answers, notifications, questions
    POST /messages?session=… ──► 202; the answer comes on the stream

Everything but the framing is that of the other edges: server/dispatch.py answers. When the
stream ends so does the session, and what it still asks for is cancelled.
Bounds  MAX_STREAMS in all; HANDSHAKE_S to initialize; MAX_RUNNING requests at once on each.
Source  MCP 2024-11-05 basic/transports "HTTP with SSE".
"""

import asyncio
import secrets
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from only1mcp.protocol import message, sse
from only1mcp.protocol.errors import InvalidRequest, McpError
from only1mcp.protocol.message import Message
from only1mcp.relay import local
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server import dispatch, reply
from only1mcp.server.caller import KEEP_ALIVE_S, HttpCaller
from only1mcp.server.events import event
from only1mcp.server.http import Exchange, Rest
from only1mcp.server.ladder import accepts
from only1mcp.server.reader import SSE_PATHS
from only1mcp.server.session import MAX_SESSIONS, Session, Sessions
from only1mcp.server.streamable import refuse

MAX_STREAMS: Final = MAX_SESSIONS
MAX_RUNNING: Final = 1024
HANDSHAKE_S: Final = 60.0
"""A stream on which nobody has initialized is ended; clients do it at once."""
CLOSE_S: Final = 3.0
_STREAM, _MESSAGES = SSE_PATHS


class Conversation:
    """One open stream and the client at its end; `session` and `caller` once it initialized."""

    __slots__ = ("caller", "due", "exchange", "id", "session", "since", "tasks")

    def __init__(self, id: str, exchange: Exchange, now: float) -> None:
        self.id = id
        self.exchange = exchange
        self.since = now
        self.session: Session | None = None
        self.caller: HttpCaller | None = None
        self.tasks: set[asyncio.Task[None]] = set()  # POSTs whose answers are due, ...
        self.due = 0  # ... and how many there are, those that have not begun included

    def push(self, body: bytes) -> None:
        """Send one message."""
        if body and self.exchange.send(event(body)) and self.caller is not None:
            self.caller.last_sent = asyncio.get_running_loop().time()


class SseEdge:
    """The two endpoints of the older HTTP transport, for all servers together."""

    def __init__(self, snapshot: Callable[[], Snapshot], sessions: Sessions) -> None:
        self._snapshot = snapshot
        self._sessions = sessions
        self._conversations: dict[str, Conversation] = {}

    def __len__(self) -> int:
        return len(self._conversations)

    def sweep(self, now: float) -> None:
        """Keep quiet streams alive, and end those that were opened for nothing."""
        for id, one in list(self._conversations.items()):
            if one.caller is None:
                if now - one.since >= HANDSHAKE_S:
                    self._end(id)
            elif now - one.caller.last_sent >= KEEP_ALIVE_S:
                one.caller.send(sse.KEEP_ALIVE)

    async def close(self) -> None:
        """Answer what still runs, and end all streams. Bounded by CLOSE_S."""
        running = [task for one in self._conversations.values() for task in one.tasks]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=CLOSE_S)
        for id in list(self._conversations):
            self._end(id)

    def handle(self, exchange: Exchange) -> Rest:
        """Answer one HTTP request, or begin to; never raises."""
        request = exchange.request
        wanted = "GET" if request.path == _STREAM else "POST"
        if request.method != wanted:
            error = InvalidRequest(f"{request.method} is not for this endpoint")
            allow = b"Allow: %b\r\n" % wanted.encode()
            refuse(exchange, HTTPStatus.METHOD_NOT_ALLOWED, error, headers=allow)
            return None
        if wanted == "POST":
            return self._post(exchange)
        self._open(exchange)
        return None

    # --- the stream ---

    def _open(self, exchange: Exchange) -> None:
        if not accepts(exchange.request.headers.get(b"accept"), b"text/event-stream"):
            error = InvalidRequest("GET needs Accept: text/event-stream")
            refuse(exchange, HTTPStatus.NOT_ACCEPTABLE, error)
            return
        if len(self._conversations) >= MAX_STREAMS:
            error = InvalidRequest(f"the gateway holds {MAX_STREAMS} streams; try again later")
            refuse(exchange, HTTPStatus.SERVICE_UNAVAILABLE, error)
            return
        id = secrets.token_urlsafe(24)
        self._conversations[id] = Conversation(id, exchange, asyncio.get_running_loop().time())
        exchange.on_disconnect = partial(self._end, id)
        exchange.open_stream()
        place = f"{_MESSAGES}?session={id}".encode()
        exchange.send(sse.write(place, name=b"endpoint"))

    def _end(self, id: str) -> None:
        """The stream ends, whoever ended it, and the session with it."""
        one = self._conversations.pop(id, None)
        if one is None:
            return
        one.exchange.end()
        if one.session is not None:
            one.session.outlet = one.session.end_stream = None
            self._sessions.close(one.session)

    # --- messages ---

    def _post(self, exchange: Exchange) -> Rest:
        request = exchange.request
        kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            error = InvalidRequest("POST needs Content-Type: application/json")
            refuse(exchange, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error)
            return None
        one = self._find(exchange)
        if one is None:
            error = InvalidRequest(f"unknown or ended session: open {_STREAM} again")
            refuse(exchange, HTTPStatus.NOT_FOUND, error)
            return None
        try:
            incoming = message.decode_client(request.body)
        except McpError as fault:
            refuse(exchange, HTTPStatus.BAD_REQUEST, fault, message.readable_id(request.body))
            return None
        wants_answer = not isinstance(incoming, Message) or incoming.is_request
        if wants_answer and one.due >= MAX_RUNNING:
            error = InvalidRequest(f"{MAX_RUNNING} requests of this session run already")
            refuse(exchange, HTTPStatus.TOO_MANY_REQUESTS, error)
            return None
        exchange.respond(HTTPStatus.ACCEPTED)
        one.due += 1
        return self._run(one, incoming)

    def _find(self, exchange: Exchange) -> Conversation | None:
        """The conversation the request names, if it is of the same principal."""
        named = parse_qs(exchange.request.query.decode("latin-1")).get("session", [""])
        one = self._conversations.get(named[0])
        if one is None or one.exchange.request.principal != exchange.request.principal:
            return None
        return one

    async def _run(self, one: Conversation, incoming: Message | list[Message]) -> None:
        """Answer on the stream; a task of the edge, so that draining waits for it."""
        task = asyncio.current_task()
        assert task is not None
        one.tasks.add(task)
        try:
            if isinstance(incoming, Message):
                one.push(await self._answer(one, incoming))
            else:
                await self._answer_all(one, incoming)
        except asyncio.CancelledError:
            items = [incoming] if isinstance(incoming, Message) else incoming
            for item in items:
                if item.is_request:
                    one.push(reply.draining(item.id))
            raise
        finally:
            one.tasks.discard(task)
            one.due -= 1

    async def _answer(self, one: Conversation, incoming: Message) -> bytes:
        """The answer to one message; b"" when it wants none."""
        session, caller = one.session, one.caller
        if not incoming.is_request:
            if session is not None:
                session.told(incoming)
            return b""
        if session is not None and caller is not None:
            body, _ = await dispatch.legacy(incoming, session, self._snapshot(), caller)
            return body
        if incoming.method == "ping":
            return message.result(incoming.id, b"{}")
        try:
            if incoming.method != "initialize":
                raise InvalidRequest("send initialize first")
            return self._initialize(one, incoming)
        except McpError as error:
            return reply.refusal(incoming.id, error)

    async def _answer_all(self, one: Conversation, items: list[Message]) -> None:
        """A JSON-RPC array, for sessions that have negotiated 2025-03-26."""
        try:
            if one.session is None or one.caller is None:
                raise InvalidRequest("arrays are for 2025-03-26 sessions; initialize first")
            dispatch.check_batch(items, one.session)
            found = await dispatch.batch(items, one.session, self._snapshot(), one.caller)
        except InvalidRequest as error:
            found = [reply.refusal(message.NO_RAW, error)]
        for body in found:
            one.push(body)

    def _initialize(self, one: Conversation, incoming: Message) -> bytes:
        params = message.members(incoming.params)
        revision = local.negotiate(params)
        principal = one.exchange.request.principal
        session = self._sessions.open(revision, params, principal, None)
        now = asyncio.get_running_loop().time()
        one.session, one.caller = session, HttpCaller(one.exchange, session, now)
        session.outlet, session.end_stream = one.caller.push, partial(self._end, one.id)
        result = local.initialize(self._snapshot().catalog.all, revision)
        return message.result(incoming.id, result)
