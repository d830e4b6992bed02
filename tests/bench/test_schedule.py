"""Due times stand, whatever the answers do."""

from only1mcp.bench.schedule import Schedule


def test_each_call_is_given_once_and_when_it_is_due() -> None:
    schedule = Schedule(rate=10, seconds=0.3, start=100.0)
    assert schedule.total == 3
    assert schedule.take(99.99) is None
    assert schedule.take(100.0) == 100.0
    assert schedule.take(100.05) is None
    assert schedule.next_due == 100.1
    assert schedule.take(100.1) == 100.1


def test_after_a_stall_the_calls_are_late_and_not_left_out() -> None:
    schedule = Schedule(rate=10, seconds=1.0, start=0.0)
    taken = []
    while (due := schedule.take(0.95)) is not None:  # nobody looked for almost a second
        taken.append(due)
    assert [round(0.95 - due, 2) for due in taken] == [
        *(0.95, 0.85, 0.75, 0.65, 0.55, 0.45, 0.35, 0.25, 0.15, 0.05),
    ]
    assert schedule.is_over


def test_what_nobody_took_is_told() -> None:
    schedule = Schedule(rate=2, seconds=2.0, start=10.0)
    schedule.take(10.0)
    assert schedule.left() == [10.5, 11.0, 11.5]
