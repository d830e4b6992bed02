"""What a report is written from, and the figures in it that are compared from report to report."""

from typing import Any, Final

import msgspec

from only1mcp.report.derive import Standing, Status
from only1mcp.report.document import NOT_MEASURED, Document, several, spelt
from only1mcp.report.evidence import Evidence, Source, number
from only1mcp.report.registry import Phase, Registry

WEEK: Final = 7


class Facts(msgspec.Struct):
    """What the sections are written from."""

    registry: Registry
    phase: Phase
    evidence: Evidence
    standings: list[Standing]
    previous: dict[str, Any]
    """The figures of the report before, by name."""

    def of_phase(self, *statuses: Status) -> list[Standing]:
        """The features of the phase that stand so; all of them without an argument."""
        return [
            one
            for one in self.standings
            if one.feature.phase == self.phase.id and (not statuses or one.status in statuses)
        ]


def figures(facts: Facts) -> dict[str, Any]:
    """The figures that the next report is compared with."""
    done, all_of_them = facts.of_phase(Status.COMPLETE), facts.of_phase()
    found: dict[str, Any] = {
        "features.complete": len(done),
        "features.total": len(all_of_them),
        "status": {one.feature.id: str(one.status) for one in facts.standings},
    }
    names = ["tests.total", "tests.passed", "tests.failed", "tests.skipped", "coverage.percent"]
    names += [f"size.{room}.code" for room in facts.evidence.sizes]
    names += [target.evidence for target in facts.registry.target]
    for name in names:
        value = number(facts.evidence, name)
        found[name] = value and value[0]
    return found


def trend(facts: Facts, name: str, now: float | None) -> str:
    """How a figure moved since the report before, in brackets; empty if nothing is known."""
    before = facts.previous.get(name)
    if now is None or not isinstance(before, int | float) or before == now:
        return ""
    return f" ({'+' if now > before else '-'}{spelt(abs(now - before))} since the last report)"


def cited(document: Document, facts: Facts, name: str, unit: str = "") -> str:
    """The figure `name` with its source and trend."""
    value = number(facts.evidence, name)
    if value is None:
        return NOT_MEASURED
    return document.cite(value[0], value[1], unit) + trend(facts, name, value[0])


def tests_source(facts: Facts) -> Source | None:
    """Where the results of tests are from."""
    return facts.evidence.tests.source if facts.evidence.tests is not None else None


def weeks(days: int) -> str:
    """A number of days as weeks and days."""
    whole, rest = divmod(max(days, 0), WEEK)
    parts = [several(whole, "week")] * bool(whole) + [several(rest, "day")] * bool(
        rest or not whole
    )
    return " and ".join(parts)
