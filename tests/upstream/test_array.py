"""Calls that go to a server of 2025-03-26 in one message, against a scripted one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.batches import Batches, answer
from fakes.http_mcp import note
from fakes.http_server import HttpServer, Wire
from fakes.http_upstream import Client, Heard, connected, tool_call
from only1mcp.protocol.errors import ServerLost, ServerTimeout, UpstreamError
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.array import Array
from only1mcp.upstream.base import Call


@asynccontextmanager
async def batches() -> AsyncIterator[tuple[Batches, Client, HttpServer]]:
    web = Batches()
    async with connected(web, "legacy") as (client, server):
        yield web, client, server


def together(*names: str, **options: Any) -> list[Call]:
    """Calls that may go as one."""
    array = Array(lambda: None)
    calls = [Call("tools/call", {"name": as_raw(name)}, name, **options) for name in names]
    for one in calls:
        one.array = array
    return calls


async def results(client: Client, calls: list[Call]) -> list[Any]:
    """What became of each: the name it asked for, or its error."""
    ends = await asyncio.gather(*(client.call(one) for one in calls), return_exceptions=True)
    return [json.loads(one)["name"] if isinstance(one, bytes) else one for one in ends]


async def test_each_call_of_an_array_gets_its_own_answer() -> None:
    async with batches() as (web, client, _):
        *good, bad = await results(client, together("a", "b", "c", "bad"))
    assert good == ["a", "b", "c"]
    assert isinstance(bad, UpstreamError)
    assert [[one["params"]["name"] for one in array] for array in web.arrays] == [
        ["a", "b", "c", "bad"]
    ]


async def test_one_alone_is_no_array() -> None:
    async with batches() as (web, client, server):
        assert await results(client, together("a")) == ["a"]
        assert server.said().count("POST tools/call") == 1
    assert web.arrays == []


async def test_a_stream_answers_one_after_the_other() -> None:
    go = asyncio.Event()
    heard: Heard = []

    async def stream(array: list[Any], wire: Wire) -> None:
        await wire.stream()
        await wire.event(answer(array[1]))
        await go.wait()
        token = array[0]["params"]["_meta"]["progressToken"]
        await wire.event(note("notifications/progress", progressToken=token, progress=1))
        await wire.event(note("notifications/message", level="info", data="whose?"))
        await wire.event(note("notifications/tools/list_changed"))
        await wire.event([answer(array[0])])
        await wire.end()

    async with batches() as (web, client, _), asyncio.TaskGroup() as group:
        web.answers = stream
        first, second = together("a", "b")
        sink = tool_call(heard).on_notification
        first.on_notification = second.on_notification = sink
        first.params = {**(first.params or {}), "_meta": as_raw({"progressToken": "mine"})}
        slow, quick = (group.create_task(client.call(one)) for one in (first, second))
        assert json.loads(await quick)["name"] == "b"
        go.set()
        assert json.loads(await slow)["name"] == "a"
        assert heard == [("notifications/progress", {"progressToken": "mine", "progress": 1})]
        await client.until_told()
        assert client.heard[-1][0] == "notifications/tools/list_changed"


async def test_who_leaves_leaves_the_others_alone() -> None:
    go = asyncio.Event()

    async def later(array: list[Any], wire: Wire) -> None:
        await go.wait()
        await web.all(array, wire)

    async with batches() as (web, client, server), asyncio.TaskGroup() as group:
        web.answers = later
        first, second = (group.create_task(client.call(one)) for one in together("a", "b"))
        await server.until(lambda: web.arrays != [])
        first.cancel()
        await server.until(lambda: "POST notifications/cancelled" in server.said())
        go.set()
        assert json.loads(await second)["name"] == "b"
        assert first.cancelled()


async def test_when_all_have_left_nobody_waits_for_the_server() -> None:
    gone = asyncio.Event()

    async def hang(array: list[Any], wire: Wire) -> None:
        await wire.reader.read(1)
        gone.set()

    async with batches() as (web, client, server), asyncio.TaskGroup() as group:
        web.answers = hang
        calls = [group.create_task(client.call(one)) for one in together("a", "b")]
        await server.until(lambda: web.arrays != [])
        for one in calls:
            one.cancel()
        async with asyncio.timeout(5):
            await gone.wait()


@pytest.mark.parametrize("status", [400, 404, 415])
async def test_what_is_refused_as_a_whole_goes_one_by_one(status: int) -> None:
    async def refuse(array: list[Any], wire: Wire) -> None:
        await wire.answer(status, b"no arrays here", "text/plain")

    async with batches() as (web, client, server):
        web.answers = refuse
        assert await results(client, together("a", "b")) == ["a", "b"]
        assert server.said().count("POST tools/call") == 2
        assert web.sessions == 0


async def test_a_server_that_dies_fails_all_of_them() -> None:
    async def die(array: list[Any], wire: Wire) -> None:
        wire.close()

    async with batches() as (web, client, _):
        web.answers = die
        ends = await results(client, together("a", "b"))
    assert [type(one) for one in ends] == [ServerLost, ServerLost]


async def test_an_answer_that_is_missing_is_the_fault_of_that_call_alone() -> None:
    async def some(array: list[Any], wire: Wire) -> None:
        await wire.json([answer(array[0])])

    async with batches() as (web, client, _):
        web.answers = some
        good, bad = await results(client, together("a", "b"))
    assert good == "a"
    assert "id of another request" in str(bad)


async def test_each_has_its_own_deadline() -> None:
    async def half(array: list[Any], wire: Wire) -> None:
        await wire.stream()
        await wire.event(answer(array[0]))
        await wire.reader.read(1)

    async with batches() as (web, client, _):
        web.answers = half
        good, late = await results(client, together("a", "b", idle_s=0.2))
    assert good == "a"
    assert isinstance(late, ServerTimeout)


async def test_closing_ends_them() -> None:
    async def hang(array: list[Any], wire: Wire) -> None:
        await wire.reader.read(1)

    async with batches() as (web, client, server), asyncio.TaskGroup() as group:
        web.answers = hang
        running = group.create_task(results(client, together("a", "b")))
        await server.until(lambda: web.arrays != [])
        await client.close()
        assert [type(one) for one in await running] == [ServerLost, ServerLost]
