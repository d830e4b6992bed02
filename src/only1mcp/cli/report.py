"""`only1mcp report --project`: where a project stands, from the evidence in its checkout."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from only1mcp.cli.say import Exit, note
from only1mcp.report import claims, forms
from only1mcp.report.derive import standings
from only1mcp.report.document import Document
from only1mcp.report.facts import Facts
from only1mcp.report.gather import gather
from only1mcp.report.progress import report
from only1mcp.report.registry import NAME, Phase, Registry, RegistryError, load

FORMS: Final = {"md": forms.as_markdown, "json": forms.as_json, "html": forms.as_html}


class Wanted(NamedTuple):
    """What the command line asks for."""

    root: Path
    phase: int | None
    tests: Path | None
    coverage: Path | None
    benchmarks: Path | None
    out: Path
    now: datetime | None
    check: bool


def report_project(wanted: Wanted) -> int:
    """Write the report in three forms, or only check what the documents claim."""
    try:
        facts = _facts(wanted)
    except RegistryError as error:
        note(f"error: {error}")
        return Exit.USAGE
    if wanted.check:
        return _check(facts, wanted.root)
    for path in _write(report(facts), facts.phase, wanted.out):
        print(path)
    return Exit.OK


def _facts(wanted: Wanted) -> Facts:
    registry = load(wanted.root / NAME)
    phase = _phase(registry, wanted.phase)
    evidence = gather(
        registry,
        wanted.root,
        wanted.now or datetime.now(UTC),
        junit=wanted.tests,
        coverage=wanted.coverage,
        benchmarks=wanted.benchmarks,
    )
    judged = standings(registry, evidence, wanted.root)
    return Facts(registry, phase, evidence, judged, _previous(wanted.out, phase))


def _phase(registry: Registry, wanted: int | None) -> Phase:
    """The phase that was asked for, else the last one."""
    phases = {phase.id: phase for phase in registry.phase}
    if not phases:
        raise RegistryError(f"{NAME}: has no [[phase]]")
    chosen = max(phases) if wanted is None else wanted
    if chosen not in phases:
        known = ", ".join(map(str, sorted(phases)))
        raise RegistryError(f"{NAME}: there is no phase {chosen}; there are {known}")
    return phases[chosen]


def _name(phase: Phase) -> str:
    return f"PHASE_{phase.id}_PROGRESS_REPORT_"


def _previous(out: Path, phase: Phase) -> dict[str, Any]:
    """The figures of the newest report of the phase that is there."""
    files = sorted(out.glob(f"{_name(phase)}*.json"))
    if not files:
        return {}
    try:
        figures = json.loads(files[-1].read_text())["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        note(f"{files[-1]} is no report; the trend is left out")
        return {}
    return figures if isinstance(figures, dict) else {}


def _write(document: Document, phase: Phase, out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for form, render in FORMS.items():
        path = out / f"{_name(phase)}{document.at:%Y-%m-%d}.{form}"
        path.write_text(render(document))
        written.append(path)
    return written


def _check(facts: Facts, root: Path) -> int:
    found = claims.faults(facts, root)
    for fault in found:
        print(fault)
    note(f"{len(found)} claims are not shown by the evidence" if found else "every claim is shown")
    return Exit.FAILURE if found else Exit.OK
