"""Settings of the gateway itself that change while it runs."""

from pathlib import Path

import pytest

from fakes.edits import Edited
from fakes.shop import READ, Shop, before, reading, report
from fakes.wire import Json, Web

pytestmark = pytest.mark.timeout(60)

HOW = "x-only1mcp-cache"
QUICK: Json = {"hot_reload": {"debounce": "50ms"}}


async def how(wire: Web, uri: str = "shop://a") -> str:
    """How an answer came about."""
    return str((await reading(wire, uri)).headers.get(HOW))


async def test_the_cache_becomes_smaller_is_turned_off_and_on_again(tmp_path: Path) -> None:
    shop, cache = Shop(), {"debug_headers": True}
    async with before(tmp_path, shop, cache=cache, **QUICK) as (running, wire):
        file = Edited(tmp_path / "only1mcp.json")

        async def set_to(count: int, **settings: object) -> None:
            file.replace({**file.config, "cache": {**cache, **settings}})
            lines = await running.said("configuration reloaded", count=count)
            assert "set cache" in lines[-1]

        assert [await how(wire, uri) for uri in ("shop://a", "shop://b")] == ["miss", "miss"]
        await set_to(1, l2={"capacity": 1})
        assert (await report(running))["tiers"]["l2"]["entries"] == 1
        assert await how(wire, "shop://b") == "hit", "what is still kept is still good"
        await set_to(2, enabled=False)
        assert (await report(running))["tiers"]["l2"]["entries"] == 0
        asked = len(shop.calls(READ))
        assert [await how(wire) for _ in range(2)] == ["miss", "miss"]
        assert len(shop.calls(READ)) == asked + 2
        await set_to(3)
        assert [await how(wire) for _ in range(2)] == ["miss", "hit"]
        assert not [line for line in running.log if "restart" in line]
