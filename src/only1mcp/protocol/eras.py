"""Translate between the eras: handshake revisions (legacy) and 2026-07-28 (modern).

Pure functions over `params` members and result bytes; they touch only what an era demands
and leave every other byte alone.
Source  MCP 2026-07-28 basic/index "_meta", basic/versioning; schema of each revision.
"""

from contextlib import suppress
from typing import Any, Final

from msgspec import Raw

from only1mcp import __version__
from only1mcp.protocol import message, questions
from only1mcp.protocol.errors import (
    InvalidParams,
    McpError,
    ResourceNotFound,
    ServerProtocolError,
    UpstreamError,
)
from only1mcp.protocol.message import Params, as_raw
from only1mcp.protocol.methods import NEWEST_MODERN

META: Final = "io.modelcontextprotocol/"
"""Prefix of the reserved keys in `_meta`."""
VERSION_KEY: Final = META + "protocolVersion"
CAPABILITIES_KEY: Final = META + "clientCapabilities"
CLIENT_INFO_KEY: Final = META + "clientInfo"
LOG_LEVEL_KEY: Final = META + "logLevel"
SERVER_INFO_KEY: Final = META + "serverInfo"
GATEWAYS_KEY: Final = "only1mcp/gateways"
"""Ours: the gateways that the answers of this server come through."""

IMPLEMENTATION: Final = {"name": "only1mcp", "version": __version__}
LOG_LEVELS: Final = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip

_CACHEABLE: Final = frozenset({"resources/read"})
_COMPLETE: Final = b'"resultType":"complete"'
_META: Final = message.encode({SERVER_INFO_KEY: IMPLEMENTATION})
_MAYBE_PRESENT: Final = (b'"resultType"', b'"ttlMs"', b'"cacheScope"', rb"\u00")
"""Signs that a result has such a member already; escapes may spell it, too."""
_MODERN_RESULT_KEYS: Final = ("resultType", "ttlMs", "cacheScope")


def is_modern_meta(meta: Params) -> bool:
    """Whether `_meta` describes the request itself, as every modern request does."""
    return VERSION_KEY in meta


def check_meta(meta: Params) -> None:
    """The required keys of a modern request, by shape.

    Raises:
        InvalidParams: one is missing or has the wrong type (answered 400).
    """
    if message.text(meta.get(VERSION_KEY)) is None:
        raise InvalidParams(f"params._meta must hold {VERSION_KEY} as a string")
    if bytes(meta.get(CAPABILITIES_KEY, Raw())).lstrip()[:1] != b"{":
        raise InvalidParams(f"params._meta must hold {CAPABILITIES_KEY} as an object")
    if LOG_LEVEL_KEY in meta and message.text(meta[LOG_LEVEL_KEY]) not in LOG_LEVELS:
        raise InvalidParams(f"{LOG_LEVEL_KEY} must be one of {', '.join(LOG_LEVELS)}")


def own_meta(capabilities: dict[str, Any], log_level: str | None = None) -> dict[str, Any]:
    """The `_meta` of a request that the gateway makes itself or for a legacy client."""
    logs = {} if log_level is None else {LOG_LEVEL_KEY: log_level}
    return {
        **logs,
        VERSION_KEY: NEWEST_MODERN,
        CAPABILITIES_KEY: capabilities,
        CLIENT_INFO_KEY: IMPLEMENTATION,
    }


def gateways_in(greeting: Any) -> tuple[str, ...]:
    """The gateways that an answer to `initialize` or `server/discover` names."""
    meta = greeting.get("_meta") if isinstance(greeting, dict) else None
    found = meta.get(GATEWAYS_KEY) if isinstance(meta, dict) else None
    return tuple(id for id in found if isinstance(id, str)) if isinstance(found, list) else ()


def log_level(params: Raw) -> int:
    """How grave a log message is, as index in LOG_LEVELS; an unreadable level is the gravest."""
    level = None
    with suppress(McpError):
        level = message.text(message.members(params).get("level"))
    return LOG_LEVELS.index(level) if level in LOG_LEVELS else len(LOG_LEVELS)


def params_to_modern(
    params: Params, capabilities: dict[str, Any], log_level: str | None = None
) -> Params:
    """A legacy client's params for a modern server: `_meta` gets the required keys."""
    meta = message.members(params.get("_meta", Raw()))
    for key, value in own_meta(capabilities, log_level).items():
        meta[key] = as_raw(value)
    params["_meta"] = as_raw(meta)
    params.pop("task", None)  # asks for a task of the other era
    return params


def params_to_legacy(params: Params) -> Params:
    """A modern client's params for a legacy server: the reserved `_meta` keys go."""
    meta = message.members(params.get("_meta", Raw()))
    kept = {key: value for key, value in meta.items() if not key.startswith(META)}
    if kept:
        params["_meta"] = as_raw(kept)
    else:
        params.pop("_meta", None)
    params.pop("task", None)  # means nothing in a modern request
    return params


def result_to_modern(result: bytes, *, cacheable: bool = False) -> bytes:
    """A legacy server's result for a modern client: resultType, and cache hints where required.

    A legacy server gives no hints, so a cacheable result is stale at once and private
    (2026-07-28 server/utilities/caching).
    """
    body = result.strip()
    if any(word in body for word in _MAYBE_PRESENT):
        return _merged(body, cacheable)
    added = _COMPLETE + b',"ttlMs":0,"cacheScope":"private"' if cacheable else _COMPLETE
    if b'"_meta"' not in body:
        added += b',"_meta":' + _META
    return b"{" + added + (b"}" if body[1:].lstrip() == b"}" else b"," + body[1:])


def _merged(body: bytes, cacheable: bool) -> bytes:
    """The careful way, for a result that may already have such a member at its top level."""
    members = message.members(body)
    members.setdefault("resultType", Raw(b'"complete"'))
    members.setdefault("_meta", Raw(_META))
    if cacheable and message.text(members["resultType"]) == "complete":
        members.setdefault("ttlMs", Raw(b"0"))
        members.setdefault("cacheScope", Raw(b'"private"'))
    return message.encode(members)


def error_across(error: UpstreamError, method: str, *, modern: bool) -> McpError:
    """A server's own error for a client of the other era: the same, unless a code has moved.

    Source  2026-07-28 changelog: -32002 became -32602, recognised by data.uri; -32042 is gone.
    """
    if modern and error.own_code == questions.URL_REQUIRED:
        return questions.no_urls()
    fields = message.any_value(error.raw)
    data = fields.get("data") if isinstance(fields, dict) else None
    moved = error.own_code == InvalidParams.code and method == "resources/read"
    if error.own_code == ResourceNotFound.code or (
        moved and isinstance(data, dict) and "uri" in data
    ):
        return ResourceNotFound(error.message, data)
    return error


def result_across(result: bytes, server: str, method: str, *, modern: bool) -> bytes:
    """A server's result for a client of the other era; `modern` is that client's.

    Raises:
        ServerProtocolError: it is none; the server's fault, whatever the parser calls it.
    """
    if result.lstrip()[:1] != b"{":
        raise ServerProtocolError(server, f"server '{server}' answered {method} with no object")
    try:
        if modern:
            return result_to_modern(result, cacheable=method in _CACHEABLE)
        return result_to_legacy(result)
    except McpError as error:
        said = f"server '{server}' answered {method} with a broken result: {error}"
        raise ServerProtocolError(server, said) from None


def result_to_legacy(result: bytes) -> bytes:
    """A modern server's result for a legacy client: without what only modern clients know."""
    members = message.members(result)
    for key in _MODERN_RESULT_KEYS:
        members.pop(key, None)
    if "_meta" in members:
        meta = message.members(members["_meta"])
        kept = {key: value for key, value in meta.items() if not key.startswith(META)}
        if kept:
            members["_meta"] = as_raw(kept)
        else:
            del members["_meta"]
    return message.encode(members)
