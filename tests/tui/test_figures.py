"""Rates, percentiles and their looks, by numbers."""

import pytest

from fakes.outside import METRICS
from only1mcp.tui.figures import (
    NOTHING,
    History,
    Reading,
    gauge,
    number,
    percentile,
    read,
    size,
    span,
    sparkline,
)

INF = float("inf")


def test_a_reading() -> None:
    found = read(METRICS % (8, 2, 5, 9, 10), 1.0)
    assert found == Reading(1.0, 10.0, 2.0, {0.01: 5.0, 0.1: 9.0, INF: 10.0}, 3.0)
    assert read("up 1\n", 1.0) is None


def test_rates_and_shares_are_those_of_the_window() -> None:
    history = History()
    history.add(read(METRICS % (100, 0, 100, 100, 100), 0.0))
    history.add(read(METRICS % (110, 10, 110, 120, 120), 2.0))
    figures = history.figures()
    assert (figures.per_s, figures.error_share) == (10.0, 0.5)
    assert (figures.total, figures.failed, figures.in_flight) == (120.0, 10.0, 3.0)
    assert figures.p50_ms == pytest.approx(10.0)
    assert figures.p95_ms == pytest.approx(91.0)


def test_a_gateway_that_was_started_anew_begins_anew() -> None:
    history = History()
    history.add(Reading(0.0, 100.0, 0.0, {}))
    history.add(Reading(1.0, 5.0, 0.0, {}))
    assert history.rates() == []
    assert history.figures().per_s is None
    history.add(None)
    assert history.figures() == NOTHING


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ({}, 0.5, None),
        ({1.0: 0.0, INF: 0.0}, 0.5, None),
        ({1.0: 10.0, INF: 10.0}, 0.5, 500.0),
        ({1.0: 0.0, 2.0: 10.0, INF: 10.0}, 0.5, 1500.0),
        ({1.0: 1.0, INF: 10.0}, 0.9, 1000.0),
    ],
)
def test_percentiles(buckets: dict[float, float], share: float, expected: float | None) -> None:
    assert percentile(buckets, share) == expected


def test_looks() -> None:
    assert sparkline([0.0, 4.0, 8.0], 2) == "▄█"
    assert sparkline([0.0, 0.0], 5) == "▁▁"
    assert sparkline([], 5) == ""
    assert [gauge(None, 4), gauge(0.5, 4)] == ["no data", "██░░ 50%"]
    assert [number(None), number(1234.5, "ms", 1), number(0.0)] == ["no data", "1 234.5 ms", "0"]
    assert [size(None), size(1536), size(3 << 20)] == ["no data", "1.5 KiB", "3.0 MiB"]
    assert [span(0), span(61), span(3700), span(90000)] == ["0s", "1m 1s", "1h 1m", "1d 1h"]
