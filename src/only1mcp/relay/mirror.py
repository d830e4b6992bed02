"""Arguments that a tool wants in HTTP headers too (`x-mcp-header` in its inputSchema).

At the front they must agree with the body; at the back they are derived from it afresh.
Source  MCP 2026-07-28 basic/transports "Request Metadata" (Mcp-Param-*), "Server Validation".
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from only1mcp.catalog.header_params import HeaderParam
from only1mcp.protocol import headers, message
from only1mcp.protocol.errors import HeaderMismatch
from only1mcp.protocol.message import Params


def mirrored(wanted: tuple[HeaderParam, ...], params: Params) -> tuple[tuple[str, str], ...]:
    """The headers to send, as (name, value); an argument that is absent or null has none."""
    arguments = message.any_value(params.get("arguments", Raw()))
    found = [(one.header, _at(arguments, one.path)) for one in wanted]
    return tuple((name, _spelt(value)) for name, value in found if value is not None)


def check(wanted: tuple[HeaderParam, ...], params: Params, received: Mapping[bytes, bytes]) -> None:
    """Hold the received headers (lower-case names) against the arguments.

    Raises:
        HeaderMismatch: one is missing, unexpected or says something else.
    """
    arguments = message.any_value(params.get("arguments", Raw()))
    for one in wanted:
        value = _at(arguments, one.path)
        header = received.get(one.header.lower().encode())
        if value is None and header is None:
            continue
        where = ".".join(("arguments", *one.path))
        if header is None:
            raise HeaderMismatch(f"header {one.header} is missing; it must repeat {where}")
        if value is None or not _agree(headers.decode(header), value):
            raise HeaderMismatch(f"header {one.header} contradicts {where}")


def _at(arguments: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        arguments = arguments.get(key) if isinstance(arguments, dict) else None
    return arguments


def _spelt(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _agree(said: str, value: Any) -> bool:
    """Integers compare as numbers: 42 and 42.0 are one (SHOULD)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(said) == value
        except ValueError:
            return False
    return said == _spelt(value)
