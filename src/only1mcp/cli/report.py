"""`only1mcp report --project`: where a project stands, from the evidence in its checkout."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from only1mcp.cli.gateway_report import put
from only1mcp.cli.say import Exit, Failure, fail, note
from only1mcp.report import claims
from only1mcp.report.derive import standings
from only1mcp.report.facts import Facts
from only1mcp.report.gather import gather
from only1mcp.report.progress import report
from only1mcp.report.registry import NAME, Phase, Registry, RegistryError, load

EPOCH: Final = "SOURCE_DATE_EPOCH"
"""Seconds since 1970 to take for now, so that a report can be made again byte by byte.

Source: reproducible-builds.org, SOURCE_DATE_EPOCH.
"""


def report_project(phase: int | None, out: Path | None, *, check: bool) -> int:
    """Write the report in three forms or one, or only check what the documents claim."""
    try:
        root = _root(Path.cwd())
        registry = load(root / NAME)
        usual = root / registry.checks.reports
        before = out if out is not None and out.is_dir() else usual
        facts = _facts(registry, root, _phase(registry, phase), before)
        if check:
            return _check(facts, root)
        put(report(facts), out or usual, f"{_name(facts.phase)}{facts.evidence.today:%Y-%m-%d}")
    except RegistryError as error:
        note(f"error: {error}")
        return Exit.USAGE
    except Failure as error:
        return fail(error)
    return Exit.OK


def _root(here: Path) -> Path:
    """The project that `here` is in."""
    for folder in (here, *here.parents):
        if (folder / NAME).is_file():
            return folder
    raise RegistryError(f"there is no {NAME} in {here} or above it; see docs/reports.md")


def _now() -> datetime:
    given = os.environ.get(EPOCH)
    if given is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise RegistryError(f"{EPOCH}={given}: is no number of seconds") from None


def _facts(registry: Registry, root: Path, phase: Phase, folder: Path) -> Facts:
    evidence = gather(registry, root, _now())
    judged = standings(registry, evidence, root)
    return Facts(registry, phase, evidence, judged, _previous(folder, phase, evidence.today))


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


def _previous(out: Path, phase: Phase, today: datetime) -> dict[str, Any]:
    """The figures of the newest report of the phase from a day before."""
    current = f"{_name(phase)}{today:%Y-%m-%d}.json"
    files = sorted(one for one in out.glob(f"{_name(phase)}*.json") if one.name < current)
    if not files:
        return {}
    try:
        figures = json.loads(files[-1].read_text())["facts"]
    except (OSError, ValueError, KeyError, TypeError):
        note(f"{files[-1]} is no report; the trend is left out")
        return {}
    return figures if isinstance(figures, dict) else {}


def _check(facts: Facts, root: Path) -> int:
    found = claims.faults(facts, root)
    for fault in found:
        print(fault)
    if not found:
        note("every claim is shown")
        return Exit.OK
    note(f"{len(found)} claim{'s are' if len(found) > 1 else ' is'} not shown by the evidence")
    return Exit.FAILURE
