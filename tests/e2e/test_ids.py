"""Two hundred clients that all call with the same id at the same time: each gets its own answer.

Every server holds its calls until all of them have come, then answers in a random order, so
the order of arrival tells nothing. Regression test for answers that reach another client.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio

from fakes.gateway import Running
from fakes.mirror import Asked, Mirror, tool
from fakes.scripted import behind
from fakes.wire import Json, Web, headers_of, message, messages, modern, web

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS: Final = 200
SERVERS: Final = ("old-pipe", "new-pipe", "old-web", "new-web")
IDS: Final = (0, "0")
NO_LIMITS: Final = httpx2.Limits(max_connections=None, max_keepalive_connections=None)


class Shuffled(Mirror):
    """Waits for `expected` calls, reports progress to each, then answers in random order."""

    def __init__(self, name: str, expected: int) -> None:
        super().__init__(name, modern=name.startswith("new"))
        self.lists["tools"] = [tool("say")]
        self._expected = expected
        self._random = random.Random(name)
        self._waiting: list[asyncio.Event] = []
        self.on("tools/call", self._say)

    async def _say(self, asked: Asked) -> bytes:
        turn = asyncio.Event()
        self._waiting.append(turn)
        if len(self._waiting) == self._expected:
            self._random.shuffle(self._waiting)
            self._waiting[0].set()
        await turn.wait()
        await asked.progress(asked.arguments["nonce"])
        self._waiting.remove(turn)
        if self._waiting:
            self._waiting[0].set()
        return self.text(str(asked.arguments["nonce"]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    mirrors = {name: Shuffled(name, CLIENTS // len(SERVERS)) for name in SERVERS}
    async with behind(mirrors, tmp_path_factory.mktemp("gateway")) as running:
        yield running


def params(nonce: int) -> Json:
    """The call of client number `nonce`, to one server after the other."""
    name = f"{SERVERS[nonce % len(SERVERS)]}__say"
    return {"name": name, "arguments": {"nonce": nonce}, "_meta": {"progressToken": 0}}


async def legacy(wire: Web, nonce: int, id: Any) -> httpx2.Response:
    session = await wire.open()
    return await session.post(message("tools/call", params(nonce), id=id))


async def stateless(wire: Web, nonce: int, id: Any) -> httpx2.Response:
    body = modern("tools/call", params(nonce), id=id)
    body["params"]["_meta"]["progressToken"] = 0
    return await wire.post(body, headers_of(body))


async def test_everybody_gets_their_own_answer(running: Running) -> None:
    async with web(running.mcp, limits=NO_LIMITS) as wire:
        responses = await asyncio.gather(
            *(
                (legacy, stateless)[nonce // 4 % 2](wire, nonce, IDS[nonce // 8 % 2])
                for nonce in range(CLIENTS)
            )
        )
    for nonce, response in enumerate(responses):
        report, answer = messages(response)
        assert report["params"] == {"progressToken": 0, "progress": nonce}
        assert answer["id"] == IDS[nonce // 8 % 2]
        assert type(answer["id"]) is type(IDS[nonce // 8 % 2])
        assert json.loads(answer["result"]["content"][0]["text"]) == nonce


async def test_one_session_many_ids(running: Running) -> None:
    """The same on a single legacy session, where 1 and "1" are two requests."""
    ids = [id for number in range(CLIENTS // 2) for id in (number, str(number))]
    async with web(running.mcp, limits=NO_LIMITS) as wire:
        session = await wire.open()
        bodies = [message("tools/call", params(nonce), id=id) for nonce, id in enumerate(ids)]
        responses = await asyncio.gather(*map(session.post, bodies))
    for nonce, (id, response) in enumerate(zip(ids, responses, strict=True)):
        report, answer = messages(response)
        assert report["params"]["progress"] == nonce
        assert (answer["id"], type(answer["id"])) == (id, type(id))
        assert answer["result"]["content"][0]["text"] == str(nonce)
