"""Envelopes: what is accepted, what is refused and with which code, and that bytes survive."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.errors import InvalidParams, InvalidRequest, ParseError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def one(body: bytes) -> message.Message:
    decoded = message.decode_client(body)
    assert isinstance(decoded, message.Message)
    return decoded


def test_a_request_keeps_its_id_and_params_as_bytes() -> None:
    incoming = one(b'{"jsonrpc":"2.0","id":18446744073709551617,"method":"m","params":{ "a" : 1 }}')
    assert incoming.is_request
    assert bytes(incoming.id) == b"18446744073709551617"
    assert bytes(incoming.params) == b'{ "a" : 1 }'


def test_kinds_of_messages() -> None:
    assert one(b'{"jsonrpc":"2.0","method":"m"}').is_notification
    answer = one(b'{"jsonrpc":"2.0","id":1,"result":{}}')
    assert not answer.is_request
    assert not answer.is_notification


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nope",
        b"{",
        b'{"jsonrpc":"2.0","id":1,"method":"m"} trailing',
        b'\xff\xfe{\x00"\x00',
        b'{"jsonrpc":"2.0","id":1,"method":"\xff"}',
        b"[" * 70 + b"]" * 70,
        b"[" * 100_000,
        b'{"a":' * 65 + b"1" + b"}" * 65,
    ],
)
def test_what_is_no_json_or_too_deep_is_a_parse_error(body: bytes) -> None:
    with pytest.raises(ParseError):
        message.decode_client(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"1",
        b'"text"',
        b"null",
        b"{}",
        b'{"id":1,"method":"m"}',
        b'{"jsonrpc":"1.0","id":1,"method":"m"}',
        b'{"jsonrpc":"2.0","id":null,"method":"m"}',
        b'{"jsonrpc":"2.0","id":true,"method":"m"}',
        b'{"jsonrpc":"2.0","id":1.0,"method":"m"}',
        b'{"jsonrpc":"2.0","id":{},"method":"m"}',
        b'{"jsonrpc":"2.0","id":1,"method":5}',
        b'{"jsonrpc":"2.0","id":1}',
        b"[1]",
    ],
)
def test_what_is_no_json_rpc_is_an_invalid_request(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        message.decode_client(body)


def test_brackets_in_strings_are_not_depth() -> None:
    text = json.dumps('[{"\\' * 200).encode()
    assert one(b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":%b}}' % text).is_request


def test_wide_is_not_deep() -> None:
    message.check_text(b"[" + b",".join([b"[{}]"] * 10_000) + b"]")


@given(st.integers(1, 130))
def test_the_depth_bound_is_exact(depth: int) -> None:
    body = b'{"a":[' * (depth // 2) + b"[" * (depth % 2) + b"]" * (depth % 2) + b"]}" * (depth // 2)
    if depth <= message.MAX_DEPTH:
        message.check_text(body)
    else:
        with pytest.raises(ParseError, match="deeper"):
            message.check_text(body)


@given(JSON)
def test_decoding_anything_ends_in_a_message_or_our_error(value: object) -> None:
    with contextlib.suppress(ParseError, InvalidRequest):
        message.decode_client(json.dumps(value).encode())


@given(st.binary(max_size=200))
def test_decoding_any_bytes_ends_in_a_message_or_our_error(body: bytes) -> None:
    with contextlib.suppress(ParseError, InvalidRequest):
        message.decode_client(body)


def test_ids_keep_their_type() -> None:
    assert message.id_value(Raw(b'"1"')) == "1"
    assert message.id_value(Raw(b"1")) == 1


def test_members_keep_order_and_bytes() -> None:
    members = message.members(b'{"z":1e400,"a":{"b":123456789012345678901234567890}}')
    assert list(members) == ["z", "a"]
    assert message.encode(members) == b'{"z":1e400,"a":{"b":123456789012345678901234567890}}'


def test_absent_and_null_params_are_empty() -> None:
    assert message.members(message.NO_RAW) == {}
    assert message.members(b"null") == {}
    with pytest.raises(InvalidParams):
        message.members(b"[1]")


def test_what_is_no_object_in_a_list_becomes_an_empty_one() -> None:
    assert [list(item) for item in message.objects(b'[{"a":1},5,{"b":2}]')] == [["a"], [], ["b"]]


def test_readable_id_of_a_refused_message() -> None:
    assert bytes(message.readable_id(b'{"id":"x","method":"m"}')) == b'"x"'
    assert not message.readable_id(b'{"id":null}')
    assert not message.readable_id(b"[")


def test_answers_are_spliced_around_the_payload() -> None:
    assert message.result(Raw(b'"a"'), b'{"x": 1}') == (
        b'{"jsonrpc":"2.0","id":"a","result":{"x": 1}}'
    )
    assert message.error(message.NO_RAW, b"{}") == b'{"jsonrpc":"2.0","error":{}}'


def test_one_line_has_no_line_breaks() -> None:
    assert message.one_line(b'{\r\n "a": "\\n"}') == b'{   "a": "\\n"}'


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (rb'"\ud800"', rb'"\ufffd"'),
        (rb'"\uDFFFx\uD83D"', rb'"\ufffdx\ufffd"'),
        (rb'"\ud800\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\ud800\ud800"', rb'"\\ud800\ufffd"'),
        (rb'"\\\ud800"', rb'"\\\ufffd"'),
    ],
)
def test_half_a_character_costs_nothing_but_itself(written: bytes, kept: bytes) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":%b}}'
    for found in (one(body % written), message.decode(body % written)):
        assert bytes(found.params) == b'{"a":%b}' % kept
    items = message.decode_client(b"[%b]" % (body % written))
    assert isinstance(items, list)
    (item,) = items
    assert bytes(item.params) == b'{"a":%b}' % kept


def test_whole_characters_and_bad_json_are_left_alone() -> None:
    body = rb'{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"\ud83d\ude00"}}'
    assert bytes(one(body).params) == rb'{"a":"\ud83d\ude00"}'
    for broken in (rb'{"a":"\ud83d\ude00"', rb'{"a":"\ud800"'):
        with pytest.raises(ParseError):
            message.decode(broken)
        with pytest.raises(ParseError):
            message.decode_client(broken)


def test_a_number_beyond_all_floats_is_no_fault() -> None:
    assert message.any_value(b"[1e400,-1E400,1.5]") == [float("inf"), -float("inf"), 1.5]


@pytest.mark.parametrize(
    "body", [b'{"method":"\xed\xa0\x80","id":1}', b'{"\xff":1}', b'{"id":"\xff"}']
)
def test_bytes_that_are_no_text_are_no_crash(body: bytes) -> None:
    with contextlib.suppress(ParseError):
        message.decode(body)
    with pytest.raises(ParseError):
        message.decode_client(body)
    message.readable_id(body)
    with contextlib.suppress(InvalidParams):
        message.members(body)
    assert message.any_value(b'"x"') == "x"
