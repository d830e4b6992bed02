"""The results as one HTML page that needs nothing else: bars, the spread of runs, curves."""

from collections.abc import Iterable, Sequence
from html import escape
from math import log10
from typing import Final

from only1mcp.bench.report import machine, number, remarks
from only1mcp.bench.results import Curve, Results, Row, Suite

WIDTH: Final = 900
LABEL: Final = 380
LINE: Final = 22
HEIGHT: Final = 320
MARGIN: Final = 50
COLOURS: Final = (
    "#2563eb",
    "#ea580c",
    "#16a34a",
    "#9333ea",
    "#dc2626",
    "#0891b2",
    "#ca8a04",
    "#475569",
)
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; color: #1e293b }
svg { width: 100%; height: auto } text { font: 12px system-ui, sans-serif; fill: #1e293b }
code { background: #f1f5f9; padding: 0 .3em } h2 { margin-top: 2.5rem }
"""


def html(results: Results) -> str:
    """The page."""
    about = escape(" ".join(machine(results)))
    body = "".join(_section(suite) for suite in results.suites)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Benchmark of Only1MCP</title>'
        f"<style>{_STYLE}</style><h1>Benchmark of Only1MCP</h1><p>{about}</p>{body}</html>\n"
    )


def _section(suite: Suite) -> str:
    units: dict[str, list[Row]] = {}
    for row in suite.rows:
        units.setdefault(row.unit, []).append(row)
    plots = "".join(bars(rows, unit) for unit, rows in units.items())
    lines = "".join(f"<p>{escape(line)}</p>" for line in remarks(suite) if line)
    curves = curve_plot(suite.curves) if suite.curves else ""
    title, command = escape(suite.title), escape(suite.command)
    return f"<h2>{title}</h2><p><code>{command}</code></p>{curves}{plots}{lines}"


def bars(rows: Sequence[Row], unit: str) -> str:
    """A bar for each row; the thin line spans its runs, a red mark is its bar to reach."""
    top = max(max(row.spread.high, row.bar or 0, 1e-9) for row in rows)
    scale = (WIDTH - LABEL - 90) / top
    drawn = [_text(LABEL, 12, unit)]
    for number_of, row in enumerate(rows):
        drawn.append(_bar(row, 20 + number_of * LINE, scale))
    return _svg(20 + len(rows) * LINE + 10, drawn)


def _bar(row: Row, y: int, scale: float) -> str:
    found = row.spread
    ends = [LABEL + max(0.0, value) * scale for value in (found.low, found.median, found.high)]
    low, median, high = (round(end, 1) for end in ends)
    colour = COLOURS[1] if row.name.startswith("direct") else COLOURS[0]
    mark = ""
    if row.bar is not None:
        at = round(LABEL + row.bar * scale, 1)
        mark = f'<line x1="{at}" y1="{y}" x2="{at}" y2="{y + 16}" stroke="{COLOURS[4]}"/>'
    return (
        _text(LABEL - 8, y + 12, row.name, "end")
        + f'<rect x="{LABEL}" y="{y + 2}" width="{round(median - LABEL, 1)}" height="12"'
        f' fill="{colour}"/>'
        f'<line x1="{low}" y1="{y + 8}" x2="{high}" y2="{y + 8}" stroke="#1e293b"/>{mark}'
        + _text(max(median, high) + 6, y + 12, number(found.median))
    )


def curve_plot(curves: Sequence[Curve]) -> str:
    """Latency by percentile; the last percents are spread out, as HdrHistogram does."""
    values = [y for curve in curves for _, y in curve.points if y > 0]
    if not values:
        return ""
    low, high = log10(min(values)), log10(max(values) * 1.1)
    drawn = list(_axes(low, high))
    for place, curve in enumerate(curves):
        colour = COLOURS[place % len(COLOURS)]
        points = " ".join(
            f"{_x(x):.1f},{_y(y, low, high):.1f}" for x, y in curve.points if x < 99.995 and y > 0
        )
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        y = 20 + place * 16
        drawn.append(_text(MARGIN + 30, y, curve.name))
        drawn.append(
            f'<rect x="{MARGIN + 14}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        )
    return _svg(HEIGHT + 30, drawn)


def _axes(low: float, high: float) -> Iterable[str]:
    for percent in (0, 50, 90, 99, 99.9, 99.99):
        yield _text(_x(percent), HEIGHT + 16, f"{percent:g} %", "middle")
    for power in range(int(low) - 1, int(high) + 2):
        if low <= power <= high:
            y = _y(10**power, low, high)
            yield f'<line x1="{MARGIN}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}" stroke="#cbd5e1"/>'
            yield _text(MARGIN - 4, y + 4, f"{10**power:g} ms", "end")


def _x(percent: float) -> float:
    nines = -log10(1 - min(percent, 99.995) / 100)
    return MARGIN + nines / 4.31 * (WIDTH - MARGIN - 20)


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT - (log10(value) - low) / ((high - low) or 1) * (HEIGHT - 20)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"


def _svg(height: int, drawn: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"{''.join(drawn)}</svg>"
    )
