"""One timer, many deadlines."""

import asyncio
from math import inf

import pytest

from fakes.clock import Clock
from fakes.edge import until
from only1mcp.upstream.base import Call
from only1mcp.upstream.deadline import AT_ONCE, STOOD_S, Deadlines, overrun


class Sample:
    """A call that remembers that it expired."""

    def __init__(self, due: float) -> None:
        self.due = due
        self.expired = asyncio.Event()

    def expire(self) -> None:
        self.expired.set()


async def expired(call: Sample) -> None:
    async with asyncio.timeout(5):
        await call.expired.wait()


async def test_each_call_expires_at_its_own_deadline() -> None:
    clock = asyncio.get_running_loop().time
    now = clock()
    calls = {1: Sample(now + 0.03), 2: Sample(now + 0.01), 3: Sample(now + 60)}
    deadlines = Deadlines(calls.values(), clock)
    for call in calls.values():
        deadlines.watch(call.due)
    await expired(calls[2])
    assert not calls[1].expired.is_set()
    await expired(calls[1])
    assert clock() - now >= 0.03
    assert not calls[3].expired.is_set()
    deadlines.close()


async def test_a_deadline_that_moved_away_is_looked_at_again() -> None:
    clock = asyncio.get_running_loop().time
    call = Sample(clock() + 0.01)
    deadlines = Deadlines([call], clock)
    deadlines.watch(call.due)
    call.due = later = clock() + 0.04
    await expired(call)
    assert clock() >= later


async def test_the_timer_is_armed_once_for_calls_with_later_deadlines() -> None:
    clock = asyncio.get_running_loop().time
    first, second = Sample(clock() + 0.01), Sample(clock() + 0.02)
    deadlines = Deadlines([first, second], clock)
    deadlines.watch(first.due)
    timer = deadlines._timer
    deadlines.watch(second.due)
    assert deadlines._timer is timer
    await expired(second)


async def test_without_calls_the_timer_stops() -> None:
    clock = asyncio.get_running_loop().time
    calls = {1: Sample(clock())}
    deadlines = Deadlines(calls.values(), clock)
    deadlines.watch(calls[1].due)
    await expired(calls[1])
    del calls[1]
    assert deadlines._timer is None
    deadlines.watch(clock() + 60)
    deadlines.close()
    assert deadlines._timer is None


async def test_a_call_without_a_deadline_is_left_alone() -> None:
    clock = asyncio.get_running_loop().time
    calls = {1: Sample(inf), 2: Sample(clock() + 0.01)}
    deadlines = Deadlines(calls.values(), clock)
    for call in calls.values():
        deadlines.watch(call.due)
    await expired(calls[2])
    assert deadlines._timer is None
    assert not calls[1].expired.is_set()


async def test_the_time_in_which_the_process_stood_still_is_nobodys_fault() -> None:
    clock = Clock()
    calls = [Sample(clock() + 0.01), Sample(clock() + 30), Sample(inf)]
    deadlines = Deadlines(calls, clock)
    for call in calls:
        deadlines.watch(call.due)
    timer = deadlines._timer
    clock.now += 3600
    await until(lambda: deadlines._timer is not timer)
    left = [call.due - clock() for call in calls]
    assert left == [pytest.approx(STOOD_S), pytest.approx(STOOD_S + 29.99), inf]
    assert not calls[0].expired.is_set()
    clock.now += STOOD_S  # on time
    await expired(calls[0])
    assert not calls[1].expired.is_set()
    deadlines.close()


async def test_calls_that_began_together_expire_a_few_at_a_time() -> None:
    clock = asyncio.get_running_loop().time
    calls = [Sample(clock()) for _ in range(2 * AT_ONCE + 1)]
    deadlines = Deadlines(calls, clock)
    deadlines.watch(calls[0].due)
    over: list[int] = []
    async with asyncio.timeout(5):
        while len(over) < 3:  # each time that others have had the loop
            await calls[min(len(calls) - 1, len(over) * AT_ONCE)].expired.wait()
            over.append(sum(call.expired.is_set() for call in calls))
    assert over == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1]
    assert deadlines._timer is None


@pytest.mark.parametrize(
    ("method", "whole", "did", "next_step"),
    [
        ("tools/call", False, "sent nothing for 5 s during tools/call", "timeouts.call_idle"),
        ("tools/call", True, "took longer than 50 s for tools/call", "timeouts.call_max"),
        ("tools/list", False, "sent nothing for 5 s during tools/list", "timeouts.list"),
        ("initialize", True, "took longer than 50 s for initialize", "timeouts.start"),
        ("server/discover", False, "sent nothing for 5 s during server/discover", "timeouts.start"),
    ],
)
def test_whoever_called_hears_what_was_waited_for_and_whether_it_may_have_run(
    method: str, whole: bool, did: str, next_step: str
) -> None:
    said, hint = overrun("one", Call(method, idle_s=5, max_s=50), whole=whole)
    assert said == did
    assert hint.endswith(f"{next_step} of server 'one'")
    assert hint.startswith("the call may have run; look") == (method == "tools/call")
