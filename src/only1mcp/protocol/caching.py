"""What decides whether two requests have one answer, and how long it holds.

    canonical   one text for all spellings of the same JSON
    params      what of a request counts beside its target
    meta        what of `_meta` counts, and whether the request may share an answer at all
    hint        ttlMs and cacheScope of a result, taken out of it ──► retimed: put in again

Source  MCP 2026-07-28 server/utilities/caching; never cached are input_required results and
        those of requests that carry answers or state of the client.
"""

from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.eras import CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY, VERSION_KEY
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import Params

LONGEST_TTL_S: Final = 86_400.0
_PROGRESS: Final = "progressToken"
_NOT_ASKED: Final = frozenset(
    (
        *("traceparent", "tracestate", "baggage", _PROGRESS),
        *(VERSION_KEY, CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY),
    )
)
"""Members of `_meta` that say who asks and how, not for what; any other may change the answer."""
_MARKS: Final = (b'"resultType"', b'"isError"', b'"ttlMs"', b'"cacheScope"', b"\\u00")
"""Signs that the members of a result have to be looked at; an escape may spell any of them."""


class Meta(NamedTuple):
    """What `_meta` means for sharing. `counts` are its members that may change the answer;
    `alone`: the caller wants to hear of the call itself, so it makes its own."""

    counts: bytes
    alone: bool


class Hint(NamedTuple):
    """What a server says of its result: None where it says nothing. `body` is the result without
    its `ttlMs`."""

    ttl_s: float | None
    public: bool
    body: bytes


def canonical(raw: Raw | bytes) -> bytes:
    """The same text for the same JSON value, whatever the order of members and the blanks.

    Two values that differ in any way have different texts: a number keeps its digits, and where
    sorting would lose something (a member given twice) the order stays.
    """
    text = bytes(raw)
    try:
        return _sorted(msgspec.json.format(text, indent=-1))
    except (msgspec.MsgspecError, RecursionError, McpError):
        return text


def _sorted(text: bytes) -> bytes:
    if text[:1] != b"{":
        return text
    found = message.members(text)
    ordered = {name: Raw(_sorted(bytes(found[name]))) for name in sorted(found)}
    written = message.encode(ordered)
    return written if len(written) == len(text) else text


def params(given: Params, target: str) -> bytes:
    """The members of a request that count beside its `target`, in one spelling."""
    if len(given) - ("_meta" in given) == 1:
        return b""
    counts = {name: given[name] for name in given if name not in ("_meta", target)}
    return canonical(message.encode(counts))


def meta(raw: Raw | bytes) -> Meta:
    """What the `_meta` of a request means.

    Raises:
        InvalidParams: it is no object.
    """
    found = message.members(raw)
    alone = bytes(found.get(_PROGRESS, b"null")) != b"null"
    counts = {name: value for name, value in found.items() if name not in _NOT_ASKED}
    return Meta(canonical(message.encode(counts)) if counts else b"", alone)


def hint(result: bytes) -> Hint | None:
    """How long a result holds and for whom; None: it is not to be kept.

    Not kept is what asks the client something, and what says of itself that it failed.
    """
    if not any(mark in result for mark in _MARKS):
        return Hint(None, False, result)
    try:
        found = message.members(result)
        kind: Any = message.any_value(found.get("resultType", message.NO_RAW))
        failed = message.any_value(found.get("isError", message.NO_RAW)) is True
        public = message.any_value(found.get("cacheScope", message.NO_RAW)) == "public"
    except McpError:
        return None
    if failed or kind not in (None, "complete"):
        return None
    ttl_s = ttl(found)
    if ttl_s is None:
        return Hint(None, public, result)
    del found["ttlMs"]
    return Hint(ttl_s, public, message.encode(found))


def ttl(result: Params) -> float | None:
    """The seconds in `ttlMs`: none below 0, a day at most; None if there is no such number."""
    found: Any = message.any_value(result.get("ttlMs", message.NO_RAW))
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    return min(max(found, 0), LONGEST_TTL_S * 1000) / 1000


def retimed(body: bytes, left_s: float) -> bytes:
    """A result whose `ttlMs` was taken out, with what is left of it."""
    left_ms = int(left_s * 1000)
    if body == b"{}":
        return b'{"ttlMs":%d}' % left_ms
    return b'%b,"ttlMs":%d}' % (body[:-1], left_ms)
