"""When an answer ends: servers that say so, servers that fail, and how the client hears of it."""

import asyncio
from typing import Any

import pytest

from fakes.answers import LOST, OWN_ERROR, READ, A, Clock, client, counts, numbered, raw, read
from fakes.edge import PATIENCE_S, until
from fakes.upstream import Gate, ask, gateway_of, library, request
from only1mcp.config.cache import Sharing
from only1mcp.policy.access import ANONYMOUS
from only1mcp.protocol.errors import ServerLost, UpstreamError
from only1mcp.protocol.methods import NEWEST_LEGACY
from only1mcp.relay.call import relay

UPDATED = "notifications/resources/updated"


# --- what servers say ---


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        (UPDATED, A, 2),
        (UPDATED, {"uri": "lib://b"}, 1),
        (UPDATED, {}, 2),
        ("notifications/resources/list_changed", {}, 2),
        ("notifications/prompts/list_changed", {}, 1),
        ("notifications/message", {"level": "info", "data": 1}, 1),
    ],
)
async def test_a_change_that_is_announced_ends_it_at_once(
    method: str, params: Any, expected: int
) -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        live = gateway.roster.servers["lib"]
        gateway._from_server(live, method, raw(params))
        assert await read(gateway) == expected


async def test_an_answer_from_before_a_change_is_never_kept_after_it() -> None:
    gate = Gate({"contents": [], "count": "old"})
    fake = library(answers={READ: gate})
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        early = group.create_task(read(gateway))
        await gate.entered.wait()
        gateway._from_server(gateway.roster.servers["lib"], UPDATED, raw(A))
        fake.answers[READ] = {"contents": [], "count": "new"}
        assert await read(gateway) == "new"
        gate.open()
        assert await early == "old"
        assert await read(gateway) == "new"
        assert len(fake.asked(READ)) == 2


async def test_a_server_that_comes_back_starts_anew() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        live = gateway.roster.servers["lib"]
        await gateway._joined(live)
        assert await read(gateway) == 2


# --- another configuration ---


async def test_what_was_for_all_is_not_once_the_operator_says_so() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, entries={"lib": {"cache": {"shared": True}}}) as gateway:
        assert [await read(gateway, client(name)) for name in ("ann", "bob")] == [1, 1]
        (server,) = gateway.config.servers
        alone = server.model_copy(update={"cache": Sharing()})
        gateway._apply(gateway.config.model_copy(update={"servers": (alone,)}))
        assert [await read(gateway, client(name)) for name in ("ann", "bob")] == [2, 3]


async def test_strangers_are_no_longer_one_when_tokens_change() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway, client(ANONYMOUS))
        edge = gateway.config.server.model_copy(update={"auth": "none"})
        gateway._apply(gateway.config.model_copy(update={"server": edge}))
        assert [await read(gateway, client(ANONYMOUS, one)) for one in "xy"] == [2, 3]


async def test_other_changes_leave_it_alone() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        naming = gateway.config.naming.model_copy(update={"separator": "_"})
        gateway._apply(gateway.config.model_copy(update={"naming": naming}))
        assert await read(gateway) == 1


# --- old answers, and early ones ---


async def test_an_old_answer_stands_in_for_a_server_that_fails() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, cache={"l2": {"ttl": "10s"}, "stale": "60s"}) as gateway:
        clock = Clock(gateway)
        await read(gateway)
        fake.answers[READ] = LOST
        clock.now += 11
        assert await read(gateway) == 1
        clock.now += 60
        with pytest.raises(ServerLost):
            await read(gateway)
        assert counts(gateway).stale == 1


async def test_the_servers_own_error_is_an_answer() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, cache={"l2": {"ttl": "10s"}}) as gateway:
        clock = Clock(gateway)
        await read(gateway)
        fake.answers[READ] = OWN_ERROR
        clock.now += 11
        with pytest.raises(UpstreamError):
            await read(gateway)


async def test_a_server_that_is_down_is_not_waited_for() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, cache={"l2": {"ttl": "10s"}}) as gateway:
        clock = Clock(gateway)
        await read(gateway)
        clock.now += 11
        fake.hold = asyncio.Event()
        fake.lose("it died")
        await until(lambda: gateway.roster.servers["lib"].upstream is None)
        assert await read(gateway) == 1
        assert len(fake.asked(READ)) == 1


async def test_a_hot_answer_is_renewed_before_it_ends() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, cache={"l2": {"ttl": "100s"}}) as gateway:
        clock = Clock(gateway)
        for _ in range(3):
            await read(gateway)
        clock.now += 95
        assert await read(gateway) == 1
        await until(lambda: counts(gateway).misses == 1 and not gateway._answers._flights)
        clock.now += 50
        assert await read(gateway) == 2
        assert len(fake.asked(READ)) == 2


async def test_a_renewal_that_fails_is_not_tried_again_and_again() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, cache={"l2": {"ttl": "100s"}}) as gateway:
        clock = Clock(gateway)
        for _ in range(3):
            await read(gateway)
        fake.answers[READ] = OWN_ERROR
        clock.now += 95
        for _ in range(3):
            assert await read(gateway) == 1
            await until(lambda: not gateway._answers._flights)
        assert len(fake.asked(READ)) == 2


async def test_what_was_renewed_ends_with_a_call_that_may_write_too() -> None:
    fake = library(answers={READ: numbered(resultType="complete", ttlMs=100_000)}, modern=True)
    write = "tools/call", {"name": "lib__find"}
    async with gateway_of(fake) as gateway:
        clock = Clock(gateway)
        for _ in range(3):
            await read(gateway)
        await ask(gateway, *write)
        fake.answers[READ] = {"contents": [], "count": "renewed"}
        clock.now += 95
        assert await read(gateway) == 1
        await until(lambda: not gateway._answers._flights)
        assert await read(gateway) == "renewed"
        await ask(gateway, *write)
        fake.answers[READ] = {"contents": [], "count": "after the write"}
        assert await read(gateway) == "after the write"


# --- how it came about ---


async def test_each_answer_says_how_it_came_about() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, cache={"debug_headers": True, "l2": {"ttl": "10s"}}) as gateway:
        clock = Clock(gateway)
        caller = client()
        await read(gateway, caller)
        clock.now += 3.7
        await read(gateway, caller)
        clock.now += 10
        fake.answers[READ] = LOST
        await read(gateway, caller)
        name = b"X-Only1MCP-Cache: "
        assert caller.labels == [
            name + b"miss\r\n",
            name + b"hit\r\nAge: 3\r\n",
            name + b"stale\r\nAge: 13\r\n",
        ]


async def test_nothing_is_said_unless_it_is_wanted() -> None:
    fake = library()
    async with gateway_of(fake) as gateway:
        caller = client()
        await ask(gateway, READ, A, caller=caller)
        assert caller.labels == []


async def test_a_hit_waits_for_nothing() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        running = relay(request(gateway, READ, A, revision=NEWEST_LEGACY), gateway.snapshot())
        with pytest.raises(StopIteration):
            running.send(None)


async def test_what_sweeps_goes_on_by_itself() -> None:
    fake = library()
    async with gateway_of(fake, cache={"l2": {"ttl": "1s"}, "stale": 0}) as gateway:
        clock = Clock(gateway)
        await ask(gateway, READ, A)
        clock.now += 2
        async with asyncio.timeout(PATIENCE_S):
            await until(lambda: counts(gateway).entries == 0)
