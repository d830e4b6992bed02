"""What happens to servers, told as events."""

import logging
from typing import Any

from fakes.upstream import FakeUpstream, gateway_of, library, offers
from only1mcp.config.diff import SAME, Diff
from only1mcp.config.faults import Fault
from only1mcp.observe.events import KEPT, Events
from only1mcp.policy.breaker import State as BreakerState
from only1mcp.protocol.errors import ServerLost
from only1mcp.relay.happenings import Happenings

log = logging.getLogger("only1mcp.test")


def told(events: Events, *kinds: str) -> list[dict[str, Any]]:
    """What was told of these kinds, in order."""
    found = [event for kind in kinds for event in events.latest(kind, KEPT[kind])]
    return [event.said for event in sorted(found)]


def watching() -> tuple[Happenings, Events]:
    """One with a clock that stands."""
    happenings = Happenings(lambda: 7.0)
    happenings.close()  # hear no log lines; the rings are there all the same
    return happenings, happenings.events


async def test_a_state_is_told_once() -> None:
    happenings, events = watching()
    async with gateway_of(library("one")) as gateway:
        live = gateway.roster.servers["one"]
        happenings.look(live)
        happenings.look(live)
        assert told(events, "server") == [{"server": "one", "state": "ready", "reason": ""}]
        assert [event.at for event in events.latest("server", 9)] == [7.0]


async def test_health_breaker_and_restarts_are_seen_at_the_next_look() -> None:
    happenings, events = watching()
    async with gateway_of(library("one")) as gateway:
        live = gateway.roster.servers["one"]
        happenings.look_at_all([live])
        assert [one["health"] for one in told(events, "health")] == ["healthy"]
        (replica,) = live.replicas
        error = ServerLost("one", "gone")
        while replica.breaker.state is BreakerState.CLOSED:
            replica.failed(error, replica.breaker.epoch, replica.clock())
        replica.restarts += 1
        happenings.look_at_all([live])
        (breaker,) = told(events, "breaker")
        assert (breaker["breaker"], breaker["was"]) == ("open", "closed")
        assert breaker["reason"]
        assert [one["restarts"] for one in told(events, "restart")] == [1]


async def test_a_server_that_is_gone_is_forgotten() -> None:
    happenings, events = watching()
    async with gateway_of(library("one")) as gateway:
        live = gateway.roster.servers["one"]
        happenings.look_at_all([live])
        happenings.look_at_all([])
        happenings.look_at_all([live])
        assert len(told(events, "server")) == 2


async def test_other_lists_are_told() -> None:
    happenings, events = watching()
    one = FakeUpstream("one", offers(tools=["a"]))
    async with gateway_of(one) as gateway, gateway_of() as empty:
        before, now = empty.snapshot().catalog, gateway.snapshot().catalog
        happenings.lists(before, now)
        happenings.lists(now, now)
        assert told(events, "lists") == [{"lists": ["tools"]}]


async def test_a_reload_says_how_it_ended() -> None:
    happenings, events = watching()
    happenings.reloaded(Diff(added=("a",), restart=("server.port",)), ())
    happenings.reloaded(SAME, [Fault("o.yaml", 1, 1, "", "wrong")])
    good, bad = told(events, "reload")
    assert good == {"ok": True, "changed": "added a", "restart": ["server.port"], "faults": []}
    assert (bad["ok"], bad["faults"]) == (False, ["o.yaml:1:1: wrong"])


async def test_log_lines_are_told_until_the_end() -> None:
    happenings = Happenings()
    log.warning("one")
    happenings.close()
    log.warning("two")
    assert [one["message"] for one in told(happenings.events, "log")] == ["one"]
