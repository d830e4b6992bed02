"""The outcome as a table for people, as Markdown and as JSON."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from scripts.conformance.baseline import Baseline, Verdict
from scripts.conformance.compare import FAILED, PASSED, Check, Loss, Row, of_status
from scripts.conformance.node import ROOT

PAGE: Final = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- results: make conformance ARGS=--write -->", "<!-- end of results -->"
HEADER: Final = ("server", "leg", "scenarios", "direct", "through", "lost", "gained")
CUT: Final = 160
"""Characters of a message on the terminal; results.json has it whole."""


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table: passed and failed checks of both sides."""
    sides = [
        f"{len(of_status(side, PASSED))} / {len(of_status(side, FAILED))}"
        for side in (row.direct, row.through)
    ]
    return (row.server, row.leg, str(row.scenarios()), *sides, *counts(row))


def counts(row: Row) -> tuple[str, str]:
    """How many checks are lost and gained."""
    return str(len(row.lost())), str(len(row.gained()))


def total(rows: Sequence[Row]) -> tuple[str, ...]:
    """The last line of the table."""
    return ("all", "", "", "", "", str(sum(len(row.lost()) for row in rows)), "")


def text_table(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    lines = [HEADER, *map(cells, rows), total(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown_table(rows: Sequence[Row]) -> str:
    """The table for docs."""
    lines = [HEADER, ("---",) * len(HEADER), *map(cells, rows), total(rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(row: Row, loss: Loss) -> str:
    """One lost check for a terminal."""
    check, outcome = loss
    message = " ".join(outcome.message.split())[:CUT]
    return f"{row.server} {row.leg} {check.scenario}:{check.id} {outcome.status} {message}".rstrip()


def text_verdict(verdict: Verdict) -> str:
    """What has to be done, empty if nothing."""
    lines = []
    if verdict.unexpected:
        lines += ["", "Lost, and not in tests/conformance/expected_lost.toml:"]
        lines += [f"  {shown(row, loss)}" for row, loss in verdict.unexpected]
    if verdict.stale:
        lines += ["", "No longer lost; remove from tests/conformance/expected_lost.toml:"]
        lines += [f"  {entry}" for entry in verdict.stale]
    if verdict.weak:
        lines += ["", "Passes less without the gateway than it did; see .cache/conformance/direct:"]
        lines += [f"  {row.server} {row.leg}" for row in verdict.weak]
    return "\n".join(lines)


def known(rows: Sequence[Row], baseline: Baseline) -> dict[str, list[str]]:
    """Reason -> the scenarios that lose checks for it, in the order of the file."""
    found: dict[str, set[str]] = {entry.reason: set() for entry in baseline.lost}
    for row in rows:
        for loss in row.lost():
            reason = baseline.reason(row, loss) or "not known"
            found.setdefault(reason, set()).add(loss[0].scenario)
    return {reason: sorted(names) for reason, names in found.items() if names}


def markdown(rows: Sequence[Row], baseline: Baseline) -> str:
    """The table, and why what is lost is lost."""
    lines = [markdown_table(rows), ""]
    for reason, scenarios in known(rows, baseline).items():
        lines.append(f"- {reason}: {', '.join(f'`{name}`' for name in scenarios)}")
    return "\n".join(lines).rstrip()


def as_json(rows: Iterable[Row], baseline: Baseline) -> list[dict[str, Any]]:
    """Everything, for other programs."""
    return [
        {
            **dict(zip(HEADER[:3], (row.server, row.leg, row.scenarios()), strict=True)),
            "direct": _side(row.direct),
            "through": _side(row.through),
            "lost": [
                {
                    **_check(loss[0]),
                    **loss[1]._asdict(),
                    "expected": baseline.reason(row, loss),
                }
                for loss in row.lost()
            ],
            "noted": [_check(check) for check in row.noted()],
            "gained": [_check(check) for check in row.gained()],
        }
        for row in rows
    ]


def _side(results: dict[Check, Any]) -> dict[str, int]:
    return {
        "passed": len(of_status(results, PASSED)),
        "failed": len(of_status(results, FAILED)),
    }


def _check(check: Check) -> dict[str, Any]:
    return check._asdict()


def write(rows: Sequence[Row], baseline: Baseline, folder: Path) -> None:
    """Leave results.json and results.md in `folder`."""
    (folder / "results.json").write_text(json.dumps(as_json(rows, baseline), indent=1))
    (folder / "results.md").write_text(markdown(rows, baseline) + "\n")


def write_page(rows: Sequence[Row], baseline: Baseline, page: Path = PAGE) -> None:
    """Put the results between the two marks of the page."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{markdown(rows, baseline)}\n\n{END}{after}")
