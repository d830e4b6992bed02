"""One HTTP/1.1 connection: requests go out, answers are parsed as they arrive.

    send ──► head ──► body collected ──────────────► Response
                 └──► event stream ──► on_event … ──► Response, or sooner: on_event says so

A connection carries one exchange at a time and is never given back to the pool while a byte
of the answer may still be on its way: what belongs to one caller reaches no other.
Cost    one future per request; no task, no timer; the answer is copied once, by the parser.
Source  RFC 9112.
"""

import asyncio
import logging
import select
from math import inf
from typing import Any, Final, Protocol, cast

import httptools
import msgspec

from only1mcp import outbox
from only1mcp.protocol.errors import InternalError, McpError
from only1mcp.protocol.sse import Event, EventTooLarge, Parser
from only1mcp.upstream.again import Answered
from only1mcp.upstream.base import MAX_MESSAGE_BYTES, Awaiting
from only1mcp.upstream.dial import Endpoint

log = logging.getLogger("only1mcp.upstream.http")

MAX_OVERHEAD_BYTES: Final = 64 * 1024
"""Bytes in a row that are no body: the header block, trailers, chunk extensions."""
LINGER_S: Final = 1.0
"""A stream that has given its answer may end within this; then its connection is kept."""
_EVENT_STREAM: Final = b"text/event-stream"


class Owner(Protocol):
    """What a connection needs of its pool."""

    endpoint: Endpoint
    idle_s: float

    def release(self, connection: "Connection") -> None:
        """The connection is free for another exchange."""

    def forget(self, connection: "Connection") -> None:
        """The connection has ended."""


class Response(msgspec.Struct, gc=False):
    """The answer to one request. `headers` by lower-case name; `body` is empty for a stream."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    stream: bool


class Exchanged(Protocol):
    """One request and its answer, as a connection sees them.

    `sent` tells whether the request has left; `events` is the stream, once there was one.
    """

    sent: bool
    events: Parser | None

    def on_event(self, event: Event) -> bool:
        """Take one event of the stream; True: it was the last that matters."""


class Exchange:
    """An exchange whose stream nobody reads. Subclasses take its events."""

    __slots__ = ("events", "sent")

    def __init__(self) -> None:
        self.sent = False
        self.events: Parser | None = None

    def on_event(self, event: Event) -> bool:
        """Take one event of the stream; True: it was the last that matters."""
        return True


class Connection(asyncio.Protocol):
    """One TCP or TLS connection."""

    __slots__ = (
        "_body",
        "_complete",
        "_exchange",
        "_headers",
        "_keep",
        "_linger",
        "_outbox",
        "_overhead",
        "_parser",
        "_poll",
        "_pool",
        "_reading",
        "_size",
        "_status",
        "_stream",
        "_transport",
        "_unused",
        "_waiter",
        "_whole",
        "begun",
        "idle_s",
        "idle_since",
        "lost",
        "used",
    )

    def __init__(self, pool: Owner) -> None:
        self.used = False  # has carried an exchange before
        self.begun = False  # a byte of the answer has come
        self.lost = False  # closed, or about to be
        self.idle_since = 0.0
        self.idle_s = pool.idle_s
        self._pool = pool
        self._parser: Any = httptools.HttpResponseParser(self)
        self._exchange: Exchanged | None = None
        self._waiter: Awaiting | None = None
        self._whole = b""  # what is being parsed, if it may be one answer
        self._linger: asyncio.TimerHandle | None = None
        self._reset()

    def _reset(self) -> None:
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._overhead = 0  # bytes since the last one of a body
        self._body: list[bytes] = []
        self._size = 0
        self._stream: Parser | None = None
        self._reading = False  # between the header block and the end of the answer
        self._complete = False
        self._keep = False
        self._unused = True  # nothing has been parsed since

    # --- what the pool does with it ---

    def send(self, exchange: Exchanged, data: bytes) -> "asyncio.Future[Response]":
        """Write a request; the future ends with its answer."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.put(exchange, data, future)
        return future

    def put(self, exchange: Exchanged, data: bytes, waiter: Awaiting) -> None:
        """Write a request; `waiter` gets its answer."""
        if not self._unused:
            self._reset()
        self.begun = False
        self._exchange = exchange
        self._waiter = waiter
        exchange.sent = True
        self._pool.endpoint.traffic.sent += len(data)
        self._outbox.write(self._transport, data)

    def is_quiet(self) -> bool:
        """Whether an idle connection is still open, with nothing waiting to be read on it."""
        return not (self.lost or self._transport.is_closing() or self._poll.poll(0))

    def abandon(self, exchange: Exchanged) -> None:
        """Close it if it still carries `exchange`: nobody waits for the answer any more."""
        if self._exchange is exchange:
            self.abort()

    def abort(self) -> None:
        """Close it at once."""
        self.lost = True
        self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outbox = outbox.of_loop()
        self._pool.endpoint.traffic.opened += 1
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._exchange is None and self._linger is None:
            self.abort()  # nobody asked: it could be taken for the answer to the next request
            return
        endpoint = self._pool.endpoint
        endpoint.traffic.received += len(data)
        if self._unused and self._exchange is not None:
            last = endpoint.again.last
            if last is not None and (body := last.bytes.body(data)) is not None:
                self._finish_again(last, body)
                return
            self._whole = data
        else:
            self._whole = b""
        self.begun = True
        self._unused = False
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._stumble(error, data)
            return
        if self._complete:
            self._finish()
        elif self._exchange is None and self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(LINGER_S, self.abort)
        elif self._overhead > MAX_OVERHEAD_BYTES:
            self._fail(self._pool.endpoint.broken(f"over {MAX_OVERHEAD_BYTES} bytes of headers"))

    def connection_lost(self, exc: Exception | None) -> None:
        ended = exc is None and not self.lost and self._ends_with_connection()
        self.lost = True
        self._parser = None  # it refers back to us
        if self._linger is not None:
            self._linger.cancel()
        if self._waiter is not None and not self._waiter.done():
            if ended:
                self._answer()
            else:
                self._waiter.set_exception(self._pool.endpoint.dropped(exc, self.begun))
        self._exchange = self._waiter = None
        self._pool.forget(self)

    def _ends_with_connection(self) -> bool:
        """RFC 9112 6.3: an answer without a length is as long as its connection."""
        framed = b"content-length" in self._headers or b"transfer-encoding" in self._headers
        return self._reading and not framed

    # --- httptools callbacks ---

    def on_message_begin(self) -> None:
        if self._complete:
            raise _Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        self._reading = True
        kind = self._headers.get(b"content-type", b"")
        if self._status == 200 and kind[: len(_EVENT_STREAM)].lower() == _EVENT_STREAM:
            self._open_stream()

    def on_body(self, chunk: bytes) -> None:
        self._overhead = 0
        if self._stream is not None:
            for event in self._stream.feed(chunk):
                if self._exchange is not None and self._exchange.on_event(event):
                    self._answer()
        elif self._exchange is not None:
            self._size += len(chunk)
            if self._size > MAX_MESSAGE_BYTES:
                raise self._pool.endpoint.too_large()
            self._body.append(chunk)

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._reset()  # an interim answer: the real one follows
        else:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    # --- the end of an exchange ---

    def _open_stream(self) -> None:
        assert self._exchange is not None
        events = self._exchange.events
        if events is None:
            events = self._exchange.events = Parser(MAX_MESSAGE_BYTES)
        else:
            events.restart()
        self._stream = events

    def _answer(self) -> None:
        """Give what has come to the one who waits. A stream may still have to end."""
        waiter = self._waiter
        response = self._taken()
        if waiter is not None and not waiter.done():
            waiter.set_result(response)

    def _taken(self) -> Response:
        """What has come; nobody waits on this connection any more."""
        self._exchange = self._waiter = None
        stream, self._stream = self._stream is not None, None
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return Response(self._status, self._headers, body, stream)

    def _finish(self) -> None:
        """The answer is whole: keep the connection if both sides want to, and hand it over.

        In this order, as whoever gets it may send the next request.
        """
        waiter = self._waiter
        response = self._taken() if self._exchange is not None else None
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._keep:
            self.used = True
            promise_s = _timeout_s(self._headers.get(b"keep-alive", b"")) - 1.0
            self.idle_s = min(self.idle_s, promise_s)
            if self._whole and response and response.status == 200 and not response.stream:
                size = len(response.body)
                self._pool.endpoint.again.parsed(self._whole, self._headers, size, promise_s)
            self._pool.release(self)
        else:
            self.abort()
        if response is not None and waiter is not None and not waiter.done():
            waiter.set_result(response)

    def _finish_again(self, last: Answered, body: bytes) -> None:
        """As `_finish`, of an answer whose head is known: the parser does not hear of it."""
        waiter, self._exchange, self._waiter = self._waiter, None, None
        self.begun = self.used = last.used = True
        if last.idle_s < self.idle_s:
            self.idle_s = last.idle_s
        self._pool.release(self)
        if waiter is not None and not waiter.done():
            waiter.set_result(Response(200, last.headers, body, False))

    def _stumble(self, error: Exception, data: bytes) -> None:
        """The parser stopped: at broken HTTP, or because a callback of ours raised."""
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        if self._complete:
            self._keep = False  # the answer is whole; what follows it is not ours
            self._finish()
        elif isinstance(cause, EventTooLarge):
            self._fail(self._pool.endpoint.too_large())
        elif isinstance(cause, McpError):
            self._fail(cause)
        elif cause is not None:
            log.error("server '%s': %r", self._pool.endpoint.server, cause, exc_info=cause)
            self._fail(InternalError("the gateway failed to handle an answer"))
        else:
            self._fail(self._pool.endpoint.broken(f"{error}: {data[:60]!r}"))

    def _fail(self, error: McpError) -> None:
        self._exchange = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
        self.abort()


class _Surplus(Exception):
    """Bytes after the whole answer."""


def _timeout_s(keep_alive: bytes) -> float:
    """The promise in `Keep-Alive: timeout=5, max=100`; no promise is no limit."""
    if not keep_alive:
        return inf
    for part in keep_alive.split(b","):
        name, _, value = part.strip().partition(b"=")
        if name.lower() == b"timeout" and value.isdigit():
            return float(value)
    return inf
