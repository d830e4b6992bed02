"""One server and its replicas: who takes calls, who leads, what is said when nobody does."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from fakes.edge import until
from fakes.group import Group, url
from fakes.upstream import FakeUpstream, Gate
from only1mcp.config.servers import Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.policy import restart
from only1mcp.protocol.errors import (
    CircuitOpen,
    ServerLost,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.upstream.base import Call
from only1mcp.upstream.replica import Replica, State

CALL = Call("tools/call")
LOST = ServerLost("one", "cut")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, but for what was given up."""
    monkeypatch.setattr(restart, "FIRST_PAUSE_S", 0.0)


Start = Callable[..., Any]


@pytest_asyncio.fixture
async def group() -> AsyncIterator[Start]:
    """Groups that are started, and all ready unless told otherwise."""
    started: list[Group] = []

    async def start(
        count: int = 2, *, settled: bool = True, fakes: tuple[FakeUpstream, ...] = (), **more: Any
    ) -> Group:
        found = Group(*(fakes or [FakeUpstream("one") for _ in range(count)]), **more)
        found.start()
        started.append(found)
        if settled:
            await found.all_ready()
        return found

    yield start
    for one in started:
        await one.live.close("the test is over")


def refusing() -> FakeUpstream:
    """A replica that cannot be reached."""
    fake = FakeUpstream("one")
    fake.refuse = ServerUnavailable("one", "refused")
    return fake


def trip(replica: Replica) -> None:
    """Open its breaker."""
    replica.breaker.trip("for the test", replica.clock())
    replica.changed()


# --- who takes calls ---


async def test_calls_go_to_all_in_turn(group: Start) -> None:
    assert (await group(3)).picks() == [4, 4, 4]


async def test_a_replica_that_is_lost_gets_none_until_it_is_back(group: Start) -> None:
    one = await group(2)
    one.fakes[0].hold = asyncio.Event()
    one.fakes[0].lose("gone")
    await until(lambda: one.picks() == [0, 12])
    assert one.live.state is State.READY
    one.fakes[0].hold.set()
    await one.all_ready()
    assert one.picks() == [6, 6]


async def test_one_replica_of_two_that_cannot_start_is_no_outage(group: Start) -> None:
    one = await group(fakes=(refusing(), FakeUpstream("one")), settled=False)
    await until(lambda: one.live.state is State.READY)
    await one.live.settled.wait()
    assert one.picks() == [0, 12]
    assert one.joins == [one.fakes[1]]


async def test_an_open_breaker_sends_calls_elsewhere(group: Start) -> None:
    one = await group(2)
    trip(one.live.replicas[0])
    assert one.picks() == [0, 12]


async def test_who_has_failed_this_call_is_avoided_if_others_are_there(group: Start) -> None:
    one = await group(2)
    first, second = one.live.replicas
    assert one.picks(tried=(first.id,)) == [0, 12]
    assert sum(one.picks(tried=(first.id, second.id))) == 12  # nobody else is left


async def test_at_most_half_of_three_are_left_alone_and_then_nobody(
    group: Start, caplog: pytest.LogCaptureFixture
) -> None:
    one = await group(4)
    for replica in one.live.replicas[:3]:
        trip(replica)
    assert one.picks() == [0, 0, 6, 6]  # half of them, those open longest
    one.live.replicas[3].health.usable = False
    one.live.replicas[3].changed()
    assert one.picks() == [3, 3, 3, 3]  # panic
    assert "too few replicas are well" in caplog.text


async def test_in_a_group_of_three_who_is_back_starts_slowly(group: Start) -> None:
    one = await group(3)
    first = one.live.replicas[0]
    trip(first)
    first.breaker.reset(first.clock())
    first.changed()
    assert (first.slow_start, first.back_since is None) == (0.1, False)
    assert one.live.replicas[1].slow_start == 1.0


async def test_two_replicas_share_at_once(group: Start) -> None:
    one = await group(2)
    first = one.live.replicas[0]
    trip(first)
    first.breaker.reset(first.clock())
    first.changed()
    assert first.slow_start == 1.0


async def test_weights_count(group: Start) -> None:
    replicas = [{"transport": url(1), "weight": 3}, {"transport": url(2)}]
    one = await group(2, replicas=replicas)
    assert one.picks() == [9, 3]


async def test_equal_keys_go_to_the_same_replica(group: Start) -> None:
    one = await group(4, load_balancing={"policy": "consistent_hash", "hash_key": "tool"})
    assert one.live.hash_key == "tool"
    for key in "abcdef":
        assert sorted(one.picks(key=key)) == [0, 0, 0, 12]


# --- who stays where ---


async def test_a_session_stays_on_its_replica_and_moves_when_that_dies(group: Start) -> None:
    one = await group(2, isolation="session")
    homes = [one.live.pick("ann"), one.live.pick("bob")]
    assert homes[0] is not homes[1]
    assert [one.live.pick(who) for who in ("ann", "bob") * 3] == homes * 3
    fake = one.fakes[one.live.replicas.index(homes[0])]
    fake.hold = asyncio.Event()
    fake.lose("gone")
    await until(lambda: one.live.pick("ann") is homes[1])
    fake.hold.set()
    await one.all_ready()
    assert one.live.pick("ann") is homes[1]  # it does not go back


async def test_who_has_left_or_sleeps_has_no_home(group: Start) -> None:
    one = await group(2, isolation="session")
    one.live.pick("ann")
    one.live.leave("ann")
    one.live.pick("bob")  # has opened no connection
    bea = one.live.pick("bea")
    await bea.apart(modern=False, who="bea")
    one.live.sweep()
    assert [*one.live._homes] == ["bea"]


# --- who leads ---


async def test_one_replica_leads_and_the_others_join_quietly(group: Start) -> None:
    one = await group(3)
    assert len(one.joins) == 1
    assert one.live.upstream in one.fakes


async def test_another_leads_when_the_first_is_lost(group: Start) -> None:
    one = await group(2)
    leader = one.live.lead
    one.fakes[one.live.replicas.index(leader)].hold = asyncio.Event()
    one.fakes[one.live.replicas.index(leader)].lose("gone")
    await until(lambda: len(one.joins) == 2)
    assert one.live.lead is not leader
    assert one.joins[1] is one.live.upstream


async def test_another_leads_when_the_first_is_unwell(group: Start) -> None:
    one = await group(2)
    leader = one.live.lead
    trip(leader)
    await until(lambda: len(one.joins) == 2)
    assert one.live.lead is not leader


async def test_a_lone_replica_leads_whatever_its_breaker_says(group: Start) -> None:
    one = await group(1)
    trip(one.live.lead)
    assert one.live.upstream is one.fakes[0]


async def test_a_new_leader_whose_lists_cannot_be_had_still_takes_calls(
    group: Start, caplog: pytest.LogCaptureFixture
) -> None:
    one = await group(2)
    one.refuse.append(ServerTimeout("one", "tools/list: silent"))
    trip(one.live.lead)
    await until(lambda: "its lists cannot be had: tools/list: silent" in caplog.text)
    assert sum(one.picks()) == 12


async def test_if_the_first_cannot_be_listed_the_next_leads(group: Start) -> None:
    one = Group(FakeUpstream("one"), FakeUpstream("one"))
    one.refuse.append(ServerTimeout("one", "tools/list: silent"))
    one.start()
    await one.all_ready()
    assert one.joins[0] is not one.joins[1]
    assert one.live.upstream is one.joins[1]
    await one.live.close("over")


# --- what is said when nobody takes calls ---


async def test_what_is_said_of_a_server_that_is_starting() -> None:
    live = Group(FakeUpstream("one")).live
    with pytest.raises(ServerUnavailable) as caught:
        live.ready()
    assert caught.value.message == "server 'one' is starting: not connected yet"
    assert caught.value.data["hint"] == "try again in a moment"


async def test_what_is_said_of_a_server_that_is_down(
    group: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restart, "FIRST_PAUSE_S", 40.0)
    monkeypatch.setattr(random, "random", lambda: 0.5)
    one = await group(fakes=(refusing(),), settled=False)
    await one.live.settled.wait()
    with pytest.raises(ServerUnavailable) as caught:
        one.live.pick()
    fault = caught.value
    assert fault.message == "server 'one' is waiting: refused"
    assert fault.data["hint"].startswith("it is tried again within 4")
    assert 30_000 < fault.data["retryAfterMs"] <= 40_001
    assert not fault.may_have_run


async def test_what_is_said_of_a_disabled_server() -> None:
    live = Group(FakeUpstream("one"), enabled=False).live
    assert live.settled.is_set()
    fault = live.unavailable()
    assert fault.message == "server 'one' is disabled: enabled: false in the configuration"
    assert fault.data["hint"] == "set enabled: true for server 'one'"


async def test_what_is_said_behind_an_open_breaker(group: Start) -> None:
    one = await group(1, circuit_breaker={"open": 100})
    replica = one.live.lead
    one.fakes[0].answers["tools/call"] = LOST
    for _ in range(5):
        with pytest.raises(ServerLost):
            await one.live.pick().calls.call(CALL)
    with pytest.raises(CircuitOpen) as caught:
        one.live.pick()
    fault = caught.value
    assert fault.message == (
        "server 'one at http://127.0.0.1:1/mcp' fails and is left alone: "
        "5 failures in a row, the last: cut"
    )
    assert (fault.code, fault.data["outcome"], fault.data["server"]) == (-31004, "not_sent", "one")
    wait_ms = (replica.breaker.retry_at - replica.clock()) * 1000
    assert fault.data["retryAfterMs"] == pytest.approx(wait_ms, abs=1000)


async def test_what_is_said_in_a_pause_and_while_unhealthy(group: Start) -> None:
    one = await group(1)
    replica = one.live.lead
    replica.breaker.pause(replica.clock() + 60, replica.clock())
    replica.changed()
    with pytest.raises(CircuitOpen, match="has asked for a pause"):
        one.live.pick()
    replica.renew()
    for _ in range(3):
        replica.health.failed("no answer to ping", replica.clock())
    replica.changed()
    with pytest.raises(ServerUnavailable, match="is unhealthy: no answer to ping"):
        one.live.pick()


# --- idle ---

PROGRAM = {"transport": Stdio(command="none"), "replicas": []}


async def test_a_program_nobody_calls_is_stopped_and_the_next_call_starts_it(group: Start) -> None:
    one = await group(1, **PROGRAM, idle_stop=0.05)
    await until(lambda: one.live.state is State.IDLE)
    await until(lambda: one.fakes[0].closed == 1)
    assert one.live.upstream is None
    assert not one.live._group
    await asyncio.gather(one.live.awake(), one.live.awake())
    assert one.live.pick().upstream is one.fakes[0]
    assert one.fakes[0].connects == 2
    assert one.live.restarts == 0


async def test_an_idle_server_that_does_not_come_back_says_why(group: Start) -> None:
    one = await group(1, **PROGRAM, idle_stop=0.05)
    await until(lambda: one.fakes[0].closed == 1)
    one.fakes[0].refuse = ServerUnavailable("one", "no memory")
    await one.live.awake()
    with pytest.raises(ServerUnavailable, match="no memory"):
        one.live.pick()


async def test_a_program_that_works_or_is_listened_to_is_not_stopped(group: Start) -> None:
    one = await group(1, **PROGRAM, idle_stop=0.05)
    gate = Gate({})
    one.fakes[0].answers["tools/call"] = gate
    tasks = Tasks()
    calling = tasks.start(one.live.pick().calls.call(CALL), "call")
    await gate.entered.wait()
    one.held = True
    before = one.live.replicas[0].used_at
    await asyncio.sleep(0.12)  # longer than idle_stop: nothing must happen in it
    gate.open()
    await calling
    await asyncio.sleep(0.12)
    assert one.live.replicas[0].used_at > before
    assert one.live.state is State.READY
    one.held = False
    await until(lambda: one.live.state is State.IDLE)


# --- names ---


async def test_replicas_have_names_that_people_know() -> None:
    replicas = [
        {"transport": url(1)},
        {"transport": {"type": "http", "url": "http://u:p@h/mcp?token=x"}},
        {"transport": url(1)},
    ]
    live = Group(FakeUpstream("one"), replicas=replicas).live
    assert [one.id for one in live.replicas] == [
        "http://127.0.0.1:1/mcp",
        "http://***@h/mcp?token=***",
        "http://127.0.0.1:1/mcp #2",
    ]
