"""Kept answers against a clock of the test: who hits, who goes, and what is counted."""

from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from only1mcp.config.cache import Cache
from only1mcp.policy import cache
from only1mcp.policy.cache import OVERHEAD_BYTES, Entry, Key, Store, Tier

METHODS = {Tier.L1: "tools/call", Tier.L2: "resources/read", Tier.L3: "prompts/get"}


def key(
    name: str = "a", *, tier: Tier = Tier.L2, server: str = "s", owner: str | None = "me"
) -> Key:
    return Key(server, METHODS[tier], name, b"", (), owner)


def entry(text: bytes = b"{}", at: float = 0.0, ttl_s: float = 10.0, **more: bool) -> Entry:
    return Entry(text, at, at + ttl_s, **more)


def store(**settings: Any) -> Store:
    return Store(Cache(**settings))


def keep(kept: Store, at: Key, one: Entry | None = None) -> bool:
    return kept.put(at, one or entry(), kept.generation(at.server, cache.TIER_OF[at.method]))


def hits(kept: Store, *keys: Key, now: float = 1.0) -> list[bool]:
    return [kept.get(one, now) is not None for one in keys]


# --- the ancestor's intents ---


def test_a_miss_then_a_hit_is_half() -> None:
    kept = store()
    assert kept.get(key(), 0) is None
    keep(kept, key(), entry(b"text"))
    found = kept.get(key(), 1)
    assert found is not None
    assert found.text == b"text"
    counts = kept.counts[Tier.L2]
    assert (counts.hits, counts.misses) == (1, 1)


def test_an_answer_ends_with_its_time() -> None:
    kept = store()
    keep(kept, key(), entry(ttl_s=0.1))
    assert hits(kept, key(), now=0.099) == [True]
    assert hits(kept, key(), now=0.1) == [False]
    assert kept.counts[Tier.L2].expiries == 1


def test_an_end_is_counted_once() -> None:
    kept = store(stale="5s")
    keep(kept, key(), entry(ttl_s=1))
    assert hits(kept, key(), key(), now=2) == [False, False]
    kept.sweep(100)
    assert kept.counts[Tier.L2].expiries == 1
    assert kept.counts[Tier.L2].entries == 0


def test_the_least_recently_used_goes_first() -> None:
    kept = store(l2={"capacity": 3})
    for name in "abc":
        keep(kept, key(name))
    kept.get(key("a"), 1)
    keep(kept, key("d"))
    assert hits(kept, *map(key, "abcd")) == [True, False, True, True]
    counts = kept.counts[Tier.L2]
    assert (counts.evictions, counts.entries) == (1, 3)


def test_a_capacity_of_two_stays_two() -> None:
    kept = store(l3={"capacity": 2})
    for number in range(5):
        keep(kept, key(str(number), tier=Tier.L3))
    counts = kept.counts[Tier.L3]
    assert (counts.entries, counts.evictions) == (2, 3)


def test_one_is_invalidated() -> None:
    kept = store()
    keep(kept, key("a"))
    keep(kept, key("b"))
    assert kept.invalidate("s", Tier.L2, name="a") == 1
    assert hits(kept, key("a"), key("b")) == [False, True]
    assert kept.counts[Tier.L2].invalidations == 1


def test_all_are_cleared() -> None:
    kept = store()
    for tier in Tier:
        keep(kept, key(tier=tier))
    assert kept.clear() == 3
    assert kept.bytes == 0
    assert hits(kept, *(key(tier=tier) for tier in Tier)) == [False] * 3


def test_each_method_has_its_tier() -> None:
    kept = store()
    for tier in Tier:
        keep(kept, key("a", tier=tier))
        keep(kept, key("b", tier=tier))
    assert {tier: counts.entries for tier, counts in kept.counts.items()} == dict.fromkeys(Tier, 2)
    assert cache.TIER_OF["tools/list"] is Tier.L1
    assert cache.TIER_OF["resources/templates/list"] is Tier.L2
    assert cache.TIER_OF["prompts/list"] is Tier.L3


@pytest.mark.parametrize(
    "other",
    [
        key(server="t"),
        key(tier=Tier.L3),
        key("b"),
        key()._replace(params=b"{}"),
        key()._replace(shape=(True,)),
        key(owner="you"),
        key(owner=None),
    ],
)
def test_every_part_of_a_key_counts(other: Key) -> None:
    kept = store()
    keep(kept, key())
    assert hits(kept, key(), other) == [True, False]


# --- whose ---


def test_what_is_public_is_for_everybody() -> None:
    kept = store()
    keep(kept, key(owner=None))
    assert hits(kept, key(owner="me"), key(owner="you"), key(owner=None)) == [True] * 3


def test_ones_own_comes_before_everybodys() -> None:
    kept = store()
    keep(kept, key(owner=None), entry(b"all"))
    keep(kept, key(owner="me"), entry(b"mine"))
    found = [kept.get(key(owner=owner), 1) for owner in ("me", "you")]
    assert [one.text for one in found if one] == [b"mine", b"all"]


# --- invalidation ---


def test_what_was_asked_for_before_an_invalidation_is_not_kept_after_it() -> None:
    kept = store()
    before = kept.generation("s", Tier.L2)
    kept.invalidate("s", Tier.L2)
    assert not kept.put(key(), entry(), before)
    assert kept.put(key(), entry(), kept.generation("s", Tier.L2))


def test_clearing_stops_what_is_on_its_way_too() -> None:
    kept = store()
    before = kept.generation("s", Tier.L2)
    kept.clear(server="t")
    assert not kept.put(key(), entry(), before)


def test_another_server_or_tier_is_not_touched() -> None:
    kept = store()
    before = kept.generation("s", Tier.L2)
    kept.invalidate("s", Tier.L3)
    kept.invalidate("t", Tier.L2)
    assert kept.put(key(), entry(), before)


def test_an_invalidation_can_spare_what_a_server_has_timed() -> None:
    kept = store()
    keep(kept, key("timed"), entry(hinted=True))
    keep(kept, key("guessed"))
    assert kept.invalidate("s", Tier.L2, unhinted=True) == 1
    assert hits(kept, key("timed"), key("guessed")) == [True, False]


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ({"tier": Tier.L3}, ["s2", "t2"]),
        ({"server": "s"}, ["t2", "t3"]),
        ({"method": "resources/read"}, ["s3", "t3"]),
        ({"server": "t", "tier": Tier.L2}, ["s2", "s3", "t3"]),
        ({"server": "nobody"}, ["s2", "s3", "t2", "t3"]),
    ],
)
def test_clearing_can_be_narrowed(what: dict[str, Any], left: list[str]) -> None:
    kept = store()
    all_ = {
        f"{server}{tier[1]}": key(tier=tier, server=server)
        for server in "st"
        for tier in (Tier.L2, Tier.L3)
    }
    for one in all_.values():
        keep(kept, one)
    assert kept.clear(**what) == len(all_) - len(left)
    assert [name for name, one in all_.items() if kept.get(one, 1)] == left


# --- bounds ---


def test_the_budget_takes_the_oldest_of_all_tiers() -> None:
    size = 65_536 // 8
    kept = store(max_bytes=65_536)
    text = b"x" * (size - OVERHEAD_BYTES - 1)
    names = [key(name, tier=tier) for name in "abc" for tier in Tier]
    for one in names:
        keep(kept, one, entry(text))
    assert hits(kept, *names) == [False] + [True] * 8
    assert kept.bytes <= 65_536
    assert kept.counts[Tier.L1].evictions == 1


def test_one_answer_does_not_push_out_all_others() -> None:
    kept = store(max_bytes=65_536)
    keep(kept, key("small"))
    assert not keep(kept, key("large"), entry(b"x" * (65_536 // 4)))
    assert hits(kept, key("small")) == [True]


@pytest.mark.parametrize("ttl_s", [0.0, -1.0])
def test_what_does_not_last_is_not_kept(ttl_s: float) -> None:
    assert not keep(store(), key(), entry(ttl_s=ttl_s))


def test_sweeping_goes_on_where_it_stopped() -> None:
    kept = store(stale=0)
    for number in range(cache.SWEPT - 100):
        keep(kept, key(str(number)))
        keep(kept, key(str(number), tier=Tier.L1))
    kept.sweep(100)
    assert sum(one.entries for one in kept.counts.values()) == 800 - cache.SWEPT
    kept.sweep(100)
    assert kept.bytes == 0


# --- late and early ---


def test_an_old_answer_is_there_for_a_while() -> None:
    kept = store(stale="5s")
    keep(kept, key(), entry(b"old", ttl_s=10))
    assert kept.get(key(), 12) is None
    found = kept.get_stale(key(), 14.9)
    assert found is not None
    assert found.text == b"old"
    assert kept.get_stale(key(), 15) is None
    assert kept.counts[Tier.L2].stale == 1


def test_an_invalidated_answer_is_not_even_old() -> None:
    kept = store()
    keep(kept, key())
    kept.invalidate("s", Tier.L2)
    assert kept.get_stale(key(), 1) is None


def test_a_hot_answer_is_due_before_it_ends() -> None:
    one = entry(ttl_s=100)
    one.hits = cache.HOT_HITS
    assert [one.is_due(now) for now in (50, 90, 90.1)] == [False, False, True]
    one.renewing = True
    assert not one.is_due(95)
    cold = entry(ttl_s=100)
    cold.hits = cache.HOT_HITS - 1
    assert not cold.is_due(99)


# --- against a naive cache ---

NAMES = st.sampled_from("abcdef")
TIERS = st.sampled_from(Tier)
SERVERS = st.sampled_from("st")
OWNERS = st.sampled_from(["me", "you", None])


class AgainstANaiveCache(RuleBasedStateMachine):
    """The same said to the store and to plain dictionaries that are searched from end to end."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.store = store(max_bytes=65_536, stale="3s", l1={"capacity": 4}, l2={"capacity": 4},
                           l3={"capacity": 2})  # fmt: skip
        self.capacity = {Tier.L1: 4, Tier.L2: 4, Tier.L3: 2}
        self.naive: OrderedDict[Key, tuple[bytes, float]] = OrderedDict()  # by last use
        self.noted: dict[tuple[str, Tier], list[tuple[int, bool]]] = {}
        self.hits = self.misses = 0

    @rule(name=NAMES, tier=TIERS, server=SERVERS, owner=OWNERS, size=st.sampled_from([2, 9000]),
          ttl_s=st.sampled_from([1.0, 5.0]))  # fmt: skip
    def put(self, name: str, tier: Tier, server: str, owner: str | None, size: int,
            ttl_s: float) -> None:  # fmt: skip
        at = key(name, tier=tier, server=server, owner=owner)
        text = (name * size).encode()
        keep(self.store, at, entry(text, self.now, ttl_s))
        self.naive.pop(at, None)
        self.naive[at] = text, self.now + ttl_s
        while (
            len(mine := [one for one in self.naive if one.method == at.method])
            > (self.capacity[tier])
        ):
            del self.naive[mine[0]]
        while sum(len(text) + 1 + OVERHEAD_BYTES for text, _ in self.naive.values()) > 65_536:
            self.naive.popitem(last=False)

    @rule(name=NAMES, tier=TIERS, server=SERVERS, owner=OWNERS)
    def get(self, name: str, tier: Tier, server: str, owner: str | None) -> None:
        at = key(name, tier=tier, server=server, owner=owner)
        found = self.store.get(at, self.now)
        place = at if at in self.naive else at._replace(owner=None)
        text, ends_at = self.naive.get(place, (None, 0.0))
        if text is not None and ends_at > self.now:
            self.naive.move_to_end(place)
            self.hits += 1
            assert found is not None
            assert found.text == text
        else:
            self.misses += 1
            assert found is None
            if text is not None and ends_at + 3 <= self.now:
                del self.naive[place]

    @rule(tier=TIERS, server=SERVERS, name=st.none() | NAMES)
    def invalidate(self, tier: Tier, server: str, name: str | None) -> None:
        gone = [
            one
            for one in self.naive
            if (one.server, one.method) == (server, METHODS[tier]) and name in (None, one.name)
        ]
        assert self.store.invalidate(server, tier, name=name) == len(gone)
        for one in gone:
            del self.naive[one]

    @rule(tier=st.none() | TIERS, server=st.none() | SERVERS)
    def clear(self, tier: Tier | None, server: str | None) -> None:
        gone = [
            one
            for one in self.naive
            if server in (None, one.server) and tier in (None, cache.TIER_OF[one.method])
        ]
        assert self.store.clear(tier, server) == len(gone)
        for one in gone:
            del self.naive[one]

    @rule(seconds=st.sampled_from([0.5, 2.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def sweep(self) -> None:
        self.store.sweep(self.now)
        for one, (_, ends_at) in list(self.naive.items()):
            if ends_at + 3 <= self.now:
                del self.naive[one]

    @invariant()
    def they_hold_the_same(self) -> None:
        counts = self.store.counts.values()
        assert sum(one.entries for one in counts) == len(self.naive)
        assert self.store.bytes == sum(
            len(text) + len(at.name) + OVERHEAD_BYTES for at, (text, _) in self.naive.items()
        )
        assert sum(one.hits for one in counts) == self.hits
        assert sum(one.misses for one in counts) == self.misses


TestAgainstANaiveCache = AgainstANaiveCache.TestCase
TestAgainstANaiveCache.settings = hypothesis_settings(max_examples=60, deadline=None)
