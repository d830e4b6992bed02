"""Which replica gets a call. Six policies behind one `pick`, each in constant or log time.

    round_robin        in turn by weight: the replica whose turn is due soonest
    least_connections  fewest calls in flight for its weight
    random             any            weighted_random    any, by weight
    consistent_hash    the same key, the same replica; see ring.py
    p2c_ewma           of two at random the one with less latency times calls in flight

Who may be picked has been decided before (ejection.py): `candidates` is a tuple that its owner
replaces when somebody joins or leaves, and to which a balancer may therefore fit its tables.

Source  Envoy's EDF scheduler; M. Mitzenmacher, "The Power of Two Choices"; Finagle's peak EWMA.
"""

import heapq
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from math import exp
from typing import Final, Generic, Protocol, TypeVar

from only1mcp.config.resilience import LoadBalancing
from only1mcp.policy.ring import Ring

LOOKED_AT: Final = 32
"""Replicas that least_connections compares: all of a group up to this size, so many of a
larger one. The least of 32 at random is as good as the least of all, and stays cheap."""
LATENCY_MEMORY_S: Final = 10.0
"""Time in which a latency that is over loses two thirds of its weight."""
_DRAWS: Final = 32  # tries to find a replica that slow start lets through


class Candidate(Protocol):
    """One replica, as far as choosing goes."""

    @property
    def id(self) -> str:
        """Its name among the replicas of its server; decides its place on a ring."""

    @property
    def weight(self) -> int:
        """Its share of the calls, 1 or more."""

    @property
    def in_flight(self) -> int:
        """Calls that are under way there now."""

    @property
    def latency_s(self) -> float:
        """What a call takes there, in seconds; 0 if nobody knows yet. See `Latency`."""

    @property
    def slow_start(self) -> float:
        """The part of its weight it may take now: 1, or less when it has just come back."""


C = TypeVar("C", bound=Candidate)
Random = Callable[[], float]
"""Gives numbers from 0 up to 1."""


class Latency:
    """How long calls take: a peak counts at once, better times are believed slowly."""

    __slots__ = ("_at", "value_s")

    def __init__(self, now: float) -> None:
        self.value_s = 0.0
        self._at = now

    def observe(self, took_s: float, now: float) -> None:
        """A call took `took_s`."""
        if took_s >= self.value_s:
            self.value_s = took_s
        else:
            kept = exp((self._at - now) / LATENCY_MEMORY_S)
            self.value_s = took_s + (self.value_s - took_s) * kept
        self._at = now


class Balancer(ABC, Generic[C]):
    """Chooses among the replicas of one server."""

    def pick(
        self,
        candidates: tuple[C, ...],
        key: str | None,
        random: Random,
        tried: Collection[str] = (),
    ) -> C | None:
        """The replica for one call; None if there is none that has not been tried.

        `key` is what consistent_hash goes by; `tried` are ids that have failed this call.
        """
        if len(candidates) == 1 and not tried:
            return candidates[0]
        if not candidates:
            return None
        if tried:
            return self._other(candidates, key, tried)
        return self._pick(candidates, key, random)

    @abstractmethod
    def _pick(self, candidates: tuple[C, ...], key: str | None, random: Random) -> C:
        """One of two candidates or more."""

    def _other(self, candidates: Sequence[C], key: str | None, tried: Collection[str]) -> C | None:
        """For a second try, which is rare: the least busy of the rest."""
        rest = [one for one in candidates if one.id not in tried]
        return min(rest, key=_load, default=None)


class RoundRobin(Balancer[C]):
    """In turn, by weight, smoothly: 5:1:1 is a a a b a c a and not a a a a a b c."""

    def __init__(self) -> None:
        self._group: tuple[C, ...] = ()
        self._turns: list[tuple[float, int]] = []  # a heap of (when it is due, its place)

    def _pick(self, candidates: tuple[C, ...], key: str | None, random: Random) -> C:
        if candidates is not self._group:
            self._regroup(candidates)
        due, place = self._turns[0]
        chosen = candidates[place]
        heapq.heapreplace(self._turns, (due + _turn(chosen), place))
        return chosen

    def _regroup(self, candidates: tuple[C, ...]) -> None:
        """Who stays keeps its turn; who is new gets one soon, the first ones spread evenly."""
        kept = {self._group[place].id: due for due, place in self._turns}
        start = min(kept.values(), default=0.0)
        gap = 1 / (len(candidates) + 1)
        self._turns = [
            (kept[one.id] - start if one.id in kept else _turn(one) * gap * (place + 1), place)
            for place, one in enumerate(candidates)
        ]
        heapq.heapify(self._turns)
        self._group = candidates


class LeastConnections(Balancer[C]):
    """The fewest calls in flight for its weight; among equals, in turn."""

    def __init__(self) -> None:
        self._start = 0

    def _pick(self, candidates: tuple[C, ...], key: str | None, random: Random) -> C:
        size = len(candidates)
        self._start = (self._start + 1) % size
        if size <= LOOKED_AT:
            looked_at = candidates[self._start :] + candidates[: self._start]
        else:
            looked_at = tuple(candidates[int(random() * size)] for _ in range(LOOKED_AT))
        return min(looked_at, key=_load)


class AnyOne(Balancer[C]):
    """Any replica, weights aside."""

    def _pick(self, candidates: tuple[C, ...], key: str | None, random: Random) -> C:
        size = len(candidates)
        chosen = candidates[int(random() * size)]
        for _ in range(_DRAWS):
            if chosen.slow_start >= 1 or random() < chosen.slow_start:
                break
            chosen = candidates[int(random() * size)]
        return chosen


class Weighted(Balancer[C]):
    """Any replica, by weight."""

    def __init__(self) -> None:
        self._group: tuple[C, ...] = ()
        self._sums: list[int] = []

    def _pick(self, candidates: tuple[C, ...], key: str | None, random: Random) -> C:
        if candidates is not self._group:
            self._sums = list(accumulate(one.weight for one in candidates))
            self._group = candidates
        chosen = self._draw(random)
        for _ in range(_DRAWS):
            if chosen.slow_start >= 1 or random() < chosen.slow_start:
                break
            chosen = self._draw(random)
        return chosen

    def _draw(self, random: Random) -> C:
        return self._group[bisect(self._sums, random() * self._sums[-1])]


class PowerOfTwo(Balancer[C]):
    """Of two at random the cheaper one: latency times calls in flight, for its weight."""

    def _pick(self, candidates: tuple[C, ...], key: str | None, random: Random) -> C:
        size = len(candidates)
        first = int(random() * size)
        second = int(random() * (size - 1))
        one, other = candidates[first], candidates[second + (second >= first)]
        # a replica nobody has called yet is taken to be as fast as the one beside it
        usual_s = one.latency_s or other.latency_s or 1.0
        cost = _load(one) * (one.latency_s or usual_s)
        return one if cost <= _load(other) * (other.latency_s or usual_s) else other


class ConsistentHash(Balancer[C]):
    """The same key goes to the same replica, as long as that one is there and not overrun."""

    def __init__(self, weights: dict[str, int], virtual_nodes: int) -> None:
        self._ring = Ring(weights, virtual_nodes)
        self._group: tuple[C, ...] = ()
        self._by_id: dict[str, C] = {}
        self._total_weight = 0
        self._in_flight = 0
        self._recount = 0  # picks until the calls in flight are counted anew

    def _pick(self, candidates: tuple[C, ...], key: str | None, random: Random) -> C:
        if key is None:
            return candidates[int(random() * len(candidates))]
        self._count(candidates)
        share = BOUND * (self._in_flight + 1) / self._total_weight
        fallback: C | None = None
        for id in self._ring.walk(key):
            one = self._by_id.get(id)
            if one is None:
                continue
            if one.in_flight < max(FEW, share * one.weight):
                return one
            fallback = fallback or one
        return fallback or candidates[0]

    def _other(self, candidates: Sequence[C], key: str | None, tried: Collection[str]) -> C | None:
        if key is None:
            return super()._other(candidates, key, tried)
        rest = {one.id: one for one in candidates if one.id not in tried}
        return next((rest[id] for id in self._ring.walk(key) if id in rest), None)

    def _count(self, candidates: tuple[C, ...]) -> None:
        """Sum up the calls in flight, exactly for a small group and now and then for a large."""
        if candidates is not self._group:
            self._group = candidates
            self._by_id = {one.id: one for one in candidates}
            self._total_weight = sum(one.weight for one in candidates)
            self._recount = 0
        self._recount -= 1
        if self._recount < 0:
            self._in_flight = sum(one.in_flight for one in candidates)
            self._recount = len(candidates) // 16


BOUND: Final = 1.25
"""consistent_hash: the most a replica may have, as a multiple of its fair share."""
FEW: Final = 8
"""Calls in flight that never overrun a replica: a quiet group keeps its keys together."""


def balancer(settings: LoadBalancing, weights: dict[str, int]) -> Balancer[C]:
    """The balancer of one server; `weights` are those of all its replicas, by id."""
    match settings.policy:
        case "round_robin":
            return RoundRobin()
        case "least_connections":
            return LeastConnections()
        case "random":
            return AnyOne()
        case "weighted_random":
            return Weighted()
        case "p2c_ewma":
            return PowerOfTwo()
        case "consistent_hash":
            return ConsistentHash(weights, settings.virtual_nodes)


def _load(one: Candidate) -> float:
    """Calls in flight, with the one to come, for what it can take now."""
    return (one.in_flight + 1) / (one.weight * one.slow_start)


def _turn(one: Candidate) -> float:
    """Time from one turn to the next."""
    return 1 / (one.weight * one.slow_start)
