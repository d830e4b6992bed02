"""The results as Markdown: a table for each suite, with its command, its spread and its bars."""

from collections.abc import Iterator
from typing import Final

from only1mcp.bench.results import Results, Row, Suite

_BUSY: Final = (
    "",
    "The machine had more other work than it has cores. Times and rates here are not what a",
    "gateway reaches, and a bar that is missed may be missed for that: measure on an idle machine.",
)


def markdown(results: Results) -> str:
    """The whole report."""
    lines = ["# Benchmark of Only1MCP", "", *machine(results)]
    for suite in results.suites:
        lines += section(suite)
    return "\n".join(lines) + "\n"


def machine(results: Results) -> list[str]:
    """When and on what it was measured."""
    about = results.environment
    programs = [
        f"{name} {about[name]}" for name in ("python", "wrk", "nginx", "haproxy") if about.get(name)
    ]
    pinned = ", ".join(f"{who} {core}" for who, core in about.get("pinned", {}).items())
    busy, cores = about.get("load_before", ["?"])[0], about.get("cores")
    return [
        f"Measured {results.when}, Only1MCP {about.get('only1mcp')}; {', '.join(programs)}.",
        f"{about.get('processor')}, {cores} cores, {about.get('memory_gib')} GiB,",
        f"{about.get('system')}; pinned to cores: {pinned}. Load average before: {busy}.",
        *(_BUSY if busy != "?" and cores and busy > cores else ()),
        "",
    ]


def section(suite: Suite, level: int = 2) -> list[str]:
    """One suite."""
    lines = [f"{'#' * level} {suite.title}", "", f"    {suite.command}", ""]
    if suite.measured:
        lines += [f"Measured {suite.measured}.", ""]
    if suite.rows:
        lines += ["| What | Median | Unit | Runs, from to | Bar |", "|---|---:|---|---|---|"]
        lines += [_line(row) for row in suite.rows]
        lines.append("")
    return lines + remarks(suite)


def remarks(suite: Suite) -> list[str]:
    """What must be known of the figures, and what is not there."""
    lines = [f"- {note}" for note in suite.notes]
    lines += [f"- Not measured: {gap}." for gap in suite.not_measured]
    return [*lines, ""] if lines else []


def pivot(suite: Suite) -> list[str]:
    """A table with a line for each of those compared, and a column for what is measured."""
    table: dict[str, dict[str, Row]] = {}
    for row in suite.rows:
        who, _, what = row.name.partition(": ")
        table.setdefault(who, {})[what] = row
    columns = list(dict.fromkeys(column for cells in table.values() for column in cells))
    units = {column: row.unit for cells in table.values() for column, row in cells.items()}
    heads = [c if units[c] in c else f"{c}, {units[c]}" for c in columns]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(columns)}"]
    for who, cells in table.items():
        shown = (number(cells[c].spread.median) if c in cells else "" for c in columns)
        lines.append(f"| {who} | {' | '.join(shown)} |")
    return [*lines, ""]


def missed(results: Results) -> Iterator[str]:
    """The bars that were not reached."""
    for suite in results.suites:
        for row in suite.rows:
            if row.holds is False:
                found, bar = number(row.spread.median), number(row.bar or 0)
                yield f"{suite.name}: {row.name}: {found} {row.unit}, the bar is {bar}"


def number(value: float) -> str:
    """Three digits are what a median is good for; large numbers are whole."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _line(row: Row) -> str:
    found = row.spread
    runs = f"{number(found.low)} to {number(found.high)}" if len(row.samples) > 1 else ""
    bar = ""
    if row.bar is not None:
        sign = "at most" if row.better == "less" else "at least"
        bar = f"{sign} {number(row.bar)}: {'held' if row.holds else '**missed**'}"
    return f"| {row.name} | {number(found.median)} | {row.unit} | {runs} | {bar} |"
