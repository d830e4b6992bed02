"""One client connection: its requests in order, its limits, its end.

    data_received ─► Reader ─► ready ─► one handler at a time ─► Exchange ─► transport
    check(now)      once per second: server/patience.py

Why     a close with unread bytes is a reset, and a reset destroys an answer on its way; hence
        the lingering after an early one (RFC 9112 section 9.6).
Note    a client that half-closes is gone: it cannot be told from one that has left.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from only1mcp import outbox
from only1mcp.policy.access import Access
from only1mcp.server.exchange import Exchange, Handler, Request, Rest, status_line
from only1mcp.server.head import METHODS, Refused
from only1mcp.server.patience import Patience
from only1mcp.server.reader import SLICE, Reader, is_mcp
from only1mcp.server.tally import Tally

log = logging.getLogger("only1mcp.http")

MAX_QUEUED: Final = 16  # requests read ahead of the one being answered
MAX_QUEUED_BYTES: Final = 1024 * 1024  # of their bodies
MAX_TURNED_AWAY: Final = 64  # connections above max_connections that get a 503; more get a reset

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_ALLOW: Final = b"Allow: " + b", ".join(METHODS) + b"\r\n"


class Shared:
    """What all connections of one edge have in common."""

    __slots__ = ("access", "app", "closing", "connections", "emptied", "loop", "max_body_bytes",
                 "max_connections", "mcp", "outbox", "running", "tally")  # fmt: skip

    def __init__(
        self, access: Access, max_body_bytes: int, max_connections: int, mcp: Handler, app: Handler
    ) -> None:
        self.access = access
        self.max_body_bytes = max_body_bytes
        self.max_connections = max_connections
        self.mcp = mcp
        self.app = app
        self.loop = asyncio.get_running_loop()
        self.outbox = outbox.of_loop()
        self.closing = False  # every answer is the last of its connection
        self.connections: set[Connection] = set()
        self.emptied = asyncio.Event()  # set whenever the last connection ends
        self.running: set[Exchange] = set()  # those whose handler runs
        self.tally = Tally()


class Connection(asyncio.Protocol):
    """One client, as asyncio sees it. `check` is called once per second."""

    __slots__ = ("_current", "_patience", "_refusal", "_shared", "_starting", "_transport",
                 "_unread", "_writable", "blocked", "closing", "held", "lingering", "reader",
                 "received", "running", "written")  # fmt: skip

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.running = shared.running
        self._transport = cast(asyncio.Transport, None)  # until connection_made
        self.reader = Reader(shared.access, shared.max_body_bytes)
        self._current: Exchange | None = None
        self._starting = False  # requests are begun; many are answered in that moment
        self._refusal = b""  # to be said after the answers that are due before it
        self.lingering = False
        # flow
        self.blocked = False  # the transport wants no more to write for now
        self.closing = shared.closing  # the answer that is due is the last
        self.held = False  # we read nothing for now
        self._unread = b""  # read, not yet parsed: the queue is full
        self._writable: asyncio.Future[None] | None = None
        self.received = 0  # bytes, heads included
        self.written = 0
        self._patience = Patience()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        connections = self._shared.connections
        connections.add(self)
        self._shared.tally.accepted += 1
        over = len(connections) - self._shared.max_connections
        if over > MAX_TURNED_AWAY:
            self._transport.abort()
        elif over > 0:
            busy = "all connections are taken (server.max_connections)"
            self.refuse(Refused(503, busy, b"Retry-After: 1\r\n"))

    def connection_lost(self, exc: Exception | None) -> None:
        shared = self._shared
        shared.connections.discard(self)
        shared.tally.ended(self.received, self.written)
        if not shared.connections:
            shared.emptied.set()
        self.reader.stop()
        self._unread = b""
        self._wake()  # whoever waits in drain() goes on, to find the client gone
        if (exchange := self._current) is not None:
            self._current = None
            exchange.lost()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._current is None and not (self._unread or self.blocked or self.held):
            request = self.reader.again(data)
            if request is not None:
                self._start(request)
                return
        if self._unread or len(data) > SLICE:
            self._unread = self._unread + data if self._unread else data
            self._digest()
        else:
            self._feed(data)
        reader = self.reader
        if reader.ready or reader.awaits_continue or self._unread:
            self._advance()

    def pause_writing(self) -> None:
        self.blocked = True
        self._hold(True)

    def resume_writing(self) -> None:
        self.blocked = False
        self._wake()
        self._advance()

    # reading

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            self.reader.feed(data)
        except Refused as refused:
            self.refuse(refused)

    def _digest(self) -> None:
        """Parse what was read, as far as the queue has room."""
        view = memoryview(self._unread)
        reader = self.reader
        while view and not reader.over and not self._is_full():
            step = max(SLICE, reader.body_left)
            self._feed(view[:step])
            view = view[step:]
        self._unread = b"" if reader.over else bytes(view)

    def _is_full(self) -> bool:
        ready = self.reader.ready
        return len(ready) >= MAX_QUEUED or (
            bool(ready) and sum(len(request.body) for request in ready) > MAX_QUEUED_BYTES
        )

    def _hold(self, hold: bool) -> None:
        """Read nothing for now, or read again."""
        if hold == self.held or self.lingering or self._transport.is_closing():
            return
        self.held = hold
        if hold:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # answering

    def _advance(self) -> None:
        """Begin what is next: requests, the wished-for 100, or the last words."""
        reader = self.reader
        if self._unread and not self._is_full():
            self._digest()
        if self._current is None and not self.blocked:
            if reader.ready:
                self._start_ready()
            elif self._refusal:
                self._say_refusal()
            elif reader.awaits_continue:
                reader.awaits_continue = False
                self.write(_CONTINUE)
        if reader.ready or self._unread or self.held:
            self._hold(self.blocked or bool(self._unread) or self._is_full())

    def _start_ready(self) -> None:
        """Begin requests until one takes its time; after some of them others have a turn."""
        ready = self.reader.ready
        self._starting = True
        try:
            for _ in range(MAX_QUEUED):
                self._start(ready.popleft())
                if not ready or self._current is not None or self.blocked:
                    break
        finally:
            self._starting = False
        more = ready or self._unread or self._refusal or self.reader.awaits_continue
        if more and self._current is None:
            self.call_soon(self._advance)

    def _start(self, request: Request) -> None:
        shared = self._shared
        if is_mcp(request.path):
            handler = _answer_preflight if request.preflight else shared.mcp
            exchange = Exchange(request, self, request.cors)
        else:
            handler = _answer_options if request.path == "*" else shared.app
            exchange = Exchange(request, self)
        self._current = exchange
        try:
            rest = handler(exchange)
            if rest is None:
                if exchange.work is None:
                    _check_answered(exchange)
                return
        except Exception:
            log.exception("%s %s failed inside the gateway", request.method, request.path)
            self._give_up(exchange)
            return
        self.running.add(exchange)
        self.serve(exchange, rest)

    def serve(self, exchange: Exchange, rest: Coroutine[Any, Any, None]) -> None:
        """Do in a task what is left to do for it."""
        # not loop.create_task: making up a name for each would be a fifth of the cost
        loop = self._shared.loop
        exchange.task = asyncio.Task(self._serve(exchange, rest), loop=loop, name="request")

    async def _serve(self, exchange: Exchange, rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
            _check_answered(exchange)
        except Exception:
            request = exchange.request
            log.exception("%s %s failed inside the gateway", request.method, request.path)
            self._give_up(exchange)
        except asyncio.CancelledError:
            self._give_up(exchange)
            raise
        finally:
            self.running.discard(exchange)
            exchange.task = None  # or both stay until the garbage collector stops everybody

    def _give_up(self, exchange: Exchange) -> None:
        """The handler failed: say so, or break the stream off so that it does not look whole."""
        if exchange.closed:
            return
        if exchange.streaming:
            self.close()
        elif self.closing:
            exchange.respond(503, _error("the gateway is stopping"))
        else:
            exchange.respond(500, _error("internal error; the gateway's log says more"))

    def answered(self) -> None:
        """The current answer has ended: begin the next, or end the connection."""
        exchange = self._current
        self._current = None
        if exchange is None:
            return
        if self.closing:
            self._linger()
        elif not exchange.request.keep_alive:
            self.close()
        elif not self._starting:
            reader = self.reader
            if reader.ready or reader.awaits_continue or self._refusal or self.held:
                self._advance()

    def write(self, data: bytes) -> None:
        """Bytes to the client; never blocks. `blocked` is true to them."""
        self.written += len(data)
        if self._shared.outbox.kept:
            self._shared.outbox.clear_way(self._transport)
        self._transport.write(data)

    def write_whole(self, answer: bytes) -> None:
        """A small answer, with others of this turn."""
        self.written += len(answer)
        self._shared.outbox.write(self._transport, answer)

    @property
    def answering(self) -> bool:
        """Whether a request is being answered."""
        return self._current is not None

    @property
    def streaming(self) -> bool:
        """Whether a stream of events is open on it."""
        return self._current is not None and self._current.streaming

    def pending(self) -> int:
        """Bytes written that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the transport takes more, or has ended."""
        if self.blocked and not self._transport.is_closing():
            if self._writable is None:
                self._writable = self._shared.loop.create_future()
            await asyncio.shield(self._writable)

    def _wake(self) -> None:
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None

    def address(self, end: str) -> tuple[str, int] | None:
        """Host and port of one end, `peername` or `sockname`."""
        name = self._transport.get_extra_info(end)
        return (name[0], name[1]) if isinstance(name, tuple) else None

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after whoever asks has come to its next await."""
        self._shared.loop.call_soon(callback)

    # ending

    def refuse(self, refused: Refused) -> None:
        """Answer a request that is none, after the answers that are due before it."""
        log.debug("refused: %d %s", refused.status, refused.message)
        self._shared.tally.refused[refused.status] += 1
        self.reader.over = True
        self._unread = b""
        body = _error(refused.message)
        self._refusal = (
            b"%bContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n"
            b"%b\r\n%b"
        ) % (status_line(refused.status), len(body), refused.headers, body)
        if self._current is None and not self.reader.ready:
            self._say_refusal()

    def _say_refusal(self) -> None:
        self.write(self._refusal)
        self._refusal = b""
        self._linger()

    def _linger(self) -> None:
        """Say that we are done, and let the client read it before the connection goes."""
        self.reader.finish()
        self._unread = self._refusal = b""
        self._hold(False)  # what comes now is thrown away
        self.lingering = True
        transport = self._transport
        if transport.can_write_eof() and not transport.is_closing():
            try:
                transport.write_eof()
            except OSError:  # the client is gone, asyncio has yet to notice
                transport.abort()

    def close(self) -> None:
        """End the connection once what was written has left."""
        self._shared.outbox.clear_way(self._transport)
        self._transport.close()

    def cut(self) -> None:
        """Reset the connection; what the client has not read is lost."""
        self._transport.abort()

    def retire(self) -> None:
        """The edge is closing: end now if idle, or end a stream that nobody answers any more."""
        exchange = self._current
        if exchange is None:
            self.close()
        elif exchange not in self._shared.running:
            exchange.end()

    def check(self, now: float) -> None:
        """End what takes too long. `now` is in seconds of any steady clock."""
        self._patience.check(self, now)


def _error(message: str) -> bytes:
    return json.dumps({"error": message}).encode()


def _check_answered(exchange: Exchange) -> None:
    if not (exchange.closed or exchange.streaming):
        raise RuntimeError("the handler left without an answer")


def _answer_preflight(exchange: Exchange) -> Rest:
    exchange.respond(204)
    return None


def _answer_options(exchange: Exchange) -> Rest:
    exchange.respond(204, headers=_ALLOW)
    return None
