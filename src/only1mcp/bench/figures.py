"""Statistics of a benchmark: medians and spread of runs, percentiles of latencies, a rank test.

Latencies are kept as a histogram with buckets 2 % apart: small enough to be written down with
each run, and any percentile can be read from it later.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from math import ceil, comb, exp, inf, log, log10
from statistics import median
from typing import Final, NamedTuple

STEP: Final = log(1.02)
"""Width of a bucket, as a logarithm."""


VISIBLE: Final = 0.03
"""Points of a curve closer than this, in nines, are one point to the eye."""


class Spread(NamedTuple):
    """Several runs of one thing."""

    median: float
    low: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """Median, least and greatest of the runs."""
    return Spread(median(samples), min(samples), max(samples))


class Histogram:
    """How many calls took how long."""

    def __init__(self, buckets: dict[int, int] | None = None) -> None:
        self.buckets = buckets if buckets is not None else {}

    def add(self, seconds: float, calls: int = 1) -> None:
        """One call, or so many that took the same."""
        bucket = round(log(max(seconds, 1e-7)) / STEP)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + calls

    def merge(self, other: "Histogram") -> None:
        """All calls of another run."""
        for bucket, count in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count

    @property
    def count(self) -> int:
        """Calls in it."""
        return sum(self.buckets.values())

    def percentile_s(self, percent: float) -> float:
        """What `percent` of the calls took at most, in seconds. At least one call is needed."""
        wanted = max(1, ceil(self.count * percent / 100))
        for bucket, reached in self._climb():
            if reached >= wanted:
                return exp(bucket * STEP)
        raise ValueError("an empty histogram has no percentiles")

    def curve(self) -> list[tuple[float, float]]:
        """(percent, seconds), as many points as a plot can show: denser where the tail is."""
        total, points, last = self.count, [], -1.0
        for bucket, reached in self._climb():
            nines = log10(total / (total - reached)) if reached < total else inf
            if nines - last >= VISIBLE:
                points.append((reached / total * 100, exp(bucket * STEP)))
                last = nines
        return points

    def _climb(self) -> Iterator[tuple[int, int]]:
        reached = 0
        for bucket in sorted(self.buckets):
            reached += self.buckets[bucket]
            yield bucket, reached


def paired(ours: Iterable[float], theirs: Iterable[float]) -> list[float]:
    """The ratio in each pair of runs: what slows both of a pair cancels out."""
    return [a / b for a, b in zip(ours, theirs, strict=True)]


def p_less(a: Sequence[float], b: Sequence[float]) -> float:
    """How likely `a` is as much below `b` as it is if both came from the same source.

    The exact one-sided test of Mann, Whitney and Wilcoxon; ties count half, rounded against `a`.
    """
    beaten = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    ways = sum(_arrangements(len(a), len(b), u) for u in range(ceil(beaten) + 1))
    return min(1.0, ways / comb(len(a) + len(b), len(a)))


@cache
def _arrangements(n: int, m: int, u: int) -> int:
    """In how many orders of n and m values exactly `u` pairs are the other way round."""
    if u < 0 or n < 0 or m < 0:
        return 0
    if n == 0 or m == 0:
        return int(u == 0)
    return _arrangements(n - 1, m, u - m) + _arrangements(n, m - 1, u)
