"""Handshakes and requests as bytes."""

import asyncio
import json

import pytest

from fakes.http_server import HttpServer, Request, Wire
from only1mcp.bench import started
from only1mcp.bench.endpoint import FIRST_ID, Endpoint, Refused


def test_a_request_is_whole_when_an_id_is_put_in() -> None:
    end = Endpoint("http://127.0.0.1:9/mcp?x=1")
    request = end.request("tools/call", {"name": "echo", "arguments": {}})
    head, _, body = (b"%b%d%b" % (request.before, FIRST_ID + 5, request.after)).partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"POST /mcp?x=1 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert json.loads(body)["id"] == FIRST_ID + 5


def test_a_modern_request_describes_itself() -> None:
    end = Endpoint("http://127.0.0.1:9/mcp", "modern")
    before, after = end.request("tools/call", {"name": "echo", "arguments": {}})
    assert b"Mcp-Method: tools/call\r\nMcp-Name: echo\r\n" in before
    assert b'"io.modelcontextprotocol/protocolVersion":"2026-07-28"' in after


def test_both_eras_reach_a_server_that_speaks_them() -> None:
    with started.stub(0, "--era", "both") as stub:
        for era in ("legacy", "modern"):
            end = Endpoint(stub.url, era).open()
            assert end.ask("tools/list", {})["tools"]


def test_an_error_is_told_with_what_was_said() -> None:
    with started.stub(0) as stub, pytest.raises(Refused, match=r"prompts/get .*not here"):
        Endpoint(stub.url).open().ask("prompts/get", {"name": "x"})


def test_only_plain_http_can_be_measured() -> None:
    with pytest.raises(Refused, match="only http://"):
        Endpoint("https://127.0.0.1/mcp")


@pytest.mark.parametrize("url", ["http://h:99999/mcp", "http://h:x/mcp", "http://[::1/mcp"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="is no address"):
        Endpoint(url)


@pytest.mark.parametrize("body", [b"", b"hello", b'{"id":', b'{"id":1}', b'{"id":1,"result":[]}'])
async def test_what_is_not_mcp_is_refused(body: bytes) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(200, body, "application/json")

    async with HttpServer(script) as server:
        with pytest.raises(Refused, match="initialize is answered with 200"):
            await asyncio.to_thread(Endpoint(server.url).open)


async def test_what_is_not_http_is_refused() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.send(b"SSH-2.0-x\r\n")
        wire.close()

    async with HttpServer(script) as server:
        with pytest.raises(Refused, match="does not answer as HTTP does"):
            await asyncio.to_thread(Endpoint(server.url).open)
