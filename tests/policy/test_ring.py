"""Which replica a key belongs to, and how few keys move."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.policy.ring import MAX_POINTS, Ring

KEYS = [f"session-{number}" for number in range(4000)]


def owners(weights: dict[str, int], nodes: int = 150) -> list[str]:
    """Who owns each of KEYS."""
    ring = Ring(weights, nodes)
    return [next(ring.walk(key)) for key in KEYS]


def named(count: int) -> dict[str, int]:
    """So many replicas of weight 1."""
    return {f"replica-{number}": 1 for number in range(count)}


def test_keys_spread_evenly_and_by_weight() -> None:
    counts = Counter(owners(named(5)))
    assert all(0.75 * 800 < count < 1.25 * 800 for count in counts.values())
    heavy = Counter(owners({"a": 3, "b": 1}))
    assert heavy["a"] / heavy["b"] == pytest.approx(3, rel=0.25)


@pytest.mark.parametrize("count", [2, 3, 5, 10, 20])
def test_when_one_of_n_leaves_only_its_keys_move(count: int) -> None:
    before, after = owners(named(count)), owners(named(count - 1))
    gone = f"replica-{count - 1}"
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {gone}
    assert len(moved) / len(KEYS) <= 1 / count + 0.05


def test_the_second_choice_of_a_key_is_the_first_one_without_its_owner() -> None:
    ring = Ring(named(4), 150)
    for key in KEYS[:200]:
        first, second, *_ = ring.walk(key)
        rest = {id: 1 for id in named(4) if id != first}
        assert next(Ring(rest, 150).walk(key)) == second


@given(st.text(max_size=20), st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 9)))
def test_a_walk_meets_everybody_once(key: str, weights: dict[str, int]) -> None:
    assert sorted(Ring(weights, 10).walk(key)) == sorted(weights)


def test_lone_surrogates_are_keys_as_well() -> None:
    assert list(Ring({"a": 1}, 10).walk("\ud800")) == ["a"]


def test_heavy_groups_are_bounded_and_nobody_is_left_out() -> None:
    ring = Ring({f"r{number}": 100 if number else 1 for number in range(300)}, 150)
    assert len(ring._points) <= MAX_POINTS + 300
    assert len(list(ring.walk("key"))) == 300


def test_places_are_the_same_in_every_gateway() -> None:
    ring = Ring({"a": 1, "b": 1, "c": 1}, 150)
    assert (
        "".join(next(ring.walk(str(number))) for number in range(24)) == "babbacbcaaabcbbccbbcbccc"
    )
