"""What a POST must say of itself before any work is done for it.

Every POST: Content-Type and Accept. A modern one: `_meta`, and headers that repeat the body,
since whatever routes by header and whatever acts on the body must not disagree.
Source  MCP 2026-07-28 basic/transports "Request Metadata" and "Server Validation".
"""

from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import eras, headers, message
from only1mcp.protocol.errors import (
    HeaderMismatch,
    InvalidRequest,
    McpError,
    MethodNotFound,
    UnsupportedVersion,
)
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.methods import LEGACY, METHODS, MODERN, Route
from only1mcp.server import dispatch
from only1mcp.server.http import Request
from only1mcp.server.session import Outlet, Told

ROOT: Final = "/mcp"
_NAMED: Final = {
    row.name: row.target
    for row in METHODS.values()
    if row.route in (Route.NAME, Route.URI, Route.TASK)
    and row.target is not None
    and row.revisions[-1] in MODERN
}


class Said:
    """What the head of a request says of itself, whatever its body is."""

    __slots__ = ("mount", "problem", "session", "version")

    def __init__(self, request: Request) -> None:
        self.mount = request.path[len(ROOT) + 1 :].rstrip("/") or None
        """The one server that is meant; None: all of them."""
        self.version = version(request)
        self.problem = refused(request) if request.method == "POST" else None
        """Why its body is not even looked at."""
        session = request.headers.get(b"mcp-session-id")
        self.session = None if session is None else session.decode("latin-1")


def version(request: Request) -> str:
    """The MCP-Protocol-Version header, or an empty string."""
    return request.headers.get(headers.PROTOCOL_VERSION, b"").decode("latin-1")


def unsupported(requested: str) -> UnsupportedVersion:
    """The refusal of a revision that we do not serve."""
    return UnsupportedVersion(
        f"revision {requested} is not served here",
        {"supported": [*LEGACY, *MODERN], "requested": requested},
    )


def refused(request: Request) -> tuple[int, McpError] | None:
    """What a POST must say of itself before its body is looked at."""
    headers = request.headers
    return _refused(headers.get(b"content-type", b""), headers.get(b"accept"))


@lru_cache(maxsize=256)
def _refused(content_type: bytes, accept: bytes | None) -> tuple[int, McpError] | None:
    kind = content_type.partition(b";")[0].strip().lower()
    if kind != b"application/json":
        error = InvalidRequest("POST needs Content-Type: application/json")
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, error
    if not (accepts(accept, b"application/json") and accepts(accept, b"text/event-stream")):
        error = InvalidRequest("POST needs Accept: application/json, text/event-stream")
        return HTTPStatus.NOT_ACCEPTABLE, error
    return None


def check_modern(request: Request, incoming: Message, meta: Params | None) -> str:
    """The checks of a modern POST in the order the spec gives them; returns its revision.

    Raises:
        InvalidRequest: a response; these servers ask nothing.
        InvalidParams, HeaderMismatch, UnsupportedVersion.
    """
    if not incoming.method:
        raise InvalidRequest("a POST of this revision is a request or a notification")
    if not incoming.is_request:
        return dispatch.served(version(request))
    meta = meta if meta is not None else {}
    eras.check_meta(meta)
    requested = message.text(meta.get(eras.VERSION_KEY)) or ""
    _check_header(request, headers.PROTOCOL_VERSION, requested)
    _check_header(request, headers.METHOD, incoming.method)
    if (key := _NAMED.get(incoming.method)) is not None:
        name = message.text(message.members(incoming.params).get(key))
        if name is not None:
            _check_header(request, headers.NAME, name)
    return dispatch.served(requested)


def accepts(accept: bytes | None, kind: bytes) -> bool:
    """Whether an Accept header allows the media type `kind`; an absent one allows all."""
    if accept is None:
        return True
    ranges = {part.partition(b";")[0].strip().lower() for part in accept.split(b",")}
    return not ranges.isdisjoint((kind, kind.partition(b"/")[0] + b"/*", b"*/*"))


def _check_header(request: Request, name: bytes, expected: str) -> None:
    """Only Mcp-Name may be encoded: whoever routes by the others reads them as they are."""
    value = request.headers.get(name)
    shown = name.decode()
    if value is None:
        raise HeaderMismatch(f"header {shown} is missing; it must repeat the body")
    said = headers.decode(value) if name == headers.NAME else value.decode("latin-1")
    if said != expected:
        raise HeaderMismatch(f"header {shown} contradicts the body")


class SelfDescribed:
    """The client of one modern request, as the request's `_meta` describes it."""

    __slots__ = ("_least", "_meta", "log_level")

    id = None  # it has no session

    def __init__(self, meta: Params | None) -> None:
        self._meta = meta or {}
        self.log_level = message.text(self._meta.get(eras.LOG_LEVEL_KEY))
        nothing = len(eras.LOG_LEVELS) + 1  # logs only when asked for (2026-07-28 logging)
        level = self.log_level
        self._least = nothing if level is None else eras.LOG_LEVELS.index(level)

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the client declared for this request."""
        declared = message.any_value(self._meta.get(eras.CAPABILITIES_KEY, message.NO_RAW))
        return declared if isinstance(declared, dict) else {}

    def wants(self, method: str, params: Raw) -> bool:
        """Whether it asked for log messages as fine as this one; others always pass."""
        return method != "notifications/message" or eras.log_level(params) >= self._least

    async def ask(
        self, method: str, params: bytes, write: Outlet, told: Told | None = None
    ) -> bytes:
        """A modern client is asked by an input_required result, never by a request."""
        raise MethodNotFound(f"a client of 2026-07-28 takes no {method}")
