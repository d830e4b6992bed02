"""What a client is told while nobody takes its call: why, and when to come again."""

import random

import pytest

from fakes.edge import until
from fakes.group import Group, Start, refusing
from fakes.upstream import FakeUpstream
from only1mcp.policy import restart
from only1mcp.protocol.errors import CircuitOpen, ServerLost, ServerUnavailable
from only1mcp.upstream import excuse
from only1mcp.upstream.base import Call
from only1mcp.upstream.replica import State

CALL = Call("tools/call")
LOST = ServerLost("one", "cut")


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


@pytest.mark.parametrize(
    ("after_s", "when", "ms"),
    [(-3.0, "in a moment", 100), (0.0, "in a moment", 100), (1.25, "within 1.2 s", 1250)],
)
async def test_nobody_is_told_to_come_again_at_once(after_s: float, when: str, ms: int) -> None:
    one = Group(FakeUpstream("one")).live.replicas[0]
    one.state, one.tries_at = State.WAITING, 100 + after_s
    fault = excuse.down(one, "one", 100)
    assert fault.data["hint"] == f"it is tried again {when}"
    assert fault.data["retryAfterMs"] == ms


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


async def test_what_is_said_of_the_one_replica_that_is_meant(group: Start) -> None:
    one = await group(2)
    first, second = one.live.replicas
    assert one.live.at(first.place) is first
    first.breaker._open("for the test", first.clock())
    first.changed()
    with pytest.raises(CircuitOpen, match=f"server '{first.name}' fails and is left alone"):
        one.live.at(first.place)
    one.fakes[1].refuse = ServerUnavailable("one", "refused")
    one.fakes[1].lose("gone")
    await until(lambda: not second.connected)
    with pytest.raises(ServerUnavailable, match=f"server '{second.name}' is "):
        one.live.at(second.place)
    with pytest.raises(ServerUnavailable, match="no longer has the replica"):
        one.live.at("one@f00")
