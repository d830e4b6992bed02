"""Metrics as text: sums, histograms, and percentiles that say how exact they are."""

import pytest

from fakes.answers_of_gateway import METRICS
from only1mcp.report.scrape import INFINITY, Estimate, Scrape, Spread

SCRAPE = Scrape(METRICS)
DURATION = "mcp_server_operation_duration_seconds"


def test_sums() -> None:
    assert SCRAPE.total("only1mcp_requests_total") == 105
    assert SCRAPE.total("only1mcp_requests_total", outcome="ok") == 95
    assert SCRAPE.by("only1mcp_requests_total", "server") == {"a": 100, "": 5}
    assert SCRAPE.total("only1mcp_list_bytes") == 4000


def test_what_is_there_without_a_line_is_0_and_what_is_not_there_is_unknown() -> None:
    scrape = Scrape("# TYPE calls_total counter\n")
    assert (scrape.total("calls_total"), scrape.total("moon")) == (0, None)
    assert scrape.spread("moon").percentile(0.5) is None


def test_histograms_are_added_up() -> None:
    spread = SCRAPE.spread(DURATION)
    assert (spread.count, spread.sum, spread.mean) == (100, 2.0, 0.02)
    assert spread.buckets() == [(0, 0.01, 90), (0.01, 0.1, 8), (0.1, INFINITY, 2)]
    assert SCRAPE.spread(DURATION, error_type="-31002").count == 10
    found = SCRAPE.spreads(DURATION, "server", "error_type")
    assert {key: (one.count, one.sum) for key, one in found.items()} == {
        ("a", ""): (90, 0.45),
        ("a", "-31002"): (10, 1.55),
    }


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.45, Estimate(0.005, 0.0, 0.01)),
        (0.9, Estimate(0.01, 0.0, 0.01)),
        (0.94, Estimate(0.055, 0.01, 0.1)),
        (0.99, Estimate(0.1, 0.1, INFINITY)),
    ],
)
def test_a_percentile_lies_in_a_bucket(share: float, expected: Estimate) -> None:
    found = SCRAPE.spread(DURATION).percentile(share)
    assert found is not None
    assert found == pytest.approx(expected)


def test_empty_buckets_are_passed_over() -> None:
    spread = Spread({1.0: 0, 2.0: 0, 4.0: 10, INFINITY: 10}, 30.0)
    assert spread.percentile(0.5) == Estimate(3.0, 2.0, 4.0)
    assert Spread({}, 0.0).mean is None
