"""Evidence from files and from the history; what is not there is not measured."""

import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fakes.project import NOON, facts, project
from only1mcp.report import gather
from only1mcp.report.evidence import Size
from only1mcp.report.registry import RegistryError, load

FAILED = """<testsuite><testcase classname="gone.test_x" name="test_a">
<failure message="assert 1 == 2&#10;where">text</failure></testcase>
<testcase classname="gone.test_x" name="test_b"><skipped message="no dog"/></testcase>
<testcase classname="gone.test_x" name="test_c"><error message="no cat"/></testcase></testsuite>"""


def test_everything(tmp_path: Path) -> None:
    found = facts(tmp_path).evidence
    assert found.tests is not None
    assert [case.id for case in found.tests.cases] == [
        "tests/test_boil.py::test_heat[90]",
        "tests/test_boil.py::TestLid::test_open",
        "tests/e2e/test_cup.py::test_tea",
    ]
    assert found.tests.source.at == datetime(2026, 1, 15, 11, tzinfo=UTC)
    assert found.coverage is not None and found.coverage.percent == 93.5
    assert found.sizes == {"src": Size(files=1, code=2, comment=1, blank=1)}
    assert found.packages == {"steam": "1.2.3"}
    assert found.benchmarks["speed"]["boil"] == {"seconds": 3}
    assert found.checks["types"].ok


def test_what_is_not_there_is_not_measured(tmp_path: Path) -> None:
    project(tmp_path)
    for name in ("junit.xml", "coverage.json", "bench/speed.json", "lock.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "bench").rmdir()
    found = gather.gather(load(tmp_path / "features.toml"), tmp_path, NOON)
    assert (found.tests, found.coverage, found.head) == (None, None, None)
    assert (found.packages, found.benchmarks, found.bench_source) == ({}, {}, None)


def test_failures_and_skips(tmp_path: Path) -> None:
    (tmp_path / "junit.xml").write_text(FAILED)
    run = gather.read_junit(tmp_path / "junit.xml", tmp_path)
    assert [(case.outcome, case.message) for case in run.cases] == [
        ("failed", "assert 1 == 2 where"),
        ("skipped", "no dog"),
        ("failed", "no cat"),
    ]
    assert run.cases[0].id == "gone/test_x.py::test_a"
    assert (run.count(), run.count("failed", "skipped")) == (3, 3)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("junit.xml", "<a", "is no JUnit file"),
        ("coverage.json", "{}", "is not what coverage json writes"),
        ("bench/speed.json", "{", "is not JSON"),
    ],
)
def test_broken_evidence_is_said(tmp_path: Path, name: str, text: str, expected: str) -> None:
    with pytest.raises(RegistryError, match=expected):
        facts(tmp_path, **{name.replace("/", "_").replace(".", "_"): text})


def test_a_check_that_fails_or_is_not_there(tmp_path: Path) -> None:
    bad = gather.run_check(["sh", "-c", "echo no; exit 3"], tmp_path, NOON)
    assert (bad.ok, bad.last_line, bad.source.at) == (False, "no", NOON)
    assert gather.run_check(["no-such-command"], tmp_path, NOON).last_line


def test_history(tmp_path: Path) -> None:
    project(tmp_path)
    for command in (
        "init -q -b main",
        "add -A",
        "-c user.name=Ann -c user.email=a@example.org commit -q -m Boil",
    ):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    (commit,) = gather.history(tmp_path, "--", ":(glob)src/*.py")
    assert (commit.subject, commit.added, commit.removed) == ("Boil", 4, 0)
    assert isinstance(commit.day, date)
    assert gather.history(tmp_path, "--", ":(glob)src/*.c") == []


def test_a_library_is_found_however_it_is_spelt(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("Steam_Pipe.x==2\n")
    assert gather.pins(tmp_path / "lock.txt") == {"steam-pipe-x": "2"}
    assert gather.plain("steam.pipe-X") == "steam-pipe-x"
