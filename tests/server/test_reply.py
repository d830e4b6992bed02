"""The border table: what each error becomes for a client, in both eras."""

import json
import logging
from typing import Any

import pytest
from msgspec import Raw

from fakes.upstream import FakeUpstream, gateway_of, library, request
from only1mcp.protocol import errors
from only1mcp.protocol.errors import McpError, ServerFault, UpstreamError
from only1mcp.protocol.methods import NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.server import reply

OWN = b'{"code": 7,"message":"own","zzz":[1]}'

TABLE = [
    (errors.ParseError("x"), -32700, -32700, 400),
    (errors.InvalidRequest("x"), -32600, -32600, 400),
    (errors.MethodNotFound("x"), -32601, -32601, 404),
    (errors.InvalidParams("x"), -32602, -32602, 400),
    (errors.InternalError("x"), -32603, -32603, 200),
    (errors.ResourceNotFound("x"), -32002, -32602, 400),
    (errors.HeaderMismatch("x"), -32020, -32020, 400),
    (errors.MissingCapability("x"), -32021, -32021, 400),
    (errors.UnsupportedVersion("x"), -32022, -32022, 400),
    (errors.ServerUnavailable("s", "x"), -31001, -31001, 200),
    (errors.ServerBusy("s", "x"), -31001, -31001, 200),
    (errors.ServerRefused("s", "x"), -31001, -31001, 200),
    (errors.CircuitOpen("s", "x"), -31004, -31004, 200),
    (errors.Overloaded("s", "x"), -31005, -31005, 503),
    (errors.OverLimit("s", "x"), -31005, -31005, 429),
    (errors.ServerTimeout("s", "x"), -31002, -31002, 200),
    (errors.ServerLost("s", "x"), -31003, -31003, 200),
    (errors.Draining("s", "x"), -31006, -31006, 200),
    (errors.AnswerTooLarge("s", "x"), -31007, -31007, 200),
    (errors.ServerProtocolError("s", "x"), -31010, -31010, 200),
]


@pytest.mark.parametrize(("error", "legacy", "modern", "status"), TABLE)
def test_code_and_status(error: McpError, legacy: int, modern: int, status: int) -> None:
    assert json.loads(reply.error_object(error, modern=False))["code"] == legacy
    assert json.loads(reply.error_object(error, modern=True))["code"] == modern
    assert reply.status(error) == status


def test_no_class_of_the_tree_is_missing_from_the_table() -> None:
    def below(root: type[McpError]) -> set[type[McpError]]:
        return {root}.union(*map(below, root.__subclasses__()))

    ours = {one for one in below(McpError) if one.__module__ == errors.__name__}
    abstract = {McpError, ServerFault, UpstreamError, errors.ClientRefused}
    assert ours - abstract == {type(error) for error, *_ in TABLE}


@pytest.mark.parametrize(
    ("own_code", "came_with", "status"),
    [(-32601, None, 404), (-32602, None, 400), (7, None, 200), (7, 418, 418), (-32601, 200, 404)],
)
def test_a_servers_own_error_keeps_its_bytes_and_gets_the_status_of_its_code(
    own_code: int, came_with: int | None, status: int
) -> None:
    error = UpstreamError(OWN, own_code, "own", came_with)
    assert reply.error_object(error, modern=False) == OWN
    assert reply.error_object(error, modern=True) == OWN
    assert reply.status(error) == status


def test_an_error_without_data_has_no_such_member() -> None:
    assert json.loads(reply.error_object(errors.InvalidParams("x"), modern=True)) == {
        "code": -32602,
        "message": "x",
    }


def test_a_fault_of_a_server_says_who_whether_and_what_next() -> None:
    fault = errors.ServerUnavailable("s", "it is busy", hint="wait", retry_after_ms=500)
    assert json.loads(reply.error_object(fault, modern=False))["data"] == {
        "server": "s",
        "outcome": "not_sent",
        "retryAfterMs": 500,
        "hint": "wait",
    }


@pytest.mark.parametrize(
    ("status", "after_ms", "line"),
    [
        (503, 1000, b"Retry-After: 1\r\n"),
        (429, 1001, b"Retry-After: 2\r\n"),
        (503, 1, b"Retry-After: 1\r\n"),
        (503, None, b""),
        (200, 1000, b""),
    ],
)
def test_when_to_come_again_is_said_in_a_header_too(
    status: int, after_ms: int | None, line: bytes
) -> None:
    error = errors.Overloaded("s", "full", retry_after_ms=after_ms)
    assert reply.retry_after(status, reply.refusal(b"1", error, modern=True)) == line


@pytest.mark.parametrize(
    "data", ["null", "[1]", '"x"', '{"retryAfterMs":"1"}', '{"retryAfterMs":true}',
             '{"retryAfterMs":-5}', '{"retryAfterMs":1e3}'],
)  # fmt: skip
def test_a_servers_own_503_may_hold_anything(data: str) -> None:
    body = f'{{"jsonrpc":"2.0","id":1,"error":{{"code":1,"message":"x","data":{data}}}}}'
    assert reply.retry_after(503, body.encode()) == b""
    assert reply.retry_after(503, b'{"jsonrpc":"2.0","id":1,"error":[]}') == b""


@pytest.mark.parametrize("id", [b"1", b'"1"', b'"\\u00e9"', b"12345678901234567890123"])
def test_a_refusal_carries_the_id_as_it_came(id: bytes) -> None:
    refusal = reply.refusal(Raw(id), errors.InvalidRequest("x"))
    assert b'"id":' + id + b"," in refusal
    assert json.loads(refusal)["error"]["message"] == "x"


def test_a_refusal_of_what_has_no_readable_id_has_none() -> None:
    assert "id" not in json.loads(reply.refusal(b"", errors.ParseError("x")))


# --- answers ---


async def answered(fake: FakeUpstream, params: Any, revision: str) -> tuple[dict[str, Any], int]:
    """What a tools/call with id 5 is answered."""
    async with gateway_of(fake) as gateway:
        asked = request(gateway, "tools/call", params, revision=revision)
        body, status = await reply.answer(Raw(b"5"), asked, gateway.snapshot())
    return json.loads(body), status


async def test_a_result_is_answered_under_its_id() -> None:
    found = await answered(library(), {"name": "lib__find"}, NEWEST_LEGACY)
    content = {"content": [{"type": "text", "text": "called"}]}
    assert found == ({"jsonrpc": "2.0", "id": 5, "result": content}, 200)


async def test_an_error_is_answered_under_its_id() -> None:
    body, status = await answered(library(), {"name": "zzz"}, NEWEST_MODERN)
    assert (body["id"], body["error"]["code"], status) == (5, -32602, 400)


async def test_a_fault_of_ours_is_answered_and_logged_and_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, "only1mcp.reply"):
        broken = library(answers={"tools/call": RuntimeError("secret")})
        body, status = await answered(broken, {"name": "lib__find"}, NEWEST_LEGACY)
    assert body["error"] == {"code": -32603, "message": "internal error of the gateway"}
    assert status == 200
    assert "request tools/call failed inside the gateway" in caplog.text
    assert "secret" in caplog.text


async def test_a_fault_of_ours_while_an_answer_is_looked_for_leaves_the_request_to_a_task(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("secret")

    monkeypatch.setattr(reply, "seen", broken)
    async with gateway_of(library()) as gateway:
        asked = request(gateway, "tools/list", {}, revision=NEWEST_LEGACY)
        with caplog.at_level(logging.ERROR, "only1mcp.reply"):
            assert reply.at_once(Raw(b"5"), asked, gateway.snapshot()) is None
        body, status = await reply.answer(Raw(b"5"), asked, gateway.snapshot())
    assert "request tools/list failed inside the gateway" in caplog.text
    assert (json.loads(body)["result"]["tools"][0]["name"], status) == ("lib__find", 200)
