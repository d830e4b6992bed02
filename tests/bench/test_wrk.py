"""The script that wrk is given, and what is read from its answer."""

import json
from pathlib import Path

import pytest

from only1mcp.bench import wrk
from only1mcp.bench.endpoint import Refused
from only1mcp.bench.load import Job
from only1mcp.bench.wrk import _PERCENTILES, lua, outcome, quoted


def test_bytes_become_lua_strings() -> None:
    assert quoted(b'a"b\\c\r\n\xc3') == '"a\\034b\\092c\\013\\010\\195"'


def test_the_script_has_all_parts_in_their_order() -> None:
    script = lua(Job("h", 1, [(b"A", b"B"), (b"C", b"D")], 1, 1, order=(0, 0, 1), first_id=7))
    assert 'parts = {{"A","B"},{"C","D"}}' in script
    assert "order = {1,1,2}" in script
    assert "id = 7\n" in script


def test_percentiles_become_a_histogram() -> None:
    latencies = [1000 if percent <= 90 else 5000 for percent in _PERCENTILES]
    said = {"calls": 1000, "errors": 0, "us": 2_000_000, "latencies": latencies}
    found = outcome(f"Running...\nRESULT {json.dumps(said)}\n")
    assert found.rate == 500
    assert found.tool == "wrk"
    assert found.latencies.percentile_s(50) == pytest.approx(0.001, rel=0.02)
    assert found.latencies.percentile_s(99) == pytest.approx(0.005, rel=0.02)
    assert found.fault == ""


def test_failed_calls_are_told() -> None:
    said = {"calls": 9, "errors": 3, "us": 1, "latencies": [1] * len(_PERCENTILES)}
    assert outcome(f"RESULT {json.dumps(said)}").fault


@pytest.mark.parametrize("script", ["echo no luajit >&2; exit 1", "echo no luajit"])
def test_a_wrk_that_fails_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str
) -> None:
    program = tmp_path / "wrk"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(Refused, match="wrk failed: no luajit"):
        wrk.run(Job("127.0.0.1", 1, [(b"", b"")], 1, 1), 0)
