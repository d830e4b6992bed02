"""Further connections: one per key, opened once, closed when idle, lost or left."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from fakes.edge import until
from fakes.upstream import FakeUpstream
from only1mcp.protocol.errors import ServerFault, ServerProtocolError, ServerUnavailable
from only1mcp.upstream import connections as module
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.connections import Connections, Key

LEGACY, MINE, YOURS = Key(False, None), Key(False, "mine"), Key(True, "yours")
WORKING = Key(False, "working")


class Desk:
    """Makes connections and remembers them."""

    def __init__(self) -> None:
        self.made: list[FakeUpstream] = []
        self.eras: list[str] = []
        self.greeted: list[Upstream] = []
        self.refuse: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.open = Connections("s", self.make, self.heard)

    def make(self, era: str) -> FakeUpstream:
        self.eras.append(era)
        self.made.append(FakeUpstream("s", modern=era == "modern"))
        self.made[-1].refuse, self.made[-1].hold = self.refuse, self.hold
        return self.made[-1]

    async def heard(self, upstream: Upstream) -> None:
        self.greeted.append(upstream)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.open.close()
    assert all(one.closed for one in desk.made)


async def until_closed(one: FakeUpstream) -> None:
    async with asyncio.timeout(5):
        while not one.closed:  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0)


async def told(getting: Coroutine[Any, Any, Upstream]) -> Upstream | ServerFault:
    """What a caller gets; that others are cancelled is not for it."""
    try:
        return await getting
    except ServerFault as fault:
        return fault


async def test_one_connection_per_key(desk: Desk) -> None:
    first = await desk.open.get(LEGACY)
    assert await desk.open.get(LEGACY) is first
    assert await desk.open.get(MINE) is not first
    assert await desk.open.get(YOURS) is desk.made[2]
    assert desk.eras == ["legacy", "legacy", "modern"]
    assert desk.greeted == desk.made
    assert list(desk.open) == desk.made


async def test_many_who_ask_at_once_share_one_opening(desk: Desk) -> None:
    found = await asyncio.gather(*(desk.open.get(LEGACY) for _ in range(10)))
    assert len(set(map(id, found))) == len(desk.made) == 1


async def test_a_refusal_is_for_all_who_asked_and_not_kept(desk: Desk) -> None:
    desk.refuse = ServerProtocolError("s", "no handshake")
    found = await asyncio.gather(*(desk.open.get(LEGACY) for _ in range(2)), return_exceptions=True)
    assert [type(one) for one in found] == [ServerProtocolError] * 2
    desk.refuse = None
    await desk.open.get(LEGACY)


async def test_who_waits_for_an_opening_that_is_given_up_is_told(desk: Desk) -> None:
    desk.hold = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        asking = group.create_task(told(desk.open.get(MINE)))
        await until(lambda: [one.connects for one in desk.made] == [1])
        await desk.open.close()  # the shared connection is lost
        assert str(await asking) == "server 's' is being disconnected"


async def test_who_comes_while_an_opening_is_given_up_keeps_the_new_one(desk: Desk) -> None:
    desk.hold = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(told(desk.open.get(MINE)))
        await until(lambda: [one.connects for one in desk.made] == [1])
        desk.open.leave("mine")
        desk.hold = None
        second = await desk.open.get(MINE)
        assert isinstance(await first, ServerUnavailable)
    assert await desk.open.get(MINE) is second


async def test_a_lost_connection_is_opened_anew(desk: Desk) -> None:
    first = await desk.open.get(LEGACY)
    desk.made[0].lose("gone")
    await until_closed(desk.made[0])
    assert await desk.open.get(LEGACY) is not first


async def test_who_leaves_takes_only_its_own(desk: Desk) -> None:
    await desk.open.get(MINE)
    await desk.open.get(YOURS)
    desk.open.leave("mine")
    await until_closed(desk.made[0])
    assert list(desk.open) == [desk.made[1]]


async def test_idle_ones_are_closed_busy_ones_stay(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.open.get(MINE)
    await desk.open.get(YOURS)
    await desk.open.get(WORKING)
    desk.made[1].busy = True
    monkeypatch.setattr(module, "IDLE_S", -1)
    desk.open.sweep({"working"})
    await until_closed(desk.made[0])
    assert list(desk.open) == desk.made[1:]
    desk.open.sweep({None})
    await until_closed(desk.made[2])


async def test_they_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 1)
    await desk.open.get(MINE)
    with pytest.raises(ServerUnavailable, match="isolated connections"):
        await desk.open.get(YOURS)
