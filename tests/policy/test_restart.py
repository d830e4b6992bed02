"""Back-off by numbers: 0.5 s, doubling; a program that crashes in a loop is given up."""

import pytest

from only1mcp.policy.restart import CRASHES, GIVEN_UP_S, STEADY_S, Restarts


def half() -> float:
    """No jitter: the middle of it."""
    return 0.5


def restarts(*, is_program: bool = True) -> Restarts:
    """Without jitter."""
    return Restarts(half, is_program=is_program)


def test_the_pause_doubles_up_to_the_longest() -> None:
    far = restarts(is_program=False)
    assert [far.pause_s(0, 0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert far.gave_up == ""


def test_the_pause_is_spread() -> None:
    assert Restarts(lambda: 0.0, is_program=True).pause_s(0, 0) == pytest.approx(0.4)
    assert Restarts(lambda: 1.0, is_program=True).pause_s(0, 0) == pytest.approx(0.6)


def test_after_steady_time_it_begins_with_the_first_pause() -> None:
    one = restarts()
    assert [one.pause_s(up_s, 0) for up_s in (0, 0, STEADY_S, STEADY_S + 1, 0)] == [
        0.5, 1, 2, 0.5, 1,
    ]  # fmt: skip


def crash(one: Restarts, times: int, now: float = 0.0) -> float:
    """It ends at once, so often; the clock after the last pause."""
    for _ in range(times):
        one.begins(now)
        now += one.pause_s(0, now)
    return now


def test_a_crash_loop_is_given_up_after_five_starts() -> None:
    one = restarts()
    now = crash(one, CRASHES - 1)
    assert (one.gave_up, now) == ("", 7.5)
    one.begins(now)
    assert one.pause_s(0, now) == GIVEN_UP_S
    assert one.gave_up == "it ended 5 times within 8 s"


def test_what_was_given_up_stays_so_until_it_has_been_up_for_long() -> None:
    one = restarts()
    now = crash(one, CRASHES)
    one.begins(now)
    assert one.pause_s(STEADY_S, now + STEADY_S) == GIVEN_UP_S
    one.begins(now)
    assert one.pause_s(STEADY_S + 1, now) == 0.5
    assert one.gave_up == ""


def test_slow_crashes_are_no_loop() -> None:
    one = restarts()
    for now in range(0, 600, 31):
        one.begins(now)
        one.pause_s(1, now)
    assert one.gave_up == ""


def test_an_endpoint_that_is_away_is_never_given_up() -> None:
    far = restarts(is_program=False)
    crash(far, 20)
    assert far.gave_up == ""


def test_a_command_that_cannot_be_run_is_given_up_at_once() -> None:
    one = restarts()
    one.begins(0)
    assert one.pause_s(0, 0, startable=False) == GIVEN_UP_S
    assert one.gave_up == "it cannot be started"
    one.begins(300)
    assert one.pause_s(0, 300) < GIVEN_UP_S  # it is installed by now
    assert one.gave_up == ""


def test_by_hand_it_begins_anew() -> None:
    one = restarts()
    crash(one, CRASHES)
    one.forget()
    assert (one.gave_up, one.pause_s(0, 100)) == ("", 0.5)
