"""check.py: what passes is taken by the official SDK, what is valid passes."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import methods as sdk

from fakes.listings import resource, template, tool
from only1mcp.catalog.check import MAX_ENTRY_BYTES, checked, fits_legacy
from only1mcp.catalog.listing import Kind
from only1mcp.protocol.message import Params, as_raw, encode, members

METHODS = {
    Kind.TOOLS: "tools/list",
    Kind.PROMPTS: "prompts/list",
    Kind.RESOURCES: "resources/list",
    Kind.TEMPLATES: "resources/templates/list",
}


def entry(value: dict[str, Any]) -> Params:
    return members(json.dumps(value).encode())


FULL = {
    Kind.TOOLS: tool(
        "t",
        title="T",
        description="d",
        icons=[{"src": "data:,", "mimeType": "image/png", "sizes": ["48x48"], "theme": "dark"}],
        annotations={"title": "T", "readOnlyHint": True, "x": 1},
        execution={"taskSupport": "optional"},
        outputSchema={"type": "object", "properties": {"a": True, "b": {"type": "number"}}},
        _meta={"com.example/k": [None]},
        unknown=None,
    ),
    Kind.PROMPTS: {
        "name": "p",
        "arguments": [{"name": "a", "title": "A", "description": "d", "required": False}],
    },
    Kind.RESOURCES: resource(
        "r:1",
        mimeType="text/plain",
        size=2**40,
        annotations={"audience": ["user"], "priority": 0.5, "lastModified": "2025"},
    ),
    Kind.TEMPLATES: template("r:{x}", mimeType="text/plain", annotations={"priority": 1}),
}


@pytest.mark.parametrize("kind", Kind)
def test_a_full_entry_passes_untouched(kind: Kind) -> None:
    given_entry = entry(FULL[kind])
    assert checked(kind, given_entry) == given_entry


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Kind.TOOLS, {}),
        (Kind.TOOLS, {"name": "t"}),
        (Kind.TOOLS, {"inputSchema": {"type": "object"}}),
        (Kind.TOOLS, tool("")),
        (Kind.TOOLS, tool("t", inputSchema=None)),
        (Kind.TOOLS, tool("t", inputSchema={})),
        (Kind.TOOLS, tool("t", inputSchema=[])),
        (Kind.TOOLS, tool("t", inputSchema={"type": "string"})),
        (Kind.TOOLS, tool("t", inputSchema={"type": ["object"]})),
        (Kind.TOOLS, tool("t", inputSchema={"type": "object", "properties": []})),
        (Kind.TOOLS, tool("t", inputSchema={"type": "object", "properties": {"a": 1}})),
        (Kind.TOOLS, tool("t", inputSchema={"type": "object", "required": "a"})),
        (Kind.TOOLS, tool("t", outputSchema=[])),
        (Kind.TOOLS, tool("t", description=3)),
        (Kind.TOOLS, tool("t", annotations={"readOnlyHint": "yes"})),
        (Kind.TOOLS, tool("t", icons=[{}])),
        (Kind.TOOLS, {**tool("t"), "name": 1}),
        (Kind.PROMPTS, {"name": None}),
        (Kind.PROMPTS, {"name": "p", "arguments": [{}]}),
        (Kind.RESOURCES, {"uri": "r:1"}),
        (Kind.RESOURCES, {"name": "r"}),
        (Kind.RESOURCES, resource("r:1", size="big")),
        (Kind.RESOURCES, resource("r:1", annotations={"priority": 2})),
        (Kind.TEMPLATES, {"name": "r"}),
    ],
)
def test_what_clients_would_refuse_is_refused(kind: Kind, broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w{4}"):
        checked(kind, entry(broken))


def test_the_reason_names_the_place() -> None:
    with pytest.raises(ValueError, match=r"inputSchema\.type"):
        checked(Kind.TOOLS, entry(tool("t", inputSchema={"type": "array"})))


def test_a_null_in_an_optional_member_is_left_out() -> None:
    nulls = entry(tool("t", title=None, description="d", unknown=None, _meta=None))
    assert list(checked(Kind.TOOLS, nulls)) == ["name", "inputSchema", "description", "unknown"]


def test_size_and_depth_are_bounded() -> None:
    with pytest.raises(ValueError, match="256 KiB"):
        checked(Kind.TOOLS, entry(tool("t", description="x" * MAX_ENTRY_BYTES)))
    deep = entry(tool("t")) | {"deep": msgspec.Raw(b"[" * 100 + b"]" * 100)}
    with pytest.raises(ValueError, match="nested deeper"):
        checked(Kind.TOOLS, deep)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        checked(Kind.TOOLS, entry(tool("t")) | {"x": msgspec.Raw(b'"\xff"')})


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "object"}, True),
        ({"type": "array"}, False),
        ({"$ref": "#/$defs/a"}, False),
        ({"type": "object", "properties": {"a": 1}}, False),
    ],
)
def test_which_output_schemas_old_clients_take(schema: Any, fits: bool) -> None:
    assert fits_legacy(as_raw(schema)) is fits


MINIMAL = {
    Kind.TOOLS: tool("t"),
    Kind.PROMPTS: {"name": "p"},
    Kind.RESOURCES: resource("r:1"),
    Kind.TEMPLATES: template("r:{x}"),
}
TEXTS: list[Any] = [None, "", "text", 1]
SCHEMAS: list[Any] = [
    *(None, {}, [], {"type": "array"}, {"type": ["object"]}, {"$ref": "#"}, {"$schema": 1}),
    *({"type": "object", "$schema": None}, {"type": "object", "$schema": 1}),
    {"type": "object", "properties": None},
    {"type": "object", "properties": []},
    {"type": "object", "properties": {"a": {}, "b": True}},
    {"type": "object", "properties": {"a": 1}},
    {"type": "object", "properties": {"a": None}},
    {"type": "object", "required": None},
    {"type": "object", "required": ["a"]},
    {"type": "object", "required": [1]},
    {"type": "object", "required": "a"},
]
VALUES: dict[str, list[Any]] = {
    "name": TEXTS,
    "uri": TEXTS,
    "uriTemplate": TEXTS,
    "title": TEXTS,
    "description": TEXTS,
    "mimeType": TEXTS,
    "inputSchema": SCHEMAS,
    "outputSchema": SCHEMAS,
    "size": [None, 1, -1, 2**70, "big", 1.5],
    "icons": [
        *(None, [], {}, [{"src": "a"}], [{}], [{"src": "a", "theme": "red"}]),
        *([{"src": "a", "sizes": "9x9"}], [{"src": "a", "sizes": ["9x9"], "mimeType": None}]),
    ],
    "execution": [None, {}, [], {"taskSupport": "required"}, {"taskSupport": "maybe"}],
    "annotations": [
        *(None, {}, [], {"readOnlyHint": None}, {"readOnlyHint": True}, {"readOnlyHint": "yes"}),
        *({"title": 1}, {"audience": ["user"]}, {"audience": ["cat"]}, {"audience": "user"}),
        *({"priority": 0}, {"priority": 0.5}, {"priority": 2}, {"priority": "high"}),
        {"lastModified": 1},
    ],
    "arguments": [
        None,
        [],
        [{"name": "a", "required": None}],
        [{}],
        {},
        [{"name": "a", "title": 1}],
    ],
    "_meta": [None, {}, {"a/b": None}, []],
    "unknown": [None, 1, []],
}
_members = st.sampled_from([(key, value) for key, values in VALUES.items() for value in values])


@settings(max_examples=500)
@given(st.sampled_from(list(Kind)), st.lists(_members, max_size=3).map(dict))
def test_what_passes_is_taken_by_the_official_sdk(kind: Kind, changes: dict[str, Any]) -> None:
    try:
        passed = checked(kind, entry({**MINIMAL[kind], **changes}))
    except ValueError:
        return
    modern = json.loads(encode(passed))
    hints = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    sdk.parse_server_result(METHODS[kind], "2026-07-28", {kind.value: [modern], **hints})
    legacy = dict(modern)
    if "outputSchema" in passed and not fits_legacy(passed["outputSchema"]):
        del legacy["outputSchema"]
    sdk.parse_server_result(METHODS[kind], "2025-11-25", {kind.value: [legacy]})
