"""Sessions, GET streams, broken streams and the end of a server, over Streamable HTTP."""

import asyncio
import json
import socket
from typing import Any

import pytest
from msgspec import Raw

from fakes.http_mcp import Mcp, accept, note, result
from fakes.http_server import Request, Wire
from fakes.http_upstream import Client, Heard, connected, tool_call
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import (
    ServerLost,
    ServerProtocolError,
    ServerUnavailable,
)
from only1mcp.protocol.message import as_raw
from only1mcp.upstream import listen, running, streamable
from only1mcp.upstream.base import Call
from only1mcp.upstream.deadline import MAY_HAVE_RUN

# --- sessions ---


async def test_a_lost_session_is_renewed_once_for_all_who_wait() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, server):
        web.forget()
        calls = [client.call(Call("tools/call", {"n": as_raw(n)})) for n in range(20)]
        answers = await asyncio.gather(*calls)
        assert [json.loads(answer)["n"] for answer in answers] == list(range(20))
        assert web.sessions == 2
        assert client.heard == [("notifications/tools/list_changed", {})]
        repeated = [r for r in server.requests if r.says == "POST tools/call"]
        assert {r.headers["mcp-session-id"] for r in repeated} == {"session-1", "session-2"}
        assert (await client.call(tool_call())) != b""
        assert web.sessions == 2


async def test_a_server_that_never_knows_the_session_is_not_asked_for_ever() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, server):

        async def gone(request: Request, wire: Wire) -> None:
            await wire.answer(404, b"", "")

        web.on["POST tools/call"] = gone
        with pytest.raises(ServerProtocolError, match="HTTP 404"):
            await client.call(tool_call())
        assert web.sessions == 2
        assert server.said().count("POST tools/call") == 2


async def test_when_the_new_handshake_fails_all_who_wait_are_told_and_the_server_is_lost() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, _):

        async def refuse(request: Request, wire: Wire) -> None:
            await wire.answer(503, b"starting", "text/plain")

        web.forget()
        web.on["POST server/discover"] = web.on["POST initialize"] = refuse
        calls = [client.call(tool_call()) for _ in range(5)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, ServerUnavailable) for error in ended)
        async with asyncio.timeout(5):
            assert "HTTP 503" in await client.wait_lost()


async def test_a_server_that_changed_its_era_must_be_connected_anew() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, _):
        web.forget()
        web.era = "modern"
        with pytest.raises(ServerUnavailable, match="it now speaks 2026-07-28"):
            await client.call(tool_call())
        async with asyncio.timeout(5):
            await client.wait_lost()


async def test_close_during_a_new_handshake_tells_who_waits() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, server):

        async def hang(request: Request, wire: Wire) -> None:
            await wire.gone()

        web.forget()
        web.on["POST server/discover"] = hang
        task = Tasks().start(client.call(tool_call()), "call")
        await server.until(lambda: server.said().count("POST server/discover") == 2)
        await client.close()
        async with asyncio.timeout(5):
            with pytest.raises(ServerUnavailable, match="disconnecting"):
                await task


async def test_close_in_a_call_says_who_did_it() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, server):

        async def hang(request: Request, wire: Wire) -> None:
            await wire.gone()

        web.on["POST tools/call"] = hang
        task = Tasks().start(client.call(tool_call()), "call")
        await server.until(lambda: "POST tools/call" in server.said())
        await client.close()
        with pytest.raises(ServerLost, match="the gateway has closed the connection") as lost:
            await task
    assert lost.value.data["hint"] == MAY_HAVE_RUN


async def test_close_is_bounded_when_the_server_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamable, "CLOSE_S", 0.02)
    web = Mcp("legacy")

    async def hang(request: Request, wire: Wire) -> None:
        await wire.gone()

    web.on["DELETE"] = hang
    async with asyncio.timeout(5), connected(web) as (_, server):
        pass
    assert server.said()[-1] == "DELETE"


# --- the GET stream ---


async def test_the_get_stream_brings_what_belongs_to_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "FIRST_PAUSE_S", 0.01)
    web = Mcp("legacy")
    rounds = 0

    async def get(request: Request, wire: Wire) -> None:
        nonlocal rounds
        rounds += 1
        await wire.stream()
        if rounds == 1:
            await wire.event(note("notifications/tools/list_changed"), id="e1")
            wire.close()
            return
        await wire.event({"jsonrpc": "2.0", "id": 1, "method": "ping"})
        await wire.event(note("notifications/resources/updated", uri="a:b"))
        await wire.gone()

    web.on["GET"] = get
    async with connected(web) as (client, server):
        await client.until_told()
        await client.until_told()
        assert client.heard == [
            ("notifications/tools/list_changed", {}),
            ("notifications/resources/updated", {"uri": "a:b"}),
        ]
        await server.until(lambda: "POST response" in server.said())
        gets = [r.headers for r in server.requests if r.method == "GET"]
        assert [headers.get("last-event-id") for headers in gets] == [None, "e1"]


async def test_progress_on_the_get_stream_finds_its_call() -> None:
    web = Mcp("legacy")
    stream: asyncio.Queue[Any] = asyncio.Queue()

    async def get(request: Request, wire: Wire) -> None:
        await wire.stream()
        await wire.event(await stream.get())
        await wire.gone()

    async def call(request: Request, wire: Wire) -> None:
        token = request.json["params"]["_meta"]["progressToken"]
        stream.put_nowait(note("notifications/progress", progressToken=token, progress=1))
        await heard_it.wait()
        await wire.result(request, {})

    heard_it = asyncio.Event()
    heard: Heard = []

    def keep(method: str, params: Raw) -> None:
        heard.append((method, json.loads(bytes(params))))
        heard_it.set()

    web.on.update({"GET": get, "POST tools/call": call})
    async with connected(web) as (client, _):
        params = {"_meta": as_raw({"progressToken": "t"})}
        async with asyncio.timeout(5):
            await client.call(Call("tools/call", params, "x", keep))
        assert heard == [("notifications/progress", {"progressToken": "t", "progress": 1})]
        assert client.heard == []


async def test_a_get_stream_that_lost_its_session_renews_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "FIRST_PAUSE_S", 0.01)
    web = Mcp("legacy")

    async def get(request: Request, wire: Wire) -> None:
        await wire.stream(b"data:\n\n")
        if web.sessions == 1:
            web.forget()
            wire.close()
        await wire.gone()

    web.on["GET"] = get
    async with connected(web) as (client, _):
        await client.until_told()
        assert web.sessions == 2
        assert client.heard == [("notifications/tools/list_changed", {})]
        await client.call(tool_call())
        assert web.sessions == 2


async def test_a_get_stream_that_is_404_from_the_start_is_simply_not_there() -> None:
    web = Mcp("legacy")

    async def missing(request: Request, wire: Wire) -> None:
        await wire.answer(404, b"", "")

    web.on["GET"] = missing
    async with connected(web) as (client, server):
        await server.until(lambda: "GET" in server.said())
        await client.call(tool_call())
        assert web.sessions == 1
        assert server.said().count("GET") == 1


# --- broken streams ---


async def test_a_broken_stream_is_resumed_after_its_last_event() -> None:
    web = Mcp("legacy")
    asked: list[Request] = []

    async def call(request: Request, wire: Wire) -> None:
        asked.append(request)
        await wire.stream(b"id: e0\nretry: 10\ndata: \n\n")
        await wire.event(note("notifications/message", data=1), id="e1")
        wire.close()

    async def get(request: Request, wire: Wire) -> None:
        last = request.headers.get("last-event-id")
        if last is None:
            await wire.answer(405)
            return
        await wire.stream()
        if last == "e1":
            await wire.event(note("notifications/message", data=2), id="e2")
        else:
            await wire.event(result(asked[0], {"done": True}), id="e3")
        await wire.end()

    web.on.update({"POST tools/call": call, "GET": get})
    async with connected(web) as (client, server):
        heard: Heard = []
        resumable: list[float | None] = []
        asking = tool_call(heard)
        asking.on_resumable = resumable.append
        assert json.loads(await client.call(asking)) == {"done": True}
        assert [params["data"] for _, params in heard] == [1, 2]
        assert resumable == [None, 0.05]  # e0, and the one that ended in good order
        assert len(asked) == 1
        resumed = [r.headers.get("last-event-id") for r in server.requests if r.method == "GET"]
        assert [id for id in resumed if id] == ["e1", "e2"]


@pytest.mark.parametrize("again", ["405", "nothing new", "gone"])
async def test_a_stream_that_cannot_be_resumed_is_lost(
    again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE_S", 0.001)
    web = Mcp("legacy")

    async def call(request: Request, wire: Wire) -> None:
        await wire.stream(b"id: e0\ndata: \n\n")
        wire.close()

    async def get(request: Request, wire: Wire) -> None:
        if again == "nothing new" and "last-event-id" in request.headers:
            await wire.stream()
            await wire.end()
        elif again == "gone" and "last-event-id" in request.headers:
            wire.reset()
        else:
            await wire.answer(405)

    web.on.update({"POST tools/call": call, "GET": get})
    async with connected(web) as (client, server):
        with pytest.raises(ServerLost) as caught:
            await client.call(tool_call())
        assert caught.value.data["outcome"] == "unknown"
        assert server.said().count("POST tools/call") == 1


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("end", ["end", "close", "reset"])
async def test_a_stream_without_ids_that_breaks_is_lost(era: str, end: str) -> None:
    async def call(request: Request, wire: Wire) -> None:
        await wire.stream()
        await wire.event(note("notifications/message", data=1), id="x" if era == "modern" else "")
        if end == "end":
            await wire.end()
        elif end == "close":
            wire.close()
        else:
            wire.reset()

    web = Mcp(era)
    web.on["POST tools/call"] = call
    async with connected(web) as (client, server):
        with pytest.raises(ServerLost) as caught:
            await client.call(tool_call([]))
        assert caught.value.data["outcome"] == "unknown"
        assert server.said().count("POST tools/call") == 1


# --- the end ---


async def test_a_server_that_is_gone_is_lost_at_the_next_call() -> None:
    async with connected(Mcp("modern")) as (client, server):
        await client.call(tool_call())
        await server.__aexit__()
        with pytest.raises(ServerUnavailable, match="connection refused") as caught:
            await client.call(tool_call())
        assert caught.value.data["outcome"] == "not_sent"
        async with asyncio.timeout(5):
            assert "connection refused" in await client.wait_lost()


async def test_a_get_stream_that_cannot_come_back_tells_that_the_server_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "FIRST_PAUSE_S", 0.01)
    web = Mcp("legacy")

    async def get(request: Request, wire: Wire) -> None:
        await wire.stream(b"data:\n\n")
        await wire.gone()

    web.on["GET"] = get
    async with connected(web) as (client, server):
        await server.until(lambda: "GET" in server.said())
        await server.__aexit__()
        async with asyncio.timeout(5):
            assert "connection refused" in await client.wait_lost()


async def test_a_full_server_is_not_lost_while_calls_are_on_their_way() -> None:
    gate = asyncio.Event()

    async def slow(request: Request, wire: Wire) -> None:
        await gate.wait()
        await wire.result(request, {})

    web = Mcp("modern")
    web.on["POST tools/call"] = slow
    async with connected(web) as (client, server):
        first = Tasks().start(client.call(tool_call()), "first")
        await server.until(lambda: "POST tools/call" in server.said())
        server._server.close()  # takes no new connections
        with pytest.raises(ServerUnavailable):
            await client.call(tool_call())
        gate.set()
        assert await first == b"{}"
        assert not client._lost.is_set()


async def test_a_notification_that_cannot_be_delivered_is_no_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{taken.getsockname()[1]}/mcp")
        await client.notify("notifications/roots/list_changed")
        with pytest.raises(ServerUnavailable, match="connection refused"):
            await client.connect()
        await client.close()


async def test_a_notification_carries_its_params() -> None:
    web = Mcp("legacy")
    web.on["POST x"] = accept
    async with connected(web) as (client, server):
        await client.notify("x", {"a": Raw(b"[1, 2]")})
    sent = next(r for r in server.requests if r.says == "POST x")
    assert sent.body == b'{"jsonrpc":"2.0","method":"x","params":{"a":[1, 2]}}'
