"""The table of HTTP answers: which error each becomes, and what it tells."""

import json

import pytest
from msgspec import Raw

from only1mcp.protocol.errors import (
    Outcome,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.upstream import answer
from only1mcp.upstream.connection import Response
from only1mcp.upstream.dial import Endpoint

ENDPOINT = Endpoint("search", "http://a.example/mcp")
ONE = Raw(b"1")


def response(status: int, body: bytes = b"", kind: str = "", **headers: str) -> Response:
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    if kind:
        named[b"content-type"] = kind.encode()
    return Response(status, named, body, False)


def rpc(status: int, **members: object) -> Response:
    body = json.dumps({"jsonrpc": "2.0", **members}).encode()
    return response(status, body, "application/json; charset=utf-8")


def test_a_result_is_carried_untouched() -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":{"big":123456789012345678901, "x" : "\\u00fc"}}'
    found = answer.read(ENDPOINT, response(200, body, "application/json"), ONE)
    assert answer.result(found) == b'{"big":123456789012345678901, "x" : "\\u00fc"}'


def test_the_answer_may_come_in_a_batch() -> None:
    body = b' [{"method":"notifications/message"},{"id":1,"result":{"a":1}}]'
    found = answer.read(ENDPOINT, response(200, body, "application/json"), ONE)
    assert answer.result(found) == b'{"a":1}'


def test_a_servers_own_error_is_carried_untouched() -> None:
    error = {"code": -32602, "message": "no such tool", "data": {"a": 1}}
    with pytest.raises(UpstreamError) as caught:
        answer.result(answer.read(ENDPOINT, rpc(200, id=1, error=error), ONE))
    assert (caught.value.own_code, caught.value.message) == (-32602, "no such tool")
    assert json.loads(caught.value.raw) == error
    assert caught.value.status == 200


@pytest.mark.parametrize("id", [{"id": None}, {}])
def test_an_error_without_an_id_answers_the_only_request_there_is(id: dict[str, None]) -> None:
    with pytest.raises(UpstreamError):
        answer.result(answer.read(ENDPOINT, rpc(200, error={"code": 1, "message": ""}, **id), ONE))


@pytest.mark.parametrize("id", [2, "1", None])
def test_a_result_for_another_request_is_refused(id: object) -> None:
    with pytest.raises(ServerProtocolError, match="another request"):
        answer.read(ENDPOINT, rpc(200, id=id, result={}), ONE)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_json_rpc_error_keeps_its_status(status: int) -> None:
    error = {"code": -32022, "message": "no", "data": {"supported": ["2025-11-25"]}}
    with pytest.raises(UpstreamError) as caught:
        answer.read(ENDPOINT, rpc(status, id="server-error", error=error), ONE)
    assert caught.value.status == status
    assert caught.value.own_code == -32022


def test_an_error_of_unusual_form_is_still_the_servers() -> None:
    with pytest.raises(UpstreamError) as caught:
        answer.read(ENDPOINT, rpc(400, id=1, error={"code": "x"}), ONE)
    assert json.loads(caught.value.raw) == {"code": "x"}


def fault(found: Response) -> ServerFault:
    with pytest.raises(ServerFault) as caught:
        answer.read(ENDPOINT, found, ONE)
    assert caught.value.server == "search"
    assert "http://a.example/mcp" in caught.value.message
    return caught.value


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_name_the_key_to_set(status: int) -> None:
    body = b'{"jsonrpc":"2.0","error":{"code":1,"message":"no"},"id":null}'
    error = fault(response(status, body, "application/json", www_authenticate="Bearer realm=x"))
    assert isinstance(error, ServerUnavailable)
    assert f"HTTP {status}" in error.message
    assert "Bearer realm=x" in error.message
    assert "transport.headers.Authorization" in error.data["hint"]
    assert not error.may_have_run


def test_a_redirect_is_told_and_its_query_is_not() -> None:
    error = fault(response(307, location="https://b.example/login?token=secret"))
    assert isinstance(error, ServerUnavailable)
    assert "https://b.example/login" in error.message
    assert "secret" not in error.message
    assert "transport.url" in error.data["hint"]


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_server_says_when_to_come_again(status: int) -> None:
    error = fault(response(status, b"busy", "text/plain", retry_after="7"))
    assert isinstance(error, ServerUnavailable)
    assert error.data["retryAfterMs"] == 7000
    assert "retryAfterMs" not in fault(response(status, retry_after="Wed, 1 Jan")).data


def test_it_may_say_until_when() -> None:
    busy = response(503, retry_after="Sun, 06 Nov 1994 08:49:37 GMT")
    error = answer.refusal(ENDPOINT, busy, wall=lambda: 784_111_770.5)
    assert isinstance(error, ServerUnavailable)
    assert error.data["retryAfterMs"] == 6500


@pytest.mark.parametrize(("status", "after_ms"), [(429, 7000), (503, 7000), (500, None)])
def test_it_may_say_so_beside_an_error_of_its_own(status: int, after_ms: int | None) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"busy"}}'
    error = answer.refusal(ENDPOINT, response(status, body, "application/json", retry_after="7"))
    assert isinstance(error, UpstreamError)
    assert (error.own_code, error.status, error.retry_after_ms) == (-32000, status, after_ms)


@pytest.mark.parametrize("status", [500, 502, 504, 599])
def test_a_failure_in_the_server_may_have_run(status: int) -> None:
    error = fault(response(status, b"<h1>oh</h1>", "text/html"))
    assert isinstance(error, ServerLost)
    assert error.data["outcome"] == Outcome.UNKNOWN
    assert f"HTTP {status}" in error.message


@pytest.mark.parametrize(
    "found",
    [
        response(200, b"<html>\n<title>Welcome", "text/html"),
        response(200, b"{not json", "application/json"),
        response(200, b"[]", "application/json"),
        response(200, b'{"jsonrpc":"2.0","method":"x"}', "application/json"),
        response(202),
        response(404, b"not \x1b[31mfound\x00", "text/plain"),
        response(405),
        response(400, b'{"detail":"x"}', "application/json"),
    ],
)
def test_what_is_no_mcp_is_told_with_its_first_bytes(found: Response) -> None:
    error = fault(found)
    assert isinstance(error, ServerProtocolError)
    assert f"HTTP {found.status}" in error.message
    assert error.message.isprintable()
    assert "curl -i http://a.example/mcp" in error.data["hint"]
    first_word = found.body.split(b" ")[0].split(b"\n")[0].decode()
    assert first_word in error.message


def test_only_the_first_bytes() -> None:
    assert len(fault(response(200, b"x" * 10_000, "text/plain")).message) < 300


@pytest.mark.parametrize(
    ("found", "gone"),
    [
        (response(404, b"nope", "text/plain"), True),
        (rpc(404, id=1, error={"code": -32001, "message": "Session not found"}), True),
        (rpc(400, error={"code": -32000, "message": "Bad Request: No valid session ID"}), True),
        (rpc(400, error={"code": -32000, "message": "Bad Request: Server not initialized"}), True),
        (rpc(400, error={"code": -32000, "message": "Parse error"}), False),
        (rpc(400, error={"code": -32602, "message": "no session argument"}), False),
        (rpc(200, id=1, error={"code": -32000, "message": "session"}), False),
        (response(400), False),
        (response(500), False),
    ],
)
def test_when_a_session_is_gone(found: Response, gone: bool) -> None:
    assert answer.session_is_gone(found) is gone


def test_bytes_that_are_no_text_are_no_answer() -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":{"text":"\xff"}}'
    with pytest.raises(ServerProtocolError, match="no MCP answer"):
        answer.read(ENDPOINT, response(200, body, "application/json"), ONE)
