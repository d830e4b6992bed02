"""Subscriptions through the front door: legacy and modern clients, legacy and modern servers.

Source  MCP 2025-11-25 server/resources "Subscriptions"; 2026-07-28 basic/patterns/subscriptions.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from fakes.gateway import Running, gateway
from fakes.library import PROMPTS, TOOLS, UPDATED, Library
from fakes.mirrors import entry
from fakes.teller import ACK, TAG
from fakes.wire import Json, web

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

IDS = ("legacy-http", "legacy-stdio", "modern-http", "modern-stdio")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def libraries() -> Mapping[str, Library]:
    return {id: Library(id) for id in IDS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    libraries: Mapping[str, Library], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        entries = [await entry(stack, id, one) for id, one in libraries.items()]
        folder = tmp_path_factory.mktemp("gateway")
        running = await stack.enter_async_context(gateway({"servers": entries}, folder))
        await running.ready(*IDS)
        for one in libraries.values():  # else what it says goes nowhere
            await one.until(one.is_heard)
        yield running


def url_of(running: Running, server: str, mounted: bool) -> str:
    return running.server(server) if mounted else running.mcp


@pytest.mark.parametrize("mounted", [True, False], ids=["mount", "all"])
@pytest.mark.parametrize("server", IDS)
async def test_a_session_hears_of_what_it_subscribed_to(
    running: Running, libraries: Mapping[str, Library], server: str, mounted: bool
) -> None:
    library = libraries[server]
    async with web(url_of(running, server, mounted)) as wire:
        session, other = await wire.open(), await wire.open()
        assert session.result["capabilities"]["resources"]["subscribe"] is True
        async with session.listen() as everything, other.listen() as silence:
            stream = updates(everything)
            for _ in range(2):  # twice is once
                assert (await session.ask("resources/subscribe", {"uri": library.uri}))[
                    "result"
                ] == {}
            assert library.subscribed()
            await library.says(UPDATED, uri=library.uri)
            assert await anext(stream) == updated(library.uri)
            await library.says(UPDATED, uri=library.uri + "/row/2")
            assert await anext(stream) == updated(library.uri + "/row/2")
            await session.ask("resources/unsubscribe", {"uri": library.uri})
            await library.until(lambda: not library.subscribed())
            await library.says(UPDATED, uri=library.uri)
            for one in (session, other):
                await wire.http.delete(wire.url, headers=one.headers)
            assert [one async for one in stream] == []
            assert [one async for one in updates(silence)] == []


async def updates(stream: AsyncIterator[Json]) -> AsyncIterator[Json]:
    """Without the list changes that may still be under way from the start of the servers."""
    async for frame in stream:
        if not frame["method"].endswith("list_changed"):
            yield frame


def updated(uri: str) -> Json:
    return {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": uri}}


@pytest.mark.parametrize("server", IDS)
async def test_the_end_of_the_last_session_ends_the_subscription(
    running: Running, libraries: Mapping[str, Library], server: str
) -> None:
    library = libraries[server]
    async with web(running.mcp) as wire:
        sessions = [await wire.open(), await wire.open()]
        for one in sessions:
            await one.ask("resources/subscribe", {"uri": library.uri})
        await wire.http.delete(wire.url, headers=sessions[0].headers)
        assert library.subscribed()
        await wire.http.delete(wire.url, headers=sessions[1].headers)
        await library.until(lambda: not library.subscribed())


@pytest.mark.parametrize("mounted", [True, False], ids=["mount", "all"])
@pytest.mark.parametrize("server", IDS)
async def test_a_listen_hears_what_it_asked_for_and_nothing_else(
    running: Running, libraries: Mapping[str, Library], server: str, mounted: bool
) -> None:
    library = libraries[server]
    async with web(url_of(running, server, mounted)) as wire:
        wanted = {"promptsListChanged": True, "resourceSubscriptions": [library.uri]}
        async with wire.listening(wanted, id="my id") as frames:
            first = await anext(frames)
            assert first["method"] == ACK
            assert first["params"] == {"notifications": wanted, "_meta": {TAG: "my id"}}
            assert library.subscribed()
            await library.says(TOOLS)  # unrequested
            await library.says(UPDATED, uri=library.uri)
            assert (await anext(frames))["params"] == {"uri": library.uri, "_meta": {TAG: "my id"}}
            await library.says(PROMPTS)
            found = await anext(frames)
            assert (found["method"], found["params"]) == (PROMPTS, {"_meta": {TAG: "my id"}})
        await library.until(lambda: not library.subscribed())


async def test_listens_coexist_each_under_its_own_id(
    running: Running, libraries: Mapping[str, Library]
) -> None:
    async with (
        web(running.mcp) as wire,
        wire.listening({"toolsListChanged": True}, id=7) as tools,
        wire.listening({"toolsListChanged": True, "promptsListChanged": False}, id="7") as more,
    ):
        for frames in (tools, more):
            assert (await anext(frames))["params"]["notifications"] == {"toolsListChanged": True}
        await libraries["modern-http"].says(TOOLS)
        assert (await anext(tools))["params"] == {"_meta": {TAG: 7}}
        assert (await anext(more))["params"] == {"_meta": {TAG: "7"}}


async def test_what_nobody_offers_is_not_acknowledged(running: Running) -> None:
    async with web(running.mcp) as wire:
        wanted = {"toolsListChanged": True, "resourceSubscriptions": ["no://such"]}
        async with wire.listening(wanted) as frames:
            assert (await anext(frames))["params"]["notifications"] == {"toolsListChanged": True}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"notifications": []},
        {"notifications": {"toolsListChanged": 1}},
        {"notifications": {"resourceSubscriptions": "a://b"}},
        {"notifications": {"resourceSubscriptions": ["a://b"] * 1001}},
    ],
)
async def test_a_filter_that_is_none_is_refused(running: Running, params: Json) -> None:
    async with web(running.mcp) as wire:
        response = await wire.modern("subscriptions/listen", params)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
async def test_a_modern_client_has_no_such_method(running: Running, method: str) -> None:
    async with web(running.mcp) as wire:
        response = await wire.modern(method, {"uri": "legacy-http://shelf"})
        assert (response.status_code, response.json()["error"]["code"]) == (404, -32601)


async def test_a_resource_of_nobody_cannot_be_subscribed_to(running: Running) -> None:
    async with web(running.mcp) as wire:
        session = await wire.open()
        refused = await session.ask("resources/subscribe", {"uri": "no://such"})
        assert refused["error"]["code"] == -32002


async def test_discovery_promises_what_is_served(running: Running) -> None:
    async with web(running.mcp) as wire:
        found = (await wire.modern("server/discover")).json()["result"]["capabilities"]
    assert found["tools"] == found["prompts"] == {"listChanged": True}
    assert found["resources"] == {"listChanged": True, "subscribe": True}


@pytest.mark.parametrize("server", ["legacy-stdio", "modern-stdio"])
async def test_a_server_that_comes_back_is_told_again(
    running: Running, libraries: Mapping[str, Library], server: str
) -> None:
    library = libraries[server]
    async with web(running.mcp) as wire:
        session = await wire.open()
        async with session.listen() as stream:
            await session.ask("resources/subscribe", {"uri": library.uri})
            runs, before = library.runs, len(library.calls("resources/subscribe"))
            for asked in library.listens:
                asked.cancelled.set()
            library.hang_up()
            await library.until(lambda: library.runs > runs and library.subscribed())
            if not library.modern:
                await library.until(lambda: len(library.calls("resources/subscribe")) > before)
            while await anext(stream) != updated(library.uri):
                pass  # it may have changed while nobody listened
            await session.ask("resources/unsubscribe", {"uri": library.uri})


async def test_a_listen_that_breaks_is_opened_again_and_all_may_have_changed(
    running: Running, libraries: Mapping[str, Library]
) -> None:
    library = libraries["modern-http"]
    wanted = {"toolsListChanged": True, "resourceSubscriptions": [library.uri]}
    async with (
        web(running.server("modern-http")) as wire,
        wire.listening(wanted) as frames,
    ):
        assert (await anext(frames))["method"] == ACK
        await library.until(lambda: len(library.listens) == 1)
        (lost,) = library.listens
        lost.cancelled.set()
        found = {(await anext(frames))["method"] for _ in range(2)}
        assert found == {TOOLS, UPDATED}
        assert library.subscribed()


async def test_stopping_ends_a_listen_with_its_result(
    libraries: Mapping[str, Library], tmp_path: Path
) -> None:
    async with (
        gateway({"servers": []}, tmp_path) as running,
        web(running.mcp) as wire,
        wire.listening({"toolsListChanged": True}, id=5) as frames,
    ):
        assert (await anext(frames))["method"] == ACK
        assert await running.stop() == 0
        last = await anext(frames)
        assert last["id"] == 5
        assert last["result"] == {"resultType": "complete", "_meta": {TAG: 5}}
        with pytest.raises((StopAsyncIteration, httpx2.ReadError)):
            await anext(frames)
