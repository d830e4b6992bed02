"""The same head again: what most requests of a client begin with, byte for byte.

A client repeats its head from one call to the next, but for the number in Content-Length. Such a
request needs no parser: its head was judged when it came first, and only who is calling is
looked at anew. Heads with another framing than Content-Length are never remembered.
Cost    3.6 us for a request with 7 headers, where the parser and its callbacks take 9.3 (timeit,
        CPython 3.11).
Source  RFC 9112 section 6: the same bytes frame the same message.
"""

import re
from typing import Final

from msgspec.structs import replace

from only1mcp.server.exchange import Request

MAX_DIGITS: Final = 8
"""Of a Content-Length."""
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?([0-9]{1,8})\r\n", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_FRAMED_OTHERWISE: Final = (b"transfer-encoding", b"expect", b"upgrade")


class Head:
    """A head in two parts, around the number in Content-Length, and what it said."""

    __slots__ = ("_back", "_front", "epoch", "request")

    def __init__(self, front: bytes, back: bytes, request: Request, epoch: int) -> None:
        self._front = front
        self._back = back
        self.request = request
        """Without body, and without the header that says how long it is."""
        self.epoch = epoch
        """Of the access rules that have let it in."""

    def read(self, data: bytes, max_body_bytes: int) -> bytes | None:
        """The body of the one whole request that `data` is, if its head is this one."""
        if not data.startswith(self._front):
            return None
        start, back = len(self._front), self._back
        end = data.find(b"\r", start, start + MAX_DIGITS + 1)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(back, end):
            return None
        begins, length = end + len(back), int(digits)
        if len(data) - begins != length or length > max_body_bytes:
            return None
        return data[begins:]


def remembered(data: bytes, request: Request, epoch: int) -> Head | None:
    """The head of `request` if another may begin like it. `data` is what was read with it: the
    request and nothing besides, or there is nothing to remember."""
    headers = request.headers
    usual = request.method == "POST" and request.keep_alive and request.chunks
    if not usual or any(name in headers for name in _FRAMED_OTHERWISE):
        return None
    ends = data.find(_END) + len(_END)
    found = list(_LENGTH.finditer(data, 0, ends))
    if not data.startswith(b"POST ") or len(found) != 1:
        return None
    length, place = len(request.body), found[0]
    if int(place[1]) != length or len(data) != ends + length:
        return None
    others = {name: value for name, value in headers.items() if name != b"content-length"}
    front, back = data[: place.start(1)], data[place.end(1) : ends]
    return Head(front, back, replace(request, headers=others, body=b""), epoch)
