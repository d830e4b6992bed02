"""THE border table: what each error becomes for the client, as JSON-RPC and as HTTP status.

Source  MCP 2026-07-28 transports "Protocol Version Header", "Server Validation"; JSON-RPC 5.1.
        A handshake client gets 200 with the error once its request was accepted, as the
        official servers do.
"""

import logging
from http import HTTPStatus
from typing import Any, Final

from msgspec import Raw

from only1mcp.observe import logs
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    Draining,
    HeaderMismatch,
    InternalError,
    InvalidParams,
    InvalidRequest,
    McpError,
    MethodNotFound,
    MissingCapability,
    Outcome,
    OverLimit,
    Overloaded,
    ParseError,
    ResourceNotFound,
    UnsupportedVersion,
    UpstreamError,
)
from only1mcp.relay.call import at_hand, relay
from only1mcp.relay.request import Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.watch import seen, watched

log = logging.getLogger("only1mcp.reply")

_MODERN_STATUS: Final[dict[int, int]] = {
    ParseError.code: HTTPStatus.BAD_REQUEST,
    InvalidRequest.code: HTTPStatus.BAD_REQUEST,
    MethodNotFound.code: HTTPStatus.NOT_FOUND,
    InvalidParams.code: HTTPStatus.BAD_REQUEST,
    HeaderMismatch.code: HTTPStatus.BAD_REQUEST,
    MissingCapability.code: HTTPStatus.BAD_REQUEST,
    UnsupportedVersion.code: HTTPStatus.BAD_REQUEST,
}
FAILED: Final = InternalError("internal error of the gateway")
BYPASSED: Final = b"X-Only1MCP-Cache: bypass\r\n"
OK: Final = HTTPStatus.OK.value  # a member of an enumeration is slow to get at
_LATER: Final = frozenset((HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE))


def status(error: McpError) -> int:
    """The HTTP status of an error answer to a modern request; 200 unless the spec says else."""
    if isinstance(error, UpstreamError):
        return _MODERN_STATUS.get(error.own_code) or error.status or HTTPStatus.OK
    if isinstance(error, Overloaded):
        busy = HTTPStatus.SERVICE_UNAVAILABLE
        return HTTPStatus.TOO_MANY_REQUESTS if isinstance(error, OverLimit) else busy
    return _MODERN_STATUS.get(_code(error, modern=True), HTTPStatus.OK)


def error_object(error: McpError, *, modern: bool) -> bytes:
    """The JSON-RPC error object; a server's own passes byte for byte."""
    if isinstance(error, UpstreamError):
        return error.raw
    fields: dict[str, Any] = {"code": _code(error, modern=modern), "message": error.message}
    if error.data is not None:
        fields["data"] = error.data
    return message.encode(fields)


def retry_after(status: int, body: bytes) -> bytes:
    """The Retry-After header line of an answer that says so in its error; else nothing."""
    if status not in _LATER:
        return b""
    found: Any = message.any_value(body)
    for key in ("error", "data", "retryAfterMs"):  # a server's own error may be of any form
        found = found.get(key) if isinstance(found, dict) else None
    return b"Retry-After: %d\r\n" % -(-found // 1000) if type(found) is int and found > 0 else b""


def _code(error: McpError, *, modern: bool) -> int:
    if modern and isinstance(error, ResourceNotFound):
        return InvalidParams.code  # 2026-07-28 changelog: -32002 is gone
    return error.code


def refusal(id: Raw | bytes, error: McpError, *, modern: bool = False) -> bytes:
    """An error answer, complete."""
    return message.error(id, error_object(error, modern=modern))


def draining(id: Raw) -> bytes:
    """For a request under way: its server may have done what it asks."""
    hint = "the call may have run; look before you repeat it"
    stopping = "the gateway is stopping"
    return refusal(id, Draining("gateway", stopping, hint=hint, outcome=Outcome.UNKNOWN))


def at_once(id: Raw, request: Request, snapshot: Snapshot) -> tuple[bytes, int] | None:
    """The complete answer to `request`, if it is there; None: `answer` will have it."""
    try:
        watch = snapshot.watch
        found = at_hand(request, snapshot) if watch is None else seen(request, snapshot, watch)
    except Exception:
        log.exception("request %s failed inside the gateway", request.method)
        return None
    return None if found is None else (message.result(id, found), OK)


async def answer(id: Raw, request: Request, snapshot: Snapshot) -> tuple[bytes, int]:
    """The complete answer to `request`, whatever happens, and its HTTP status if modern."""
    logs.about.set(request)
    if snapshot.answers.debug:
        request.caller.label(BYPASSED)  # unless the relay says else
    try:
        if (watch := snapshot.watch) is not None:
            return message.result(id, await watched(request, snapshot, watch)), HTTPStatus.OK
        return message.result(id, await relay(request, snapshot)), HTTPStatus.OK
    except McpError as error:
        code = status(error) if request.modern else HTTPStatus.OK
        return refusal(id, error, modern=request.modern), code
    except Exception:
        log.exception("request %s failed inside the gateway", request.method)
        return refusal(id, FAILED), HTTPStatus.OK
    finally:
        request.over = True
