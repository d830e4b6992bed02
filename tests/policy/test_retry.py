"""The matrix of what may be sent once more, cell by cell, and the budget for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.policy.retry import (
    FLOOR,
    LONGEST_WISH_S,
    Budget,
    Fate,
    fate,
    pause_s,
    repeats,
    wished_s,
)
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    CircuitOpen,
    Draining,
    InvalidParams,
    McpError,
    Outcome,
    Overloaded,
    ServerBusy,
    ServerLost,
    ServerProtocolError,
    ServerRefused,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.methods import METHODS


@pytest.mark.parametrize(
    ("repeatable", "what", "once_more"),
    [
        (True, Fate.NOT_SENT, True),
        (True, Fate.NO_ANSWER, True),
        (True, Fate.BUSY, True),
        (True, Fate.ANSWERED, False),
        (False, Fate.NOT_SENT, True),
        (False, Fate.NO_ANSWER, False),
        (False, Fate.BUSY, False),
        (False, Fate.ANSWERED, False),
    ],
)
def test_the_matrix(repeatable: bool, what: Fate, once_more: bool) -> None:
    assert repeats(repeatable, what, 1) is once_more
    assert not repeats(repeatable, what, 2)


def test_which_methods_may_run_twice() -> None:
    assert {row.name for row in METHODS.values() if not row.repeatable} == {
        "tools/call",
        "tasks/update",
    }


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (ServerUnavailable("s", "refused"), Fate.NOT_SENT),
        (CircuitOpen("s", "open"), Fate.NOT_SENT),
        (Overloaded("s", "full"), Fate.NOT_SENT),
        (ServerLost("s", "newline never written", outcome=Outcome.NOT_SENT), Fate.NOT_SENT),
        (ServerTimeout("s", "hung"), Fate.NO_ANSWER),
        (ServerLost("s", "eof"), Fate.NO_ANSWER),
        (ServerBusy("s", "429", retry_after_ms=500), Fate.BUSY),
        (ServerBusy("s", "503"), Fate.ANSWERED),
        (ServerRefused("s", "401"), Fate.ANSWERED),
        (ServerProtocolError("s", "garbage"), Fate.ANSWERED),
        (AnswerTooLarge("s", "40 MiB"), Fate.ANSWERED),
        (UpstreamError(b"{}", -32603, "oops", 500), Fate.ANSWERED),
        (InvalidParams("no such tool"), Fate.ANSWERED),
        (Draining("s", "stopping", outcome=Outcome.UNKNOWN), Fate.NO_ANSWER),
    ],
)
def test_what_became_of_it(error: McpError, what: Fate) -> None:
    assert fate(error) is what


def test_the_pause_is_full_jitter_up_to_a_second() -> None:
    assert [pause_s(1, draw) for draw in (0.0, 0.5, 1.0)] == [0.0, 0.05, 0.1]
    assert pause_s(10, 1.0) == 1.0


def test_a_quiet_server_has_three_repeats_in_ten_seconds() -> None:
    budget = Budget(0.2, 0.0)
    assert [budget.spend(1.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.spend(9.9)
    assert not budget.spend(10.0)
    assert budget.spend(14.0)


def test_a_busy_server_has_a_fifth() -> None:
    budget = Budget(0.2, 0.0)
    budget.total = 100
    assert sum(budget.spend(5.0) for _ in range(100)) == 20


def test_no_budget_is_no_repeat() -> None:
    budget = Budget(0.0, 0.0)
    budget.total = 1000
    assert not budget.spend(0.0)


@given(st.integers(1, 40), st.floats(0.05, 1), st.integers(1, 6))
def test_in_an_outage_repeats_stay_a_share_of_the_load(
    per_second: int, share: float, minutes: int
) -> None:
    budget, repeated = Budget(share, 0.0), 0
    requests = 60 * minutes * per_second
    for number in range(requests):
        budget.total += 1
        repeated += budget.spend(number / per_second)
    windows = 6 * minutes + 1
    assert repeated <= 1.1 * requests * share + FLOOR * windows


def test_the_share_may_change() -> None:
    one = Budget(0.0, 0.0)
    one.total += 100
    assert not one.spend(0.0)
    one.share = 0.5
    assert one.spend(0.0)


# --- Retry-After ---

NOON = 784_123_200.0
"""Sun, 06 Nov 1994 12:00:00 GMT"""


@pytest.mark.parametrize(
    ("said", "wish_s"),
    [
        (b"0", 0),
        (b"120", 120),
        (b"9" * 5000, LONGEST_WISH_S),
        (b"Sun, 06 Nov 1994 12:02:00 GMT", 120),
        (b"Sunday, 06-Nov-94 12:02:00 GMT", 120),
        (b"Sun Nov  6 12:02:00 1994", 120),
        (b"Sun, 06 Nov 1994 11:59:59 GMT", 0),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WISH_S),
        (b"", None),
        (b"-5", None),
        (b"1.5", None),
        (b"soon", None),
        (b"Wed, 1 Jan", None),
        (b"Sun, 30 Feb 2026 12:00:00 GMT", None),
        (b"Fri, 31 Dec 99999 23:59:59 GMT", None),
        (b"\xff", None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(said: bytes, wish_s: float | None) -> None:
    assert wished_s(said, NOON) == wish_s


@given(st.binary(max_size=60), st.floats(0, 1e11))
def test_whatever_it_says_is_a_time_within_bounds_or_nothing(said: bytes, now: float) -> None:
    wish_s = wished_s(said, now)
    assert wish_s is None or 0 <= wish_s <= LONGEST_WISH_S
