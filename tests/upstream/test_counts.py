"""Counters of a server never fall when another one takes its place."""

from typing import Any

from fakes.group import Group
from fakes.upstream import FakeUpstream
from only1mcp.observe.meter import Histogram
from only1mcp.policy.breaker import State
from only1mcp.upstream.counts import carry_over
from only1mcp.upstream.live import Live
from only1mcp.upstream.numbers import FAMILIES

PER_ID = {
    *("only1mcp_server_received_bytes", "only1mcp_server_sent_bytes"),
    *("only1mcp_server_connections_opened", "only1mcp_late_answers"),
}
"""Of all that ever had the id: see traffic.py."""


def counted(live: Live) -> dict[Any, float]:
    """What a scrape says of it: counters and histograms."""
    found: dict[Any, float] = {}
    for family in FAMILIES:
        if family.type != "gauge" and family.name not in PER_ID:
            for labels, value in family.read({"one": live}):
                found[family.name, labels] = value.count if isinstance(value, Histogram) else value
    return found


def busy(live: Live, times: int) -> Live:
    """One that has counted all that it can."""
    live.turns.waits.add(0.1)
    live.turns.refused += times
    live.turns.expired += times
    live.repeats.spent += times
    live.repeats.denied += times
    for one in live.replicas:
        one.taken += times
        one.good_checks += times
        one.failed_checks += times
        one.restarts += times
        one.checks.add(0.1)
        for state in State:
            one.breaker.entered[state] += times
    return live


async def test_all_that_is_counted_goes_on() -> None:
    old = busy(Group(FakeUpstream("one")).live, 3)
    new = busy(Group(FakeUpstream("one")).live, 1)
    before, own = counted(old), counted(new)
    carry_over(old, new)
    assert counted(new) == {key: before[key] + value for key, value in own.items()}
    assert all(value > own[key] for key, value in counted(new).items())
    assert counted(old) == before


async def test_a_replica_that_is_new_begins_at_nothing() -> None:
    old = busy(Group(FakeUpstream("one")).live, 3)
    new = Group(FakeUpstream("one"), FakeUpstream("one")).live
    carry_over(old, new)
    assert [one.taken for one in new.replicas] == [3, 0]
