"""The Markdown: every figure with its command, spread and bar."""

import pytest

from only1mcp.bench.page import html
from only1mcp.bench.report import markdown, missed, number, pivot
from only1mcp.bench.results import Results, Row, Suite

SUITE = Suite(
    "overhead",
    "What it adds",
    "make bench",
    rows=[
        Row("added p50", "ms", [0.2, 0.25, 0.3], "less", bar=0.3),
        Row("calls", "calls/s", [9000.0, 8000.0], "more", bar=10_000),
    ],
    notes=["Mind the gap."],
    not_measured=["cache: no such setting"],
)
ABOUT = {"only1mcp": "1.0", "python": "3.11", "wrk": None, "processor": "Fast", "cores": 2}
RESULTS = Results("2026-11-26", {**ABOUT, "pinned": {"gateway": 0}}, [SUITE])


def test_a_report_says_what_where_and_how() -> None:
    text = markdown(RESULTS)
    assert "Only1MCP 1.0; python 3.11." in text
    assert "## What it adds\n\n    make bench\n" in text
    assert "| added p50 | 0.25 | ms | 0.2 to 0.3 | at most 0.3: held |" in text
    assert "| calls | 8500 | calls/s | 8000 to 9000 | at least 10000: **missed** |" in text
    assert "- Mind the gap." in text
    assert "- Not measured: cache: no such setting." in text


@pytest.mark.parametrize(("load", "busy"), [(0.3, False), (2.0, False), (7.9, True)])
def test_a_busy_machine_is_told_plainly(load: float, busy: bool) -> None:
    found = Results("2026-11-26", {**ABOUT, "load_before": [load, 0, 0]}, [SUITE])
    for text in (markdown(found), html(found)):
        assert ("more other work than it has cores" in text) is busy


def test_missed_bars_are_listed() -> None:
    assert list(missed(RESULTS)) == ["overhead: calls: 8500 calls/s, the bar is 10000"]


def test_those_compared_are_lines_of_a_table() -> None:
    rows = [
        Row("nginx: calls/s", "calls/s", [70_000.0]),
        Row("ours: calls/s", "calls/s", [40_000.0]),
        Row("ours: added p50", "ms", [0.2]),
    ]
    assert pivot(Suite("peers", "Peers", "make", rows=rows)) == [
        "| | calls/s | added p50, ms |",
        "|---|---:|---:|",
        "| nginx | 70000 |  |",
        "| ours | 40000 | 0.2 |",
        "",
    ]


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (0.123456, 12.34, 999.4, 1234.5)] == [
        *("0.123", "12.3", "999", "1234"),
    ]
