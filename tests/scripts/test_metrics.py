"""docs/metrics.md is what a scrape is made from."""

import re
from pathlib import Path

from only1mcp.gateway import FAMILIES
from scripts.metrics import COUNTERPARTS, page

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
NAMES = {family.shown for _, table in FAMILIES for family in table}


def test_the_committed_page_is_up_to_date() -> None:
    again = "docs/metrics.md is out of date: python -m scripts.metrics > docs/metrics.md"
    assert PAGE.read_text() == page(), again


def test_every_row_has_its_cells() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert {len(row.split(" | ")) for row in rows} == {2, 6}
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*[a-z]", name) for name in NAMES)


def test_each_former_metric_has_a_counterpart_that_exists() -> None:
    assert len(COUNTERPARTS) == 28
    for former, here in COUNTERPARTS.items():
        named = re.findall(r"`((?:only1mcp|mcp|process)_[a-z_]+)`", here)
        assert named, former
        assert set(named) <= NAMES, former
