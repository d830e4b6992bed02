"""`bench`: exit codes, files and the verdict; the load itself is in tests/bench."""

from pathlib import Path

import pytest

from fakes.cli import Shell
from only1mcp.bench import short
from only1mcp.bench.results import Results, Row, Suite, load, save


def results(ratio: float) -> Results:
    row = Row("gateway over direct", "x", [ratio] * 5, "more", guard=True)
    return Results("2026-11-26", {}, [Suite("bench", "tools/call", "only1mcp bench", rows=[row])])


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is over at once."""
    monkeypatch.setattr(short, "own", lambda seconds, version: results(0.5))


@pytest.mark.usefixtures("measured")
def test_it_prints_the_report_and_writes_what_the_ending_says(shell: Shell) -> None:
    for name in ("r.json", "r.md", "r.html"):
        run = shell("bench", "-o", str(shell.home / name))
        assert run.code == 0
        assert "| gateway over direct | 0.5 | x |" in run.out
    assert load(shell.home / "r.json") == results(0.5)
    assert (shell.home / "r.md").read_text().startswith("# Benchmark")
    assert (shell.home / "r.html").read_text().startswith("<!doctype html>")


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(("before", "code"), [(0.5, 0), (0.4, 0), (0.54, 0), (0.7, 1)])
def test_worse_than_the_baseline_by_a_tenth_is_exit_1(
    shell: Shell, before: float, code: int
) -> None:
    save(results(before), shell.home / "before.json")
    run = shell("bench", "--baseline", str(shell.home / "before.json"))
    assert run.code == code
    assert ("BLOCKS  bench: gateway over direct" in run.err) is bool(code)
    assert "1 figures compared" in run.err


@pytest.mark.usefixtures("measured")
def test_what_cannot_be_read_or_written_is_said(shell: Shell, tmp_path: Path) -> None:
    run = shell("bench", "--baseline", shell.file("{}", "no.json"))
    assert (run.code, "is no result file" in run.err) == (2, True)
    run = shell("bench", "-o", str(tmp_path / "gone" / "r.md"))
    assert (run.code, "cannot write" in run.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--tool", "x"), 2, "say which with --url"),
        (("--url", "http://127.0.0.1:1"), 3, "no connection to http://127.0.0.1:1"),
        (("--url", "https://127.0.0.1:1"), 1, "only http:// can be measured"),
    ],
)
def test_what_cannot_be_measured_is_said(
    shell: Shell, arguments: tuple[str, ...], code: int, said: str
) -> None:
    run = shell("bench", *arguments)
    assert (run.code, said in run.err) == (code, True)
