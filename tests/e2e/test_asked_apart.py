"""Who is asked when several clients of 2026-07-28 call a server that does not say whom it means.

They have no session, so their tokens tell them apart: docs/eras.md, "Who shares a connection".
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fakes.gateway import gateway, stdio_server
from fakes.mirror import Asked, Mirror, over_stdio, tool
from fakes.wire import Json, web

pytestmark = pytest.mark.timeout(60)

TOKENS = ("t-ann-123456", "t-bob-123456")
ABLE: Any = {"clientCapabilities": {"elicitation": {"form": {}}}}


class Asker(Mirror):
    """A legacy server that asks once two calls run, and tells what it got."""

    def __init__(self) -> None:
        super().__init__("asker", tools={})
        self.lists["tools"] = [tool("ask")]
        self.on("tools/call", self._call)

    async def _call(self, asked: Asked) -> bytes:
        await self.until(lambda: len(self.calls()) == 2)
        id = f"{id_of(asked.tell)}-{asked.id.decode()}"
        form = {"message": "who?", "requestedSchema": {"type": "object", "properties": {}}}
        question = {"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": form}
        await asked.tell(json.dumps(question).encode())
        await self.until(lambda: any(one.get("id") == id for one in self.heard))
        (found,) = (one for one in self.heard if one.get("id") == id)
        return self.text(found["error"]["message"])


def id_of(channel: object) -> int:
    """Two processes may count their calls alike."""
    return id(channel)


async def both(url: str, headers: list[dict[str, str]]) -> list[Json]:
    """The results of two clients that call at once."""

    async def one(mine: dict[str, str]) -> Json:
        async with web(url, headers=mine) as wire:
            answer = await wire.modern("tools/call", {"name": "asker__ask"}, **ABLE)
        found: Json = answer.json()["result"]
        return found

    return await asyncio.gather(*map(one, headers))


@pytest.mark.parametrize("isolation", ["session", "principal"])
async def test_clients_with_a_token_each_are_asked_what_is_theirs(
    tmp_path: Path, isolation: str
) -> None:
    async with over_stdio(Asker()) as argv:
        entry = stdio_server("asker", *argv, isolation=isolation)
        config = {"server": {"auth": {"tokens": [*TOKENS]}}, "servers": [entry]}
        async with gateway(config, tmp_path) as running:
            await running.ready("asker")
            found = await both(running.mcp, [{"Authorization": f"Bearer {one}"} for one in TOKENS])
    assert [one["resultType"] for one in found] == ["input_required"] * 2


async def test_clients_without_a_token_count_as_one_and_none_is_asked(tmp_path: Path) -> None:
    async with over_stdio(Asker()) as argv:
        entry = stdio_server("asker", *argv, isolation="session")
        async with gateway({"servers": [entry]}, tmp_path) as running:
            await running.ready("asker")
            found = await both(running.mcp, [{}, {}])
    for one in found:
        said = one["content"][0]["text"]
        assert "2 calls could have asked, so no client is asked; isolation and a token each" in said
