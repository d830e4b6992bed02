"""A document that says what the evidence does not show is found out."""

from pathlib import Path

import pytest

from fakes.project import JUNIT, README, REGISTRY, facts
from only1mcp.report.claims import faults


def found(root: Path, **changed: str) -> list[str]:
    """What is claimed and not shown."""
    return faults(facts(root, **changed), root)


def test_all_is_shown(tmp_path: Path) -> None:
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"README_md": README.replace("in 3 s", "in 2 s")},
            "README.md:3: says 2, but bench:speed/boil/seconds is 3",
        ),
        (
            {"README_md": README[:-1] + "\nIt takes 95 % less.\n"},
            "README.md:8: '95 %' has no evidence; add a claim or a constant",
        ),
        (
            {"README_md": README.replace("in 3 s", "fast")},
            "README.md: nothing is like 'boils in (\\d+) s'; the claim in the registry is stale",
        ),
        (
            {
                "features_toml": REGISTRY.replace(
                    "tests/e2e/test_cup.py::test_tea", "tests/test_boil.py"
                )
            },
            "tests/e2e/test_cup.py: a test through the front door that no feature names",
        ),
        (
            {"junit_xml": JUNIT.replace("test_tea", "test_coffee")},
            "feature 'boil' is in progress: no test is named tests/e2e/test_cup.py::test_tea;"
            " no test through the front door",
        ),
        (
            {"features_toml": REGISTRY.replace('junit = "junit.xml"', 'junit = "none.xml"')},
            "no test results at none.xml",
        ),
    ],
)
def test_what_is_not(tmp_path: Path, changed: dict[str, str], expected: str) -> None:
    assert expected in found(tmp_path, **changed)


def test_a_number_without_measurement(tmp_path: Path) -> None:
    said = found(tmp_path, bench_speed_json="{}")
    assert "README.md:3: says 3, and bench:speed/boil/seconds was not measured" in said
