"""The head of a request that a client repeats: judged once, and only who is calling is looked at
anew when the rules have changed. See protocol/repeated.py.
"""

from typing import Final

from msgspec.structs import replace

from only1mcp.protocol.repeated import Repeated, repeated
from only1mcp.server.exchange import Request

_FRAMED_OTHERWISE: Final = (b"transfer-encoding", b"expect", b"upgrade")


class Head:
    """A head and what it said."""

    __slots__ = ("bytes", "epoch", "request")

    def __init__(self, bytes: Repeated, request: Request, epoch: int) -> None:
        self.bytes = bytes
        self.request = request
        """Without body, and without the header that says how long it is."""
        self.epoch = epoch
        """Of the access rules that have let it in."""


def remembered(data: bytes, request: Request, epoch: int) -> Head | None:
    """The head of `request` if another may begin like it. `data` is what was read with it: the
    request and nothing besides, or there is nothing to remember."""
    headers = request.headers
    usual = request.method == "POST" and request.keep_alive and request.chunks
    if not usual or any(name in headers for name in _FRAMED_OTHERWISE):
        return None
    found = repeated(data, len(request.body)) if data.startswith(b"POST ") else None
    if found is None:
        return None
    others = {name: value for name, value in headers.items() if name != b"content-length"}
    return Head(found, replace(request, headers=others, body=b""), epoch)
