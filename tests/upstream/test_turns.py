"""Calls that wait until another one ends: who goes on, who is refused, and what is never lost."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Gate, text
from only1mcp.config.resilience import Concurrency
from only1mcp.protocol.errors import Outcome, Overloaded, ServerLost
from only1mcp.upstream.base import Call
from only1mcp.upstream.turns import InTurn, Turns


def turns(most: int = 1, queue: int = 8, timeout_s: float = 60.0) -> Turns:
    """The turns of a server."""
    return Turns("s", Concurrency(max_in_flight=most, queue=queue, queue_timeout=timeout_s))


def start(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """A task of the test."""
    return asyncio.get_running_loop().create_task(work)


async def test_a_call_waits_until_another_one_ends() -> None:
    one = turns()
    assert one.enter()
    assert not one.enter()
    waiting = start(one.wait("a"))
    await until(lambda: one.waiting == 1)
    one.end()
    await asyncio.wait_for(waiting, PATIENCE_S)
    assert (one.in_flight, one.waiting) == (1, 0)
    one.end()
    assert one.in_flight == 0


async def test_a_full_queue_refuses_at_once() -> None:
    one = turns(queue=0)
    one.enter()
    with pytest.raises(Overloaded) as refused:
        await one.wait("a")
    assert refused.value.message == (
        "server 's' is full: 1 in flight, 0 waiting (concurrency.queue)"
    )
    assert refused.value.data == {
        "server": "s",
        "outcome": Outcome.NOT_SENT,
        "retryAfterMs": 1000,
        "hint": "the call did not reach it; repeat it in 1 s or later",
    }


async def test_who_has_few_calls_is_not_kept_out_by_who_has_many() -> None:
    one = turns(queue=2)
    one.enter()
    many = [start(one.wait("a")) for _ in range(2)]
    await until(lambda: one.waiting == 2)
    few = start(one.wait("b"))
    with pytest.raises(Overloaded, match="1 in flight, 2 waiting"):
        await many[1]
    one.end()
    await many[0]
    one.end()
    await few
    assert (one.in_flight, one.waiting) == (1, 0)


async def test_a_wait_ends_in_time_and_leaves_no_trace() -> None:
    one = turns(timeout_s=0.01)
    one.enter()
    with pytest.raises(Overloaded, match=r"none ended within 0.01 s \(concurrency.queue_timeout\)"):
        await one.wait("a")
    assert one.waiting == 0
    one.end()
    assert one.enter()


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    one = turns()
    one.enter()
    waiting = start(one.wait("a"))
    await until(lambda: one.waiting == 1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert one.waiting == 0
    one.end()
    assert one.in_flight == 0


@pytest.mark.parametrize("granted_first", [True, False])
async def test_a_wait_cancelled_in_the_moment_of_its_turn_passes_it_on(granted_first: bool) -> None:
    one = turns()
    one.enter()
    first, second = start(one.wait("a")), start(one.wait("b"))
    await until(lambda: one.waiting == 2)
    if granted_first:
        one.end()
        first.cancel()
    else:
        first.cancel()
        one.end()
    await asyncio.wait_for(second, PATIENCE_S)
    assert first.cancelled()
    assert (one.in_flight, one.waiting) == (1, 0)


async def test_a_wait_cancelled_as_its_time_runs_out_is_counted_once() -> None:
    one = turns()
    one.enter()
    waiting = start(one.wait("a"))
    await until(lambda: one.waiting == 1)
    (ticket,) = one._futures
    one._expire(ticket)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert (one.in_flight, one.waiting) == (1, 0)
    one._expire(ticket)  # a timer that was on its way
    assert one.waiting == 0


async def test_callers_take_turns() -> None:
    one, order = turns(), []
    one.enter()

    async def call(caller: str) -> None:
        await one.wait(caller)
        order.append(caller)
        one.end()

    calls = [start(call(caller)) for caller in "aaab"]
    await until(lambda: one.waiting == 4)
    one.end()
    await asyncio.wait(calls)
    assert order == ["a", "b", "a", "a"]


async def test_no_turn_is_lost_whatever_happens() -> None:
    one, draw = turns(most=3, queue=10, timeout_s=0.002), random.Random(7)
    most = 0

    async def call(caller: str) -> None:
        nonlocal most
        if not one.enter():
            await one.wait(caller)
        try:
            most = max(most, one.in_flight)
            for _ in range(draw.randrange(4)):
                await asyncio.sleep(0)
            if draw.random() < 0.2:
                raise ServerLost("s", "gone")
        finally:
            one.end()

    for _ in range(60):
        calls = [start(call(draw.choice("abc"))) for _ in range(20)]
        for _ in range(draw.randrange(6)):
            await asyncio.sleep(0)
            draw.choice(calls).cancel()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert all(
            isinstance(one, Overloaded | ServerLost | asyncio.CancelledError | None)
            for one in ended
        )
    assert most == 3
    assert (one.in_flight, one.waiting, one._futures) == (0, 0, {})


# --- InTurn ---


async def test_every_call_has_a_turn_of_its_own() -> None:
    gate = Gate(text("done"))
    fake, one = FakeUpstream("s", {"tools/call": gate}), turns()
    callee = InTurn(fake, one, "a")
    assert (callee.server, callee.greeting) == ("s", fake.greeting)
    first = start(callee.call(Call("tools/call")))
    second = start(InTurn(fake, one, "a").call(Call("tools/call")))
    await until(lambda: one.waiting == 1 and gate.entered.is_set())
    assert len(fake.calls) == 1
    gate.open()
    assert await first == await second
    assert (len(fake.calls), one.in_flight) == (2, 0)


async def test_while_a_call_rests_another_has_its_turn() -> None:
    gate = Gate(text("done"))
    one = turns()
    callee = InTurn(FakeUpstream("s", {"tools/call": gate}), one, "a")
    call = start(callee.call(Call("tools/call")))
    await until(gate.entered.is_set)
    for _ in range(2):  # to rest twice is to rest
        callee.rest()
    assert one.in_flight == 0
    await callee.resume()
    assert one.in_flight == 1
    callee.rest()
    gate.open()
    await call
    assert one.in_flight == 0


async def test_a_call_that_fails_gives_its_turn_back() -> None:
    fake, one = FakeUpstream("s", {"tools/call": ServerLost("s", "gone")}), turns()
    with pytest.raises(ServerLost):
        await InTurn(fake, one, "a").call(Call("tools/call"))
    assert one.in_flight == 0


async def test_more_room_is_given_to_those_who_wait() -> None:
    one = turns(queue=2, timeout_s=60.0)
    one.enter()
    waiting = [start(one.wait("a")) for _ in range(2)]
    await until(lambda: one.waiting == 2)
    one.renew(Concurrency(max_in_flight=3, queue=0))
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*waiting)
    with pytest.raises(Overloaded, match=r"3 in flight, 0 waiting"):
        await one.wait("a")
    for _ in range(3):
        one.end()
    assert one.in_flight == 0
