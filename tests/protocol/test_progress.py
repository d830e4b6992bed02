"""Progress tokens: ours on the way out, the asker's own on the way back."""

import json

import pytest
from msgspec import Raw

from only1mcp.protocol import progress
from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.message import NO_RAW, Params, as_raw
from only1mcp.protocol.progress import own_token


@pytest.mark.parametrize(
    "meta",
    [
        b'{"progressToken": "a"}',
        b'{"progress\\u0054oken": "a"}',
        b'{"progressToken": 5, "progressToken": "a"}',
    ],
)
def test_a_progress_token_becomes_ours(meta: bytes) -> None:
    given: Params = {"name": as_raw("x"), "_meta": Raw(meta), "z": as_raw(1)}
    params, token = own_token(given, 7)
    assert params is not None
    assert list(params) == ["name", "_meta", "z"]
    assert bytes(params["_meta"]) == b'{"progressToken":7}'
    assert bytes(token) == b'"a"'
    assert bytes(given["_meta"]) == meta


@pytest.mark.parametrize(
    "meta", [b"{}", b'{"progressToken":null}', b'{"a":"\\n"}', b'{"x":{"progressToken":1}}', b"1"]
)
def test_meta_without_a_token_is_left_alone(meta: bytes) -> None:
    given: Params = {"_meta": Raw(meta)}
    params, token = own_token(given, 7)
    assert params is given
    assert token == NO_RAW


def test_params_may_be_absent() -> None:
    assert own_token(None, 7) == (None, NO_RAW)
    assert own_token({}, 7) == ({}, NO_RAW)


def test_a_meta_that_is_no_object_is_the_clients_fault() -> None:
    with pytest.raises(InvalidParams):
        own_token({"_meta": Raw(b'["progressToken"]')}, 7)


@pytest.mark.parametrize("own", [b"1", b'"1"', b"1.0", b'"\\u0031"'])
def test_it_comes_back_as_it_was_written(own: bytes) -> None:
    given: Params = {"progressToken": as_raw(7), "progress": Raw(b"1.50")}
    found = progress.restored(given, Raw(own))
    assert bytes(found) == b'{"progressToken":%b,"progress":1.50}' % own
    assert progress.token(given) == b"7"
    assert progress.token({}) == b""
    assert json.loads(bytes(found))["progress"] == 1.5
