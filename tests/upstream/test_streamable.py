"""MCP over Streamable HTTP against a scripted server: what goes out, what comes of it."""

import asyncio
import json
from typing import Any

import pytest

from fakes.edge import until
from fakes.http_mcp import Mcp, note, result
from fakes.http_server import HttpServer, Request, Wire
from fakes.http_upstream import Client, Heard, connected, tool_call
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import (
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.message import as_raw
from only1mcp.upstream import traffic
from only1mcp.upstream.base import Call


def legacy(**scripts: Any) -> Mcp:
    web = Mcp("legacy")
    web.on.update({f"POST {name.replace('__', '/')}": script for name, script in scripts.items()})
    return web


# --- the handshake and its headers ---


async def test_legacy_headers_follow_the_handshake() -> None:
    async with connected(Mcp("legacy"), Authorization="Bearer x") as (client, server):
        assert (client.greeting.revision, client.greeting.modern) == ("2025-06-18", False)
        assert await client.call(tool_call()) == b'{"name": "echo", "arguments": {"x": 1}}'
        await server.until(lambda: "GET" in server.said())
    sent = {request.says: request.headers for request in server.requests}
    for headers in sent.values():
        assert headers["authorization"] == "Bearer x"
        assert headers["accept-encoding"] == "identity"
    assert sent["POST initialize"]["accept"] == "application/json, text/event-stream"
    assert sent["POST initialize"]["content-type"] == "application/json"
    assert sent["GET"]["accept"] == "text/event-stream"
    assert "mcp-protocol-version" not in sent["POST initialize"]
    assert "mcp-session-id" not in sent["POST initialize"]
    for says in ("POST notifications/initialized", "POST tools/call", "GET", "DELETE"):
        assert sent[says]["mcp-protocol-version"] == "2025-06-18"
        assert sent[says]["mcp-session-id"] == "session-1"
        assert "mcp-method" not in sent[says]


async def test_modern_requests_describe_themselves_in_headers() -> None:
    async with connected(Mcp("modern")) as (client, server):
        assert (client.greeting.revision, client.greeting.modern) == ("2026-07-28", True)
        await client.call(tool_call())
        await client.call(Call("tools/call", {}, "grün", mirrored=(("Mcp-Param-Region", "ü"),)))
        await client.call(Call("ping"))
    sent = [(request.says, request.headers) for request in server.requests]
    assert [says for says, _ in sent] == [
        "POST server/discover",
        "POST tools/call",
        "POST tools/call",
        "POST ping",
    ]  # no session, no GET, no DELETE
    assert all(headers["mcp-protocol-version"] == "2026-07-28" for _, headers in sent)
    assert [headers["mcp-method"] for _, headers in sent] == [says[5:] for says, _ in sent]
    names = [headers.get("mcp-name") for _, headers in sent]
    assert names == [None, "echo", "=?base64?Z3LDvG4=?=", None]
    params = [headers.get("mcp-param-region") for _, headers in sent]
    assert params == [None, None, "=?base64?w7w=?=", None]


async def test_a_handshake_may_be_answered_by_a_stream() -> None:
    web = Mcp("legacy")

    async def initialize(request: Request, wire: Wire) -> None:
        web.alive.add("s1")
        await wire.stream(mcp_session_id="s1")
        await wire.event(result(request, {"protocolVersion": "2025-11-25", "capabilities": {}}))
        await wire.end()

    web.on["POST initialize"] = initialize
    async with connected(web) as (client, _):
        assert client.greeting.revision == "2025-11-25"
        await client.call(tool_call())


async def test_a_server_without_sessions_gets_no_session_header() -> None:
    web = Mcp("modern")

    async def initialize(request: Request, wire: Wire) -> None:
        await wire.result(request, {"protocolVersion": "2025-06-18", "capabilities": {}})

    web.on["POST initialize"] = initialize
    async with connected(web, "legacy") as (client, server):
        await client.call(tool_call())
    assert all("mcp-session-id" not in request.headers for request in server.requests)
    assert "DELETE" not in server.said()


@pytest.mark.parametrize(
    ("status", "kind", "error", "words"),
    [
        (401, "text/plain", ServerUnavailable, "transport.headers.Authorization"),
        (404, "text/html", ServerProtocolError, "curl -i"),
        (308, "text/plain", ServerUnavailable, "transport.url"),
        (503, "text/plain", ServerUnavailable, "again later"),
        (200, "text/html", ServerProtocolError, "curl -i"),
    ],
)
async def test_what_is_no_mcp_server_fails_with_the_next_step(
    status: int, kind: str, error: type[Exception], words: str
) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(status, b"<h1>hello</h1>", kind)

    async with HttpServer(script) as server:
        client = Client(server.url)
        with pytest.raises(error) as caught:
            await client.connect()
        assert words in caught.value.data["hint"]  # type: ignore[attr-defined]
        await client.close()


# --- one call ---


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_a_stream_carries_notifications_and_then_the_answer(era: str) -> None:
    async def script(request: Request, wire: Wire) -> None:
        token = request.json["params"]["_meta"]["progressToken"]
        await wire.stream(b": keep-alive\n\n")
        await wire.event(note("notifications/progress", progressToken=token, progress=1))
        await wire.event(note("notifications/message", level="info", data="x"))
        await wire.event(note("notifications/tools/list_changed"))
        await wire.event(result(request, {"content": []}))
        await wire.end()

    web = Mcp(era)
    web.on["POST tools/call"] = script
    async with connected(web) as (client, _):
        heard: Heard = []
        call = tool_call(heard)
        assert call.params is not None
        call.params["_meta"] = as_raw({"progressToken": "theirs"})
        assert await client.call(call) == b'{"content": []}'
        assert heard == [
            ("notifications/progress", {"progressToken": "theirs", "progress": 1}),
            ("notifications/message", {"level": "info", "data": "x"}),
        ]
        assert client.heard == [("notifications/tools/list_changed", {})]


async def test_many_calls_at_once_get_their_own_answers() -> None:
    async def script(request: Request, wire: Wire) -> None:
        n = request.json["params"]["n"]
        if n % 2:
            await wire.stream()
            await wire.event(result(request, {"n": n}))
            await wire.end()
        else:
            await wire.result(request, {"n": n})

    async with connected(legacy(tools__call=script)) as (client, server):
        calls = [client.call(Call("tools/call", {"n": as_raw(n)})) for n in range(100)]
        answers = await asyncio.gather(*calls)
        assert [json.loads(answer)["n"] for answer in answers] == list(range(100))
        ids = [r.json["id"] for r in server.requests if r.says == "POST tools/call"]
        assert len(set(ids)) == 100


async def test_a_servers_own_error_keeps_its_bytes_and_status() -> None:
    async def script(request: Request, wire: Wire) -> None:
        error = {"code": -32601, "message": "unknown", "data": [1]}
        await wire.json({"jsonrpc": "2.0", "id": request.json["id"], "error": error}, 404)

    web = Mcp("modern")
    web.on["POST tools/call"] = script
    async with connected(web) as (client, _):
        with pytest.raises(UpstreamError) as caught:
            await client.call(tool_call())
        assert (caught.value.own_code, caught.value.status) == (-32601, 404)


async def test_requests_of_the_server_are_answered_and_the_call_goes_on() -> None:
    web = Mcp("legacy")

    async def script(request: Request, wire: Wire) -> None:
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "id": "p1", "method": "ping"})
        await wire.event({"jsonrpc": "2.0", "id": 5, "method": "sampling/createMessage"})
        await server.until(lambda: server.said().count("POST response") == 2)
        await wire.event(result(request, {}))
        await wire.end()

    web.on["POST tools/call"] = script
    async with connected(web) as (client, server):
        assert await client.call(tool_call()) == b"{}"
    answers = {r.json["id"]: r.json for r in server.requests if r.says == "POST response"}
    assert answers["p1"]["result"] == {}
    assert answers[5]["error"]["code"] == -32601
    assert "sampling/createMessage" in answers[5]["error"]["message"]
    sent = [r.headers for r in server.requests if r.says == "POST response"]
    assert all(headers["mcp-session-id"] == "session-1" for headers in sent)


async def test_an_answer_that_nobody_waits_for_is_counted() -> None:
    web = Mcp("legacy")

    async def script(request: Request, wire: Wire) -> None:
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "id": 999, "result": {}})
        await asyncio.Event().wait()

    web.on["GET"] = script
    before = traffic.of("search").late
    async with connected(web):
        await until(lambda: traffic.of("search").late == before + 1)


async def test_a_modern_server_may_not_ask() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.stream()
        await wire.event({"jsonrpc": "2.0", "id": 5, "method": "roots/list"})
        await wire.event(result(request, {}))
        await wire.end()

    web = Mcp("modern")
    web.on["POST tools/call"] = script
    async with connected(web) as (client, server):
        await client.call(tool_call())
    assert "POST response" not in server.said()


# --- deadlines and cancellation ---


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("leaves", ["times out", "is cancelled"])
async def test_a_call_that_ends_early_is_cancelled_at_the_server(era: str, leaves: str) -> None:
    async def hang(request: Request, wire: Wire) -> None:
        await wire.gone()

    web = Mcp(era)
    web.on["POST tools/call"] = hang
    async with connected(web) as (client, server):
        if leaves == "times out":
            with pytest.raises(ServerTimeout) as caught:
                await client.call(tool_call(idle_s=0.03))
            assert caught.value.data["outcome"] == "unknown"
            assert "sent nothing for 0.03 s" in caught.value.message
        else:
            task = Tasks().start(client.call(tool_call()), "call")
            await server.until(lambda: "POST tools/call" in server.said())
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        call = next(r for r in server.requests if r.says == "POST tools/call")
        if era == "legacy":
            await server.until(lambda: "POST notifications/cancelled" in server.said())
            told = next(r for r in server.requests if r.says == "POST notifications/cancelled")
            assert told.json["params"] == {"requestId": call.json["id"]}
        else:
            await server.until(lambda: server.closed == 1)
            assert "POST notifications/cancelled" not in server.said()


async def test_progress_keeps_a_call_alive_up_to_its_maximum() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.stream()
        while True:
            await wire.event(note("notifications/message", data=1))
            await asyncio.sleep(0.01)

    async with connected(legacy(tools__call=script)) as (client, _):
        heard: Heard = []
        started = asyncio.get_running_loop().time()
        with pytest.raises(ServerTimeout, match=r"longer than 0\.3 s"):
            await client.call(tool_call(heard, idle_s=0.1, max_s=0.3))
        assert 0.29 <= asyncio.get_running_loop().time() - started < 3
        assert len(heard) > 3


async def test_a_handshake_that_hangs_ends_without_a_cancellation() -> None:
    async def hang(request: Request, wire: Wire) -> None:
        await wire.gone()

    web = legacy(initialize=hang)
    async with web.serve() as server:
        client = Client(server.url, "legacy")
        with pytest.raises(ServerTimeout):
            await client.call(Call("initialize", {}, idle_s=0.5))
        await client.close()
    assert server.said() == ["POST initialize"]
