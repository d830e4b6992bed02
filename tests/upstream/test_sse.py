"""The older HTTP transport: the stream says where to post, and answers come on the stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw
from pydantic import SecretStr

from fakes.edge import begin, until
from fakes.http_server import HttpServer, Request, Script, Wire
from fakes.mirror import Asked, Mirror
from fakes.mirror_sse import SseServer, over_sse
from only1mcp.config.servers import Http, Sse, Timeouts
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    McpError,
    Outcome,
    ServerBusy,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerRefused,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.answer import NotStreamable
from only1mcp.upstream.base import Call, NotificationSink
from only1mcp.upstream.sse import LegacySse
from only1mcp.upstream.streamable import StreamableHttp


def text(value: str) -> bytes:
    """A tool result of one text block."""
    return json.dumps({"content": [{"type": "text", "text": value}]}).encode()


Notes = list[tuple[str, Any]]


class Client(LegacySse):
    """One that keeps what belongs to no call."""

    def __init__(self, url: str, start_s: float = 5.0, token: str = "x") -> None:
        self.heard: Notes = []
        secrets = {"Authorization": SecretStr(f"Bearer {token}")}
        transport = Sse(url=url, headers=secrets)
        super().__init__("old", transport, Timeouts(start=start_s), self.hear)

    def hear(self, method: str, params: Raw) -> None:
        self.heard.append((method, message.any_value(params)))


@asynccontextmanager
async def connected(
    mirror: Mirror, place: str = "/post?session={session}"
) -> AsyncIterator[tuple[Client, SseServer]]:
    async with over_sse(mirror, place=place) as server:
        client = Client(server.url)
        await client.connect()
        try:
            yield client, server
        finally:
            await client.close()


async def fault_of(script: Script, start_s: float = 5.0) -> McpError:
    """Why connecting to this server fails."""
    async with HttpServer(script) as server:
        client = Client(server.url, start_s)
        with pytest.raises(McpError) as caught:
            await client.connect()
        await client.close()
        return caught.value


def tool_call(notes: Notes | None = None, token: Any = None, **options: Any) -> Call:
    params = {"name": as_raw("echo"), "arguments": as_raw({"x": 1})}
    if token is not None:
        params["_meta"] = as_raw({"progressToken": token})
    sink = None
    if notes is not None:
        sink = lambda method, params: notes.append((method, message.any_value(params)))  # noqa: E731
    return Call("tools/call", params, "echo", sink, **options)


def streams(*events: bytes) -> Script:
    async def script(request: Request, wire: Wire) -> None:
        await wire.stream(*events)
        await wire.gone()

    return script


# --- the beginning ---


async def test_it_shakes_hands_over_the_stream() -> None:
    mirror = Mirror("old")
    async with connected(mirror) as (client, server):
        assert (client.greeting.revision, client.greeting.modern) == ("2025-11-25", False)
        assert client.greeting.server_info["name"] == "old"
        assert [one.method for one in mirror.asked] == ["initialize"]
        await mirror.until(lambda: [one["method"] for one in mirror.heard] != [])
        assert {one.headers["authorization"] for one in server.requests} == {"Bearer x"}
        assert [one.target for one in server.requests] == ["/sse", *["/post?session=1"] * 2]
    assert server.ended == 1


@pytest.mark.parametrize(
    "place",
    [
        "post?session={session}",
        "http://127.0.0.1:{port}/post?session={session}",
        "//127.0.0.1:{port}/post?session={session}",
    ],
)
async def test_where_to_post_may_be_written_in_any_form(place: str) -> None:
    async with connected(Mirror(), place) as (client, server):
        assert await client.call(tool_call()) == text("mirrored")
        assert server.requests[-1].target == "/post?session=1"


@pytest.mark.parametrize(
    "place",
    [
        b"http://127.0.0.1:1/post",
        b"http://evil.example/post",
        b"https://127.0.0.1/post",
        b"//evil.example",
        b"file:///etc/passwd",
        b"http://[",
        b"http://127.0.0.1:99999/x",
        b"\xff",
    ],
)
async def test_another_host_gets_nothing(place: bytes) -> None:
    fault = await fault_of(streams(b"event: endpoint\ndata: %b\n\n" % place))
    assert isinstance(fault, ServerProtocolError)
    assert "it wants messages posted to another place" in fault.message


async def test_a_stream_that_never_says_where_to_post() -> None:
    fault = await fault_of(streams(b": x\n\n", b"data: {}\n\n"), start_s=0.2)
    assert isinstance(fault, ServerTimeout)
    assert "did not say where to post within 0.2 s" in fault.message


async def test_a_stream_that_ends_at_once() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.stream()
        await wire.end()

    assert isinstance(await fault_of(script), ServerLost)


@pytest.mark.parametrize(
    ("status", "kind", "body", "fault", "said"),
    [
        (404, "text/plain", b"", ServerProtocolError, "GET opens no event stream (HTTP 404)"),
        (405, "application/json", b'{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}',
         ServerProtocolError, "then set type: http"),
        (200, "text/html", b"hi", ServerProtocolError, "GET opens no event stream (HTTP 200)"),
        (401, "text/plain", b"who?", ServerRefused, "refuses the gateway's credentials"),
        (503, "text/plain", b"", ServerBusy, "overloaded or not ready"),
    ],
)  # fmt: skip
async def test_a_get_that_is_refused(
    status: int, kind: str, body: bytes, fault: type[ServerFault], said: str
) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(status, body, kind)

    found = await fault_of(script)
    assert type(found) is fault
    assert said in found.message + str(found.data)


async def test_a_server_that_is_not_there() -> None:
    async with HttpServer(streams()) as server:
        url = server.url
    client = Client(url)
    with pytest.raises(ServerUnavailable, match="connection refused"):
        await client.connect()
    assert "connection refused" in await client.wait_lost()
    await client.close()


# --- calls ---


async def test_answers_find_their_calls() -> None:
    mirror = Mirror()
    gate = asyncio.Event()

    async def call(asked: Asked) -> bytes:
        if asked.json["name"] == "slow":
            await gate.wait()
        return text(asked.json["name"])

    mirror.on("tools/call", call)
    async with connected(mirror) as (client, _):
        slow = begin(client.call(Call("tools/call", {"name": as_raw("slow")})))
        names = [str(n) for n in range(50)]
        calls = [Call("tools/call", {"name": as_raw(name)}) for name in names]
        assert await asyncio.gather(*map(client.call, calls)) == [text(name) for name in names]
        assert client.busy
        gate.set()
        assert await slow == text("slow")
        assert not client.busy


async def test_progress_comes_back_under_the_callers_token() -> None:
    mirror = Mirror()

    async def call(asked: Asked) -> bytes:
        assert isinstance(asked.json["_meta"]["progressToken"], int)
        await asked.progress(1)
        return text("done")

    mirror.on("tools/call", call)
    notes: Notes = []
    async with connected(mirror) as (client, _):
        await client.call(tool_call(notes, token="mine"))
    assert notes == [("notifications/progress", {"progressToken": "mine", "progress": 1})]


async def test_errors_of_the_server_pass() -> None:
    async with connected(Mirror()) as (client, _):
        with pytest.raises(UpstreamError, match="not here"):
            await client.call(Call("made/up"))


async def test_a_cancelled_call_is_cancelled_at_the_server() -> None:
    mirror = Mirror()
    mirror.on("tools/call", Asked.hang)
    async with connected(mirror) as (client, _):
        running = begin(client.call(tool_call()))
        await mirror.until(lambda: len(mirror.calls()) == 1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await mirror.until(mirror.calls()[0].cancelled.is_set)


async def test_a_call_without_an_answer_in_time() -> None:
    mirror = Mirror()
    mirror.on("tools/call", Asked.hang)
    async with connected(mirror) as (client, _):
        with pytest.raises(ServerTimeout, match=r"it sent nothing for 0\.05 s during tools/call"):
            await client.call(tool_call(idle_s=0.05))
        await mirror.until(mirror.calls()[0].cancelled.is_set)


async def test_a_post_that_is_refused_ends_its_call() -> None:
    async with connected(Mirror()) as (client, server):
        server.streams["other"] = server.streams.pop("1")
        with pytest.raises(ServerProtocolError, match="no MCP answer: HTTP 404"):
            await client.call(tool_call())
        server.streams["1"] = server.streams.pop("other")
        assert await client.call(tool_call()) == text("mirrored")


async def test_what_is_no_message_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(Mirror()) as (client, server):
        for data in (b"nonsense", b"{}", b'{"jsonrpc":"2.0","id":77,"result":{}}'):
            await server.streams["1"].chunk(b"data: %b\n\n" % data)
        assert await client.call(tool_call()) == text("mirrored")
    assert caplog.text.count("an event that is no message") == 2


# --- what the server says of its own accord ---


async def test_notifications_of_no_call_are_heard() -> None:
    mirror = Mirror()
    async with connected(mirror) as (client, _):
        await mirror.announce("notifications/tools/list_changed")
        await until(lambda: client.heard == [("notifications/tools/list_changed", {})])


async def ask(mirror: Mirror, method: str) -> Any:
    """Send a request of the server; its answer."""
    question = json.dumps({"jsonrpc": "2.0", "id": "q", "method": method}).encode()
    for tell in mirror.channels.values():
        await tell(question)
    await mirror.until(lambda: any(one.get("id") == "q" for one in mirror.heard))
    return next(one for one in mirror.heard if one.get("id") == "q")


async def test_a_ping_is_answered() -> None:
    mirror = Mirror()
    async with connected(mirror):
        assert (await ask(mirror, "ping"))["result"] == {}


@pytest.mark.parametrize("calls", [0, 1, 2])
async def test_a_question_is_put_only_to_the_one_who_can_be_meant(calls: int) -> None:
    mirror = Mirror()
    mirror.on("tools/call", Asked.hang)

    async def answer(method: str, params: Raw, tell: NotificationSink) -> bytes:
        return json.dumps({"asked": method}).encode()

    async with connected(mirror) as (client, _):
        running = [begin(client.call(tool_call(on_question=answer))) for _ in range(calls)]
        await mirror.until(lambda: len(mirror.calls()) == calls)
        said = await ask(mirror, "roots/list")
        if calls == 1:
            assert said["result"] == {"asked": "roots/list"}
        else:
            assert said["error"]["code"] == -32601
            assert f"{calls} calls could have asked" in said["error"]["message"]
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


# --- the end ---


async def test_with_the_stream_all_calls_are_lost() -> None:
    mirror = Mirror()
    mirror.on("tools/call", Asked.hang)
    async with connected(mirror) as (client, server):
        running = [begin(client.call(tool_call())) for _ in range(3)]
        await mirror.until(lambda: len(mirror.calls()) == 3)
        server.streams["1"].close()
        for fault in await asyncio.gather(*running, return_exceptions=True):
            assert isinstance(fault, ServerLost)
            assert "its event stream has ended" in fault.message
            assert fault.data is not None
            assert fault.data["outcome"] == Outcome.UNKNOWN
        assert "its event stream has ended" in await client.wait_lost()
        with pytest.raises(ServerUnavailable, match="its event stream has ended"):
            await client.call(tool_call())
        await client.notify("notifications/initialized")


async def test_a_closed_one_is_lost_and_its_calls_end() -> None:
    mirror = Mirror()
    mirror.on("tools/call", Asked.hang)
    async with connected(mirror) as (client, server):
        running = begin(client.call(tool_call()))
        await mirror.until(lambda: len(mirror.calls()) == 1)
        await client.close()
        with pytest.raises(ServerLost, match="the gateway has closed the connection"):
            await running
        await client.close()
        await server.until(lambda: server.ended == 1)


async def test_a_post_that_found_no_connection_was_not_sent() -> None:
    mirror = Mirror()
    async with connected(mirror) as (client, _):
        client._calls._max = 0
        client._calls._idle.clear()
        with pytest.raises(ServerUnavailable, match="no connection was free for tools/call"):
            await client.call(tool_call(idle_s=0.05))
        assert mirror.calls() == []


@pytest.mark.parametrize(
    ("status", "kind", "body", "older"),
    [
        (404, "text/plain", b"", True),
        (405, "application/json", b'{"detail":"Method Not Allowed"}', True),
        (405, "application/json", b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"x"}}', True),
        (400, "text/html", b"", True),
        (400, "application/json", b'{"jsonrpc":"2.0","error":{"code":-1,"message":"x"}}', False),
        (403, "text/plain", b"", False),
        (500, "text/plain", b"", False),
    ],
)
async def test_which_answers_to_a_post_speak_of_the_older_transport(
    status: int, kind: str, body: bytes, older: bool
) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(status, body, kind)

    async with HttpServer(script) as server:
        transport = Http(url=server.url)
        newer = StreamableHttp("s", transport, Timeouts(start=5.0), "auto", lambda *_: None)
        with pytest.raises(ServerFault) as caught:
            await newer.connect()
        assert isinstance(caught.value, NotStreamable) is older
        await newer.close()
