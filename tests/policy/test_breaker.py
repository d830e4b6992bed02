"""A breaker's whole life, in numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.resilience import CircuitBreaker
from only1mcp.policy.breaker import Breaker, State, is_failure
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    CircuitOpen,
    Draining,
    InvalidParams,
    McpError,
    Overloaded,
    ServerBusy,
    ServerLost,
    ServerProtocolError,
    ServerRefused,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)


def breaker(draw: float = 0.5, **settings: float) -> Breaker:
    """A breaker at time 0; a draw of 0.5 is no jitter."""
    return Breaker(CircuitBreaker.model_validate(settings), 0.0, lambda: draw)


def state(one: Breaker) -> str:
    """Its state, as people see it."""
    return one.state.value


def fail(one: Breaker, times: int, now: float = 0.0) -> bool:
    """So many user calls fail; whether the last one opened it."""
    opened = False
    for _ in range(times):
        opened = one.failed(one.epoch, "connection refused", now)
    return opened


def test_five_failures_in_a_row_open_it() -> None:
    one = breaker()
    assert not fail(one, 4)
    assert one.admits(0.0)
    assert fail(one, 1)
    assert not one.admits(0.0)
    assert (one.state, one.since) == (State.OPEN, 0.0)
    assert one.reason == "5 failures in a row, the last: connection refused"


def test_an_answer_in_between_starts_the_count_anew() -> None:
    one = breaker()
    fail(one, 4)
    one.succeeded(one.epoch)
    assert not fail(one, 4)
    assert state(one) == "closed"


def test_half_of_twenty_calls_open_it_too() -> None:
    one = breaker()
    for _ in range(9):
        one.succeeded(one.epoch)
        assert not fail(one, 1)
    one.succeeded(one.epoch)
    assert fail(one, 1, 1.0)
    assert one.reason == "10 of 20 calls failed, the last: connection refused"


def test_failures_of_long_ago_do_not_count() -> None:
    one = breaker(min_calls=4, failure_threshold=100)
    fail(one, 3, 0.0)
    assert not fail(one, 1, 61.0)
    assert state(one) == "closed"


def test_the_pause_doubles_up_to_max_open_until_a_call_is_answered() -> None:
    one = breaker(open=1, max_open=4, failure_threshold=1)
    pauses, now = [], 0.0
    fail(one, 1, now)
    for _ in range(5):
        pauses.append(one.retry_at - now)
        now = one.retry_at
        assert one.probe(now)
        one.probed(False, "no answer", now)
    assert pauses == [1, 2, 4, 4, 4]
    now = one.retry_at
    assert one.probe(now)
    one.probed(True, "", now)
    assert fail(one, 1, now)
    assert one.retry_at == now + 4  # a good probe alone is no proof
    now = one.retry_at
    assert one.probe(now)
    one.probed(True, "", now)
    one.succeeded(one.epoch)
    fail(one, 1, now)
    assert one.retry_at == now + 1


@pytest.mark.parametrize(("draw", "pause_s"), [(0.0, 5.0), (0.5, 10.0), (0.99, 14.9)])
def test_jitter_is_half_of_the_pause(draw: float, pause_s: float) -> None:
    one = breaker(draw, open=10, failure_threshold=1)
    fail(one, 1)
    assert one.retry_at == pytest.approx(pause_s)


def test_one_probe_at_a_time_and_never_before_it_is_due() -> None:
    one = breaker(failure_threshold=1)
    assert not one.probe(0.0)  # closed: nothing to find out
    fail(one, 1)
    assert not one.probe(4.9)
    assert one.probe(5.0)
    assert state(one) == "half_open"
    assert not one.probe(5.0)
    assert not one.admits(100.0)
    one.unprobed(6.0)
    assert state(one) == "open"
    assert one.probe(6.0)
    one.probed(True, "", 6.5)
    assert one.admits(6.5)
    assert one.reason == ""


def test_calls_from_before_the_transition_are_not_heard() -> None:
    one = breaker(failure_threshold=1)
    old = one.epoch
    fail(one, 1)
    one.succeeded(old)
    assert state(one) == "open"
    assert one.probe(5.0)
    one.probed(True, "", 5.0)
    assert not one.failed(old, "timed out at last", 9.0)
    assert state(one) == "closed"


def test_verdicts_without_a_probe_change_nothing() -> None:
    one = breaker(failure_threshold=1)
    one.probed(False, "late", 0.0)
    one.unprobed(0.0)
    assert state(one) == "closed"
    fail(one, 1)
    one.probed(True, "late", 1.0)
    assert state(one) == "open"


def test_a_server_that_asks_for_time_gets_it_and_no_more_than_max_open() -> None:
    one = breaker(max_open=300)
    one.pause(7.0, 0.0)
    assert not one.admits(6.9)
    assert one.wait_s(5.0) == 2.0
    assert one.admits(7.0)
    one.pause(9999.0, 10.0)
    one.pause(12.0, 10.0)
    assert one.wait_s(10.0) == 300.0
    assert state(one) == "closed"


def test_it_can_be_closed_by_hand() -> None:
    one = breaker()
    one._open("unhealthy", 1.0)
    assert (one.state, one.reason, one.wait_s(1.0)) == (State.OPEN, "unhealthy", 5.0)
    one.pause(100.0, 1.0)
    one.reset(2.0)
    assert one.admits(2.0)
    assert one.wait_s(2.0) == 0.0
    assert one.trips == 0


ERRORS: list[tuple[McpError, bool]] = [
    (ServerUnavailable("s", "refused"), True),
    (ServerTimeout("s", "hung"), True),
    (ServerLost("s", "eof"), True),
    (ServerProtocolError("s", "garbage"), True),
    (ServerBusy("s", "503"), True),
    (ServerBusy("s", "429", retry_after_ms=1000), False),
    (ServerRefused("s", "401"), False),
    (UpstreamError(b"{}", -32602, "bad"), False),
    (UpstreamError(b"{}", -32603, "oops", 500), False),
    (AnswerTooLarge("s", "40 MiB"), False),
    (InvalidParams("no such tool"), False),
    (CircuitOpen("s", "open"), False),
    (Overloaded("s", "full"), False),
    (Draining("s", "stopping"), False),
]


@pytest.mark.parametrize(("error", "counts"), ERRORS)
def test_what_speaks_against_a_server(error: McpError, counts: bool) -> None:
    assert is_failure(error) is counts


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("good", "bad", "probe", "passed", "broken", "left")), st.floats(0, 20)
    ),
    max_size=80,
)


@given(STEPS)
def test_users_never_get_in_before_a_probe_was_answered(steps: list[tuple[str, float]]) -> None:
    one, now, probing, proven = breaker(failure_threshold=2), 0.0, False, True
    for step, gap in steps:
        now += gap
        match step:
            case "good":
                one.succeeded(one.epoch)
            case "bad":
                proven = proven and not one.failed(one.epoch, "x", now)
            case "probe":
                claimed = one.probe(now)
                assert not (claimed and probing)
                probing = probing or claimed
            case "passed":
                one.probed(True, "", now)
                proven, probing = proven or probing, False
            case "broken":
                one.probed(False, "x", now)
                probing = False
            case "left":
                one.unprobed(now)
                probing = False
        assert one.admits(now) is proven
        assert (one.state is State.HALF_OPEN) is probing


def test_other_settings_leave_it_in_its_state() -> None:
    one = breaker(failure_threshold=2)
    assert fail(one, 2)
    until = one.retry_at
    one.adopt(CircuitBreaker(failure_threshold=9), 1.0)
    assert (state(one), one.retry_at) == ("open", until)
    one.reset(1.0)
    assert not fail(one, 8, 1.0)
    assert fail(one, 1, 1.0)
