"""Targets and what comes next."""

from pathlib import Path

import pytest

from fakes.project import REGISTRY, facts
from only1mcp.report.derive import Status
from only1mcp.report.document import Document, Items, Section
from only1mcp.report.outlook import by_rank, next_steps, reached


@pytest.mark.parametrize(
    ("speed", "expected"),
    [('{"boil": {"seconds": 3}}', True), ('{"boil": {"seconds": 4}}', False), ("{}", None)],
)
def test_a_target(tmp_path: Path, speed: str, expected: bool | None) -> None:
    known = facts(tmp_path, bench_speed_json=speed)
    assert reached(known.registry.target[0], known) is expected


def test_the_most_important_comes_first(tmp_path: Path) -> None:
    own = REGISTRY.replace("tests/test_boil.py", "tests/none.py").replace(
        "src/pour.py", "src/boil.py"
    )
    known = facts(tmp_path, features_toml=own)
    assert [one.feature.id for one in by_rank(known, Status.IN_PROGRESS)] == ["pour", "boil"]


def test_a_critical_issue_comes_before_all(tmp_path: Path) -> None:
    known = facts(tmp_path, features_toml=REGISTRY.replace("critical = false", "critical = true"))
    section = Section("Next")
    next_steps(Document("Kettle", known.evidence.today), section, known)
    assert section.blocks[1] == Items(["wait"])
