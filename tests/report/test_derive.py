"""How far a feature is follows from what is there."""

from pathlib import Path

import pytest

from fakes.project import JUNIT, REGISTRY, facts, standing
from only1mcp.report.derive import Status, matches, unclaimed
from only1mcp.report.evidence import Case


def test_complete(tmp_path: Path) -> None:
    boil = standing(tmp_path)
    assert (boil.status, boil.reasons) == (Status.COMPLETE, [])
    assert len(boil.tests) == 3
    assert [case.id for case in boil.front_door] == ["tests/e2e/test_cup.py::test_tea"]


def test_pending(tmp_path: Path) -> None:
    assert standing(tmp_path, "pour").status is Status.PENDING


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"README_md": "# Kettle"}, "README.md does not say 'boils'"),
        ({"docs_keys_md": ""}, "key boil.degrees is not in docs/keys.md"),
        ({"bench_speed_json": "{}"}, "not measured: speed/boil/seconds"),
        (
            {"junit_xml": JUNIT.replace("test_tea", "test_coffee")},
            "no test is named tests/e2e/test_cup.py::test_tea",
        ),
        (
            {"junit_xml": JUNIT.replace('time="2.0"/>', "><failure/></testcase>")},
            "fails: tests/e2e/test_cup.py::test_tea",
        ),
        (
            {"junit_xml": JUNIT.replace('time="2.0"/>', "><skipped/></testcase>")},
            "every test of tests/e2e/test_cup.py::test_tea was skipped",
        ),
        (
            {"features_toml": REGISTRY.replace('"src/boil.py"', '"src/boil.py", "src/*.c"')},
            "no source at src/*.c",
        ),
        (
            {"features_toml": REGISTRY.replace("README.md#boils", "docs/lost.md")},
            "no document docs/lost.md",
        ),
    ],
)
def test_what_is_missing(tmp_path: Path, changed: dict[str, str], reason: str) -> None:
    boil = standing(tmp_path, **changed)
    assert boil.status is Status.IN_PROGRESS
    assert reason in boil.reasons


def test_what_builds_on_something_open_is_open(tmp_path: Path) -> None:
    own = REGISTRY.replace('"src/pour.py"', '"src/boil.py"')
    own = own.replace("tests/test_pour.py", "tests/e2e/test_cup.py")
    pour = standing(tmp_path, "pour", features_toml=own, README_md="")
    assert (pour.status, pour.reasons) == (
        Status.IN_PROGRESS,
        ["builds on 'boil', which is in progress"],
    )


def test_without_a_run_nothing_is_judged(tmp_path: Path) -> None:
    unset = REGISTRY.replace('junit = "junit.xml"', "")
    assert standing(tmp_path, features_toml=unset).status is Status.NOT_MEASURED


def test_tests_through_the_front_door_belong_to_a_feature(tmp_path: Path) -> None:
    known = facts(tmp_path)
    assert unclaimed(known.registry, known.evidence) == []
    own = REGISTRY.replace('"tests/e2e/test_cup.py::test_tea"', '"tests/test_boil.py::test_heat"')
    known = facts(tmp_path, features_toml=own)
    assert unclaimed(known.registry, known.evidence) == ["tests/e2e/test_cup.py"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("tests/test_a.py", True),
        ("tests/*", True),
        ("tests/test_b.py", False),
        ("tests/test_a.py::test_x", True),
        ("tests/test_a.py::test_*", True),
        ("tests/test_a.py::test_x[[]1]", True),
        ("tests/test_a.py::test_y", False),
    ],
)
def test_patterns(pattern: str, expected: bool) -> None:
    assert matches(pattern, Case("tests/test_a.py", "test_x[1]", "passed")) is expected
