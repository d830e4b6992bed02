"""Requests that are sent once for all who ask the same, or together: counted at the server.

One real gateway process per test; the cache is off where a second answer must be a second call.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.batches import Batches
from fakes.gateway import Running, gateway, http_server
from fakes.mirror import Asked
from fakes.shop import NO_CACHE, READ, TOKENS, Shop, before, clear, reading, report, text, until
from fakes.wire import Web, last, web

pytestmark = pytest.mark.timeout(90)


# --- one call for all ---


async def test_a_hundred_that_are_equal_make_one_call_and_each_has_its_own_id(
    tmp_path: Path,
) -> None:
    shop = Shop()
    async with before(tmp_path, shop, **NO_CACHE) as (running, wire):
        shop.shut()
        ids = [*range(50), *(f"{number}" for number in range(50))]
        reads = [reading(wire, id=id) for id in ids]
        await until(running, lambda page: page["shared"] == 99)
        shop.opened.set()
        answers = [last(await one) for one in reads]
        assert [one["id"] for one in answers] == ids
        assert {one["result"]["contents"][0]["text"] for one in answers} == {"1"}
        assert len(shop.calls(READ)) == 1
        assert text(await reading(wire)) == "2"


async def test_a_hundred_equal_lists_make_one_call(tmp_path: Path) -> None:
    shop = Shop()
    async with before(tmp_path, shop) as (running, wire):
        before_it = len(shop.calls("prompts/list"))
        hold = asyncio.Event()

        async def held(asked: Asked) -> bytes:
            await hold.wait()
            return b'{"prompts":[{"name":"greet"}]}'

        shop.on("prompts/list", held)
        await clear(running)
        lists = [wire.modern("prompts/list", id=id) for id in range(100)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in lists]
            await shop.until(lambda: len(shop.calls("prompts/list")) > before_it)
            hold.set()
        assert [last(one.result())["id"] for one in tasks] == list(range(100))
        assert len(shop.calls("prompts/list")) == before_it + 1


async def test_an_error_goes_to_all_and_is_not_kept(tmp_path: Path) -> None:
    shop = Shop()
    async with before(tmp_path, shop) as (running, wire):
        shop.shut()
        reads = [reading(wire, "shop://bad", id=id) for id in range(10)]
        await until(running, lambda page: page["shared"] == 9)
        shop.opened.set()
        errors = [last(await one) for one in reads]
        assert [one["id"] for one in errors] == list(range(10))
        assert {one["error"]["message"] for one in errors} == {"bad"}
        assert len(shop.calls(READ)) == 1
        await reading(wire, "shop://bad")
        assert len(shop.calls(READ)) == 2


@pytest.mark.parametrize("leaver", [0, 50])
async def test_one_of_a_hundred_leaves_and_all_others_are_served(
    tmp_path: Path, leaver: int
) -> None:
    """Fault 30: the one that began the call, or another."""
    shop = Shop()
    async with before(tmp_path, shop, **NO_CACHE) as (running, wire):
        shop.shut()
        first = reading(wire, id=0)
        await until(running, lambda page: page["calls"] == 1)
        reads = [first, *(reading(wire, id=id) for id in range(1, 100))]
        await until(running, lambda page: page["shared"] == 99)
        left = reads.pop(leaver)
        left.cancel()
        await asyncio.wait([left])
        shop.opened.set()
        assert {text(await one) for one in reads} == {"1"}
        assert len(shop.calls(READ)) <= 2


async def test_callers_of_different_names_share_nothing(tmp_path: Path) -> None:
    shop = Shop()
    edge = {"server": {"auth": {"tokens": [*TOKENS]}}}
    async with before(tmp_path, shop, **edge) as (running, wire):
        shop.shut()
        reads = [reading(wire, token=token) for token in TOKENS * 3]
        await until(running, lambda page: page["shared"] == 4, TOKENS[0])
        shop.opened.set()
        texts = [text(await one) for one in reads]
        assert texts == texts[:2] * 3
        assert texts[0] != texts[1]


async def test_turned_off_each_makes_its_own_call(tmp_path: Path) -> None:
    shop = Shop()
    off = {**NO_CACHE, "batching": {"enabled": False, "window": "10s"}}
    async with before(tmp_path, shop, **off) as (running, wire):
        shop.shut()
        reads = [reading(wire) for _ in range(5)]
        await shop.until(lambda: len(shop.calls(READ)) == 5)
        shop.opened.set()
        assert {text(await one) for one in reads} == {*"12345"}
        assert (await report(running))["shared"] == 0


# --- the window ---


async def test_five_equal_ones_in_a_window_make_one_call(tmp_path: Path) -> None:
    shop = Shop()
    async with before(tmp_path, shop, batching={"window": "100ms"}) as (_, wire):
        reads = [reading(wire) for _ in range(5)]
        assert {text(await one) for one in reads} == {"1"}
        assert len(shop.calls(READ)) == 1


async def test_one_alone_goes_when_the_time_is_up(tmp_path: Path) -> None:
    shop = Shop()
    loop = asyncio.get_running_loop()
    async with before(tmp_path, shop, batching={"window": "100ms"}) as (running, wire):
        began = loop.time()
        assert text(await reading(wire)) == "1"
        assert loop.time() - began >= 0.1
        windows = (await report(running))["windows"]
        assert windows == {"flushed": 1, "calls": 1, "arrays": 0, "waiting": 0}


async def test_three_fill_a_window_and_two_wait_for_another(tmp_path: Path) -> None:
    shop = Shop()
    slow = {"window": "10s", "max_size": 3}
    async with before(tmp_path, shop, batching=slow) as (running, wire):
        reads = [reading(wire, f"shop://{number}") for number in range(3)]
        for one in reads:
            await one
        reads = [reading(wire, f"shop://{number}") for number in range(3, 5)]
        await until(running, lambda page: page["windows"]["waiting"] == 2)
        assert len(shop.calls(READ)) == 3
        reads.append(reading(wire, "shop://5"))
        for one in reads:
            await one
        windows = (await report(running))["windows"]
        assert windows == {"flushed": 2, "calls": 6, "arrays": 0, "waiting": 0}


async def test_servers_and_methods_have_windows_of_their_own(tmp_path: Path) -> None:
    one, two = Shop("one"), Shop("two")
    slow = {"window": "10s", "max_size": 2}
    async with before(tmp_path, one, two, batching=slow) as (running, wire):
        waits = [
            asyncio.get_running_loop().create_task(asked)
            for asked in (
                wire.modern(READ, {"uri": "one://a"}),
                wire.modern(READ, {"uri": "two://a"}),
                wire.modern("prompts/get", {"name": "one__greet"}),
            )
        ]
        await until(running, lambda page: page["windows"]["waiting"] == 3)
        assert [len(shop.calls(READ)) for shop in (one, two)] == [0, 0]
        await reading(wire, "two://b")
        assert text(await waits[1]) in "12"
        assert len(one.calls(READ)) == len(one.calls("prompts/get")) == 0
        await reading(wire, "one://b")
        await wire.modern("prompts/get", {"name": "one__greet", "arguments": {"a": "b"}})
        for task in waits:
            assert "result" in last(await task)


@asynccontextmanager
async def before_old(tmp_path: Path, **entry: Any) -> AsyncIterator[tuple[Batches, Running, Web]]:
    """A gateway whose windows of three go to a server of 2025-03-26."""
    old = Batches()
    async with old.serve() as server:
        config = {
            "servers": [http_server("old", server.url, **entry)],
            "batching": {"window": "10s", "max_size": 3},
        }
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("old")
            yield old, running, wire


async def test_a_server_of_2025_03_26_gets_a_window_as_one_array(tmp_path: Path) -> None:
    async with before_old(tmp_path) as (old, running, wire):
        uris = [f"old://{name}" for name in "abc"]
        reads = [reading(wire, uri, id=uri) for uri in uris]
        answers = [last(await one) for one in reads]
        assert [(one["id"], one["result"]["uri"]) for one in answers] == [(u, u) for u in uris]
        (array,) = old.arrays
        assert sorted(one["params"]["uri"] for one in array) == uris
        assert old.alone == []
        assert (await report(running))["windows"]["arrays"] == 1


async def test_an_array_holds_no_more_calls_than_have_a_turn(tmp_path: Path) -> None:
    """A window takes no turns while it is open; what has none at its end goes by itself."""
    async with before_old(tmp_path, concurrency={"max_in_flight": 2}) as (old, running, wire):
        reads = [reading(wire, f"old://{name}", id=name) for name in "abc"]
        assert [last(await one)["id"] for one in reads] == [*"abc"]
        assert [len(one) for one in (*old.arrays, old.alone)] == [2, 1]
        windows = (await report(running))["windows"]
        assert windows == {"flushed": 1, "calls": 3, "arrays": 1, "waiting": 0}
