"""What the soak finds in the ledger and in the answers."""

import pytest

from scripts.soak import SHARES, Told, judge


def told(key: str, outcome: str) -> Told:
    return Told("web", key, outcome, 0.1, "said so")


def test_calls_that_ran_once_and_calls_that_were_lost_are_good() -> None:
    verdict = judge(
        [told("a", "done"), told("b", "unknown"), told("c", "unknown")], {"a": 1, "b": 1}
    )
    assert (verdict.done, verdict.lost, verdict.good) == (1, 2, True)


@pytest.mark.parametrize(
    ("outcome", "ran", "broken"),
    [
        ("done", 2, "twice"),
        ("unknown", 2, "twice"),
        ("done", 0, "untrue"),
        ("not_sent", 0, "needless"),
        ("not_sent", 1, "untrue"),
        ("no answer", 0, "untrue"),
        ("no answer", 1, "untrue"),
    ],
)
def test_what_breaks_a_promise(outcome: str, ran: int, broken: str) -> None:
    verdict = judge([told("a", outcome)], {"a": ran})
    assert len(getattr(verdict, broken)) == 1
    assert not verdict.good


def test_the_shares_are_of_ten() -> None:
    assert sum(SHARES.values()) == 10
