"""What the cache says of itself, and emptying it."""

import json
from typing import Any, get_args

import httpx2
import pytest

from fakes.answers import READ, A
from fakes.upstream import ask, gateway_of, library, served
from fakes.wire import web
from only1mcp.admin.app import make_app
from only1mcp.admin.cache import Filter, Method, read_filter
from only1mcp.gateway import Gateway
from only1mcp.policy.cache import TIER_OF, Tier

PAGE = "/api/v1/admin/cache"


async def send(gateway: Gateway, method: str, path: str, body: Any = b"") -> httpx2.Response:
    """One request to the application over `gateway`."""
    transport = httpx2.ASGITransport(app=make_app(gateway.desk()))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.request(method, path, content=content)


async def report(gateway: Gateway) -> Any:
    """The page of counters."""
    response = await send(gateway, "GET", PAGE)
    assert response.status_code == 200
    return response.json()


async def cleared(gateway: Gateway, wanted: Any = b"") -> int:
    """How many answers went."""
    response = await send(gateway, "POST", f"{PAGE}/clear", wanted)
    assert response.status_code == 200, response.text
    count = response.json()["cleared"]
    assert isinstance(count, int)
    return count


async def test_a_cache_that_did_nothing_yet() -> None:
    async with gateway_of(library()) as gateway:
        found = await report(gateway)
    assert (found["enabled"], found["bytes"], found["hit_rate"]) == (True, 0, None)
    assert {name: one["ttl_seconds"] for name, one in found["tiers"].items()} == {
        "l1": 300,
        "l2": 1800,
        "l3": 7200,
    }
    assert [one["capacity"] for one in found["tiers"].values()] == [1000, 500, 200]


async def test_three_hits_and_two_misses_are_sixty_percent() -> None:
    async with gateway_of(library()) as gateway:
        for _ in range(4):
            await ask(gateway, READ, A)
        await ask(gateway, READ, {"uri": "lib://item/2"})
        found = await report(gateway)
    tier = found["tiers"]["l2"]
    assert (tier["hits"], tier["misses"], tier["hit_rate"], tier["entries"]) == (3, 2, 0.6, 2)
    assert tier["bytes"] == found["bytes"] > 0
    assert (found["calls"], found["shared"]) == (2, 0)


async def test_lists_count_in_the_tier_of_their_kind() -> None:
    async with gateway_of(library()) as gateway:
        for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
            await ask(gateway, method)
        found = (await report(gateway))["tiers"]
    assert [found[tier]["hits"] for tier in ("l1", "l2", "l3")] == [1, 2, 1]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (b"", 4),
        ({}, 4),
        ({"tier": "l2"}, 2),
        ({"server": "one"}, 2),
        ({"method": "prompts/get"}, 2),
        ({"tier": "l2", "server": "two"}, 1),
        ({"tier": "l1"}, 0),
        ({"server": "nobody"}, 0),
    ],
)
async def test_what_fits_the_filter_goes(wanted: Any, expected: int) -> None:
    async with gateway_of(library("one"), library("two")) as gateway:
        for id in ("one", "two"):
            await ask(gateway, READ, {"uri": f"{id}://a"})
            await ask(gateway, "prompts/get", {"name": f"{id}__greet"})
        assert await cleared(gateway, wanted) == expected
        assert sum(one.entries for one in gateway._answers.store.counts.values()) == 4 - expected
        assert await cleared(gateway) == 4 - expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, 2),
        ({"tier": "l1"}, 2),
        ({"method": "tools/list"}, 2),
        ({"server": "lib"}, 2),
        ({"tier": "l3"}, 1),
        ({"method": "tools/call"}, 1),
    ],
)
async def test_lists_are_asked_for_anew(wanted: Any, expected: int) -> None:
    fake = library()
    async with gateway_of(fake) as gateway:
        await cleared(gateway, wanted)
        await ask(gateway, "tools/list")
    assert len(fake.asked("tools/list")) == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Invalid JSON"),
        (b"[]", "object"),
        ({"tier": "l4"}, "tier: "),
        ({"teir": "l1"}, "teir: "),
        ({"server": 7}, "server: "),
        ({"method": "m" * 300}, "method: "),
        ({"method": "resource/read"}, "method: Input should be 'tools/list', "),
    ],
)
async def test_a_filter_that_is_none_clears_nothing(body: Any, said: str) -> None:
    async with gateway_of(library()) as gateway:
        await ask(gateway, READ, A)
        response = await send(gateway, "POST", f"{PAGE}/clear", body)
        assert response.status_code == 400
        assert said in response.json()["detail"]
        assert "tier (l1, l2, l3)" in response.json()["detail"]
        assert gateway._answers.store.counts[Tier.L2].entries == 1


async def test_reading_does_not_clear() -> None:
    async with gateway_of(library()) as gateway:
        assert (await send(gateway, "GET", f"{PAGE}/clear")).status_code == 405


def test_every_method_with_a_tier_can_be_named() -> None:
    assert {*get_args(Method)} == {*TIER_OF}


def test_an_empty_body_is_no_filter() -> None:
    assert read_filter(b" \n") == Filter()


async def test_on_the_listener_it_takes_a_token_and_no_foreign_page() -> None:
    async with served(server={"auth": {"tokens": ["t-ann"]}}) as (_, url):
        root = url.removesuffix("/mcp")
        token = {"Authorization": "Bearer t-ann"}
        foreign = {**token, "Origin": "https://evil.example"}
        async with web(root) as wire:
            found = [
                (await wire.http.post(f"{root}{PAGE}/clear", headers=headers)).status_code
                for headers in ({}, foreign, token)
            ]
    assert found == [401, 403, 200]
