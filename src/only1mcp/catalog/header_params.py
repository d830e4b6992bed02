"""`x-mcp-header`: arguments of a tool that travel in HTTP headers as well.

    {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
        ->  HeaderParam("Mcp-Param-Region", ("region",), "string")

A client must refuse a tool whose annotations break the rules, so such a tool is not listed
to clients of the revisions that know them.
Source  MCP 2026-07-28 basic/transports "Custom Headers from Tool Parameters".
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from msgspec import Raw

from only1mcp.protocol.message import any_value

ANNOTATION: Final = "x-mcp-header"
PREFIX: Final = "Mcp-Param-"

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_TYPES: Final = ("string", "integer", "boolean")  # a number has no one spelling

# Where JSON Schema 2020-12 puts a schema inside a schema. Everything else is data, in which
# the annotation means nothing.
_ONE: Final = frozenset(
    (
        "items",
        "contains",
        "unevaluatedItems",
        "additionalProperties",
        "propertyNames",
        "unevaluatedProperties",
        "not",
        "if",
        "then",
        "else",
        "contentSchema",
    )
)
_MANY: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED: Final = frozenset(("patternProperties", "dependentSchemas", "$defs", "definitions"))

_Path = tuple[str, ...]


class HeaderParam(NamedTuple):
    """One mirrored argument: the header's name, where the argument is, its JSON type."""

    header: str
    path: _Path
    type: str


def header_params(schema: Raw) -> tuple[HeaderParam, ...]:
    """The mirrored arguments of the tool with this inputSchema.

    Cost  ~0.2 us without annotations; with one, the schema is decoded and walked.

    Raises:
        ValueError: an annotation breaks the rules; the text says which and how.
    """
    text = bytes(schema)
    if ANNOTATION.encode() not in text and b"\\u" not in text:
        return ()
    found: dict[str, HeaderParam] = {}
    for path, node in _schemas((), any_value(schema)):
        if ANNOTATION in node:
            header = _header(path, node)
            if header.header.lower() in found:
                raise ValueError(f"{ANNOTATION} {node[ANNOTATION]!r} is used twice")
            found[header.header.lower()] = header
    return tuple(found.values())


def _header(path: _Path | None, node: dict[str, Any]) -> HeaderParam:
    token, type = node[ANNOTATION], node.get("type")
    if not path:
        raise ValueError(f"{ANNOTATION} where no chain of properties leads")
    where = ".".join(path)
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ValueError(f"{ANNOTATION} of {where} is not a header name")
    if type not in _TYPES:
        raise ValueError(f"{ANNOTATION} of {where}, whose type is not one of {', '.join(_TYPES)}")
    return HeaderParam(PREFIX + token, path, type)


def _schemas(path: _Path | None, node: Any) -> Iterator[tuple[_Path | None, dict[str, Any]]]:
    """Every schema in `node` with its chain of properties; None once the chain is broken.

    Listed entries are at most MAX_DEPTH deep, which bounds the recursion.
    """
    if not isinstance(node, dict):
        return
    yield path, node
    for key, value in node.items():
        if key == "properties" and isinstance(value, dict):
            for name, inner in value.items():
                yield from _schemas(None if path is None else (*path, name), inner)
        else:
            for inner in _broken(key, value):
                yield from _schemas(None, inner)


def _broken(key: str, value: Any) -> list[Any]:
    """The schemas under a keyword that is not `properties`."""
    if key in _ONE:
        return [value]
    if key in _MANY and isinstance(value, list):
        return value
    if key in _NAMED and isinstance(value, dict):
        return list(value.values())
    return []
