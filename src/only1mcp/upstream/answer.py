"""What an HTTP answer to an MCP request means: its message, or the error to raise.

    200, JSON                        the message; a result or the server's own error
    4xx, 5xx with a JSON-RPC error   the server's own error, with its status
    3xx, 401, 403, 429, 503          ServerUnavailable: refused before anything ran
    other 5xx                        ServerLost: it may have run
    anything else                    ServerProtocolError: not an MCP server, or a broken one

A server's 401 or 403 is about the gateway's credentials, never about the client's, so it is
not passed on as what it is.
Source  MCP 2025-11-25 and 2026-07-28 basic/transports "Sending Messages to the Server".
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw

from only1mcp.policy.retry import wished_s
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    McpError,
    ParseError,
    ServerBusy,
    ServerLost,
    ServerProtocolError,
    ServerRefused,
    UpstreamError,
)
from only1mcp.protocol.message import Message
from only1mcp.upstream.connection import Response
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.lines import is_text

EXCERPT_BYTES: Final = 120  # of a body, in an error text
_SESSION_WORDS: Final = ("session", "not initialized")
_BUSY: Final = (429, 503)
_TASK: Final = b'"taskId"'
_ASKS: Final = b'"input_required"'
_JSON: Final = b"application/json"


_OLDER: Final = frozenset((400, 404, 405))
"""How a URL of the older HTTP+SSE transport answers a POST (2026-07-28 transports,
"Backward Compatibility")."""


class NotStreamable(ServerProtocolError):
    """The URL takes no POST: it may be one of the older HTTP+SSE transport."""


class _Error(msgspec.Struct, gc=False):
    """The members of a JSON-RPC error that we read."""

    code: int = 0
    message: str = ""


_decode_error = msgspec.json.Decoder(_Error).decode
_decode_batch = msgspec.json.Decoder(list[Message]).decode


def messages(data: bytes) -> list[Message]:
    """The message in `data`, or those of a batch, which revision 2025-03-26 has.

    Raises:
        ParseError: it is neither, or not UTF-8.
    """
    if not is_text(data):
        raise ParseError("not UTF-8")
    if data[:1] == b"{" or data.lstrip()[:1] != b"[":
        return [message.decode(data)]
    try:
        return _decode_batch(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ParseError(f"not a JSON-RPC batch: {error}") from None


def read(endpoint: Endpoint, response: Response, id: Raw) -> Message:
    """The message in `response` that answers the request with this id.

    Raises:
        UpstreamError: a JSON-RPC error with a status that says so too.
        ServerUnavailable, ServerLost, ServerProtocolError: see the table above.
    """
    if response.status == 200:
        found = _message(response)
        if found is None:
            raise _not_mcp(endpoint, response)
        if found.id == id or (found.error and id_is_open(found)):
            return found
        raise ServerProtocolError(
            endpoint.server, endpoint.say("its answer has the id of another request")
        )
    raise refusal(endpoint, response)


def plain(response: Response, id: Raw) -> Message | None:
    """The result that answers the request with this id; None: it is something else."""
    body = response.body
    if response.status != 200 or response.headers.get(b"content-type", b"")[:16] != _JSON:
        return None
    if not body.isascii() and not is_text(body):
        return None
    try:
        found = message.decode(body)
    except ParseError:
        return None
    return found if found.result and found.id == id else None


def is_plain(result: bytes, modern: bool) -> bool:
    """Whether a result hands out no task and, of a modern server, asks nothing."""
    if result.find(_TASK) >= 0:  # find, as `in` makes and drops an exception each time
        return False
    return not modern or result.find(_ASKS) < 0


def id_is_open(found: Message) -> bool:
    """Whether an error names no request: the server could not read the id, or said null."""
    return not found.id or bytes(found.id) == b"null"


def result(found: Message) -> bytes:
    """The result as JSON text.

    Raises:
        UpstreamError: the message is the server's own error.
    """
    if found.result:
        return bytes(found.result)
    raise _own_error(found.error, 200)


def session_is_gone(response: Response) -> bool:
    """Whether a request that carried a session id was refused because of it.

    404 is what the specification asks for; servers made after the TypeScript SDK's example
    answer 400 with the SDK's general code -32000 and a text about the session.
    """
    if response.status == 404:
        return True
    if response.status != 400 or (found := _message(response)) is None or not found.error:
        return False
    error = _own_error(found.error, 400)
    return error.own_code == -32000 and any(
        word in error.message.lower() for word in _SESSION_WORDS
    )


def refusal(
    endpoint: Endpoint, response: Response, wall: Callable[[], float] = time.time
) -> McpError:
    """The error behind a status other than 200. `wall` is seconds since 1970."""
    status = response.status
    if 300 <= status < 400:
        return _moved(endpoint, response)
    if status in (401, 403):
        return _forbidden(endpoint, response)
    found = _message(response)
    after_ms = _retry_after_ms(response, wall()) if status in _BUSY else None
    if found is not None and found.error:
        return _own_error(found.error, status, after_ms)
    if status in _BUSY:
        return ServerBusy(
            endpoint.server,
            endpoint.say(f"it is overloaded or not ready (HTTP {status})"),
            hint="try again later",
            retry_after_ms=after_ms,
        )
    if status >= 500:
        return ServerLost(
            endpoint.server,
            endpoint.say(f"it failed with HTTP {status}: {_excerpt(response)}"),
            hint="the call may have run; look at the server's log",
        )
    return _not_mcp(endpoint, response)


def _message(response: Response) -> Message | None:
    kind = response.headers.get(b"content-type", b"")
    if kind[:16].lower() != _JSON or not response.body:
        return None
    try:
        found = messages(response.body)
    except ParseError:
        return None
    for one in found:
        if one.result or one.error:
            return one
    return None


def _own_error(error: Raw, status: int, after_ms: int | None = None) -> UpstreamError:
    try:
        members = _decode_error(error)
    except msgspec.MsgspecError:
        members = _Error(message="the server's error has an unusual form")
    own = members.code, members.message, status
    return UpstreamError(bytes(error), *own, retry_after_ms=after_ms)


def _moved(endpoint: Endpoint, response: Response) -> ServerRefused:
    place = _shown(response.headers.get(b"location", b"elsewhere").partition(b"?")[0])
    said = f"it redirects to {place} (HTTP {response.status}), which is not followed"
    return ServerRefused(
        endpoint.server,
        endpoint.say(said),
        hint=f"put the right address into transport.url of server '{endpoint.server}'",
    )


def _forbidden(endpoint: Endpoint, response: Response) -> ServerRefused:
    wants = response.headers.get(b"www-authenticate")
    detail = _shown(wants) if wants else _excerpt(response)
    said = f"it refuses the gateway's credentials (HTTP {response.status}): {detail}"
    return ServerRefused(
        endpoint.server,
        endpoint.say(said),
        hint=f"set transport.headers.Authorization of server '{endpoint.server}'",
    )


def _not_mcp(endpoint: Endpoint, response: Response) -> ServerProtocolError:
    kind = _shown(response.headers.get(b"content-type", b"no content type"))
    fault = NotStreamable if response.status in _OLDER else ServerProtocolError
    return fault(
        endpoint.server,
        endpoint.say(f"no MCP answer: HTTP {response.status}, {kind}: {_excerpt(response)}"),
        hint=f"is this the URL of an MCP server? try: curl -i {endpoint.shown}",
    )


def _retry_after_ms(response: Response, wall_s: float) -> int | None:
    after_s = wished_s(response.headers.get(b"retry-after", b""), wall_s)
    return None if after_s is None else round(after_s * 1000)


def _excerpt(response: Response) -> str:
    return _shown(response.body[:EXCERPT_BYTES]) or "(empty)"


def _shown(value: bytes) -> str:
    """Text from a stranger for an error message: one line, nothing that steers a terminal."""
    text = value[:EXCERPT_BYTES].decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
