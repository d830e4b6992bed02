"""The report of a running gateway, as its reader sees it."""

from typing import Any

import pytest

from fakes.answers_of_gateway import METRICS, answers, event, memory
from only1mcp.report.document import Timeline
from only1mcp.report.forms import as_html, as_json, as_markdown
from only1mcp.report.running import figures, lasted, report


def page(text: str | None = METRICS, **changed: dict[str, Any] | None) -> list[str]:
    """The lines of the report."""
    return as_markdown(report(answers(text, **changed))).splitlines()


def test_its_numbers() -> None:
    lines = page()
    for line in (
        "| Gateway | http://gateway, version 1.2 |",
        "| Period | 2026-01-15 10:58 UTC to 2026-01-15 12:00 UTC: all since the gateway was"
        " started |",
        "| Uptime | 1 h 1 m [1] |",
        "| Status | degraded [2] |",
        "| Servers up | 1 of 2 [2] |",
        "| Requests | 105 [3] |",
        "| Failed | 10 [3] (9.52 %) |",
        "| Memory | 50 MiB [1] |",
        "| `a` | ready | healthy | 2026-01-15 11:00:00 | 100 | 10 | 5.56 | over 100 | 3 | 0 |",
        "| `b` | failed | unhealthy | 2026-01-15 11:00:00 | 0 | 0 |  |  | 0 | 0 |",
        "- `b`: no file",
        "| 2026-01-15 11:07:00 | `b` | failed: no file |",
        "1. `GET /api/v1/admin/system`, 2026-01-15 12:00 UTC",
        "3. `GET /api/v1/admin/metrics: only1mcp_requests_total`, 2026-01-15 12:00 UTC",
    ):
        assert line in lines, "\n".join(lines)


def test_how_far_back_incidents_are_known() -> None:
    whole = "All that has happened since the gateway was started [8], the newest first."
    assert whole in page()
    restarted = event(5, "restart", server="a", replica="a", restarts=9)
    past = {"memory": [memory("restart", complete=False)], "events": [restarted]}
    assert (
        "The gateway remembers only the last 200 of kind restart, since 2026-01-15 11:05:00 [8]."
        " What was before is forgotten; the counts by server are of the whole period. The newest"
        " first." in page(past=past)
    )


def test_when_incidents_were() -> None:
    (line,) = [
        block
        for section in report(answers()).sections
        for block in section.blocks
        if isinstance(block, Timeline)
    ]
    assert line.marks == {"a": [0.1081], "b": [0.1405]}
    assert (line.began, line.ended) == ("2026-01-15 10:58 UTC", "2026-01-15 12:00 UTC")


def test_a_long_list_is_cut() -> None:
    clash = {"kind": "tools", "name": "x", "kept": "a", "hidden": "b", "hint": ""}
    lines = page(servers={"servers": [], "clashes": [clash] * 25, "dropped": []})
    assert sum(line.startswith("- tools `x`") for line in lines) == 20
    assert "- and 5 more" in lines


def test_only_the_latest_incidents_are_shown() -> None:
    many = [event(n % 60, "server", server="b", state="failed", reason=str(n)) for n in range(70)]
    lines = page(past={"memory": [], "events": many})
    assert "The latest 50 of 70 that are remembered:" in lines
    assert sum("| `b` | failed: " in line for line in lines) == 50


def test_what_is_wrong_with_the_configuration() -> None:
    fault = {"path": "o.yaml", "where": "x", "message": "no such key", "hint": "drop it"}
    faults = [
        {**fault, "line": 3, "column": 1, "severity": "error"},
        {**fault, "line": 0, "column": 0, "severity": "warning"},
    ]
    lines = page(check={"file": "o.yaml", "faults": faults, "restart": ["metrics"]})
    assert "| error | line 3, column 1 | no such key; drop it |" in lines
    assert "| warning | x | no such key; drop it |" in lines
    assert "Not in force before the gateway is started anew: `metrics`." in lines


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        (
            {"past": None},
            "Incidents: not measured; this gateway does not tell what has happened.",
        ),
        ({"check": None}, "Warnings: not measured; this gateway does not check its file."),
        ({"system": None}, "| Period | not measured |"),
    ],
)
def test_an_older_gateway_has_not_all_of_it(changed: dict[str, None], line: str) -> None:
    assert line in page(**changed)


def test_without_metrics_there_are_no_numbers() -> None:
    lines = page(None)
    assert "| Requests | not measured |" in lines
    row = next(line for line in lines if line.startswith("| `a` | ready"))
    assert row.count("not measured") == 4
    assert lines.count("not measured: metrics are off.") == 3


def test_figures() -> None:
    found = figures(answers())
    assert found["requests.total"] == 105
    assert found["requests.by_server"] == {"a": 100, "(gateway)": 5}
    assert found["requests.by_outcome"] == {"ok": 95, "error": 8, "tool_error": 2}
    assert found["errors.by_type"] == {"-31002": 10}
    assert found["restarts"] == {"a": 3}
    assert (found["cache.hit"], found["cache.shared"]) == (30, 4)
    assert found["tools.bytes_by_server"] == {"a": 3000, "b": 1000}


def test_all_forms() -> None:
    document = report(answers())
    assert as_html(document).count("<svg") == 5
    assert as_json(document) == as_json(report(answers()))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 m"), (3700, "1 h 1 m"), (90_061, "1 d 1 h")],
)
def test_how_long(seconds: float, expected: str) -> None:
    assert lasted(seconds) == expected
