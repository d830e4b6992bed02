"""The heads of the requests to one endpoint: what they share is made once.

    revision, session ──► post, get, delete, up to their last header but the length
    of(call)          ──► post, with what a modern server wants in headers, too

Source  MCP 2025-11-25 and 2026-07-28 basic/transports "Protocol Version Header", "Session
        Management", "Request Metadata".
"""

from typing import Final

from only1mcp.protocol import headers
from only1mcp.protocol.methods import NEWEST_MODERN
from only1mcp.upstream.base import Call
from only1mcp.upstream.dial import Endpoint

_POST: Final = b"accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n"
_GET: Final = b"accept: text/event-stream\r\n"


class Heads:
    """Prepared until revision or session change."""

    __slots__ = ("_endpoint", "_revision", "_session", "delete", "get", "modern", "post")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: bytes | None = None
        self.revision = None

    @property
    def revision(self) -> str | None:
        """The revision spoken; None before and in the handshake of the legacy era."""
        return self._revision

    @revision.setter
    def revision(self, value: str | None) -> None:
        self._revision = value
        self.modern = value is not None and value >= NEWEST_MODERN
        self._prepare()

    @property
    def session(self) -> bytes | None:
        """The session the server has given us; modern ones have none."""
        return self._session

    @session.setter
    def session(self, value: bytes | None) -> None:
        self._session = value
        self._prepare()

    def _prepare(self) -> None:
        lines = b""
        if self._revision is not None:
            lines += b"%b: %b\r\n" % (headers.PROTOCOL_VERSION, self._revision.encode())
        if self._session is not None and not self.modern:
            lines += b"%b: %b\r\n" % (headers.SESSION_ID, self._session)
        self.post = self._endpoint.head(b"POST", _POST + lines)
        self.get = self._endpoint.head(b"GET", _GET + lines)
        self.delete = self._endpoint.head(b"DELETE", lines)

    def of(self, call: Call) -> bytes:
        """For the POST of a call."""
        head = self.post + call.trace if call.trace else self.post
        if self.modern:
            head += b"%b: %b\r\n" % (headers.METHOD, call.method.encode())
            if call.name is not None:
                head += b"%b: %b\r\n" % (headers.NAME, headers.encode(call.name))
            for name, value in call.mirrored:
                head += b"%b: %b\r\n" % (name.encode(), headers.encode(value))
        return head

    def resume(self, last_id: bytes) -> bytes:
        """For the GET that goes on with a stream after this event, or begins one."""
        if not last_id:
            return self.get
        return b"%b%b: %b\r\n" % (self.get, headers.LAST_EVENT_ID, last_id)
