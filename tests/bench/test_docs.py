"""docs/benchmarks.md is what bench/results says, and every suite has its place."""

import re

import pytest

from bench.docs import ANCESTOR, KEPT, PAGE, page, read
from bench.table import SUITES
from only1mcp.bench.results import Results, Row, Suite


def test_the_page_is_that_of_the_result_files() -> None:
    assert PAGE.read_text() == page(read("gateway.json"), read("peers.json"))


def test_every_suite_was_measured_or_says_why_not() -> None:
    kept = read("gateway.json")
    assert kept is not None
    assert [suite.name for suite in kept.suites] == [entry.name for entry in SUITES]
    assert [suite.name for suite in kept.suites if not (suite.rows or suite.not_measured)] == []


def test_result_files_are_small() -> None:
    assert sum(file.stat().st_size for file in KEPT.glob("*.json")) < 300_000


def test_the_counterparts_are_suites() -> None:
    named = set(re.findall(r"`(\w+)`", ANCESTOR))
    assert named <= {entry.name for entry in SUITES}


def test_all_suites_take_less_than_a_quarter_of_an_hour() -> None:
    assert sum(entry.seconds for entry in SUITES) <= 15 * 60


@pytest.mark.parametrize("measured", [True, False])
def test_losses_are_listed_by_gateway(measured: bool) -> None:
    rows = [Row("them: icons", "kept", [0.0]), Row("them: title", "kept", [1.0])]
    suite = Suite("fidelity", "What arrives", "make bench-peers", rows=rows)
    text = page(None, Results("now", {}, [suite]) if measured else None)
    assert ("| them | 1 of 2 | icons |" in text) is measured
