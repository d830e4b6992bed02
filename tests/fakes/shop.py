"""A server whose answers are counted, a real gateway before it, and what that says of its cache.

shop = Shop()
async with before(tmp_path, shop) as (running, wire):
    assert text(await reading(wire)) == "1"
    assert (await report(running))["tiers"]["l2"]["misses"] == 1
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from fakes.gateway import Running, gateway, http_server
from fakes.mirror import Asked, Mirror, Refused
from fakes.mirror_http import over_http
from fakes.wire import WAIT_S, Json, Web, last, web

TOKENS: Final = ("first-token-0123456789", "other-token-0123456789")
READ: Final = "resources/read"
PAGE: Final = "/api/v1/admin/cache"
NO_CACHE: Final[Json] = {"cache": {"enabled": False}}


class Shop(Mirror):
    """A server whose resources say which reading of all it is; while `shut`, readings wait."""

    def __init__(self, name: str = "shop") -> None:
        super().__init__(name)
        self.lists["prompts"] = [{"name": "greet"}]
        self.lists["resourceTemplates"] = [{"name": "any", "uriTemplate": f"{name}://{{id}}"}]
        self.opened = asyncio.Event()
        self.opened.set()
        self.on(READ, self._read)

    async def _read(self, asked: Asked) -> bytes:
        number = len(self.calls(READ))
        async with asyncio.timeout(WAIT_S):
            await self.opened.wait()
        if asked.json["uri"].endswith("bad"):
            raise Refused(b'{"code":-32050,"message":"bad"}')
        content = {"uri": asked.json["uri"], "text": str(number)}
        return json.dumps({"contents": [content]}).encode()

    def shut(self) -> None:
        """Readings wait until it is opened."""
        self.opened.clear()


@asynccontextmanager
async def before(
    folder: Path, *shops: Shop, entry: Json | None = None, **config: Any
) -> AsyncIterator[tuple[Running, Web]]:
    """A gateway before these servers, each with more settings in `entry`, and a client of it."""
    async with AsyncExitStack() as stack:
        entries = [
            http_server(one.name, await stack.enter_async_context(over_http(one)), **(entry or {}))
            for one in shops
        ]
        running = await stack.enter_async_context(gateway({**config, "servers": entries}, folder))
        await running.ready(*(one.name for one in shops))
        wire = await stack.enter_async_context(web(running.mcp))
        try:
            yield running, wire
        finally:
            for one in shops:
                one.opened.set()


def reading(
    wire: Web, uri: str = "shop://a", id: Any = 1, token: str = ""
) -> "asyncio.Task[httpx2.Response]":
    """A reading under way."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return asyncio.get_running_loop().create_task(
        wire.modern(READ, {"uri": uri}, id=id, headers=headers)
    )


def text(response: httpx2.Response) -> Any:
    """What was read."""
    return last(response)["result"]["contents"][0]["text"]


async def report(running: Running, token: str = "") -> Any:
    """The page of counters."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient() as http:
        return (await http.get(f"{running.url}{PAGE}", headers=headers)).json()


async def clear(running: Running, wanted: Json | None = None) -> int:
    """Empty the cache, or what fits; how many answers went."""
    async with httpx2.AsyncClient() as http:
        response = await http.post(f"{running.url}{PAGE}/clear", json=wanted or {})
        count = response.json()["cleared"]
    assert isinstance(count, int)
    return count


async def until(running: Running, condition: Callable[[Any], bool], token: str = "") -> Any:
    """Wait until the counters are as they should be; they are what says that something happened."""
    async with asyncio.timeout(WAIT_S):
        while not condition(found := await report(running, token)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
    return found
