"""A gateway whose servers lead back to it lists nothing of itself, and so ends growing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.mirror import Mirror, over_stdio, tool
from fakes.wire import web
from only1mcp.observe.tasks import Tasks

pytestmark = pytest.mark.timeout(60)

LEADS_BACK = r"server 'back' leads back to this gateway"


class Road:
    """An address that leads to a gateway which is only known later: another name of it."""

    def __init__(self) -> None:
        self.url = ""
        self._port = 0
        self._tasks = Tasks()

    def lead_to(self, running: Running) -> None:
        """From now on it does; before, whoever comes is turned away."""
        self._port = urlsplit(running.url).port or 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Road"]:
        """Bind it."""
        road = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{road.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            road.close()
            await self._tasks.close()
            await road.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._port:
                there, back = await asyncio.open_connection("127.0.0.1", self._port)
                ways = (_copy(reader, back), _copy(there, writer))
                await asyncio.wait([self._tasks.start(way, "road") for way in ways])
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def world(folder: Path, *names: str) -> AsyncIterator[tuple[list[str], list[Road]]]:
    """The command of a server with one tool, and a road for each name."""
    server = Mirror("own", tools={})
    server.lists["tools"] = [tool("echo")]
    async with AsyncExitStack() as stack:
        argv = await stack.enter_async_context(over_stdio(server))
        roads = [await stack.enter_async_context(Road().open()) for _ in names]
        for name in names:
            (folder / name).mkdir()
        yield argv, roads


async def tools(running: Running) -> list[str]:
    """What clients of a gateway see."""
    async with web(running.mcp) as wire:
        listed = (await wire.modern("tools/list")).json()["result"]["tools"]
    return [one["name"] for one in listed]


@pytest.mark.parametrize(
    ("path", "type", "protocol"),
    [("/mcp", "http", "auto"), ("/mcp/own", "http", "legacy"), ("/sse", "sse", "auto")],
)
async def test_a_gateway_does_not_take_itself_for_a_server(
    tmp_path: Path, path: str, type: str, protocol: str
) -> None:
    async with world(tmp_path, "a") as (argv, (road,)):
        back = {"type": type, "url": road.url + path}
        entries = [stdio_server("own", *argv), {"id": "back", "transport": back}]
        entries[1]["protocol"] = protocol
        async with gateway({"servers": entries}, tmp_path) as running:
            await running.ready("own")
            road.lead_to(running)
            (line,) = (await running.said(LEADS_BACK))[:1]
            assert "set enabled: false" in line
            assert await tools(running) == ["own__echo"]


async def test_of_two_gateways_that_name_each_other_one_stands_before_the_other(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, "a", "b") as (argv, (road, _)), AsyncExitStack() as stack:
        own = stdio_server("own", *argv)
        first = {"servers": [own, http_server("back", f"{road.url}/mcp")]}
        here = await stack.enter_async_context(gateway(first, tmp_path / "a"))
        second = {"servers": [own, http_server("back", here.mcp)]}
        there = await stack.enter_async_context(gateway(second, tmp_path / "b"))
        await there.ready("own", "back")
        road.lead_to(there)
        await here.said(LEADS_BACK)
        assert await tools(here) == ["own__echo"]
        assert await tools(there) == ["own__echo", "back__own__echo"]
