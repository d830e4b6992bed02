"""Two requests share an answer only if nothing that may change it differs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from only1mcp.protocol import caching, message
from only1mcp.protocol.caching import Hint, Meta, canonical, hint, meta, retimed
from only1mcp.protocol.errors import InvalidParams

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":{"c":2,"d":3}}', '{ "b" : {"d":3, "c":2},\n"a":1 }'),
        ("[1, 2]", "[1,2]"),
        ('{"a": "x, y"}', '{"a":"x, y"}'),
    ],
)
def test_order_and_blanks_make_no_difference(one: str, other: str) -> None:
    assert canonical(one.encode()) == canonical(other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":1.0}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"n":12345678901234567890123}', '{"n":12345678901234567890124}'),
        ('{"n":1e400}', '{"n":1e401}'),
        ('{"n":1e400}', '{"n":null}'),
        ('{"a":1,"a":2}', '{"a":2}'),
        ('{"a":1,"a":2}', '{"a":2,"a":1}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":" "}', '{"a":""}'),
        ('{"a":{"x":1,"x":2}}', '{"a":{"x":2}}'),
    ],
)
def test_everything_else_does(one: str, other: str) -> None:
    assert canonical(one.encode()) != canonical(other.encode())


@given(_JSON)
def test_the_text_is_still_the_value(value: Any) -> None:
    text = json.dumps(value).encode()
    assert json.loads(canonical(text)) == value
    assert canonical(canonical(text)) == canonical(text)


@given(_JSON, _JSON)
def test_equal_texts_are_equal_values(one: Any, other: Any) -> None:
    same = canonical(json.dumps(one).encode()) == canonical(json.dumps(other).encode())
    assert same is (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


def test_what_is_no_json_stands_for_itself() -> None:
    assert canonical(b"{oops") == b"{oops"


def test_params_beside_the_target() -> None:
    plain = message.members(b'{"uri":"a://b","_meta":{"x":1}}')
    assert caching.params(plain, "uri") == b""
    named = message.members(b'{"name":"hi","arguments":{"b":1,"a":2}}')
    assert caching.params(named, "name") == b'{"arguments":{"a":2,"b":1}}'


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("{}", Meta(b"", False)),
        ('{"io.modelcontextprotocol/protocolVersion":"x","traceparent":"00-1"}', Meta(b"", False)),
        ('{"io.modelcontextprotocol/x":1}', Meta(b'{"io.modelcontextprotocol/x":1}', False)),
        ('{"progressToken":1}', Meta(b"", True)),
        ('{"progressToken":null}', Meta(b"", False)),
        ('{"b.example/y":1,"b.example/x":2}', Meta(b'{"b.example/x":2,"b.example/y":1}', False)),
    ],
)
def test_what_of_meta_counts(given_: str, expected: Meta) -> None:
    assert meta(Raw(given_.encode())) == expected


def test_a_meta_that_is_no_object() -> None:
    with pytest.raises(InvalidParams):
        meta(Raw(b"[]"))


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ('{"contents":[]}', Hint(None, False, b'{"contents":[]}')),
        ('{"a":1,"ttlMs":1500,"b":2}', Hint(1.5, False, b'{"a":1,"b":2}')),
        ('{"ttlMs":1e400}', Hint(86_400.0, False, b"{}")),
        ('{"ttlMs":-5,"cacheScope":"public"}', Hint(0.0, True, b'{"cacheScope":"public"}')),
        ('{"ttlMs":"5"}', Hint(None, False, b'{"ttlMs":"5"}')),
        ('{"ttlMs":true}', Hint(None, False, b'{"ttlMs":true}')),
        ('{"cacheScope":["public"]}', Hint(None, False, b'{"cacheScope":["public"]}')),
        ('{"isError":false}', Hint(None, False, b'{"isError":false}')),
        ('{"resultType":"complete"}', Hint(None, False, b'{"resultType":"complete"}')),
        ('{"resultType":"input_required"}', None),
        ('{"resultType":"input_\\u0072equired"}', None),
        ('{"result\\u0054ype":"input_required","ttlMs":9}', None),
        ('{"isError":true}', None),
        ('["ttlMs"]', None),
    ],
)
def test_what_a_result_says(result: str, expected: Hint | None) -> None:
    assert hint(result.encode()) == expected


@pytest.mark.parametrize("body", [b"{}", b'{"a":1}'])
def test_what_is_left_of_the_time(body: bytes) -> None:
    assert json.loads(retimed(body, 1.25)) == json.loads(body) | {"ttlMs": 1250}
