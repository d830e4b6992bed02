"""The first tab: how the gateway as a whole is doing."""

from typing import Final

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from only1mcp.tui.feed import Row, Shot
from only1mcp.tui.figures import gauge, number, size, span, sparkline

WIDTH: Final = 40
"""Of the sparkline and the gauge, so that 80 columns hold them."""


class Overview(VerticalScroll):
    """Uptime, traffic, latency, errors, servers, cache."""

    def compose(self) -> ComposeResult:
        """One text; it changes once a second."""
        yield Static("no data", id="overview-text", markup=False)

    def show(self, shot: Shot) -> None:
        """What is known now."""
        self.query_one(Static).update("\n".join(text(shot)))


def text(shot: Shot) -> list[str]:
    """The tab, line by line."""
    figures, system = shot.figures, shot.system
    uptime, memory = system.get("uptime_s"), system.get("memory_bytes")
    errors = None if figures.error_share is None else 100 * figures.error_share
    latency = "  ".join(
        f"{name} {number(value, 'ms', 2)}"
        for name, value in (
            ("p50", figures.p50_ms),
            ("p95", figures.p95_ms),
            ("p99", figures.p99_ms),
        )
    )
    rows = [
        ("status", str(shot.health.get("status", "no data"))),
        ("uptime", "no data" if uptime is None else span(uptime)),
        ("version", f"{system.get('version', 'no data')}   pid {system.get('pid', 'no data')}"),
        ("", ""),
        ("requests", f"{number(figures.per_s, '/s', 1)}   {number(figures.total)} in all"),
        ("", sparkline(shot.rates, WIDTH)),
        ("latency", latency),
        ("errors", f"{number(errors, '%', 1)}   {number(figures.failed)} in all"),
        ("in flight", number(figures.in_flight)),
        (
            "clients",
            f"{number(system.get('connections'))}   {number(system.get('sessions'))} sessions",
        ),
        ("memory", size(memory)),
        ("", ""),
        ("servers", servers(shot.servers)),
        ("cache", cache(shot.cache)),
    ]
    return [f"{name:>10}  {said}" for name, said in rows]


def servers(rows: list[Row]) -> str:
    """How many are in which state."""
    states: dict[str, int] = {}
    for row in rows:
        states[str(row.get("state"))] = states.get(str(row.get("state")), 0) + 1
    return "   ".join(f"{many} {state}" for state, many in states.items()) or "none"


def cache(document: Row | None) -> str:
    """The hit rate, and how full it is."""
    if document is None:
        return "no data"
    if not document.get("enabled"):
        return "off"
    held, most = size(document.get("bytes")), size(document.get("max_bytes"))
    return f"hits {gauge(document.get('hit_rate'), WIDTH // 2)}   {held} of {most}"
