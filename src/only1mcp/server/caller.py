"""The client of one HTTP request while it waits: what reaches it before the answer, and how.

    HttpCaller      JSON, or a stream from the first message on; gone when its connection is
    SessionCaller   the same, on a stream its client can come back to (server/events.py)

Source  MCP 2025-11-25 and 2026-07-28 basic/transports "Sending Messages to the Server".
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.errors import InternalError
from only1mcp.protocol.methods import R2025_11_25
from only1mcp.server import reply
from only1mcp.server.events import COMMENT, Memory, Stream, event
from only1mcp.server.exchange import Exchange
from only1mcp.server.session import CLIENT_CANCELLED, Peer, Session, Told

KEEP_ALIVE_S: Final = 15.0
"""Silence after which a waiting client gets an SSE comment: many give up at 60 s."""
PRIME_S: Final = 1.0
"""Silence after which a call that takes long becomes one its client can come back to."""


class HttpCaller:
    """The client of one POST while its requests run."""

    __slots__ = ("_exchange", "_lines", "_peer", "headers", "last_sent", "principal", "session")

    def __init__(self, exchange: Exchange, peer: Peer, now: float) -> None:
        request = exchange.request
        self._exchange = exchange
        self._peer = peer
        self.principal = request.principal
        self.headers: Mapping[bytes, bytes] | None = request.headers
        self.session = peer.id
        """The id of the client's session."""
        self.last_sent = now
        self._lines = b""

    def hang_up_cancels(self) -> None:
        """From now until `let_go` the task that runs is cancelled if the client goes away."""
        if (task := self._exchange.task) is not None:
            self._exchange.on_disconnect = partial(_cancel, task)

    def let_go(self) -> None:
        """The task has ended: it keeps what keeps the exchange, which must not keep it."""
        self._exchange.on_disconnect = None

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
    def streaming(self) -> bool:
        """Whether the answer will be the last event of a stream."""
        return self._exchange.streaming

    @property
    def gone(self) -> bool:
        """Whether the client can no longer be reached here."""
        return self._exchange.closed

    async def ask(self, method: str, params: bytes, told: Told | None = None) -> bytes:
        """Put a server's question to the client on this POST's stream."""
        if self.gone:
            raise InternalError("the client has left the stream of this call")
        return await self._peer.ask(method, params, self.push, told)

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
        self.last_sent = _now()

    def tick(self, now: float) -> None:
        """Tell a client that has waited in silence that it still is served."""
        if now - self.last_sent >= KEEP_ALIVE_S:
            self.send(COMMENT)

    def resumable(self, retry_s: float | None) -> None:
        """Nothing: this client could not come back."""

    def label(self, lines: bytes) -> None:
        """Header lines for the answer, unless it is a stream by then."""
        self._lines = lines

    def finish(self, body: bytes, status: int) -> None:
        """The answer: JSON, or the last event of the stream."""
        exchange, lines = self._exchange, self._lines
        if exchange.closed:
            return
        if exchange.streaming:
            exchange.send(event(body))
            exchange.end()
        elif status == reply.OK and not lines:
            exchange.respond_json(body)
        else:
            exchange.respond(status, body, headers=lines + reply.retry_after(status, body))

    def finish_all(self, bodies: list[bytes]) -> None:
        """The answers to an array: one, or the last events of the stream; 202 for none."""
        if not bodies:
            self._exchange.respond(HTTPStatus.ACCEPTED)
        elif self.streaming:
            for body in bodies[:-1]:
                self.push(body)
            self.finish(bodies[-1], HTTPStatus.OK)
        else:
            self.finish(b"[" + b",".join(bodies) + b"]", HTTPStatus.OK)


class SessionCaller(HttpCaller):
    """The client of one POST in a session, or of its GET stream: it may leave and come back.

    Until the first message there is no stream: an answer in JSON costs nothing of it.
    """

    __slots__ = ("_memory", "_of", "_stream")

    def __init__(self, exchange: Exchange, session: Session, memory: Memory, now: float) -> None:
        super().__init__(exchange, session, now)
        self._of = session
        self._memory = memory
        self._stream: Stream | None = None

    @property
    def streaming(self) -> bool:
        """Whether the answer will be the last event of a stream."""
        return self._stream is not None

    @property
    def gone(self) -> bool:
        """Whether the client left before it knew of a stream to come back to."""
        return self._stream is None and self._exchange.closed

    def listen(self, after: int | None) -> None:
        """Make this connection the one of the session's own stream; replay what came after."""
        stream = self._stream = self._of.events_in(self._memory).listening()
        stream.carry(self._exchange)
        if after is not None:
            stream.replay(after)
        elif self._primes:
            stream.prime()
        else:
            stream.send(COMMENT)

    def push(self, body: bytes) -> None:
        """Send a message on the stream, now or when the client is back."""
        if (stream := self._opened()) is not None:
            stream.write(body)
            self.last_sent = _now()

    def send(self, data: bytes) -> None:
        """Put SSE bytes on the stream, opening it if need be."""
        if (stream := self._opened()) is not None:
            stream.send(data)
            self.last_sent = _now()

    def tick(self, now: float) -> None:
        """Give the client an id to come back with, then keep the connection alive."""
        if self._stream is not None or not self._primes:
            super().tick(now)
        elif now - self.last_sent >= PRIME_S and self._opened() is not None:
            self.last_sent = now

    def resumable(self, retry_s: float | None) -> None:
        """What the server does, so do we: give an id, or hang up and be asked again (SEP-1699)."""
        stream = self._opened() if self._primes else None
        if stream is not None and retry_s is not None:
            stream.hang_up(round(retry_s * 1000))

    def finish(self, body: bytes, status: int) -> None:
        """The answer: JSON, or the last event of the stream."""
        if self._stream is not None:
            self._stream.finish(body)
        else:
            super().finish(body, status)

    @property
    def _primes(self) -> bool:
        return self._of.revision >= R2025_11_25

    def _opened(self) -> Stream | None:
        if self._stream is None and not self._exchange.closed:
            self._stream = self._of.events_in(self._memory).open()
            self._stream.carry(self._exchange)
            if self._primes:
                self._stream.prime()
        return self._stream


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel(CLIENT_CANCELLED)


def _now() -> float:
    return asyncio.get_running_loop().time()
