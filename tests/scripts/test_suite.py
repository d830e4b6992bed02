"""Reading what the official suite leaves behind."""

import json
from pathlib import Path
from typing import Any

from scripts.conformance.compare import Check, Outcome
from scripts.conformance.suite import read_checks, results_in


def check(id: str, status: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    return {"id": id, "status": status, "name": id.title(), **more}


def leave(folder: Path, name: str, *checks: dict[str, Any]) -> None:
    """What a scenario leaves in `folder`."""
    (folder / name).mkdir()
    (folder / name / "checks.json").write_text(json.dumps(checks))


def test_each_check_has_its_outcome() -> None:
    assert read_checks("s", [check("a"), check("b", "FAILURE", errorMessage="why")]) == {
        Check("s", "a", "A", 1): Outcome("SUCCESS"),
        Check("s", "b", "B", 1): Outcome("FAILURE", "why"),
    }


def test_a_check_made_twice_is_two_checks() -> None:
    found = read_checks("s", [check("a"), check("a", "FAILURE"), check("a", name="other")])
    assert [(c.name, c.nth, outcome.status) for c, outcome in found.items()] == [
        ("A", 1, "SUCCESS"),
        ("A", 2, "FAILURE"),
        ("other", 1, "SUCCESS"),
    ]


def test_the_scenario_is_the_name_without_kind_and_time(tmp_path: Path) -> None:
    leave(tmp_path, "server-server-initialize-2026-11-23T18-26-29-706Z", check("a"))
    leave(tmp_path, "json-schema-2020-12-2026-11-23T18-26-32-830Z", check("b"))
    assert {c.scenario for c in results_in(tmp_path)} == {
        "server-initialize",
        "json-schema-2020-12",
    }


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    leave(tmp_path, "notes", check("a"))
    (tmp_path / "server-broken-off-2026-11-23T18-26-29-706Z").mkdir()
    assert results_in(tmp_path) == {}
