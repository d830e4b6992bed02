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


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        ("0.4x kettle", []),
        ("0.44x kettle", []),
        ("0.437x kettle", []),
        ("0.5x kettle", ["README.md:8: says 0.5, but bench:speed/pan/over kettle is 0.437"]),
        ("0.43x kettle", ["README.md:8: says 0.43, but bench:speed/pan/over kettle is 0.437"]),
        (
            "0.4x stove",
            ["README.md:8: says 0.4, and bench:speed/pan/over stove was not measured"],
        ),
        ("0.4x pot", ["README.md:8: '0.4x' has no evidence; add a claim or a constant"]),
        (
            "0.4x kettle, then 0.9x kettle",
            ["README.md:8: says 0.9, but bench:speed/pan/over kettle is 0.437"],
        ),
    ],
)
def test_ratios_may_be_said_anywhere(tmp_path: Path, ratio: str, expected: list[str]) -> None:
    assert found(tmp_path, README_md=f"{README[:-1]}\nA pan is {ratio}.\n") == expected
