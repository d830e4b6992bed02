"""HTTP+SSE of 2024-11-05 at the front door, and behind it: the official client and real servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio import BrokenResourceError
from mcp import Client, ClientSession
from mcp.client.sse import sse_client
from mcp.types import ElicitResult

from fakes.gateway import Running, gateway, http_server
from fakes.mirror import Asked, Mirror, tool
from fakes.mirror_sse import over_sse
from fakes.wire import web
from peers import servers


def text(value: str) -> bytes:
    """A tool result of one text block."""
    return json.dumps({"content": [{"type": "text", "text": value}]}).encode()


pytestmark = pytest.mark.timeout(90)
MODES = pytest.mark.parametrize("mode", ["legacy", "auto"])


def sse_server(id: str, url: str, **more: Any) -> dict[str, Any]:
    """A server entry for the URL of an event stream."""
    return {"id": id, "transport": {"type": "sse", "url": url}, **more}


def scripted(name: str) -> Mirror:
    """A server with a tool that tells of its progress."""
    mirror = Mirror(name)
    mirror.lists["tools"] = [tool("steps")]

    async def call(asked: Asked) -> bytes:
        if "progressToken" in asked.json.get("_meta", {}):
            await asked.progress(1)
        return text(json.dumps(asked.arguments))

    mirror.on("tools/call", call)
    return mirror


@asynccontextmanager
async def running(tmp_path: Path, *entries: dict[str, Any]) -> AsyncIterator[Running]:
    async with gateway({"servers": list(entries)}, tmp_path) as found:
        await found.ready(*(entry["id"] for entry in entries))
        yield found


@asynccontextmanager
async def older_client(url: str, **handlers: Any) -> AsyncIterator[ClientSession]:
    """The official client on the older transport. It fails on a message that comes between the end
    of its session and that of its stream, such as the news that a server has joined."""
    done = False
    try:
        async with (
            sse_client(url) as (read, write),
            ClientSession(read, write, **handlers) as session,
        ):
            await session.initialize()
            yield session
            done = True
    except* BrokenResourceError:
        if not done:
            raise


async def test_the_official_client_of_the_older_transport(tmp_path: Path) -> None:
    told: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    async with AsyncExitStack() as stack:
        legacy = await stack.enter_async_context(servers.everything_legacy())
        both = await stack.enter_async_context(servers.everything_modern())
        entries = (http_server("legacy", legacy), http_server("both", both))
        gate = await stack.enter_async_context(running(tmp_path, *entries))
        session = await stack.enter_async_context(older_client(f"{gate.url}/sse"))
        names = {one.name for one in (await session.list_tools()).tools}
        assert {"legacy__test_simple_text", "both__test_simple_text"} <= names
        for id in ("legacy", "both"):
            found = await session.call_tool(f"{id}__test_simple_text", {})
            assert not found.is_error
            found = await session.call_tool(
                f"{id}__test_tool_with_progress", {}, progress_callback=on_progress
            )
            assert not found.is_error
    assert told == [0, 50, 100] * 2


@MODES
async def test_a_real_server_of_the_older_transport(mode: Any, tmp_path: Path) -> None:
    async with (
        servers.everything_sse() as url,
        running(tmp_path, sse_server("old", url)) as gate,
        Client(gate.server("old"), mode=mode) as client,
    ):
        tools = [one.name for one in (await client.list_tools()).tools]
        assert "test_simple_text" in tools
        found = await client.call_tool("test_simple_text", {})
        assert not found.is_error
        assert (await client.list_prompts()).prompts
        read = await client.read_resource("test://static-text")
        assert read.contents


@MODES
async def test_a_scripted_one_tells_of_its_progress(mode: Any, tmp_path: Path) -> None:
    told: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)

    async with (
        over_sse(scripted("old")) as server,
        running(tmp_path, sse_server("old", server.url)) as gate,
        Client(gate.mcp, mode=mode) as client,
    ):
        found = await client.call_tool("old__steps", {"a": 1}, progress_callback=on_progress)
        assert json.loads(found.content[0].text) == {"a": 1}  # type: ignore[union-attr]
    assert told == [1]


async def test_a_url_of_the_older_transport_is_found_out(tmp_path: Path) -> None:
    mirror = scripted("old")
    async with (
        over_sse(mirror) as server,
        running(tmp_path, http_server("old", server.url)) as gate,
        web(gate.mcp) as wire,
    ):
        session = await wire.open()
        called = await session.ask("tools/call", {"name": "old__steps", "arguments": {"b": 2}})
        assert json.loads(called["result"]["content"][0]["text"]) == {"b": 2}
        assert len(await gate.said(r"older HTTP\+SSE transport; set transport\.type: sse")) == 1
        state = await wire.http.get(f"{gate.url}/api/v1/admin/servers")
        assert state.json()["servers"][0]["transport"] == "sse", (
            "as it is, not as it was thought to be"
        )
        attempts = server.said().count("POST initialize")
        server.streams[next(iter(server.streams))].close()
        await gate.said(r"ready +old ", 2)
        await mirror.until(lambda: len(mirror.calls("initialize")) == 2)
        tried = server.said()
        assert tried.count("POST initialize") == attempts + 1, "it is remembered"
        assert tried.count("POST server/discover") == 1
        assert sum("older HTTP+SSE" in line for line in gate.log) == 1


async def test_what_is_neither_says_what_the_post_said(tmp_path: Path) -> None:
    async with over_sse(Mirror()) as server, AsyncExitStack() as stack:
        entry = http_server("old", server.url.replace("/sse", "/nothing"))
        gate = await stack.enter_async_context(gateway({"servers": [entry]}, tmp_path))
        (line,) = (await gate.said("no MCP answer: HTTP 404"))[:1]
        assert "try: curl" in line


async def test_a_server_that_went_comes_back(tmp_path: Path) -> None:
    mirror = scripted("old")
    async with AsyncExitStack() as stack:
        async with over_sse(mirror) as server:
            port = server.port
            gate = await stack.enter_async_context(running(tmp_path, sse_server("old", server.url)))
            wire = await stack.enter_async_context(web(gate.mcp))
            session = await wire.open()
            mirror.on("tools/call", Asked.hang)
            waiting = asyncio.gather(session.ask("tools/call", {"name": "old__steps"}))
            await mirror.until(lambda: len(mirror.calls()) == 1)
            server.drop_all()
            (lost,) = await waiting
            assert lost["error"]["code"] == -31003
            assert "its event stream has ended" in lost["error"]["message"]
        for asked in mirror.calls():
            asked.cancelled.set()
        mirror.on("tools/call", one_word)
        await stack.enter_async_context(over_sse(mirror, port))
        await gate.said(r"ready +old ", 2)
        called = await session.ask("tools/call", {"name": "old__steps"}, id=9)
        assert called["result"]["content"][0]["text"] == "back"


async def one_word(asked: Asked) -> bytes:
    return text("back")


async def consent(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"response": "yes"})


ASKS = {"message": "who are you?"}


async def test_the_older_client_is_asked_in_mid_call(tmp_path: Path) -> None:
    async with (
        servers.everything_legacy() as url,
        running(tmp_path, http_server("legacy", url)) as gate,
        older_client(f"{gate.url}/sse", elicitation_callback=consent) as session,
    ):
        found = await session.call_tool("legacy__test_elicitation", ASKS)
        assert "accept" in str(found.content)


@MODES
async def test_the_older_server_asks_in_mid_call(mode: Any, tmp_path: Path) -> None:
    async with (
        servers.everything_sse() as url,
        running(tmp_path, sse_server("old", url)) as gate,
        Client(gate.mcp, mode=mode, elicitation_callback=consent) as client,
    ):
        found = await client.call_tool("old__test_elicitation", ASKS)
        assert "accept" in str(found.content)
