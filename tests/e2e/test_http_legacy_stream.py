"""The GET stream of a handshake session: what changes while the client is connected.

Source  MCP 2025-11-25 basic/transports "Listening for Messages from the Server".
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from fakes.gateway import Running, closed_port, gateway, http_server, stdio_server
from fakes.mirror import Mirror, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.wire import Session, Web, error, web

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOOLS = "notifications/tools/list_changed"
PROMPTS = "notifications/prompts/list_changed"


@pytest_asyncio.fixture(loop_scope="module")
async def pipe() -> Mirror:
    mirror = Mirror("pipe")
    mirror.lists["tools"] = [tool("first")]
    return mirror


@pytest_asyncio.fixture(loop_scope="module")
async def site() -> Mirror:
    mirror = Mirror("site")
    mirror.lists["tools"] = [tool("first")]
    return mirror


@pytest_asyncio.fixture(loop_scope="module")
async def running(pipe: Mirror, site: Mirror, tmp_path: Path) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(site))
        argv = await stack.enter_async_context(over_stdio(pipe))
        config = {"servers": [http_server("site", url), stdio_server("pipe", *argv)]}
        running = await stack.enter_async_context(gateway(config, tmp_path))
        await running.ready("site", "pipe")
        await settle(running, pipe)
        yield running


async def settle(running: Running, pipe: Mirror) -> None:
    """Wait until the news of the start have been told: a change after them has been, too."""
    async with web(running.mcp) as wire:
        session = await wire.open()
        async with session.listen() as stream:
            pipe.lists["prompts"] = [{"name": "settled"}]
            await pipe.announce(PROMPTS)
            while (await anext(stream))["method"] != PROMPTS:
                pass


@pytest_asyncio.fixture(loop_scope="module")
async def wire(running: Running) -> AsyncIterator[Web]:
    async with web(running.mcp) as wire:
        yield wire


async def tools(session: Session) -> set[str]:
    """The names on the list."""
    return {one["name"] for one in (await session.ask("tools/list"))["result"]["tools"]}


async def test_one_stream_per_session(wire: Web) -> None:
    session = await wire.open()
    async with session.listen():
        headers = {**session.headers, "Accept": "text/event-stream"}
        assert error(await wire.http.get(wire.url, headers=headers)) == (409, -32600)
        assert (await session.ask("ping"))["result"] == {}
    async with session.listen():
        pass  # the client that reconnects gets it back


@pytest.mark.parametrize("server", ["pipe", "site"])
async def test_a_server_that_changes_its_tools(
    wire: Web, pipe: Mirror, site: Mirror, server: str
) -> None:
    mirror = {"pipe": pipe, "site": site}[server]
    session = await wire.open()
    assert await tools(session) == {"pipe__first", "site__first"}
    async with session.listen() as stream:
        mirror.lists["tools"] = [tool("first"), tool("second")]
        if server == "site":
            await mirror.until(lambda: bool(mirror.channels))
        await mirror.announce(TOOLS)
        assert await anext(stream) == {"jsonrpc": "2.0", "method": TOOLS}
        assert await tools(session) == {"pipe__first", "site__first", f"{server}__second"}


async def test_a_change_of_nothing_is_not_announced(wire: Web, pipe: Mirror) -> None:
    session = await wire.open()
    async with session.listen() as stream:
        before = len(pipe.calls("tools/list"))
        await pipe.announce(TOOLS)
        await pipe.until(lambda: len(pipe.calls("tools/list")) > before)
        pipe.lists["prompts"] = [{"name": "new"}]
        await pipe.announce(PROMPTS)
        assert (await anext(stream))["method"] == PROMPTS


async def test_only_those_who_see_it_are_told(running: Running, pipe: Mirror) -> None:
    async with web(running.server("pipe")) as here, web(running.server("site")) as there:
        mine, theirs = await here.open(), await there.open()
        async with mine.listen() as my_stream, theirs.listen() as their_stream:
            pipe.lists["tools"] = []
            await pipe.announce(TOOLS)
            assert (await anext(my_stream))["method"] == TOOLS
            await there.http.delete(there.url, headers=theirs.headers)
            assert [one async for one in their_stream] == []


async def test_delete_ends_the_stream(wire: Web) -> None:
    session = await wire.open()
    async with session.listen() as stream:
        await wire.http.delete(wire.url, headers=session.headers)
        assert [one async for one in stream] == []


async def test_log_messages_go_to_those_who_asked(wire: Web, pipe: Mirror) -> None:
    quiet, loud = await wire.open(), await wire.open()
    await loud.ask("logging/setLevel", {"level": "info"})
    async with quiet.listen() as silence, loud.listen() as stream:
        for level in ("debug", "warning"):
            await pipe.announce("notifications/message", level=level, data=level)
        assert (await anext(stream))["params"] == {"level": "warning", "data": "warning"}
        pipe.lists["tools"] = []
        await pipe.announce(TOOLS)
        assert (await anext(silence))["method"] == TOOLS


async def test_a_child_that_dies_comes_back_with_what_it_then_has(wire: Web, pipe: Mirror) -> None:
    session = await wire.open()
    async with session.listen() as stream:
        pipe.lists["tools"] = [tool("other")]
        runs = pipe.runs
        pipe.hang_up()
        assert (await anext(stream))["method"] == TOOLS
        assert await tools(session) == {"pipe__other", "site__first"}
    assert pipe.runs == runs + 1


async def test_a_server_that_comes_late(tmp_path: Path) -> None:
    late = Mirror("late")
    late.lists["tools"] = [tool("here")]
    with closed_port() as port:
        config = {"servers": [http_server("late", f"http://127.0.0.1:{port}/mcp")]}
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            session = await wire.open()
            assert await tools(session) == set()
            async with session.listen() as stream, over_http(late, port):
                assert (await anext(stream))["method"] == TOOLS
                assert await tools(session) == {"late__here"}
                assert (await session.ask("tools/call", {"name": "late__here"}))["result"]
