"""Medians, percentiles and the rank test against values worked out by hand."""

from itertools import combinations

import pytest

from only1mcp.bench.figures import Histogram, p_less, paired, spread


def test_spread_is_median_least_and_greatest() -> None:
    assert spread([3.0, 1.0, 2.0, 9.0, 4.0]) == (3.0, 1.0, 9.0)


def test_percentiles_are_read_within_two_percent() -> None:
    histogram = Histogram({})
    for millisecond in range(1, 1001):
        histogram.add(millisecond / 1000)
    assert histogram.count == 1000
    for percent, seconds in ((50, 0.5), (90, 0.9), (99, 0.99), (99.9, 0.999), (100, 1.0)):
        assert histogram.percentile_s(percent) == pytest.approx(seconds, rel=0.02)


def test_merged_histograms_hold_the_calls_of_both() -> None:
    one, other = Histogram({}), Histogram({})
    one.add(0.001, 90)
    other.add(1.0, 10)
    one.merge(other)
    assert one.count == 100
    assert one.percentile_s(90) == pytest.approx(0.001, rel=0.02)
    assert one.percentile_s(91) == pytest.approx(1.0, rel=0.02)
    assert [percent for percent, _ in one.curve()] == [90.0, 100.0]


def test_a_curve_has_few_points_and_the_tail_is_kept() -> None:
    histogram = Histogram({})
    for number in range(10_000):  # one in a thousand takes very long, each a little more
        histogram.add(0.001 + number / 1e6 if number < 9_990 else 1.0 + number - 9_990)
    curve = histogram.curve()
    assert len(curve) < 150
    assert curve[-1][0] == 100.0
    assert sum(percent > 99.89 for percent, _ in curve) >= 8


def test_an_empty_histogram_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="empty"):
        Histogram({}).percentile_s(50)


def test_pairs_cancel_what_slows_both() -> None:
    assert paired([10.0, 5.0], [20.0, 10.0]) == [0.5, 0.5]


def test_the_rank_test_is_that_of_all_orders() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    for size in (1, 3, 4):
        for low in combinations(values, size):
            high = [value for value in values if value not in low]
            assert p_less(low, high) == pytest.approx(by_counting(low, values))


def by_counting(low: tuple[float, ...], values: list[float]) -> float:
    """The share of all choices whose ranks sum up to no more than those of `low`."""
    sums = [sum(choice) for choice in combinations(values, len(low))]
    return sum(one <= sum(low) for one in sums) / len(sums)


def test_equal_runs_are_no_evidence() -> None:
    assert p_less([1.0] * 5, [1.0] * 5) > 0.4
    assert p_less([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]) == pytest.approx(1 / 70)
