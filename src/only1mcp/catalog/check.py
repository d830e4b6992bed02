"""What an entry must be, so that no client refuses the whole list because of it.

Clients validate a list as one value: one tool with a malformed schema hides all others, of
every server. So each entry is held against the shape all revisions share, and one that does
not fit is left out alone, with the reason.
Source  schema of 2025-11-25 and 2026-07-28; the official SDK's models are the oracle in the
        tests. One repair: an optional member that is null is left out, for some clients refuse
        it and none needs it.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from only1mcp.catalog.listing import Kind
from only1mcp.protocol.errors import ParseError
from only1mcp.protocol.message import Params, check_text, encode

MAX_ENTRY_BYTES: Final = 256 * 1024  # a schema of that size fills a model's whole context

_NULL: Final = Raw(b"null")
_Text = str | None
_Name = Annotated[str, Meta(min_length=1)]
_Object = dict[str, Raw]


class _Schema(Struct, rename={"schema": "$schema"}):
    """The root of an inputSchema; before 2026-07-28 also of an outputSchema."""

    type: Literal["object"]
    schema: _Text = None
    properties: dict[str, _Object | bool] | None = None
    required: list[str] | None = None


class _AnySchema(Struct, rename={"schema": "$schema"}):
    schema: _Text = None


class _Icon(Struct):
    src: str
    mimeType: _Text = None
    sizes: list[str] | None = None
    theme: Literal["light", "dark"] | None = None


class _ToolHints(Struct):
    title: _Text = None
    destructiveHint: bool | None = None
    idempotentHint: bool | None = None
    openWorldHint: bool | None = None
    readOnlyHint: bool | None = None


class _Execution(Struct):
    taskSupport: Literal["forbidden", "optional", "required"] | None = None


class _Annotations(Struct):
    audience: list[Literal["assistant", "user"]] | None = None
    lastModified: _Text = None
    priority: Annotated[float, Meta(ge=0, le=1)] | None = None


class _Argument(Struct):
    name: str
    title: _Text = None
    description: _Text = None
    required: bool | None = None


class _Entry(Struct, rename={"meta": "_meta"}, kw_only=True):
    title: _Text = None
    description: _Text = None
    icons: list[_Icon] | None = None
    meta: _Object | None = None


class _Tool(_Entry, kw_only=True):
    name: _Name
    inputSchema: _Schema
    outputSchema: _AnySchema | None = None
    annotations: _ToolHints | None = None
    execution: _Execution | None = None


class _Prompt(_Entry, kw_only=True):
    name: _Name
    arguments: list[_Argument] | None = None


class _Resource(_Entry, kw_only=True):
    uri: _Name
    name: str
    mimeType: _Text = None
    size: int | None = None
    annotations: _Annotations | None = None


class _Template(_Entry, kw_only=True):
    uriTemplate: _Name
    name: str
    mimeType: _Text = None
    annotations: _Annotations | None = None


_SHAPES: Final[dict[Kind, type[Struct]]] = {
    Kind.TOOLS: _Tool,
    Kind.PROMPTS: _Prompt,
    Kind.RESOURCES: _Resource,
    Kind.TEMPLATES: _Template,
}
_DECODERS: Final[dict[Kind, msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(shape) for kind, shape in _SHAPES.items()
}
_MEMBERS: Final = {
    kind: frozenset(shape.__struct_encode_fields__) for kind, shape in _SHAPES.items()
}
_decode_schema = msgspec.json.Decoder(_Schema).decode


def checked(kind: Kind, entry: Params) -> Params:
    """`entry` as it may be listed.

    Cost  ~2 us for a tool of 500 bytes.

    Raises:
        ValueError: clients would refuse it; the text says why.
    """
    text = encode(entry)
    if len(text) > MAX_ENTRY_BYTES:
        raise ValueError(f"larger than {MAX_ENTRY_BYTES // 1024} KiB")
    try:
        check_text(text)
        _DECODERS[kind].decode(text)
    except (ParseError, msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None
    return _without_nulls(kind, entry) if b":null" in text else entry


def fits_legacy(output_schema: Raw) -> bool:
    """Whether clients before 2026-07-28 take this outputSchema: its root must be an object.

    Source  the official SDK refuses a whole list over one such schema.
    """
    try:
        _decode_schema(output_schema)
    except msgspec.MsgspecError:
        return False
    return True


def _without_nulls(kind: Kind, entry: Params) -> Params:
    members = _MEMBERS[kind]
    return {key: raw for key, raw in entry.items() if raw != _NULL or key not in members}
