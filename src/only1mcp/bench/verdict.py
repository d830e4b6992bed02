"""Worse than before? Each guarded figure against the same figure of a baseline file.

Only what is steady is guarded: ratios of paired runs, counts and CPU per call. A figure blocks
if its median is more than a tenth worse and that is no accident of the runs; with fewer than
four runs on a side nothing can be said of accidents, and the median decides.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from only1mcp.bench.figures import p_less
from only1mcp.bench.results import Results, Row

BLOCK: Final = 0.10
WARN: Final = 0.03
CERTAIN: Final = 0.05
ENOUGH: Final = 4


class Change(NamedTuple):
    """One figure, then and now. `worse` is a share of the old median; below 0 it is better."""

    name: str
    before: float
    now: float
    unit: str
    worse: float
    blocks: bool

    def __str__(self) -> str:
        word = "BLOCKS" if self.blocks else "worse" if self.worse > 0 else "better"
        change = f"{abs(self.worse):.1%}"
        return f"{word:<7} {self.name}: {self.before:.4g} -> {self.now:.4g} {self.unit}, {change}"


def changes(baseline: Results, now: Results) -> Iterator[Change]:
    """Every guarded figure that both files have."""
    before = dict(_guarded(baseline))
    for name, row in _guarded(now):
        if (old := before.get(name)) is not None and old.unit == row.unit:
            yield _change(name, old, row)


def missing(baseline: Results, now: Results) -> list[str]:
    """Guarded figures of the baseline that suites which did run no longer have."""
    ran = {suite.name for suite in now.suites}
    have = dict(_guarded(now))
    return [
        name for name, _ in _guarded(baseline) if name.split(": ")[0] in ran and name not in have
    ]


def notable(found: list[Change]) -> list[Change]:
    """The changes worth a line, the worst first."""
    return sorted((c for c in found if c.blocks or abs(c.worse) > WARN), key=lambda c: -c.worse)


def _guarded(results: Results) -> Iterator[tuple[str, Row]]:
    for suite in results.suites:
        for row in suite.rows:
            if row.guard and row.better:
                yield f"{suite.name}: {row.name}", row


def _change(name: str, old: Row, new: Row) -> Change:
    before, now = old.spread.median, new.spread.median
    grown = now - before if new.better == "less" else before - now
    worse = grown / abs(before) if before else float(grown > 0)
    return Change(name, before, now, new.unit, worse, worse > BLOCK and not _by_chance(old, new))


def _by_chance(old: Row, new: Row) -> bool:
    """True if the runs of both sides are mixed so much that it may be noise."""
    if min(len(old.samples), len(new.samples)) < ENOUGH:
        return False
    low, high = (old, new) if new.better == "less" else (new, old)
    return p_less(low.samples, high.samples) > CERTAIN
