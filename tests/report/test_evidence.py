"""Figures by their paths."""

from pathlib import Path

import pytest

from fakes.project import facts
from only1mcp.report.evidence import number


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests.total", 3),
        ("tests.passed", 3),
        ("tests.failed", 0),
        ("tests.pass_rate", 100),
        ("coverage.percent", 93.5),
        ("checks.types", 1),
        ("size.src.code", 2),
        ("bench:speed/boil/seconds", 3),
    ],
)
def test_figures(tmp_path: Path, path: str, expected: float) -> None:
    found = number(facts(tmp_path).evidence, path)
    assert found is not None
    assert found[0] == expected


ROWS = """{"suites": [{"name": "s/a", "rows": [{"name": "x/y", "samples": [1, 9, 2]},
 {"name": "z", "samples": []}]}, 5]}"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [("s/a/rows/x/y", 2), ("s/a/rows/z", None), ("s/a/rows/w", None), ("s", None)],
)
def test_rows_are_found_by_name_and_samples_by_their_median(
    tmp_path: Path, path: str, expected: float | None
) -> None:
    evidence = facts(tmp_path, bench_speed_json=ROWS).evidence
    found = number(evidence, f"bench:speed/suites/{path}")
    assert (found and found[0]) == expected


@pytest.mark.parametrize(
    "path",
    ["tests.colour", "checks.none", "size.none.code", "bench:speed/boil", "bench:none/x", "moon"],
)
def test_what_was_not_measured(tmp_path: Path, path: str) -> None:
    assert number(facts(tmp_path).evidence, path) is None
