"""What a request's head must be, after llhttp has accepted its grammar. Pure.

llhttp (strict) refuses bare LF, folded lines, control characters, two lengths, a length
beside chunks and bad chunk framing. What it lets pass, this file judges.

Errors  Refused: the request ends with that status, and the connection with it.
Source  RFC 9112 sections 3 and 6; probes of httptools 0.9 for what llhttp leaves to us.
"""

import re
from typing import Final

MAX_TARGET: Final = 8 * 1024
"""Bytes of a request target; RFC 9112 section 3 asks for at least 8000."""
MAX_HEADERS: Final = 100

METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
}
_SINGLE: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"content-type",
        b"content-encoding",
        b"transfer-encoding",
        b"expect",
        b"origin",
        b"authorization",
        b"last-event-id",
    }
)
_ABSOLUTE: Final = re.compile(rb"https?://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL)


class Refused(Exception):
    """The request is answered with `status` and the connection closed."""

    def __init__(self, status: int, message: str, headers: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


def is_single(name: bytes) -> bool:
    """Whether a request may carry this header (lower case) only once.

    A second value would let two readers of one request see two requests.
    """
    return name in _SINGLE or name.startswith(b"mcp-")


def check_version(version: str, headers: dict[bytes, bytes]) -> None:
    """HTTP/1.1 with a Host, or HTTP/1.0 without chunks.

    Raises:
        Refused: anything else.
    """
    if version == "1.1":
        if b"host" not in headers:
            raise Refused(400, "HTTP/1.1 needs a Host header")
    elif version != "1.0":
        raise Refused(505, "this port speaks HTTP/1.1")
    elif b"transfer-encoding" in headers:
        raise Refused(400, "HTTP/1.0 has no Transfer-Encoding")


def split_target(target: bytes, host: bytes | None) -> tuple[str, bytes]:
    """Raw path and query of a request target; `*` stays as it is.

    A proxy's absolute form must name the host that the Host header names.

    Raises:
        Refused: not a path.
    """
    if not target.startswith(b"/") and target != b"*":
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise Refused(400, "the request target is not a path")
        if absolute[1].lower() != (host or b"").lower():
            raise Refused(400, "the request target and the Host header name different hosts")
        target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    if b"#" in target:
        raise Refused(400, "a request target has no fragment")
    path, _, query = target.partition(b"?")
    return path.decode("ascii"), query


def body_length(headers: dict[bytes, bytes], max_body_bytes: int) -> int:
    """Bytes of the body to come; -1 if it is chunked, so not known.

    Raises:
        Refused: larger than allowed, or encoded in a way we do not read.
    """
    if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
        raise Refused(
            415, "send the body without Content-Encoding", b"Accept-Encoding: identity\r\n"
        )
    if b"transfer-encoding" in headers:
        if headers[b"transfer-encoding"].lower() != b"chunked":
            raise Refused(400, "the only Transfer-Encoding is chunked")
        return -1
    length = int(headers.get(b"content-length", 0))  # llhttp lets digits pass only
    if length > max_body_bytes:
        raise too_large(max_body_bytes)
    return length


def too_large(max_body_bytes: int) -> Refused:
    """The refusal of a body over the limit."""
    return Refused(413, f"the body is larger than {max_body_bytes} bytes (server.max_body_bytes)")
