"""What blocks, what is only told, and what is noise."""

import pytest

from only1mcp.bench.results import Results, Row, Suite
from only1mcp.bench.verdict import changes, missing, notable


def results(*samples: float, better: str = "less", guard: bool = True, name: str = "x") -> Results:
    row = Row(name, "us", [*samples], better, guard)  # type: ignore[arg-type]
    return Results("now", {}, [Suite("suite", "A suite", "make bench", rows=[row])])


@pytest.mark.parametrize(
    ("before", "now", "blocks"),
    [
        ((10, 10, 10, 10, 10), (12, 12, 12, 12, 12), True),
        ((10, 10, 10, 10, 10), (10.9, 10.9, 10.9, 10.9, 10.9), False),  # less than a tenth
        ((8, 9, 10, 14, 15), (8, 9, 12, 14, 15), False),  # the runs are mixed: noise
        ((10,), (12,), True),  # too few runs to speak of noise
        ((10, 10, 10, 10, 10), (5, 5, 5, 5, 5), False),
        ((0,), (1,), True),
    ],
)
def test_a_tenth_worse_blocks(
    before: tuple[float, ...], now: tuple[float, ...], blocks: bool
) -> None:
    (change,) = changes(results(*before), results(*now))
    assert change.blocks is blocks


def test_of_what_should_be_more_less_is_worse() -> None:
    (worse,) = changes(results(10, better="more"), results(5, better="more"))
    assert worse.worse == 0.5
    assert str(worse) == "BLOCKS  suite: x: 10 -> 5 us, 50.0%"
    (better,) = changes(results(5, better="more"), results(10, better="more"))
    assert not better.blocks
    assert "better" in str(better)


def test_only_guarded_figures_count() -> None:
    assert list(changes(results(1, guard=False), results(9, guard=False))) == []


def test_a_guarded_figure_that_is_gone_is_told_if_its_suite_ran() -> None:
    assert missing(results(1, name="old"), results(1, name="new")) == ["suite: old"]
    assert missing(results(1, name="old"), Results("now", {}, [])) == []


def test_small_changes_need_no_line() -> None:
    found = list(changes(results(100), results(102))) + list(changes(results(100), results(105)))
    assert [change.now for change in notable(found)] == [105]
