"""The report of a phase, as its reader sees it."""

from pathlib import Path

from fakes.project import JUNIT, facts
from only1mcp.report.forms import as_json, as_markdown
from only1mcp.report.progress import report

SECTIONS = [
    "Phase 1: Water",
    "Executive summary",
    "Completed features",
    "Features in progress",
    "Pending features",
    "Technical achievements",
    "Testing metrics",
    "Documentation status",
    "Known issues",
    "Timeline",
    "Next steps",
    "Lessons learned",
    "Success metrics",
    "Achievements",
    "For everybody else",
    "About this report",
]


def text(root: Path, **changed: str) -> str:
    """The report as Markdown."""
    return as_markdown(report(facts(root, **changed)))


def test_sixteen_sections(tmp_path: Path) -> None:
    document = report(facts(tmp_path))
    assert [one.title for one in document.sections if one.level == 2] == SECTIONS
    assert all(one.blocks for one in document.sections)


def test_its_numbers(tmp_path: Path) -> None:
    page = text(tmp_path)
    for line in (
        "| Status | 50 % (1/2 features) [1] |",
        "- Started 2026-01-01, 2 weeks ago; to end on 2026-01-31",
        "- Tests passing: 3 [2] of 3 [2]",
        "- Coverage: 93.5% [3]",
        "| Tests | 3/3 pass [2], 1 of them through the front door |",
        "| Benchmarks | speed/boil/seconds: 3 [6] |",
        "| Libraries | steam 1.2.3 |",
        "| Pouring | high | none made | boil | Water gets out. |",
        "| part | files [7] | lines [7] | comment [7] | blank [7] |",
        "| src | 1 | 2 | 1 | 1 |",
        "- Known issues: 1 [5]",
        "- Boiling: 3 tests [2], 1 through the front door",
        "5. `features.toml, [notes]`",
        "- Remaining: 2 weeks and 2 days",
        "| It whistles. | noise | wait |",
        "- Keep the lid on.",
        "| Fast | < 4 s | 3 s [6] | met |",
        "1. `features.toml, held against the files and tests it names`",
        "2. `pytest --junitxml`, 2026-01-15 11:00 UTC",
    ):
        assert line in page.splitlines(), page


def test_a_failure_is_what_to_do_next(tmp_path: Path) -> None:
    failed = JUNIT.replace('time="2.0"/>', '><failure message="cold"/></testcase>')
    page = text(tmp_path, junit_xml=failed)
    assert "- `tests/e2e/test_cup.py::test_tea`: cold" in page
    assert "- Mend `tests/e2e/test_cup.py::test_tea`" in page
    assert "| Status | 0 % (0/2 features) [1] |" in page


def test_the_same_evidence_makes_the_same_report(tmp_path: Path) -> None:
    assert as_json(report(facts(tmp_path))) == as_json(report(facts(tmp_path)))
