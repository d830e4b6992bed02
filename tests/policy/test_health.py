"""What checks and calls say of a replica, and when it is asked again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.resilience import HealthCheck
from only1mcp.policy.health import Health, Status


def health(draw: float = 0.5, **settings: float) -> Health:
    """The health of a replica from time 0 on; a draw of 0.5 is no jitter."""
    return Health(HealthCheck.model_validate(settings), 0.0, lambda: draw)


def test_nothing_is_known_until_the_first_check_and_that_one_is_enough() -> None:
    one = health()
    assert (one.status, one.reason, one.usable) == (Status.UNKNOWN, "not checked yet", True)
    assert one.passed(15.0)
    assert (one.status, one.reason, one.since) == (Status.HEALTHY, "", 15.0)
    assert not one.passed(45.0)
    assert one.since == 15.0


def test_three_failures_down_two_successes_up() -> None:
    one = health()
    one.passed(0.0)
    seen = []
    for good in (False, False, True, False, False, False, True, False, True, True):
        one.passed(1.0) if good else one.failed("timed out", 1.0)
        seen.append((one.status.value, one.usable))
    assert seen == [
        ("degraded", True),
        ("degraded", True),
        ("degraded", True),  # one good check is not two
        ("degraded", True),
        ("degraded", True),
        ("unhealthy", False),
        ("degraded", False),
        ("unhealthy", False),
        ("degraded", False),
        ("healthy", True),
    ]


def test_the_reason_is_the_last_failure() -> None:
    one = health()
    one.failed("refused", 1.0)
    one.failed("timed out", 2.0)
    assert (one.status, one.reason, one.since) == (Status.DEGRADED, "timed out", 1.0)


def test_trouble_is_looked_at_soon_and_what_stays_down_ever_less_often() -> None:
    one, now, gaps = health(), 0.0, []
    one.passed(now)
    for _ in range(9):
        gaps.append(one.due_at - now)
        now = one.due_at
        one.failed("refused", now)
    assert gaps == [30, 5, 5, 5, 10, 20, 40, 60, 60]
    one.passed(now)
    assert one.due_at == now + 5
    one.passed(now)
    assert one.due_at == now + 30


def test_no_check_waits_longer_than_the_interval_when_there_is_trouble() -> None:
    one = health(interval=2, timeout=1)
    one.failed("refused", 0.0)
    assert one.due_at == 2.0


def test_jitter_is_a_fifth() -> None:
    early, late = health(0.0), health(1.0)
    early.passed(0.0)
    late.passed(0.0)
    assert (early.due_at, late.due_at) == pytest.approx((24.0, 36.0))


def test_the_first_checks_are_spread_over_an_interval() -> None:
    assert [health(draw).due_at for draw in (0.0, 0.5, 1.0)] == [0.0, 15.0, 30.0]


def test_an_answered_call_is_a_check() -> None:
    one = health()
    assert not one.due(14.0)
    one.heard_at = 14.5
    assert not one.due(15.0)
    assert one.status is Status.HEALTHY
    assert one.due_at == 45.0
    assert one.due(45.0)


def test_an_answered_call_does_not_spare_an_unhealthy_one_its_check() -> None:
    one = health(unhealthy_threshold=1)
    one.failed("refused", 0.0)
    one.heard_at = 4.0
    assert one.due(5.0)


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_it_is_usable_until_so_many_fail_and_again_after_so_many_are_good(
    checks: list[bool], up: int, down: int
) -> None:
    one = health(healthy_threshold=up, unhealthy_threshold=down)
    usable, run, last = True, 0, True
    for good in checks:
        run, last = (run + 1 if good is last else 1), good
        usable = run < down if not good and usable else (good and run >= up) or (good and usable)
        one.passed(1.0) if good else one.failed("x", 1.0)
        assert one.usable is usable
        assert (one.status is Status.UNHEALTHY) is (not usable and not good)
        assert one.due_at > 1.0


def test_other_settings_leave_what_is_known() -> None:
    one = health(interval=30.0)
    one.passed(0.0)
    one.failed("timed out", 1.0)
    due_at = one.due_at
    one.adopt(HealthCheck(interval=30.0), 2.0)
    assert one.due_at == due_at, "nothing is other"
    one.adopt(HealthCheck(interval=15.0, unhealthy_threshold=2), 2.0)
    assert (one.status, one.reason) == (Status.DEGRADED, "timed out")
    assert one.failed("timed out", 3.0)
    assert not one.usable
