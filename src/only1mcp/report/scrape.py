"""The metrics of one moment, read from their text: counters summed, histograms as percentiles.

A percentile of a histogram is an estimate: it lies somewhere between the two ends of a bucket.
Source  Prometheus text format; interpolation in a bucket as histogram_quantile does it.
"""

from typing import Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

INFINITY: Final = float("inf")


class Line(NamedTuple):
    """One line of the text."""

    name: str
    labels: dict[str, str]
    value: float


class Estimate(NamedTuple):
    """A percentile, in the unit of its histogram."""

    value: float
    low: float
    """Not below this,"""
    high: float
    """and not above this; infinite beyond the last bucket."""


class Spread:
    """How often a value was up to each bound."""

    def __init__(self, totals: dict[float, float], sum: float) -> None:
        """`totals`: upper end of a bucket -> how many were not above it; the last is infinite."""
        self.totals = dict(sorted(totals.items()))
        self.sum = sum

    @property
    def count(self) -> float:
        """How many there were."""
        return self.totals.get(INFINITY, 0.0)

    @property
    def mean(self) -> float | None:
        """Exact, unlike the percentiles."""
        return self.sum / self.count if self.count else None

    def percentile(self, share: float) -> Estimate | None:
        """What `share` of all do not exceed; None without any."""
        if not self.count:
            return None
        rank, low, below = share * self.count, 0.0, 0.0
        for high, many in self.totals.items():
            if many >= rank and many > below:
                if high == INFINITY:
                    break
                part = (rank - below) / (many - below)
                return Estimate(low + (high - low) * part, low, high)
            if high != INFINITY:
                low, below = high, many
        return Estimate(low, low, INFINITY)

    def buckets(self) -> list[tuple[float, float, float]]:
        """(low, high, how many) of each bucket that has any."""
        found, low, below = [], 0.0, 0.0
        for high, many in self.totals.items():
            if many > below:
                found.append((low, high, many - below))
            low, below = high, many
        return found


class Scrape:
    """All metrics of one moment, by the names that stand in the text."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, list[Line]] = {}
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            self._lines[name] = []
            for one in family.samples:
                line = Line(one.name, dict(one.labels), float(one.value))
                self._lines.setdefault(one.name, []).append(line)

    def lines(self, name: str, **labels: str) -> list[Line]:
        """Those of this name with these labels."""
        wanted = labels.items()
        return [one for one in self._lines.get(name, ()) if wanted <= one.labels.items()]

    def total(self, name: str, **labels: str) -> float | None:
        """All lines added up; None if there is no such metric."""
        if name not in self._lines:
            return None
        return sum(one.value for one in self.lines(name, **labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The sums by the value of a label."""
        found: dict[str, float] = {}
        for one in self.lines(name, **labels):
            key = one.labels.get(label, "")
            found[key] = found.get(key, 0.0) + one.value
        return found

    def spread(self, name: str, **labels: str) -> Spread:
        """The histograms with these labels, added up."""
        return _added(self.lines(f"{name}_bucket", **labels), self.lines(f"{name}_sum", **labels))

    def spreads(self, name: str, *labels: str) -> dict[tuple[str, ...], Spread]:
        """The same for each set of values that these labels have."""
        found: dict[tuple[str, ...], tuple[list[Line], list[Line]]] = {}
        for at, part in enumerate((f"{name}_bucket", f"{name}_sum")):
            for one in self._lines.get(part, ()):
                key = tuple(one.labels.get(label, "") for label in labels)
                found.setdefault(key, ([], []))[at].append(one)
        return {key: _added(*lines) for key, lines in found.items()}


def _added(buckets: list[Line], sums: list[Line]) -> Spread:
    totals: dict[float, float] = {}
    for one in buckets:
        high = float(one.labels["le"])
        totals[high] = totals.get(high, 0.0) + one.value
    return Spread(totals, sum(one.value for one in sums))
