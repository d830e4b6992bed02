"""Arguments in headers: agreement at the front, derivation at the back."""

import json
from typing import Any

import pytest
from msgspec import Raw

from only1mcp.catalog.header_params import header_params
from only1mcp.protocol import message
from only1mcp.protocol.errors import HeaderMismatch
from only1mcp.relay import mirror

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"type": "object", "properties": {
            "count": {"type": "integer", "x-mcp-header": "Count"}}},
        "dry": {"type": "boolean", "x-mcp-header": "Dry"},
    },
}  # fmt: skip
WANTED = header_params(message.as_raw(SCHEMA))


def params(**arguments: Any) -> message.Params:
    return {"name": message.as_raw("t"), "arguments": message.as_raw(arguments)}


def test_values_are_mirrored_and_null_or_absent_ones_are_not() -> None:
    sent = mirror.mirrored(WANTED, params(region="eu", deep={"count": 42.0}, dry=True))
    assert sent == (
        ("Mcp-Param-Region", "eu"),
        ("Mcp-Param-Count", "42"),
        ("Mcp-Param-Dry", "true"),
    )
    assert mirror.mirrored(WANTED, params(region=None)) == ()
    assert mirror.mirrored(WANTED, {"name": message.as_raw("t")}) == ()


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"region": "eu"}, {b"mcp-param-region": b"eu"}),
        ({"region": "ü"}, {b"mcp-param-region": b"=?base64?w7w=?="}),
        ({"deep": {"count": 42}}, {b"mcp-param-count": b"42.0"}),
        ({"dry": False}, {b"mcp-param-dry": b"false"}),
        ({}, {b"mcp-param-other": b"x"}),
    ],
)
def test_agreement(arguments: dict[str, Any], received: dict[bytes, bytes]) -> None:
    mirror.check(WANTED, params(**arguments), received)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"region": "eu"}, {}),
        ({"region": "eu"}, {b"mcp-param-region": b"us"}),
        ({"region": "eu"}, {b"mcp-param-region": b"=?base64?!!?="}),
        ({}, {b"mcp-param-region": b"eu"}),
        ({"region": None}, {b"mcp-param-region": b"null"}),
        ({"deep": {"count": 42}}, {b"mcp-param-count": b"many"}),
        ({"dry": True}, {b"mcp-param-dry": b"True"}),
    ],
)
def test_contradiction(arguments: dict[str, Any], received: dict[bytes, bytes]) -> None:
    with pytest.raises(HeaderMismatch):
        mirror.check(WANTED, params(**arguments), received)


def test_arguments_that_are_no_object_mirror_nothing() -> None:
    broken = {"arguments": Raw(json.dumps([1]).encode())}
    assert mirror.mirrored(WANTED, broken) == ()
