"""header_params.py: the rules of x-mcp-header, held against the official SDK."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from msgspec import Raw

from only1mcp.catalog.header_params import HeaderParam, header_params


def parsed(schema: Any) -> tuple[HeaderParam, ...]:
    return header_params(Raw(json.dumps(schema).encode()))


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def mirrored(type: Any = "string", header: Any = "Region") -> dict[str, Any]:
    return {"type": type, "x-mcp-header": header}


def test_annotated_properties_are_found_at_any_depth() -> None:
    inner = schema(dry=mirrored("boolean", "Dry-Run"))
    assert parsed(schema(region=mirrored(), count=mirrored("integer", "N"), options=inner)) == (
        HeaderParam("Mcp-Param-Region", ("region",), "string"),
        HeaderParam("Mcp-Param-N", ("count",), "integer"),
        HeaderParam("Mcp-Param-Dry-Run", ("options", "dry"), "boolean"),
    )


@pytest.mark.parametrize(
    "harmless",
    [
        schema(a={"type": "string"}),
        schema(a={"type": "string", "description": "see x-mcp-header"}),
        schema(a={"type": "object", "default": {"x-mcp-header": "!! data"}}),
        schema(a={"enum": [{"x-mcp-header": 1}]}),
        {"type": "object", "properties": {"x-mcp-header": {"type": "number"}}},
        {"type": "object", "properties": []},
    ],
)
def test_what_is_no_annotation_is_left_alone(harmless: dict[str, Any]) -> None:
    assert parsed(harmless) == ()


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (mirrored(), "chain of properties"),
        (schema(a={"type": "array", "items": mirrored()}), "chain of properties"),
        (schema(a={"anyOf": [mirrored()]}), "chain of properties"),
        ({"type": "object", "$defs": {"a": schema(b=mirrored())}}, "chain of properties"),
        (schema(a=mirrored("number")), "type"),
        (schema(a=mirrored(["string", "null"])), "type"),
        (schema(a={"x-mcp-header": "A"}), "type"),
        (schema(a=mirrored(header="two words")), "header name"),
        (schema(a=mirrored(header="")), "header name"),
        (schema(a=mirrored(header="line\n")), "header name"),
        (schema(a=mirrored(header=7)), "header name"),
        (schema(a=mirrored(), b=mirrored(header="REGION")), "twice"),
    ],
)
def test_a_broken_rule_is_named(broken: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parsed(broken)


def test_an_escaped_spelling_is_no_way_around() -> None:
    text = rb'{"type":"object","x\u002dmcp-header":"A"}'
    with pytest.raises(ValueError, match="chain of properties"):
        header_params(Raw(text))


_annotations = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "object", ["string"], 1]),
        "x-mcp-header": st.sampled_from(["A", "a", "B", "b c", "", 1, None]),
    },
)
_schemas = st.recursive(
    _annotations,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from("pq"), inner, max_size=2),
            "items": inner,
            "allOf": st.lists(inner, max_size=2),
            "$defs": st.dictionaries(st.just("d"), inner, max_size=1),
            "default": inner,
            "not": inner,
        },
    ),
    max_leaves=6,
)


@given(_schemas)
def test_the_official_sdk_judges_alike(any_schema: dict[str, Any]) -> None:
    if find_invalid_x_mcp_header(any_schema) is not None:
        with pytest.raises(ValueError, match="x-mcp-header"):
            parsed(any_schema)
        return
    ours = {found.path: found.header.removeprefix("Mcp-Param-") for found in parsed(any_schema)}
    assert ours == x_mcp_header_map(any_schema)
