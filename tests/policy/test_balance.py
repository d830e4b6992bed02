"""Six ways to choose a replica, judged by what they choose."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.resilience import LoadBalancing
from only1mcp.policy.balance import BOUND, FEW, LOOKED_AT, Balancer, Latency, balancer

POLICIES = (
    "round_robin",
    "least_connections",
    "random",
    "weighted_random",
    "consistent_hash",
    "p2c_ewma",
)


@dataclass
class Replica:
    """A replica that counts what it gets."""

    id: str
    weight: int = 1
    in_flight: int = 0
    latency_s: float = 0.0
    slow_start: float = 1.0


Group = tuple[Replica, ...]


def group(*weights: int) -> Group:
    """Replicas a, b, c … of these weights."""
    return tuple(Replica(f"{chr(97 + n % 26)}{n // 26 or ''}", w) for n, w in enumerate(weights))


def made(policy: str, members: Group) -> Balancer[Replica]:
    """A balancer of `policy` for `members`."""
    weights = {one.id: one.weight for one in members}
    return balancer(LoadBalancing.model_validate({"policy": policy}), weights)


def picks(
    one: Balancer[Replica], members: Group, count: int, key: Callable[[int], str | None] = str
) -> list[str]:
    """The ids of so many picks, none of which stays in flight."""
    random = Random(7).random
    chosen = [one.pick(members, key(number), random) for number in range(count)]
    return [replica.id for replica in chosen if replica is not None]


@pytest.mark.parametrize("policy", POLICIES)
def test_nobody_and_one(policy: str) -> None:
    members = group(1)
    one = made(policy, members)
    assert one.pick((), "k", Random().random) is None
    assert one.pick(members, "k", Random().random) is members[0]
    assert one.pick(members, "k", Random().random, {"a"}) is None


@pytest.mark.parametrize("policy", POLICIES)
def test_a_second_try_goes_to_another_replica(policy: str) -> None:
    members = group(1, 1, 1)
    one = made(policy, members)
    for number in range(50):
        first = one.pick(members, str(number), Random(number).random)
        assert first is not None
        second = one.pick(members, str(number), Random(number).random, {first.id})
        assert second is not None
        assert second is not first
        third = one.pick(members, str(number), Random(number).random, {first.id, second.id})
        assert {first.id, second.id, third and third.id} == {"a", "b", "c"}


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_replicas_get_equal_shares(policy: str) -> None:
    members = group(*[1] * 8)
    counts = Counter(picks(made(policy, members), members, 4000))
    assert all(350 < count < 650 for count in counts.values()), counts
    assert len(counts) == 8


@pytest.mark.parametrize("policy", ["round_robin", "weighted_random", "consistent_hash"])
def test_weights_are_shares(policy: str) -> None:
    members = group(5, 3, 2)
    counts = Counter(picks(made(policy, members), members, 10_000))
    assert [counts[id] / 10_000 for id in "abc"] == pytest.approx([0.5, 0.3, 0.2], abs=0.05)


@pytest.mark.parametrize("policy", ["least_connections", "p2c_ewma"])
def test_weights_decide_under_load(policy: str) -> None:
    members = group(5, 3, 2)
    one, random = made(policy, members), Random(7).random
    for _ in range(1000):
        chosen = one.pick(members, None, random)
        assert chosen is not None
        chosen.in_flight += 1
    assert [one.in_flight / 1000 for one in members] == pytest.approx([0.5, 0.3, 0.2], abs=0.02)


@pytest.mark.parametrize(
    "policy", ["round_robin", "random", "weighted_random", "least_connections", "p2c_ewma"]
)
def test_a_replica_that_came_back_gets_a_part_of_its_share(policy: str) -> None:
    members = group(1, 1)
    members[0].slow_start = 0.1
    one, random = made(policy, members), Random(7).random
    counts = Counter[str]()
    for _ in range(2200):
        chosen = one.pick(members, None, random)
        assert chosen is not None
        chosen.in_flight += policy in ("least_connections", "p2c_ewma")
        counts[chosen.id] += 1
    assert 150 < counts["a"] < 250, counts


@pytest.mark.parametrize("policy", ["random", "weighted_random"])
def test_slow_start_of_all_replicas_ends_the_draw(policy: str) -> None:
    members = group(1, 1)
    for one in members:
        one.slow_start = 1e-9
    assert len(picks(made(policy, members), members, 10)) == 10


# --- round_robin ---


def test_turns_by_weight_are_spread() -> None:
    members = group(5, 1, 1)
    assert "".join(picks(made("round_robin", members), members, 14)) == "aaabaca" * 2


def test_who_joins_or_leaves_does_not_start_the_round_anew() -> None:
    members = group(1, 1, 1, 1)
    one = made("round_robin", members)
    assert picks(one, members, 2) == ["a", "b"]
    assert "".join(picks(one, (members[0], members[2], members[3]), 3)) == "cda"
    assert sorted(picks(one, members, 4)) == ["a", "b", "c", "d"]


@given(st.lists(st.integers(1, 20), min_size=2, max_size=12), st.integers(1, 300))
def test_nobody_is_ever_far_from_its_share(weights: list[int], count: int) -> None:
    members = group(*weights)
    counts = Counter(picks(made("round_robin", members), members, count))
    for one in members:
        due = count * one.weight / sum(weights)
        assert abs(counts[one.id] - due) < 2


# --- least_connections ---


@given(st.lists(st.integers(0, 9), min_size=2, max_size=LOOKED_AT))
def test_the_least_busy_is_found(loads: list[int]) -> None:
    members = group(*[1] * len(loads))
    for one, load in zip(members, loads, strict=True):
        one.in_flight = load
    chosen = made("least_connections", members).pick(members, None, Random().random)
    assert chosen is not None
    assert chosen.in_flight == min(loads)


def test_a_large_group_fills_evenly() -> None:
    members = group(*[1] * 500)
    one, random = made("least_connections", members), Random(7).random
    for _ in range(5000):
        chosen = one.pick(members, None, random)
        assert chosen is not None
        chosen.in_flight += 1
    loads = [one.in_flight for one in members]
    assert min(loads) >= 8
    assert max(loads) <= 12


# --- consistent_hash ---


def test_a_key_stays_where_it_is_when_others_come_and_go() -> None:
    members = group(*[1] * 5)
    one = made("consistent_hash", members)
    before = picks(one, members, 2000)
    after = picks(one, members[:2] + members[3:], 2000)
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {"c"}
    assert len(moved) / 2000 <= 1 / 5 + 0.05
    assert picks(one, members, 2000) == before


def test_without_a_key_any_replica_will_do() -> None:
    members = group(1, 1, 1)
    assert len(Counter(picks(made("consistent_hash", members), members, 60, lambda _: None))) == 3


@pytest.mark.parametrize("count", [3, 40])
def test_one_key_for_all_calls_overruns_nobody(count: int) -> None:
    members = group(*[1] * count)
    one, random = made("consistent_hash", members), Random(7).random
    for number in range(1, 40 * count):
        chosen = one.pick(members, "the same", random)
        assert chosen is not None
        chosen.in_flight += 1
        fair = number / count
        assert chosen.in_flight <= max(FEW, BOUND * (fair + 1) + 1)


def test_a_few_calls_stay_together() -> None:
    members = group(1, 1, 1, 1)
    one, random = made("consistent_hash", members), Random(7).random
    chosen = set()
    for _ in range(FEW):
        replica = one.pick(members, "k", random)
        assert replica is not None
        replica.in_flight += 1
        chosen.add(replica.id)
    assert len(chosen) == 1


# --- p2c_ewma ---


def test_the_faster_one_gets_more() -> None:
    members = group(1, 1, 1, 1)
    members[0].latency_s = 1.0
    for one in members[1:]:
        one.latency_s = 0.01
    counts = Counter(picks(made("p2c_ewma", members), members, 1000))
    assert counts["a"] == 0
    assert len(counts) == 3


def test_who_has_not_been_called_yet_is_not_flooded() -> None:
    members = group(1, 1)
    members[0].latency_s = 0.01
    one, random = made("p2c_ewma", members), Random(7).random
    for _ in range(20):
        chosen = one.pick(members, None, random)
        assert chosen is not None
        chosen.in_flight += 1
    assert [one.in_flight for one in members] == [10, 10]


def test_a_peak_counts_at_once_and_fades() -> None:
    latency = Latency(0.0)
    latency.observe(0.1, 0.0)
    latency.observe(2.0, 1.0)
    assert latency.value_s == 2.0
    latency.observe(0.1, 11.0)
    assert latency.value_s == pytest.approx(0.1 + 1.9 / 2.71828, rel=1e-3)
    for step in range(20):
        latency.observe(0.1, 21.0 + 10 * step)
    assert latency.value_s == pytest.approx(0.1, rel=1e-3)
