"""Lists: asked for once, kept as long as they hold, never waited for longer than the grace."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import pytest_asyncio

from fakes.edge import PATIENCE_S, until
from fakes.upstream import Answer, FakeUpstream, Gate, attach, offers
from only1mcp.catalog.listing import Kind
from only1mcp.config.model import Config
from only1mcp.config.servers import Server, Stdio
from only1mcp.protocol.errors import McpError, ServerTimeout, UpstreamError
from only1mcp.relay import fanout
from only1mcp.relay.fanout import Listings
from only1mcp.upstream.base import Call
from only1mcp.upstream.roster import Live, Roster

TTL_0 = {"ttlMs": 0}
SILENT = ServerTimeout("fake", "silent")
BROKEN = UpstreamError(b'{"code":-32603,"message":"boom"}', -32603, "boom")


class Desk:
    """Listings over servers that are up, and what they announced."""

    def __init__(self, *upstreams: FakeUpstream, **config: Any) -> None:
        servers = [Server(id=one.server, transport=Stdio(command="none")) for one in upstreams]
        self.roster = Roster(
            servers, lambda live: None, lambda live, method, params, place="", who=None: None
        )
        self.changes = 0
        self.listings = Listings(self.roster, Config(**config), self._changed)
        for one in upstreams:
            attach(self.live(one.server), one)

    def _changed(self) -> None:
        self.changes += 1

    def live(self, id: str = "fake") -> Live:
        """One server."""
        return self.roster.servers[id]

    async def join(self) -> None:
        """All servers come up."""
        for live in self.roster.servers.values():
            await self.listings.joined(live)
            live.settled.set()

    async def tools(self) -> list[str]:
        """The tools a client sees when it asks for the list."""
        async with asyncio.timeout(PATIENCE_S):
            view, _ = await self.listings.renewed(self.listings.catalog.all)
        return list(view.section(Kind.TOOLS).index)

    def known(self) -> list[str]:
        """The tools in the catalogue as it stands."""
        return list(self.listings.catalog.all.section(Kind.TOOLS).index)


Open = Callable[..., Coroutine[Any, Any, Desk]]


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Open]:
    """Opens a desk whose servers have joined; what it started ends with the test."""
    opened: list[Desk] = []

    async def open_desk(*upstreams: FakeUpstream, join: bool = True, **config: Any) -> Desk:
        one = Desk(*upstreams, **config)
        opened.append(one)
        if join:
            await one.join()
        return one

    yield open_desk
    for one in opened:
        await one.listings.close()


# --- how long a list holds ---


async def test_a_list_that_fails_later_stays_as_it_was(desk: Open) -> None:
    fake = FakeUpstream(answers=offers(tools=["a"], prompts=["p"]), capabilities={})
    one = await desk(fake)
    before = one.listings.catalog
    fake.answers["tools/list"] = BROKEN
    one.listings.changed(one.live())
    assert await one.tools() == ["fake__a"]
    assert len(fake.asked("tools/list")) == 2
    assert one.listings.catalog is before


async def test_a_new_connection_has_nothing_to_do_with_a_fetch_of_the_former(desk: Open) -> None:
    former, fake = FakeUpstream(answers=offers(tools=["a"])), FakeUpstream()
    one = await desk(former)
    former.answers["tools/list"] = late = Gate(offers(tools=["old"])["tools/list"])
    one.listings.changed(one.live())
    await late.entered.wait()
    fetching = one.listings._fetching["fake"].task
    fake.answers |= offers(tools=["b"])
    attach(one.live(), fake)
    async with asyncio.timeout(PATIENCE_S):
        await one.listings.joined(one.live())
        late.open()
        await fetching
    assert one.known() == ["fake__b"]


async def test_a_list_that_holds_is_not_asked_for_again(desk: Open) -> None:
    fake = FakeUpstream(answers=offers(tools=["a"]))
    one = await desk(fake)
    assert [await one.tools() for _ in range(3)] == [["fake__a"]] * 3
    assert len(fake.calls) == 1


async def test_an_expired_list_is_fetched_once_for_all_who_ask(desk: Open) -> None:
    fake = FakeUpstream(answers={"tools/list": offers(tools=["a"])["tools/list"] | TTL_0})
    one = await desk(fake)
    fake.answers |= offers(tools=["b"])
    assert await asyncio.gather(*(one.tools() for _ in range(50))) == [["fake__b"]] * 50
    assert len(fake.calls) == 2


async def test_an_unchanged_list_keeps_the_catalogue_and_announces_nothing(desk: Open) -> None:
    fake = FakeUpstream(answers={"tools/list": offers(tools=["a"])["tools/list"] | TTL_0})
    one = await desk(fake)
    before = one.listings.catalog
    await one.tools()
    assert len(fake.calls) == 2
    assert one.listings.catalog is before
    assert one.changes == 1


# --- how long a client waits ---


async def test_a_list_waits_for_servers_that_are_starting(desk: Open) -> None:
    fast, slow = (FakeUpstream(id, offers(tools=["a"])) for id in ("fast", "slow"))
    one = await desk(fast, slow, join=False)
    await one.listings.joined(one.live("fast"))
    one.live("fast").settled.set()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(one.tools())
        await asyncio.sleep(0)
        await one.join()
    assert sorted(asking.result()) == ["fast__a", "slow__a"]


async def test_a_server_that_starts_too_slowly_is_left_out(
    desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "GRACE_S", 0.02)
    fast, slow = (FakeUpstream(id, offers(tools=["a"])) for id in ("fast", "slow"))
    one = await desk(fast, slow, join=False)
    await one.listings.joined(one.live("fast"))
    one.live("fast").settled.set()
    assert await one.tools() == ["fast__a"]
    one.listings._born -= 1
    waits = len(asyncio.all_tasks())
    assert await one.tools() == ["fast__a"]
    assert len(asyncio.all_tasks()) == waits


async def test_only_the_first_wait_for_a_server_that_hangs(
    desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeUpstream(answers={"tools/list": offers(tools=["a"])["tools/list"] | TTL_0})
    one = await desk(fake)
    fake.answers["tools/list"] = Gate({})
    monkeypatch.setattr(fanout, "GRACE_S", 0.02)
    assert await one.tools() == ["fake__a"]
    monkeypatch.setattr(asyncio, "wait", None)  # nobody waits any more
    assert await one.tools() == ["fake__a"]
    assert len(fake.calls) == 2


async def test_a_list_that_fails_is_not_tried_for_every_client(
    desk: Open, caplog: pytest.LogCaptureFixture
) -> None:
    fake = FakeUpstream(answers={"tools/list": offers(tools=["a"])["tools/list"] | TTL_0})
    one = await desk(fake)
    fake.answers["tools/list"] = SILENT
    assert [await one.tools() for _ in range(3)] == [["fake__a"]] * 3
    assert len(fake.calls) == 2
    assert "server fake: lists not refreshed: silent" in caplog.text


async def test_a_server_that_joins_without_lists_is_not_ready(desk: Open) -> None:
    one = await desk(FakeUpstream(answers={"tools/list": SILENT}), join=False)
    with pytest.raises(ServerTimeout, match="silent"):
        await one.listings.joined(one.live())
    assert one.changes == 0


# --- list_changed ---


async def test_after_list_changed_the_old_list_is_given_to_nobody(desk: Open) -> None:
    fake = FakeUpstream(answers=offers(tools=["a"]))
    one = await desk(fake)
    fake.answers |= offers(tools=["b"])
    one.listings.changed(one.live())
    assert await one.tools() == ["fake__b"]


async def test_many_changes_at_once_make_one_fetch(desk: Open) -> None:
    fake = FakeUpstream(answers=offers(tools=["a"]))
    one = await desk(fake)
    fake.answers |= offers(tools=["b"])
    for _ in range(10):
        one.listings.changed(one.live())
    await until(lambda: one.known() == ["fake__b"])
    await one.tools()
    assert len(fake.calls) == 2


async def test_a_change_during_a_fetch_makes_another(
    desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "CALM_S", 0)
    gate = Gate(offers(tools=["old"])["tools/list"])
    fake = FakeUpstream(answers={"tools/list": gate})
    one = await desk(fake, join=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(one.join())
        await gate.entered.wait()
        fake.answers |= offers(tools=["new"])
        one.listings.changed(one.live())  # while the server's older answer is on its way
        gate.open()
    await until(lambda: one.known() == ["fake__new"])
    assert len(fake.calls) == 2


async def test_a_server_that_says_changed_at_every_list_is_asked_once_per_calm(
    desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "CALM_S", 3600)
    listed = offers(tools=["a"])["tools/list"]
    fake = FakeUpstream(answers={"tools/list": listed})
    one = await desk(fake, join=False)

    def restless(call: Call) -> Answer:
        one.listings.changed(one.live())
        return listed

    fake.answers["tools/list"] = restless
    await one.join()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(fake.calls) == 1


async def test_a_change_of_a_server_that_has_gone_is_nothing(
    desk: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fanout, "CALM_S", 0)
    fake = FakeUpstream(answers=offers(tools=["a"]))
    one = await desk(fake)
    attach(one.live(), None)
    one.listings.changed(one.live())
    await until(lambda: not one.listings._fetching)
    assert len(fake.calls) == 1
    assert caplog.records == []


async def test_closing_ends_the_fetches_under_way(desk: Open) -> None:
    gate = Gate({})
    fake = FakeUpstream(answers=offers(tools=["a"]))
    one = await desk(fake)
    fake.answers["tools/list"] = gate
    one.listings.changed(one.live())
    await gate.entered.wait()
    async with asyncio.timeout(PATIENCE_S):
        await one.listings.close()
    assert fake.cancelled == ["tools/list"]


# --- how long they hold, for us and for clients ---

ONE = {"tools": [], "ttlMs": 60_000, "cacheScope": "public"}
BOTH: Any = {"tools": {}, "prompts": {}}


def says(id: str = "fake", **tools: Any) -> FakeUpstream:
    """A server that says how long its tools hold."""
    return FakeUpstream(id, {"tools/list": ONE | tools})


async def test_only_the_list_that_is_due_is_asked_for(desk: Open) -> None:
    fake = FakeUpstream("fake", offers(tools=["a"], prompts=["p"]), capabilities=BOTH)
    one = await desk(fake, cache={"l3": {"ttl": "1s"}})
    one.listings.end("fake", (Kind.PROMPTS,))
    _, hit = await one.listings.renewed(one.listings.catalog.all, (Kind.TOOLS,))
    assert hit
    _, hit = await one.listings.renewed(one.listings.catalog.all, (Kind.PROMPTS,))
    assert not hit
    assert [len(fake.asked(f"{kind}/list")) for kind in ("tools", "prompts")] == [1, 2]


async def test_without_a_cache_each_list_is_asked_for_again(desk: Open) -> None:
    fake = says()
    one = await desk(fake, cache={"enabled": False})
    for _ in range(2):
        await one.tools()
    assert len(fake.asked("tools/list")) == 3


async def test_clients_hear_what_is_left_of_the_shortest_time(desk: Open) -> None:
    one = await desk(says("long"), says("short", ttlMs=30_000), server={"auth": "none"})
    promise = one.listings.promise(one.listings.catalog.all, Kind.TOOLS)
    assert 0 < promise.ttl_ms <= 30_000
    assert promise.public
    one.listings.end("long")
    assert one.listings.promise(one.listings.catalog.all, Kind.TOOLS).ttl_ms == 0


@pytest.mark.parametrize(
    "other",
    [
        FakeUpstream("other", offers(tools=["a"])),
        FakeUpstream("other", {"tools/list": BROKEN}),
        says("other", ttlMs=0),
    ],
)
async def test_nothing_is_promised_for_a_server_that_does_not(
    desk: Open, other: FakeUpstream
) -> None:
    one = await desk(says(), other, join=False)
    with contextlib.suppress(McpError):
        await one.join()
    assert one.listings.promise(one.listings.catalog.all, Kind.TOOLS).ttl_ms == 0


async def test_a_server_without_such_a_list_does_not_count(desk: Open) -> None:
    other = FakeUpstream("other", offers(prompts=["p"]), capabilities={"prompts": {}})
    one = await desk(says(), other)
    assert one.listings.promise(one.listings.catalog.all, Kind.TOOLS).ttl_ms > 0


@pytest.mark.parametrize(
    ("scope", "auth"), [("private", "none"), ("public", {"tokens": ["t" * 20]})]
)
async def test_a_list_is_private_if_one_is_or_if_callers_have_names(
    desk: Open, scope: str, auth: Any
) -> None:
    one = await desk(says("one"), says("two", cacheScope=scope), server={"auth": auth})
    assert not one.listings.promise(one.listings.catalog.all, Kind.TOOLS).public


async def test_an_empty_gateway_promises_nothing(desk: Open) -> None:
    one = await desk()
    assert one.listings.promise(one.listings.catalog.all, Kind.TOOLS).ttl_ms == 0


async def test_other_times_end_what_is_kept(desk: Open) -> None:
    one = await desk(says())
    view = one.listings.catalog.all
    assert one.listings.current(view, Kind.TOOLS) is not None
    one.listings.adopt(Config())
    assert one.listings.current(view, Kind.TOOLS) is not None, "nothing about lists is other"
    one.listings.adopt(Config.model_validate({"cache": {"enabled": False}}))
    assert one.listings.current(view, Kind.TOOLS) is None
