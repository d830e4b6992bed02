"""Bytes of one client connection to requests. No socket, no clock, no task.

    feed(bytes) ──► llhttp ──► head judged and access granted ──► body gathered ──► ready
                                   └──── any fault: Refused, and nothing is read any more

In      bytes as they come, cut anywhere; slices of at most SLICE unless the body is known.
Out     `ready`: complete requests in order. `phase` says what is half read.
Errors  Refused, once; after it and after the last request `over` is true and feed does nothing.
Cost    ~0.25 us per header, ~2.5 us for the rest of a small request; with eight headers 5 us,
        and 0.4 us if `again` knows them (timeit).
"""

import re
from collections import deque
from typing import Final

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
)
from httptools import HttpRequestParser as Parser
from msgspec.structs import replace

from only1mcp.policy.access import Access, Grant, Refusal
from only1mcp.server import again, head
from only1mcp.server.exchange import Request
from only1mcp.server.head import Refused

BETWEEN: Final = 0  # no byte of a next request yet
HEAD: Final = 1
BODY: Final = 2

SLICE: Final = 4096
"""Bytes to feed at once: bounds how many tiny pipelined requests one feed can make."""
MAX_HEAD: Final = 32 * 1024
"""Bytes of a head that always pass; a head one SLICE longer never does."""
MAX_CHUNK_OVERHEAD: Final = 8
"""Bytes of chunk framing allowed per body byte, above MAX_HEAD: trailers and chunk
extensions would otherwise be read without end."""

_METHOD: Final = re.compile(rb"\r?\n?[A-Z]{3,20} [/*h]")
_TLS_HELLO: Final = b"\x16\x03"


SSE_PATHS: Final = ("/sse", "/messages")
"""The two endpoints of HTTP+SSE, the transport of 2024-11-05."""


def is_mcp(path: str) -> bool:
    """Whether `path` is an MCP endpoint; all others belong to the app."""
    return path == "/mcp" or path.startswith("/mcp/") or path in SSE_PATHS


class Reader:
    """One connection's reading side; the on_* methods are llhttp's callbacks."""

    __slots__ = (
        "_access",
        "_body",
        "_chunked",
        "_fault",
        "_fed",
        "_headers",
        "_known",
        "_last",
        "_max_body_bytes",
        "_parsed",
        "_parser",
        "_repeats",
        "_request",
        "_resuming",
        "_target",
        "_whole",
        "awaits_continue",
        "body_left",
        "over",
        "phase",
        "read",
        "ready",
        "serial",
    )

    def __init__(self, access: Access, max_body_bytes: int) -> None:
        self._access = access
        self._max_body_bytes = max_body_bytes
        self._parser = Parser(self)
        self.ready: deque[Request] = deque()
        self.over = False
        self.phase = BETWEEN
        self.serial = 0  # requests begun
        self._fault: Refused | None = None  # what a callback refused; llhttp does not say
        self._last: again.Head | None = None
        self._whole: bytes = b""  # what is being fed, if it may be one request
        self._parsed = 0
        self._known = (b"", "", b"")  # the last target and what it means: clients repeat it
        # of the request that is being read:
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeats = 0
        self._request: Request | None = None
        self._body: bytes | bytearray = b""
        self._chunked = False
        self._fed = 0  # bytes fed in this phase, at most one feed too many
        self._resuming = False  # llhttp stopped at an Upgrade; its body is still to come
        self.read = 0  # body bytes
        self.body_left = 0  # of a body of known length
        self.awaits_continue = False  # the client waits for our 100 before it sends the body

    def again(self, data: bytes) -> Request | None:
        """The one request that `data` is, if its head is known: the parser does not hear of it.
        None: it has to be fed."""
        last = self._last
        if last is None or self.over or self.phase != BETWEEN or self.ready:
            return None
        if (body := last.bytes.body(data)) is None:
            return None
        if last.epoch != self._access.epoch or len(body) > self._max_body_bytes:
            self._last = None  # it has to be judged anew
            return None
        self.serial += 1
        return replace(last.request, body=body)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            Refused: answer with its status and close.
        """
        if self.over:
            return
        if self.phase == BETWEEN and type(data) is bytes:
            self._whole = data
        rest = None
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except HttpParserError as error:
            if not self.over:  # what follows the last request is nobody's
                self.over = True
                raise self._fault or _fault(error, bytes(data[:64])) from None
        if rest is not None:
            self._pass_upgrade(rest)
        elif self.phase != BETWEEN and not self.over:
            self._bound(len(data))
        self._whole = b""

    def finish(self) -> None:
        """Read no more, and forget what was read ahead."""
        self.over = True
        self.phase = BETWEEN
        self.awaits_continue = False
        self.ready.clear()
        self._body = b""

    def stop(self) -> None:
        """Finish, and let go of the parser (which refers back to us)."""
        self.finish()
        del self._parser

    def _bound(self, fed: int) -> None:
        """Refuse a head, or chunk framing, that goes on and on."""
        self._fed += fed
        if self.phase == HEAD:
            if self._fed > MAX_HEAD:
                self.over = True
                raise Refused(431, f"the request head is larger than {MAX_HEAD} bytes")
        elif self._chunked and self._fed > MAX_HEAD + MAX_CHUNK_OVERHEAD * self.read:
            self.over = True
            raise Refused(400, "the chunks are nearly all framing")

    def _pass_upgrade(self, rest: bytes | memoryview) -> None:
        """Go on after a head that asks for another protocol, as if it had not asked.

        llhttp takes the body for bytes of that protocol. A fresh parser that is told of the
        framing alone reads it: Java's HTTP client sends such POSTs (Upgrade: h2c) by default.
        """
        self._parser = Parser(self)
        if self._resuming:
            length = b"Content-Length: %d" % self.body_left
            framing = b"Transfer-Encoding: chunked" if self._chunked else length
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
            self._resuming = False
        if rest:
            self.feed(rest)

    def _refuse(self, status: int, message: str) -> Refused:
        self._fault = Refused(status, message)
        return self._fault

    # llhttp's callbacks, in the order of a request

    def on_message_begin(self) -> None:
        if self._resuming:
            return
        if self.over:
            raise self._refuse(400, "more bytes after the last request")
        self.phase = HEAD
        self.serial += 1
        self._target = b""
        self._headers = {}
        self._repeats = 0
        self._fed = 0

    def on_url(self, part: bytes) -> None:
        if self._resuming:
            return
        self._target += part
        if len(self._target) > head.MAX_TARGET:
            raise self._refuse(414, f"the request target is longer than {head.MAX_TARGET} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name in self._headers:
            self._repeat(name, value)
        else:
            self._headers[name] = value.rstrip(b" \t")  # llhttp strips the front only

    def _repeat(self, name: bytes, value: bytes) -> None:
        if head.is_single(name):
            raise self._refuse(400, f"two {name.decode('latin-1')} headers")
        self._repeats += 1
        if self._repeats > head.MAX_HEADERS:
            raise self._refuse(431, f"more than {head.MAX_HEADERS} headers")
        self._headers[name] += b", " + value.rstrip(b" \t")

    def on_headers_complete(self) -> None:
        if self._resuming:
            return
        try:
            self._judge_head()
        except Refused as refused:
            self._fault = refused
            raise

    def _judge_head(self) -> None:
        headers = self._headers
        self._headers = {}  # for trailers, which nobody reads
        if len(headers) + self._repeats > head.MAX_HEADERS:
            raise Refused(431, f"more than {head.MAX_HEADERS} headers")
        parser = self._parser
        modern = parser.get_http_version() == "1.1"
        if not modern or b"host" not in headers:
            head.check_version(parser.get_http_version(), headers)
        target, path, query = self._known
        if target != self._target or not target.startswith(b"/"):
            path, query = head.split_target(self._target, headers.get(b"host"))
            self._known = (self._target, path, query)
        method = head.METHODS.get(parser.get_method())
        if method is None or (path == "*" and method != "OPTIONS"):
            raise Refused(501, "this method is not served here")
        request = Request(method, path, query, headers)
        self._grant(request)
        request.keep_alive = modern and parser.should_keep_alive()
        request.chunks = modern
        self._expect_body(request)

    def _grant(self, request: Request) -> None:
        """Host, Origin and token, before a byte of the body is read."""
        headers = request.headers
        host = headers.get(b"host")
        origin = headers.get(b"origin")
        verdict: Grant | Refusal
        if origin is not None and _is_preflight(request):
            request.preflight = True
            asked = headers.get(b"access-control-request-headers")
            verdict = self._access.preflight(host, origin, asked)
        else:
            token = headers.get(b"authorization")
            verdict = self._access.check(host, origin, token, request.path)
        if isinstance(verdict, Refusal):
            raise Refused(verdict.status, verdict.message, verdict.headers)
        request.principal = verdict.principal
        request.cors = verdict.cors
        request.admin = verdict.admin

    def _expect_body(self, request: Request) -> None:
        headers = request.headers
        length = head.body_length(headers, self._max_body_bytes)
        if b"expect" in headers and request.chunks:
            expect = headers[b"expect"]
            if expect.lower() != b"100-continue":
                raise Refused(417, "the only Expect is 100-continue")
            self.awaits_continue = length != 0
        self._request = request
        self._chunked = length < 0
        self._resuming = self._parser.should_upgrade() and length != 0
        self.body_left = max(length, 0)
        self.read = 0
        self._fed = 0
        self.phase = BODY

    def on_body(self, part: bytes) -> None:
        self.awaits_continue = False
        self.read += len(part)
        if not self._chunked:
            self.body_left -= len(part)
        elif self.read > self._max_body_bytes:
            self._fault = head.too_large(self._max_body_bytes)
            raise self._fault
        if not self._body:
            self._body = part
        elif isinstance(self._body, bytearray):
            self._body += part
        else:  # not a list of parts: a million tiny chunks would be a million objects
            self._body = bytearray(self._body) + part

    def on_message_complete(self) -> None:
        request = self._request
        if self._resuming or request is None:
            return
        if self._body:
            request.body = bytes(self._body)
            self._body = b""
        self._request = None
        self.awaits_continue = False
        self.phase = BETWEEN
        self.over = not request.keep_alive
        self.ready.append(request)
        if self._whole:
            self._remember(request)

    def _remember(self, request: Request) -> None:
        """Its head may come again. Where heads differ, that is tried ever less often."""
        self._parsed += 1
        whole, self._whole = self._whole, b""
        if self._parsed & (self._parsed - 1) == 0 and is_mcp(request.path):
            self._last = again.remembered(whole, request, self._access.epoch)


def _is_preflight(request: Request) -> bool:
    return (
        request.method == "OPTIONS"
        and b"access-control-request-method" in request.headers
        and is_mcp(request.path)
    )


def _fault(error: HttpParserError, data: bytes) -> Exception:
    """What llhttp holds against `data`, in words for the client."""
    if isinstance(error, HttpParserCallbackError):  # not the client's fault: ours
        return error
    if str(error).startswith("Pause on PRI"):
        return Refused(400, "HTTP/2 is not spoken here; use HTTP/1.1")
    if data.startswith(_TLS_HELLO):
        return Refused(400, "TLS is not spoken here; use http://, or set server.tls")
    if isinstance(error, HttpParserInvalidMethodError) and _METHOD.match(data):
        return Refused(501, "this method is not served here")
    return Refused(400, f"not a valid HTTP/1.1 request: {error}")
