"""One request being answered: the only thing a handler sees of a connection.

    respond(...)                          one whole answer
    open_stream() ─► send() ... ─► end()  a stream of events; send says when it is gone

Cost    respond: ~1 us plus the copy of a small body; large bodies are not copied.
Source  RFC 9110 section 6.4.1 (which answers have a body), RFC 9112 section 7 (chunks).
"""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final, Protocol

import msgspec

MAX_PENDING_BYTES: Final = 4 * 1024 * 1024
"""A stream whose client leaves more than this unread is cut: memory is not endless."""
_COPY_BELOW: Final = 16 * 1024  # joining head and body costs less than a second buffer

_JSON: Final = b"application/json"
_CLOSE: Final = b"Connection: close\r\n"
_EVENT_STREAM: Final = (
    b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
)
_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}
_NO_BODY: Final = frozenset({204, 304})
_heads: Final[dict[tuple[int, bytes], bytes]] = {}


def status_line(status: int) -> bytes:
    """The first line of an answer, with its CRLF."""
    return _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status


def _head(status: int, content_type: bytes) -> bytes:
    """Status line and type up to the number of Content-Length; remembered for the next time."""
    typed = b"Content-Type: %b\r\n" % content_type if content_type else b""
    head = _heads[status, content_type] = status_line(status) + typed + b"Content-Length: "
    return head


_OK_JSON: Final = _head(200, _JSON)


class Wire(Protocol):
    """What an exchange needs of its connection."""

    blocked: bool
    """More is waiting to be written than the transport likes."""
    closing: bool
    """The connection ends after this answer, whatever the client wishes."""
    running: "set[Exchange]"
    """Of all connections: those that are being worked on."""

    def write(self, data: bytes) -> None:
        """Bytes to the client; never blocks. `blocked` is true to them."""

    def write_whole(self, answer: bytes) -> None:
        """A small answer, with others of this turn of the loop."""

    def pending(self) -> int:
        """Bytes written that the client has not taken yet."""

    def answered(self) -> None:
        """The current answer has ended: begin the next, or end the connection."""

    def serve(self, exchange: "Exchange", rest: Coroutine[Any, Any, None]) -> None:
        """Do in a task what is left to do for it."""

    def cut(self) -> None:
        """Reset the connection; what the client has not read is lost."""

    async def drain(self) -> None:
        """Wait until the transport takes more, or has ended."""

    def address(self, end: str) -> tuple[str, int] | None:
        """Host and port of one end, `peername` or `sockname`."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` after whoever asks has come to its next await."""


class Memo:
    """What a handler has found out from a head alone; requests with the same head share it."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: Any = None


class Request(msgspec.Struct):
    """What a client asked. Header names are lower case, repeated ones joined with ", ".

    `path` is raw and undecoded, without query; `principal` is who is calling, `admin` the same if
    it is an admin.
    """

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes = b""
    principal: str = ""
    admin: str = ""
    keep_alive: bool = True
    """The client wants the connection to stay."""
    chunks: bool = True
    """The client understands chunks: HTTP/1.1."""
    cors: bytes = b""
    """Header lines for an answer on an MCP path."""
    preflight: bool = False
    """A browser asks whether its page may call us."""
    memo: Memo = msgspec.field(default_factory=Memo)


class Work(Protocol):
    """What is done for an exchange without a task."""

    def cancel(self, why: str | None = None) -> None:
        """Nobody wants it any more, or not in time: `Exchange.task` hears of it in the next turn
        of the loop."""


class Exchange(msgspec.Struct, eq=False):
    """One request and the way to answer it, once.

    `on_disconnect` is called once if the client goes away before the answer has ended, soon
    after it is set if that has happened already. `streaming` and `closed` (answered, or the
    client is gone) are to be read only.
    """

    request: Request
    wire: Wire
    lines: bytes = b""
    """Header lines of every answer."""
    streaming: bool = False
    closed: bool = False
    gone: bool = False
    """The client is."""
    task: asyncio.Task[None] | None = None
    """The handler's, while it runs."""
    work: Work | None = None
    """What goes on without one."""
    left: Callable[[], None] | None = None
    """See `on_disconnect`."""

    def respond(
        self,
        status: int,
        body: bytes = b"",
        *,
        content_type: bytes = _JSON,
        headers: bytes = b"",
    ) -> None:
        """Answer with one body. `headers` is prepared lines, each with its CRLF.

        Does nothing if the client is gone or has its answer.
        """
        if self.closed:
            return
        if self.streaming:
            raise RuntimeError("this answer has begun as a stream; use send() and end()")
        self.closed = True
        wire = self.wire
        request = self.request
        if wire.closing or not request.keep_alive:
            headers += _CLOSE
        size = len(body)
        if not size:
            length = b"" if status in _NO_BODY else b"Content-Length: 0\r\n"
            wire.write(b"%b%b%b%b\r\n" % (status_line(status), length, self.lines, headers))
        else:
            head = _heads.get((status, content_type)) or _head(status, content_type)
            if request.method == "HEAD":
                body = b""
            small = body if size < _COPY_BELOW else b""
            wire.write(b"%b%d\r\n%b%b\r\n%b" % (head, size, self.lines, headers, small))
            if body is not small:
                wire.write(body)
        wire.answered()

    def respond_json(self, body: bytes) -> None:
        """The usual answer: 200, and JSON. If it was held, others may be due in this turn, too."""
        wire = self.wire
        if self.closed or wire.closing or not self.request.keep_alive or len(body) >= _COPY_BELOW:
            self.respond(200, body)
            return
        self.closed = True
        write = wire.write if self.work is None else wire.write_whole
        write(b"%b%d\r\n%b\r\n%b" % (_OK_JSON, len(body), self.lines, body))
        wire.answered()

    def hold(self, work: Work) -> None:
        """It will be answered without a task."""
        self.work = work
        self.wire.running.add(self)

    def release(self) -> None:
        """What was held is over."""
        self.work = self.left = None
        self.wire.running.discard(self)

    def go_on(self, rest: Coroutine[Any, Any, None]) -> None:
        """What was held needs a task."""
        self.work = self.left = None
        self.wire.serve(self, rest)

    def open_stream(self, headers: bytes = b"") -> None:
        """Begin a stream of server-sent events: 200, not cached, not buffered by proxies."""
        self.open(200, _EVENT_STREAM + headers)

    def open(self, status: int, headers: bytes) -> None:
        """Begin an answer whose length is not known yet."""
        if self.closed or self.streaming:
            return
        self.streaming = True
        framing = b"Transfer-Encoding: chunked\r\n" if self.request.chunks else b""
        if self.wire.closing or not self.request.keep_alive:
            framing += _CLOSE
        self.wire.write(status_line(status) + framing + self.lines + headers + b"\r\n")

    def send(self, data: bytes) -> bool:
        """One piece of the stream.

        False once the stream has ended, the client is gone, or it was cut just now because
        the client left MAX_PENDING_BYTES unread.
        """
        if self.closed or not self.streaming:
            return False
        if not data or self.request.method == "HEAD":
            return True
        wire = self.wire
        if wire.blocked and wire.pending() > MAX_PENDING_BYTES:
            self.closed = True
            wire.cut()
            return False
        wire.write(b"%x\r\n%b\r\n" % (len(data), data) if self.request.chunks else data)
        return True

    def end(self) -> None:
        """The stream is complete."""
        if self.closed or not self.streaming:
            return
        self.closed = True
        if self.request.chunks and self.request.method != "HEAD":
            self.wire.write(b"0\r\n\r\n")
        self.wire.answered()

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent, or is gone."""
        await self.wire.drain()

    def address(self, end: str) -> tuple[str, int] | None:
        """Host and port of the `peername` (client) or `sockname` (us)."""
        return self.wire.address(end)

    @property
    def on_disconnect(self) -> Callable[[], None] | None:
        """What to call once if the client goes away before the answer has ended."""
        return self.left

    @on_disconnect.setter
    def on_disconnect(self, callback: Callable[[], None] | None) -> None:
        self.left = callback
        if self.gone and callback is not None:
            self.wire.call_soon(callback)

    def lost(self) -> None:
        """The connection ended before the answer did. For the connection only."""
        self.closed = True
        self.gone = True
        if self.left is not None:
            self.left()


Rest = Coroutine[Any, Any, None] | None
"""What is still to be done for an answer; None: it has been given, or begun as a stream."""
Handler = Callable[[Exchange], Rest]
"""Answers at once if it can: a task costs more than many an answer."""
