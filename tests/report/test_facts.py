"""Figures and how they moved."""

from pathlib import Path

import msgspec

from fakes.project import facts
from only1mcp.report.derive import Status
from only1mcp.report.facts import figures, trend, weeks


def test_figures(tmp_path: Path) -> None:
    found = figures(facts(tmp_path))
    assert found["features.complete"] == 1
    assert found["tests.passed"] == 3
    assert found["bench:speed/boil/seconds"] == 3
    assert found["status"] == {"boil": Status.COMPLETE, "pour": Status.PENDING}


def test_trend(tmp_path: Path) -> None:
    known = msgspec.structs.replace(facts(tmp_path), previous={"a": 3, "b": "x"})
    assert trend(known, "a", 5) == " (+2 since the last report)"
    assert trend(known, "a", 1) == " (-2 since the last report)"
    assert [trend(known, "a", 3), trend(known, "b", 3), trend(known, "c", 3)] == ["", "", ""]
    assert trend(known, "a", None) == ""


def test_weeks() -> None:
    assert [weeks(0), weeks(7), weeks(9)] == ["0 days", "1 week", "1 week and 2 days"]
