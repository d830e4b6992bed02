"""Counts that forget, against the exact ones."""

from hypothesis import given
from hypothesis import strategies as st

from only1mcp.policy.window import Window


def test_what_happened_is_counted_and_fades() -> None:
    window = Window(10.0, 0.0)
    window.total, window.marked = 100, 40
    assert window.counts(5.0) == (100, 40)
    assert window.counts(10.0) == (100, 40)  # the period is over, and counts in full
    assert window.counts(15.0) == (50, 20)
    assert window.counts(20.0) == (0, 0)


def test_a_long_time_without_a_question_counts_as_its_average() -> None:
    window = Window(10.0, 0.0)
    window.total = 3600
    assert window.counts(3600.0) == (10, 0)


def test_nothing_is_left_of_what_was_cleared() -> None:
    window = Window(10.0, 0.0)
    window.total = window.marked = 5
    window.counts(12.0)
    window.total = 1
    window.clear(13.0)
    assert window.counts(14.0) == (0, 0)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_it_is_off_by_no_more_than_the_period_before(gaps: list[float]) -> None:
    window, now = Window(10.0, 0.0), 0.0
    times: list[float] = []
    for gap in gaps:
        now += gap
        total, _ = window.counts(now)
        recent = sum(1 for at in times if at > now - 10)
        before = sum(1 for at in times if now - 26 < at <= now - 10)
        assert total <= recent + before + 1e-9
        assert total >= 0
        window.total += 1
        times.append(now)


@given(st.integers(1, 50))
def test_even_traffic_is_counted_exactly_enough(per_second: int) -> None:
    window = Window(10.0, 0.0)
    for step in range(60 * per_second):
        total, _ = window.counts(step / per_second)
        if step >= 20 * per_second:
            assert abs(total - 10 * per_second) <= 2
        window.total += 1
