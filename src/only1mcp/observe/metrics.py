"""Metrics: what a scrape is told, collected the moment it asks.

    numbers.py of each room ── Family ──► Metrics.page ──► prometheus-client ──► text

A room counts in plain integers where it works and has a table of families in its `numbers.py`:
name, type, labels, meaning, and how to read it. Nothing else has to be done for a new metric.
The same tables make docs/metrics.md (scripts/metrics.py).
Cost    a scrape: ~4 us a line, collected on the loop, written as text in a thread.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, Literal, TypeVar

from only1mcp.observe.meter import Histogram

S = TypeVar("S")
Value = float | Histogram
Samples = Iterable[tuple[tuple[str, ...], Value]]
"""(label values, number), one for each line or histogram."""


@dataclass(frozen=True, slots=True)
class Family(Generic[S]):
    """One metric, read from an `S`."""

    name: str
    """Without the `_total` of a counter."""
    type: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: tuple[str, ...]
    read: Callable[[S], Samples]

    @property
    def shown(self) -> str:
        """Its name in the text of a scrape."""
        return f"{self.name}_total" if self.type == "counter" else self.name

    @property
    def unit(self) -> str:
        """What it counts, by its name."""
        unit = self.name.rsplit("_", 1)[-1]
        return unit if unit in ("seconds", "bytes") else ""

    @property
    def source(self) -> str:
        """The module that reads it."""
        return self.read.__module__

    def samples(self, source: S) -> list[tuple[tuple[str, ...], Value]]:
        """What it is now; apart from what goes on while it is written down."""
        return [(labels, _frozen(value)) for labels, value in self.read(source)]


@dataclass(frozen=True, slots=True)
class Room(Generic[S]):
    """The families of one room and where they are read from; None: there is no such thing now."""

    families: tuple[Family[S], ...]
    source: Callable[[], S | None]

    def collect(self) -> "list[Collected]":
        """All of them, now."""
        source = self.source()
        if source is None:
            return []
        return [(family, family.samples(source)) for family in self.families]


Collected = tuple[Family[Any], list[tuple[tuple[str, ...], Value]]]


class Metrics:
    """All families of a gateway."""

    def __init__(self, *rooms: Room[Any]) -> None:
        self._rooms = rooms

    def collect(self) -> list[Collected]:
        """Every family with its samples."""
        return [one for room in self._rooms for one in room.collect()]

    async def page(self, accept: str) -> tuple[bytes, str]:
        """The text in the format that `accept` asks for, and its content type."""
        return await asyncio.to_thread(_written, self.collect(), accept)


def _frozen(value: Value) -> Value:
    if not isinstance(value, Histogram):
        return value
    copy = Histogram(value.bounds)
    copy += value
    return copy


def _written(collected: list[Collected], accept: str) -> tuple[bytes, str]:
    from prometheus_client import CollectorRegistry  # 30 ms, which a gateway nobody scrapes saves
    from prometheus_client.exposition import choose_encoder

    class Now:
        """What a registry asks for its metrics."""

        def collect(self) -> Iterable[Any]:
            return [_family(family, samples) for family, samples in collected]

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Now())
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type


def _family(family: Family[Any], samples: Iterable[tuple[tuple[str, ...], Value]]) -> Any:
    from prometheus_client import core

    meaning = " ".join(family.meaning.split())
    if family.type != "histogram":
        make = core.CounterMetricFamily if family.type == "counter" else core.GaugeMetricFamily
        plain = make(family.name, meaning, labels=family.labels)
        for labels, value in samples:
            assert not isinstance(value, Histogram)
            plain.add_metric(labels, value)
        return plain
    ranges = core.HistogramMetricFamily(family.name, meaning, labels=family.labels)
    for labels, value in samples:
        assert isinstance(value, Histogram)
        totals = accumulate(value.counts)
        ends = [*map(_number, value.bounds), "+Inf"]
        ranges.add_metric(labels, list(zip(ends, totals, strict=True)), value.sum)
    return ranges


def _number(value: float) -> str:
    """As prometheus-client writes it."""
    return repr(float(value))
