"""One client connection: its requests in order, its limits, its end.

    data_received ─► Reader ─► ready ─► one handler task at a time ─► Exchange ─► transport
    check(now)      the only clock: once per second, the deadline of whatever is going on

    phase                         deadline                            then
    no byte yet, or half a head   HEAD_S, absolute                    408 (no byte: just close)
    body                          BODY_IDLE_S without a byte, or less than BODY_RATE per second
    between requests              IDLE_S                              close
    answer not read by client     WRITE_IDLE_S without progress       reset
    last words said               LINGER_S                            close

A phase is timed from the first check that sees it, so up to one second late, never early.
Why     a close with unread bytes is a reset, and a reset destroys an answer on its way; hence
        the lingering after an early one (RFC 9112 section 9.6).
Note    a client that half-closes is gone: it cannot be told from one that has left.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Final, cast

from only1mcp.policy.access import Access
from only1mcp.server.exchange import Exchange, Handler, status_line
from only1mcp.server.head import METHODS, Refused
from only1mcp.server.reader import BODY, HEAD, SLICE, Reader, is_mcp
from only1mcp.server.tally import Tally

log = logging.getLogger("only1mcp.http")

HEAD_S: Final = 10.0
BODY_IDLE_S: Final = 30.0
BODY_RATE: Final = 1024  # bytes per second, on average, judged after BODY_IDLE_S
IDLE_S: Final = 75.0  # as nginx; longer than the 60 s of most clients, so that they close first
WRITE_IDLE_S: Final = 60.0
LINGER_S: Final = 2.0

MAX_QUEUED: Final = 16  # requests read ahead of the one being answered
MAX_QUEUED_BYTES: Final = 1024 * 1024  # of their bodies
MAX_TURNED_AWAY: Final = 64  # connections above max_connections that get a 503; more get a reset

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_ALLOW: Final = b"Allow: " + b", ".join(METHODS) + b"\r\n"


class Shared:
    """What all connections of one edge have in common."""

    __slots__ = ("access", "app", "closing", "connections", "emptied", "loop", "max_body_bytes",
                 "max_connections", "mcp", "running", "tally")  # fmt: skip

    def __init__(
        self, access: Access, max_body_bytes: int, max_connections: int, mcp: Handler, app: Handler
    ) -> None:
        self.access = access
        self.max_body_bytes = max_body_bytes
        self.max_connections = max_connections
        self.mcp = mcp
        self.app = app
        self.loop = asyncio.get_running_loop()
        self.closing = False  # every answer is the last of its connection
        self.connections: set[Connection] = set()
        self.emptied = asyncio.Event()  # set whenever the last connection ends
        self.running: set[Exchange] = set()  # those whose handler runs
        self.tally = Tally()


class Connection(asyncio.Protocol):
    """One client, as asyncio sees it. `check` is called once per second."""

    __slots__ = ("_current", "_held", "_left", "_left_at", "_lingering", "_read", "_read_at",
                 "_reader", "_refusal", "_seen", "_shared", "_since", "_transport", "_unread",
                 "_writable", "blocked", "closing", "received", "written")  # fmt: skip

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport = cast(asyncio.Transport, None)  # until connection_made
        self._reader = Reader(shared.access, shared.max_body_bytes)
        self._current: Exchange | None = None
        self._refusal = b""  # to be said after the answers that are due before it
        self._lingering = False
        # flow
        self.blocked = False  # the transport wants no more to write for now
        self.closing = shared.closing  # the answer that is due is the last
        self._held = False  # we read nothing for now
        self._unread = b""  # read, not yet parsed: the queue is full
        self._writable: asyncio.Future[None] | None = None
        # time
        self._seen: tuple[object, ...] = ()  # what went on at the last check
        self._since = 0.0  # when a check saw it first
        self._read = 0  # body bytes
        self._read_at = 0.0
        self.received = 0  # bytes, heads included
        self.written = 0
        self._left = -1  # bytes that have left us, while some still wait
        self._left_at = 0.0

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
            self._refuse(Refused(503, busy, b"Retry-After: 1\r\n"))

    def connection_lost(self, exc: Exception | None) -> None:
        shared = self._shared
        shared.connections.discard(self)
        shared.tally.ended(self.received, self.written)
        if not shared.connections:
            shared.emptied.set()
        self._reader.stop()
        self._unread = b""
        self._wake()  # whoever waits in drain() goes on, to find the client gone
        if (exchange := self._current) is not None:
            self._current = None
            exchange.lost()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self._unread or len(data) > SLICE:
            self._unread = self._unread + data if self._unread else data
            self._digest()
        else:
            self._feed(data)
        reader = self._reader
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
            self._reader.feed(data)
        except Refused as refused:
            self._refuse(refused)

    def _digest(self) -> None:
        """Parse what was read, as far as the queue has room."""
        view = memoryview(self._unread)
        reader = self._reader
        while view and not reader.over and not self._is_full():
            step = max(SLICE, reader.body_left)
            self._feed(view[:step])
            view = view[step:]
        self._unread = b"" if reader.over else bytes(view)

    def _is_full(self) -> bool:
        ready = self._reader.ready
        return len(ready) >= MAX_QUEUED or (
            bool(ready) and sum(len(request.body) for request in ready) > MAX_QUEUED_BYTES
        )

    def _hold(self, hold: bool) -> None:
        """Read nothing for now, or read again."""
        if hold == self._held or self._lingering or self._transport.is_closing():
            return
        self._held = hold
        if hold:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    # answering

    def _advance(self) -> None:
        """Begin what is next: a request, the wished-for 100, or the last words."""
        reader = self._reader
        if self._unread and not self._is_full():
            self._digest()
        if self._current is None and not self.blocked:
            if reader.ready:
                self._start()
            elif self._refusal:
                self._say_refusal()
            elif reader.awaits_continue:
                reader.awaits_continue = False
                self.write(_CONTINUE)
        if reader.ready or self._unread or self._held:
            self._hold(self.blocked or bool(self._unread) or self._is_full())

    def _start(self) -> None:
        request = self._reader.ready.popleft()
        shared = self._shared
        if is_mcp(request.path):
            handler = _answer_preflight if request.preflight else shared.mcp
            exchange = Exchange(request, self, request.cors)
        else:
            handler = _answer_options if request.path == "*" else shared.app
            exchange = Exchange(request, self)
        self._current = exchange
        shared.running.add(exchange)
        # not loop.create_task: making up a name for each would be a fifth of the cost
        served = self._serve(exchange, handler)
        exchange.task = asyncio.Task(served, loop=shared.loop, name="request")

    async def _serve(self, exchange: Exchange, handler: Handler) -> None:
        try:
            await handler(exchange)
            if not (exchange.closed or exchange.streaming):
                raise RuntimeError("the handler left without an answer")
        except Exception:
            request = exchange.request
            log.exception("%s %s failed inside the gateway", request.method, request.path)
            self._give_up(exchange)
        except asyncio.CancelledError:
            self._give_up(exchange)
            raise
        finally:
            self._shared.running.discard(exchange)
            exchange.task = None  # or both stay until the garbage collector stops everybody

    def _give_up(self, exchange: Exchange) -> None:
        """The handler failed: say so, or break the stream off so that it does not look whole."""
        if exchange.closed:
            return
        if exchange.streaming:
            self._transport.close()
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
            self._transport.close()
        else:
            reader = self._reader
            if reader.ready or reader.awaits_continue or self._refusal or self._held:
                self._advance()

    def write(self, data: bytes) -> None:
        """Bytes to the client; never blocks."""
        self.written += len(data)
        self._transport.write(data)

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

    def _refuse(self, refused: Refused) -> None:
        """Answer a request that is none, after the answers that are due before it."""
        log.debug("refused: %d %s", refused.status, refused.message)
        self._shared.tally.refused[refused.status] += 1
        self._reader.over = True
        self._unread = b""
        body = _error(refused.message)
        self._refusal = (
            b"%bContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n"
            b"%b\r\n%b"
        ) % (status_line(refused.status), len(body), refused.headers, body)
        if self._current is None and not self._reader.ready:
            self._say_refusal()

    def _say_refusal(self) -> None:
        self.write(self._refusal)
        self._refusal = b""
        self._linger()

    def _linger(self) -> None:
        """Say that we are done, and let the client read it before the connection goes."""
        self._reader.finish()
        self._unread = b""
        self._hold(False)  # what comes now is thrown away
        self._lingering = True
        transport = self._transport
        if transport.can_write_eof() and not transport.is_closing():
            try:
                transport.write_eof()
            except OSError:  # the client is gone, asyncio has yet to notice
                transport.abort()

    def cut(self) -> None:
        """Reset the connection; what the client has not read is lost."""
        self._transport.abort()

    def retire(self) -> None:
        """The edge is closing: end now if idle, or end a stream that nobody answers any more."""
        exchange = self._current
        if exchange is None:
            self._transport.close()
        elif exchange not in self._shared.running:
            exchange.end()

    # time

    def check(self, now: float) -> None:
        """End what takes too long. `now` is in seconds of any steady clock."""
        if self._is_stuck(now):
            log.info("a client did not read its answer for %.0f s: cut", WRITE_IDLE_S)
            self.cut()
            return
        reader = self._reader
        state = (reader.phase, reader.serial, self._current is None, self._lingering, self._held)
        if state != self._seen:
            self._seen = state
            self._since = self._read_at = now
            self._read = reader.read
            return
        elapsed = now - self._since
        if self._lingering:
            if elapsed >= LINGER_S and not self.pending():
                self._transport.close()
        elif self._held or reader.over:
            return
        elif reader.phase == HEAD:
            if elapsed >= HEAD_S:
                self._refuse(Refused(408, f"the request head took longer than {HEAD_S:.0f} s"))
        elif reader.phase == BODY:
            self._check_body(now, elapsed)
        elif self._current is None and elapsed >= (IDLE_S if reader.serial else HEAD_S):
            self._transport.close()

    def _check_body(self, now: float, elapsed: float) -> None:
        reader = self._reader
        if reader.awaits_continue:  # it waits for us: an answer is due before
            return
        if reader.read != self._read:
            self._read = reader.read
            self._read_at = now
        if now - self._read_at >= BODY_IDLE_S:
            self._refuse(Refused(408, f"no byte of the body for {BODY_IDLE_S:.0f} s"))
        elif elapsed >= BODY_IDLE_S and reader.read < elapsed * BODY_RATE:
            self._refuse(Refused(408, f"the body comes slower than {BODY_RATE} bytes per second"))

    def _is_stuck(self, now: float) -> bool:
        """Whether bytes wait for the client and none has left for WRITE_IDLE_S."""
        pending = self.pending()
        if not pending:
            self._left = -1
            return False
        left = self.written - pending
        if left != self._left:
            self._left = left
            self._left_at = now
        return now - self._left_at >= WRITE_IDLE_S


def _error(message: str) -> bytes:
    return json.dumps({"error": message}).encode()


async def _answer_preflight(exchange: Exchange) -> None:
    exchange.respond(204)


async def _answer_options(exchange: Exchange) -> None:
    exchange.respond(204, headers=_ALLOW)
