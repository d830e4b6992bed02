"""One server and its replicas: who takes calls, who leads, what is said when nobody does."""

import asyncio

import pytest

from fakes.edge import until
from fakes.group import Group, Start, refusing, url
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


def trip(replica: Replica) -> None:
    """Open its breaker."""
    replica.breaker._open("for the test", replica.clock())
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


async def test_a_pause_is_over_when_it_ends_not_when_somebody_looks(
    group: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await group(1)
    (only,) = one.live.replicas
    now = only.clock()
    only.breaker.pause(now + 60, now)
    only.changed()
    with pytest.raises(CircuitOpen):
        one.live.pick()
    monkeypatch.setattr(only, "clock", lambda: now + 60)
    assert one.live.pick() is only


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


async def test_one_of_several_is_said_to_be_down_once_and_up_again(
    group: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "only1mcp.servers")
    one = await group(2)
    one.fakes[0].refuse = ServerUnavailable("one", "refused")
    one.fakes[0].lose("refused; try: curl -i http://x")
    await until(lambda: one.fakes[0].connects > 5)
    one.fakes[0].refuse = None
    await one.all_ready()
    said = [line for line in caplog.messages if "http://127.0.0.1:1/mcp is" in line]
    assert [line.split("is ")[1].split(":")[0] for line in said] == ["down", "down", "up again"]


async def test_of_a_server_with_one_replica_its_own_state_is_said(
    group: Start, caplog: pytest.LogCaptureFixture
) -> None:
    one = await group(1)
    one.fakes[0].lose("gone")
    await one.all_ready()
    assert caplog.messages == []
