"""Answers once, served many times: what is kept, for how long and for whom, counted at the server.

One real gateway process per test; the client sees in `X-Only1MCP-Cache` how it came about.
"""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from fakes.mirror import Asked, tool
from fakes.shop import READ, TOKENS, Shop, before, clear, reading, report, text, until
from fakes.wire import WAIT_S, Json, Web, headers_of, last, modern

pytestmark = pytest.mark.timeout(90)

SHOWN: Json = {"debug_headers": True}
NAME = "x-only1mcp-cache"


class Modern(Shop):
    """A server of 2026-07-28 that says of each reading how long it holds, and for whom."""

    def __init__(self, **hints: Any) -> None:
        super().__init__()
        self.modern = True
        self.hints = hints
        self.on(READ, self._hinted)

    async def _hinted(self, asked: Asked) -> bytes:
        found = json.loads(await self._read(asked))
        return json.dumps({**found, "resultType": "complete", **self.hints}).encode()


async def how(wire: Web, uri: str = "shop://a", token: str = "") -> tuple[str, str]:
    """How an answer came about, and what it was."""
    response = await reading(wire, uri, token=token)
    return response.headers[NAME], text(response)


async def test_the_first_is_a_miss_and_the_next_a_hit(tmp_path: Path) -> None:
    shop = Shop()
    async with before(tmp_path, shop, cache=SHOWN) as (running, wire):
        first, again = await reading(wire, id=1), await reading(wire, id="two")
        assert (first.headers[NAME], again.headers[NAME]) == ("miss", "hit")
        assert ("age" in first.headers, again.headers["age"]) == (False, "0")
        assert (last(first)["id"], last(again)["id"]) == (1, "two")
        assert last(first)["result"] == last(again)["result"]
        assert len(shop.calls(READ)) == 1
        assert (await report(running))["tiers"]["l2"]["hit_rate"] == 0.5


async def test_nothing_is_said_unless_it_is_wanted(tmp_path: Path) -> None:
    async with before(tmp_path, Shop()) as (_, wire):
        assert NAME not in (await reading(wire)).headers


async def test_each_method_has_its_tier_and_what_has_none_goes_past(tmp_path: Path) -> None:
    shop = Shop()
    shop.lists["tools"] = [tool("work")]
    async with before(tmp_path, shop, cache=SHOWN) as (running, wire):
        asked = [
            ("tools/list", None),
            (READ, {"uri": "shop://a"}),
            ("prompts/get", {"name": "shop__greet"}),
            ("tools/call", {"name": "shop__work"}),
        ]
        shown = [
            [(await wire.modern(method, params)).headers[NAME] for method, params in asked]
            for _ in range(2)
        ]
        assert shown[0] == ["hit", "miss", "miss", "bypass"]
        assert shown[1][::3] == ["hit", "bypass"]
        tiers = (await report(running))["tiers"]
        assert [tiers[name]["hits"] for name in ("l1", "l3")] == [2, 0]
        assert len(shop.calls("tools/call")) == 2


async def test_it_ends_when_its_time_is_up(tmp_path: Path) -> None:
    shop = Shop()
    short = {"l2": {"ttl": "1ms"}, "stale": 0}
    async with before(tmp_path, shop, cache=short) as (running, wire):
        assert text(await reading(wire)) == "1"
        async with asyncio.timeout(WAIT_S):
            while text(await reading(wire)) == "1":
                pass
        assert len(shop.calls(READ)) == 2
        assert (await report(running))["tiers"]["l2"]["expiries"] >= 1


async def test_the_least_used_makes_room(tmp_path: Path) -> None:
    shop = Shop()
    small = {**SHOWN, "l2": {"capacity": 3}}
    async with before(tmp_path, shop, cache=small) as (running, wire):
        for name in "abc":
            await reading(wire, f"shop://{name}")
        await reading(wire, "shop://a")
        await reading(wire, "shop://d")
        tier = (await report(running))["tiers"]["l2"]
        assert (tier["entries"], tier["evictions"]) == (3, 1)
        assert [(await how(wire, f"shop://{name}"))[0] for name in "acdb"] == [
            *("hit", "hit", "hit", "miss")
        ]


async def test_one_budget_bounds_them_all(tmp_path: Path) -> None:
    shop = Shop()
    tight = {"max_bytes": 65_536}
    async with before(tmp_path, shop, cache=tight) as (running, wire):
        for number in range(200):
            await reading(wire, f"shop://{number:0>100}")
        found = await report(running)
    assert 0 < found["bytes"] <= 65_536
    assert found["tiers"]["l2"]["evictions"] > 0


async def test_what_the_server_says_has_changed_is_read_anew(tmp_path: Path) -> None:
    shop = Shop()
    async with before(tmp_path, shop) as (running, wire):
        assert [text(await reading(wire, f"shop://{name}")) for name in "ab"] == ["1", "2"]
        await shop.announce("notifications/resources/updated", uri="shop://a")
        await until(running, lambda page: page["tiers"]["l2"]["invalidations"] == 1)
        assert [text(await reading(wire, f"shop://{name}")) for name in "ab"] == ["3", "2"]
        await shop.announce("notifications/resources/list_changed")
        await until(running, lambda page: page["tiers"]["l2"]["invalidations"] == 3)
        assert text(await reading(wire, "shop://b")) == "4"


async def test_an_answer_from_before_a_change_is_not_kept_after_it(tmp_path: Path) -> None:
    """Fault 31: the invalidation overtakes the answer."""
    shop = Shop()
    async with before(tmp_path, shop) as (running, wire):
        await reading(wire, "shop://b")
        shop.shut()
        early = reading(wire)
        await shop.until(lambda: len(shop.calls(READ)) == 2)
        await shop.announce("notifications/resources/list_changed")
        await until(running, lambda page: page["tiers"]["l2"]["invalidations"] == 1)
        shop.opened.set()
        assert text(await early) == "2"
        assert text(await reading(wire)) == "3"


async def test_all_of_it_can_be_dropped(tmp_path: Path) -> None:
    shop = Shop()
    async with before(tmp_path, shop) as (running, wire):
        await reading(wire)
        await wire.modern("prompts/get", {"name": "shop__greet"})
        assert await clear(running, {"tier": "l3"}) == 1
        assert text(await reading(wire)) == "1"
        assert await clear(running) == 1
        assert text(await reading(wire)) == "2"


async def test_turned_off_it_keeps_nothing(tmp_path: Path) -> None:
    shop = Shop()
    off = {**SHOWN, "enabled": False}
    async with before(tmp_path, shop, cache=off) as (running, wire):
        assert [await how(wire) for _ in range(2)] == [("miss", "1"), ("miss", "2")]
        before_it = len(shop.calls("prompts/list"))
        for _ in range(2):
            await wire.modern("prompts/list")
        assert len(shop.calls("prompts/list")) == before_it + 2
        assert (await report(running))["bytes"] == 0


async def test_only_tools_the_operator_lists_are_kept(tmp_path: Path) -> None:
    shop = Shop()
    shop.lists["tools"] = [tool("find"), tool("work", annotations={"readOnlyHint": True})]
    listed = {**SHOWN, "tools": [{"match": "shop__find"}]}
    async with before(tmp_path, shop, cache=listed) as (_, wire):
        shown = []
        for name, arguments in (("find", {"q": 1}), ("work", {"q": 1}), ("find", {"q": 2})) * 2:
            params = {"name": f"shop__{name}", "arguments": arguments}
            shown.append((await wire.modern("tools/call", params)).headers[NAME])
    assert shown == ["miss", "bypass", "miss", "hit", "bypass", "hit"]


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ('{"a":1,"b":{"c":2,"d":3}}', '{ "b" : {"d":3, "c":2}, "a":1 }', "hit"),
        ('{"a":1}', '{"a":1.0}', "miss"),
        ('{"a":"1"}', '{"a":1}', "miss"),
        ('{"a":9007199254740992}', '{"a":9007199254740993}', "miss"),
        ('{"a":1e400}', '{"a":null}', "miss"),
        ('{"a":1,"a":2}', '{"a":2,"a":1}', "miss"),
        ('{"a":"\u00e9"}', '{"a":"e\u0301"}', "miss"),
        ('{"a":[1,2]}', '{"a":[2,1]}', "miss"),
        ("{}", '{"a":null}', "miss"),
    ],
)
async def test_only_what_means_the_same_has_the_same_answer(
    tmp_path: Path, one: str, other: str, shown: str
) -> None:
    """As the client spells it: its text goes out as it is written here."""
    shop = Shop()
    shop.lists["tools"] = [tool("find")]
    async with before(tmp_path, shop, cache={**SHOWN, "tools": [{"match": "*"}]}) as (_, wire):
        message = modern("tools/call", {"name": "shop__find", "arguments": "HERE"}, id=1)
        found = []
        for text in (one, one, other):
            body = json.dumps(message).replace('"HERE"', text).encode()
            response = await wire.post(body, {**headers_of(message)})
            found.append(response.headers[NAME])
        assert found == ["miss", "hit", shown]
        assert len(shop.calls("tools/call")) == (1 if shown == "hit" else 2)


async def test_ten_at_once_are_kept_each_by_itself(tmp_path: Path) -> None:
    shop = Shop()
    async with before(tmp_path, shop, cache=SHOWN) as (running, wire):
        reads = [reading(wire, f"shop://{number}") for number in range(10)]
        first = [text(await one) for one in reads]
        again = [await how(wire, f"shop://{number}") for number in range(10)]
        assert again == [("hit", one) for one in first]
        assert len({*first}) == len(shop.calls(READ)) == 10
        tier = (await report(running))["tiers"]["l2"]
        assert (tier["entries"], tier["hits"], tier["misses"]) == (10, 10, 10)


# --- whose ---


@pytest.mark.parametrize(
    ("hints", "second"),
    [
        ({"ttlMs": 60_000, "cacheScope": "private"}, "2"),
        ({"ttlMs": 60_000}, "2"),
        ({"ttlMs": 60_000, "cacheScope": "public"}, "1"),
        ({}, "2"),
        ({"ttlMs": 0, "cacheScope": "public"}, "2"),
    ],
)
async def test_nobody_sees_what_is_private_to_another(
    tmp_path: Path, hints: Json, second: str
) -> None:
    """Fault 31: two callers, one URI."""
    shop = Modern(**hints)
    edge = {"server": {"auth": {"tokens": [*TOKENS]}}}
    async with before(tmp_path, shop, **edge) as (_, wire):
        assert text(await reading(wire, token=TOKENS[0])) == "1"
        assert text(await reading(wire, token=TOKENS[1])) == second


async def test_a_legacy_client_has_its_own_form_of_a_modern_answer(tmp_path: Path) -> None:
    shop = Modern(ttlMs=60_000)
    async with before(tmp_path, shop) as (_, wire):
        session = await wire.open()
        for _ in range(2):
            result = (await session.ask(READ, {"uri": "shop://a"}))["result"]
            assert {"ttlMs", "resultType"}.isdisjoint(result)
        new = last(await reading(wire))["result"]
    assert 0 < new["ttlMs"] <= 60_000


async def test_a_result_with_questions_is_not_kept(tmp_path: Path) -> None:
    """Fault 31: neither the question nor the answer to it."""
    shop = Modern(ttlMs=60_000)

    async def asks(asked: Asked) -> bytes:
        if "inputResponses" in asked.json:
            return await shop._hinted(asked)
        form = {"mode": "form", "message": "who?", "requestedSchema": {"type": "object"}}
        question = {"method": "elicitation/create", "params": form}
        found = {"resultType": "input_required", "inputRequests": {"q": question}}
        return json.dumps({**found, "requestState": "s"}).encode()

    shop.on(READ, asks)
    able: Any = {"clientCapabilities": {"elicitation": {"form": {}}}}
    async with before(tmp_path, shop) as (running, wire):
        for _ in range(2):
            params: Json = {"uri": "shop://a"}
            first = last(await wire.modern(READ, params, **able))["result"]
            assert first["resultType"] == "input_required"
            params |= {"inputResponses": {"q": {"action": "accept", "content": {}}}}
            params["requestState"] = first["requestState"]
            answer = last(await wire.modern(READ, params, **able))
            assert answer["result"]["contents"]
        assert len(shop.calls(READ)) == 4
        assert (await report(running))["bytes"] == 0


async def test_modern_clients_hear_how_long_a_list_holds(tmp_path: Path) -> None:
    async with before(tmp_path, Modern()) as (_, wire):
        found = last(await wire.modern("prompts/list"))["result"]
        assert 0 < found["ttlMs"] <= 300_000  # what the server says of its own
        assert found["cacheScope"] == "private"


# --- when the server is down, and when all come at once ---


async def test_an_old_answer_stands_in_for_a_server_that_fails(tmp_path: Path) -> None:
    shop = Shop()
    short = {**SHOWN, "l2": {"ttl": "1ms"}, "stale": "60s"}

    async def fails(asked: Asked) -> bytes | None:
        await asyncio.sleep(WAIT_S)
        return None

    async with before(tmp_path, shop, cache=short, entry={"timeouts": {"call_idle": "200ms"}}) as (
        running,
        wire,
    ):
        assert await how(wire) == ("miss", "1")
        shop.on(READ, fails)
        async with asyncio.timeout(WAIT_S):
            while (found := await how(wire)) == ("hit", "1"):  # within the millisecond
                pass
        assert found == ("stale", "1")
        assert (await report(running))["tiers"]["l2"]["stale"] == 1
        assert "error" in last(await reading(wire, "shop://never-read"))


# --- what it saves ---


async def test_eighty_of_a_hundred_come_from_the_cache(tmp_path: Path) -> None:
    """Four of five requests are for a fifth of what there is, as readers do."""
    shop = Shop()
    choose = random.Random(5)
    async with before(tmp_path, shop) as (running, wire):
        for _ in range(1000):
            hot = choose.random() < 0.8
            number = choose.randrange(20) if hot else choose.randrange(20, 100)
            await reading(wire, f"shop://{number}")
        assert (await report(running))["hit_rate"] >= 0.8
        assert len(shop.calls(READ)) <= 200


async def test_a_mixed_load_makes_less_than_half_the_calls(tmp_path: Path) -> None:
    """Of ten requests three list, three read, one gets a prompt and three call tools."""
    shop = Shop()
    shop.lists["tools"] = [tool("work", annotations={"readOnlyHint": True})]
    mix = ["tools/list", "resources/list", "prompts/list", *[READ] * 3, "prompts/get"]
    mix += ["tools/call"] * 3
    async with before(tmp_path, shop) as (_, wire):
        began = len(shop.asked)
        for number in range(200):
            method = mix[number % 10]
            params: Any = {
                READ: {"uri": f"shop://{number % 7}"},
                "prompts/get": {"name": "shop__greet"},
                "tools/call": {"name": "shop__work", "arguments": {"n": number}},
            }.get(method)
            assert "result" in last(await wire.modern(method, params))
        assert len(shop.calls("tools/call")) == 60
        assert len(shop.asked) - began <= 100
