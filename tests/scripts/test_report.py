"""The table and the page."""

import json
from pathlib import Path

from scripts.conformance import report
from scripts.conformance.baseline import Baseline, Expected, judge
from scripts.conformance.compare import Check, Outcome, Row

LOST = Check("asks", "a", "", 1)
FINE = Check("lists", "b", "", 1)
PASS = Outcome("SUCCESS")
ROWS = [
    Row("mcp-2.3.0", "all", {LOST: PASS, FINE: PASS}, {LOST: Outcome("FAILURE", "no\nanswer")}),
    Row("mcp-1.30.0", "all", {FINE: PASS}, {FINE: PASS, LOST: PASS}),
]
BASELINE = Baseline([Expected("mcp-2.3.0", "all", "asks", "*", "issue 3: questions")], {})


def test_the_table_for_people() -> None:
    assert report.text_table(ROWS).splitlines() == [
        "server      leg  scenarios  direct  through  lost  gained",
        "mcp-2.3.0   all  2          2 / 0   0 / 1    2     0",
        "mcp-1.30.0  all  1          1 / 0   2 / 0    0     1",
        "all                                          2",
    ]


def test_what_has_to_be_done_is_said() -> None:
    stale = Expected("mcp-1.30.0", "all", "asks", "*", "issue 3: questions")
    verdict = judge([*ROWS, Row("client", "all", {}, {})], Baseline([stale], {}))
    text = report.text_verdict(verdict)
    assert "  mcp-2.3.0 all asks:a FAILURE no answer\n" in text
    assert "  mcp-2.3.0 all lists:b MISSING\n" in text
    assert "  mcp-1.30.0 all asks:*\n" in text
    assert text.endswith("  client all")


def test_nothing_has_to_be_done() -> None:
    assert report.text_verdict(judge(ROWS[1:], Baseline([], {}))) == ""


def test_why_is_said_for_what_is_known_and_for_what_is_not() -> None:
    assert report.known(ROWS, BASELINE) == {"issue 3: questions": ["asks"], "not known": ["lists"]}


def test_everything_as_json(tmp_path: Path) -> None:
    report.write(ROWS, BASELINE, tmp_path)
    first, second = json.loads((tmp_path / "results.json").read_text())
    assert first["direct"] == {"passed": 2, "failed": 0}
    assert [(loss["id"], loss["expected"]) for loss in first["lost"]] == [
        ("a", "issue 3: questions"),
        ("b", None),
    ]
    assert [check["id"] for check in second["gained"]] == ["a"]
    assert (tmp_path / "results.md").read_text().startswith("| server | leg |")


def test_only_the_results_of_the_page_are_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{report.BEGIN}\n\nold\n\n{report.END}\n\nafter\n")
    report.write_page(ROWS, BASELINE, page)
    text = page.read_text()
    assert text.startswith(f"before\n\n{report.BEGIN}\n\n| server |")
    assert text.endswith(f"{report.END}\n\nafter\n")
    assert "old" not in text
    report.write_page(ROWS, BASELINE, page)
    assert page.read_text() == text
