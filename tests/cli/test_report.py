"""`report --project`: three files, the same ones again, and faults with the next step."""

import json
from pathlib import Path

import pytest

from fakes.project import NOON, README, project
from only1mcp.cli.report import report_project

NAME = "PHASE_1_PROGRESS_REPORT_2026-01-15"


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Inside of the project, at a time that stays."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(NOON.timestamp())))
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")


def test_three_files_the_same_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert report_project(None, None, check=False) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in written] == [f"{NAME}.{form}" for form in ("md", "json", "html")]
    before = [path.read_bytes() for path in written]
    assert report_project(1, None, check=False) == 0
    assert [path.read_bytes() for path in written] == before


def test_the_report_before_is_compared_with(tmp_path: Path) -> None:
    project(tmp_path)
    before = {"facts": {"features.complete": 0, "tests.total": 1}}
    (tmp_path / "old").mkdir()
    name = NAME.replace("15", "14")
    (tmp_path / "old" / f"{name}.json").write_text(json.dumps(before))
    assert report_project(1, tmp_path / "old", check=False) == 0
    page = (tmp_path / "old" / f"{NAME}.md").read_text()
    assert "(+1 since the last report)" in page
    assert "(+2 since the last report)" in page


@pytest.mark.parametrize("text", ["[]", "{", '{"facts": 3}', '{"facts": []}'])
def test_a_file_that_is_no_report_is_passed_over(tmp_path: Path, text: str) -> None:
    project(tmp_path)
    (tmp_path / f"{NAME.replace('15', '14')}.json").write_text(text)
    assert report_project(1, tmp_path, check=False) == 0


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert report_project(None, None, check=True) == 0
    assert capsys.readouterr().err == "every claim is shown\n"
    project(tmp_path, README_md=README.replace("3 s", "2 s"))
    assert report_project(None, None, check=True) == 1
    said = capsys.readouterr()
    assert said.out == "README.md:3: says 2, but bench:speed/boil/seconds is 3\n"
    assert said.err == "1 claim is not shown by the evidence\n"


def test_outside_of_a_project(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_project(None, None, check=False) == 2
    assert "there is no features.toml in" in capsys.readouterr().err


def test_a_phase_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert report_project(7, None, check=False) == 2
    assert capsys.readouterr().err == "error: features.toml: there is no phase 7; there are 1\n"


def test_a_time_that_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "noon")
    assert report_project(None, None, check=False) == 2
    assert "SOURCE_DATE_EPOCH=noon: is no number of seconds" in capsys.readouterr().err


def test_a_folder_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert report_project(None, tmp_path / "README.md" / "x", check=False) == 1
    assert "name another place with --output" in capsys.readouterr().err
