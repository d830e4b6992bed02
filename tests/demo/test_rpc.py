"""What the demo servers share: messages in and out, arguments checked."""

import json
from typing import Any

import pytest

from only1mcp.demo import rpc

TOOLS = rpc.by_name(
    {
        "name": "paint",
        "inputSchema": rpc.schema(
            ["colour"],
            colour={"type": "string", "enum": ["red", "blue"]},
            layers={"type": "integer", "minimum": 1, "maximum": 3},
            litres={"type": "number", "minimum": 0},
            motto={"type": "string", "minLength": 1, "maxLength": 5},
        ),
    }
)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"nonsense", b"\xff\xfe", b'"\xff"', b"[" * 100_000, b"1" * 5000],
)
def test_what_is_not_json_is_a_parse_error(text: bytes) -> None:
    with pytest.raises(rpc.Fault) as fault:
        rpc.decode(text)
    assert fault.value.error["code"] == -32700


def test_encode_gives_one_line_of_ascii() -> None:
    line = rpc.encode({"text": "Grüße\n\ud800"})
    assert line == b'{"text":"Gr\\u00fc\\u00dfe\\n\\ud800"}'


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 0, "method": "ping"},
        {"jsonrpc": "2.0", "id": "0", "method": "ping", "params": {"_meta": {}}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "error": {"code": 1, "message": "no"}},
    ],
)
def test_messages_pass_as_they_are(message: Any) -> None:
    assert rpc.check_message(message) is message


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (1, -32600),
        ([], -32600),
        (None, -32600),
        ({}, -32600),
        ({"jsonrpc": "1.0", "method": "ping", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 2}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": None, "result": {}}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": {}, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": None}, -32602),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"_meta": 5}}, -32602),
    ],
)
def test_other_json_is_refused(message: Any, code: int) -> None:
    with pytest.raises(rpc.Fault) as fault:
        rpc.check_message(message)
    assert fault.value.error["code"] == code


@pytest.mark.parametrize(
    ("message", "id"),
    [({"id": "a"}, "a"), ({"id": 0}, 0), ({"id": True}, None), ({"id": []}, None), ([], None)],
)
def test_an_error_echoes_the_id_that_could_be_read(message: Any, id: Any) -> None:
    reply = rpc.failure(rpc.id_of(message), rpc.Fault(-32600, "no", {"why": 1}))
    assert reply.get("id") == id
    assert ("id" in reply) == (id is not None)
    assert reply["error"] == {"code": -32600, "message": "no", "data": {"why": 1}}


def test_notification_without_params() -> None:
    assert rpc.notification("x") == {"jsonrpc": "2.0", "method": "x"}


@pytest.mark.parametrize("cursor", ["", "1", None])
def test_no_cursor_is_known(cursor: Any) -> None:
    with pytest.raises(rpc.Fault) as fault:
        rpc.one_page({"cursor": cursor})
    assert fault.value.error["code"] == -32602
    rpc.one_page({})


def test_good_arguments() -> None:
    arguments = {"colour": "red", "layers": 3, "litres": 0.5, "motto": "hello"}
    assert rpc.tool_arguments({"name": "paint", "arguments": arguments}, TOOLS) is arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "'colour' is missing"),
        ({"color": "red"}, "'colour' is missing; 'color' is no argument; there are: colour, lay"),
        (
            {"colour": "green"},
            '\'colour\' does not fit {"type": "string", "enum": ["red", "blue"]}',
        ),
        ({"colour": 1}, "'colour' does not fit"),
        ({"colour": None}, "'colour' does not fit"),
        ({"colour": "red", "layers": 0}, "'layers' does not fit"),
        ({"colour": "red", "layers": 4}, "'layers' does not fit"),
        ({"colour": "red", "layers": 1.0}, "'layers' does not fit"),
        ({"colour": "red", "layers": True}, "'layers' does not fit"),
        ({"colour": "red", "litres": -0.1}, "'litres' does not fit"),
        ({"colour": "red", "litres": json.loads("NaN")}, "'litres' does not fit"),
        ({"colour": "red", "motto": ""}, "'motto' does not fit"),
        ({"colour": "red", "motto": "too long"}, "'motto' does not fit"),
    ],
)
def test_bad_arguments_are_explained(arguments: Any, said: str) -> None:
    with pytest.raises(rpc.ToolFailure) as failure:
        rpc.tool_arguments({"name": "paint", "arguments": arguments}, TOOLS)
    assert str(failure.value).startswith("paint: ")
    assert said in str(failure.value)
    assert rpc.failed(failure.value) == {
        "content": [{"type": "text", "text": str(failure.value)}],
        "isError": True,
    }


@pytest.mark.parametrize(
    "params",
    [{}, {"name": "sing"}, {"name": ["paint"]}, {"name": "paint", "arguments": []}],
)
def test_calls_of_nothing_are_protocol_errors(params: Any) -> None:
    with pytest.raises(rpc.Fault) as fault:
        rpc.tool_arguments(params, TOOLS)
    assert fault.value.error["code"] == -32602


def test_told() -> None:
    assert rpc.told("hi") == {"content": [{"type": "text", "text": "hi"}]}
    assert rpc.told("hi", "")["structuredContent"] == ""
