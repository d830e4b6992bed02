"""The file of known losses: it covers what it names, no more, and only shrinks."""

from pathlib import Path

import pytest

from scripts.conformance.baseline import FILE, Baseline, Verdict, judge, load
from scripts.conformance.compare import Check, Outcome, Results, Row
from scripts.conformance.legs import CLIENT, LEGS, SERVERS

ENTRY = """
[[lost]]
reason = "not built yet"
servers = ["mcp-2.3.0", "client"]
legs = ["all"]
checks = ["asks:*", "lists:one"]
"""


def written(folder: Path, text: str) -> Baseline:
    file = folder / "expected.toml"
    file.write_text(text)
    return load(file)


def results(*names: str, status: str = "SUCCESS") -> Results:
    """Checks given as `scenario:check`."""
    pairs = (name.split(":") for name in names)
    return {Check(scenario, id, "", 1): Outcome(status) for scenario, id in pairs}


def losing(*names: str, server: str = "mcp-2.3.0", leg: str = "all") -> Row:
    return Row(server, leg, results("fine:a", *names), results("fine:a"))


def said(verdict: Verdict) -> tuple[list[str], list[str]]:
    """The unexpected checks and the stale entries."""
    unexpected = [f"{check.scenario}:{check.id}" for _, (check, _) in verdict.unexpected]
    return unexpected, [str(entry) for entry in verdict.stale]


def test_all_is_as_the_file_says(tmp_path: Path) -> None:
    verdict = judge([losing("asks:a", "asks:b", "lists:one")], written(tmp_path, ENTRY))
    assert verdict.good


@pytest.mark.parametrize("name", ["asks2:a", "lists:two", "other:one"])
def test_another_check_is_unexpected(tmp_path: Path, name: str) -> None:
    verdict = judge([losing("asks:a", "lists:one", name)], written(tmp_path, ENTRY))
    assert said(verdict) == ([name], [])
    assert not verdict.good


@pytest.mark.parametrize(("server", "leg"), [("mcp-1.30.0", "all"), ("mcp-2.3.0", "0.1.16")])
def test_the_same_check_elsewhere_is_unexpected(tmp_path: Path, server: str, leg: str) -> None:
    verdict = judge([losing("asks:a", server=server, leg=leg)], written(tmp_path, ENTRY))
    assert said(verdict) == (["asks:a"], [])


def test_what_is_no_longer_lost_has_to_go(tmp_path: Path) -> None:
    verdict = judge([losing("lists:one")], written(tmp_path, ENTRY))
    assert said(verdict) == ([], ["mcp-2.3.0 all asks:*"])
    assert not verdict.good


def test_legs_that_did_not_run_are_not_judged(tmp_path: Path) -> None:
    assert judge([losing(leg="0.1.16")], written(tmp_path, ENTRY)).good


@pytest.mark.parametrize(
    "text",
    [
        ENTRY.replace("mcp-2.3.0", "mcp-2.3"),
        ENTRY.replace('"all"', '"2025-11-5"'),
        '[direct]\n"mcp-2.3" = { "all" = 1 }',
    ],
)
def test_an_entry_that_would_never_be_looked_at(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="which is not run"):
        written(tmp_path, text)


def test_a_server_that_passes_less_than_it_did(tmp_path: Path) -> None:
    baseline = written(tmp_path, '[direct]\n"mcp-2.3.0" = { "all" = 2 }')
    row = losing()
    verdict = judge([row], baseline)
    assert verdict.weak == [row]
    assert not verdict.good
    two = results("fine:a", "fine:b")
    assert judge([Row("mcp-2.3.0", "all", two, two)], baseline).good


def test_a_leg_where_nothing_ran_is_never_good(tmp_path: Path) -> None:
    assert not judge([Row("mcp-2.3.0", "all", {}, {})], written(tmp_path, "")).good


def test_the_committed_file() -> None:
    baseline = load()
    assert FILE.exists()
    assert all(entry.check and entry.reason for entry in baseline.lost)
    assert {(server, *legs) for server, legs in baseline.direct.items()} == {
        (server, *LEGS) for server in (*SERVERS, CLIENT)
    }
