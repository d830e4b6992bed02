"""May a request be sent once more? One table, and a budget for all of them.

                                    not sent   no answer   busy, come later   answered
    lists, reads, prompts, ping …   yes        yes         yes                no
    tools/call                      yes        no          no                 no
    the same, named idempotent      yes        yes         yes                no
    tasks/update, tasks/cancel      yes        no          no                 no

A call that may have run is never repeated: what a tool did twice nobody can take back. What a
server says of its tools (idempotentHint) is not relied on; only the configuration is. A server of
another revision (-32022) is found by `upstream/probe.py`, a listen renewed by `relay/listening.py`.

Bounds  one repeat per request, and a budget per server over WINDOW_S: in an outage every request
        fails, and to repeat them all would double the load on what is left.
Source  Caddy's tryAgain; Finagle's RetryBudget; AWS, "Exponential Backoff And Jitter".
"""

from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

from only1mcp.policy.window import Window
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    McpError,
    ServerBusy,
    ServerFault,
    ServerProtocolError,
    ServerRefused,
)

MAX_REPEATS: Final = 1
WINDOW_S: Final = 10.0
FLOOR: Final = 3
"""Repeats in WINDOW_S that are always allowed, so that a quiet server has some, too."""
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0
LONGEST_WISH_S: Final = 999_999
"""A server that wants more time than this, eleven days, is given this."""


def wished_s(retry_after: bytes, wall_s: float) -> float | None:
    """How long a server wants to be left alone; None if its Retry-After says nothing.

    `wall_s` is now, in seconds since 1970: it may say until when in place of how long, in one of
    three spellings. A time that has passed is no wait.
    Source  RFC 9110, 10.2.3 and 5.6.7.
    """
    if retry_after.isdigit():
        return min(int(retry_after[:20]), LONGEST_WISH_S)
    try:
        until = parsedate_to_datetime(retry_after.decode("ascii"))
    except (ValueError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return min(max(0.0, until.timestamp() - wall_s), LONGEST_WISH_S)


class Fate(Enum):
    """What became of an attempt that brought no result."""

    NOT_SENT = "not sent"  # refused, no process, queue, breaker
    NO_ANSWER = "no answer"  # sent, then end of stream or time
    BUSY = "busy"  # answered: later, in so many seconds
    ANSWERED = "answered"  # with an error, or with something that is no answer


_ANSWERS: Final = (ServerRefused, AnswerTooLarge, ServerProtocolError)
_ALWAYS: Final = frozenset((Fate.NOT_SENT, Fate.NO_ANSWER, Fate.BUSY))
_UNSENT: Final = frozenset((Fate.NOT_SENT,))


def fate(error: McpError) -> Fate:
    """What `error` says about the attempt."""
    if not isinstance(error, ServerFault) or error.in_part or isinstance(error, _ANSWERS):
        return Fate.ANSWERED
    if isinstance(error, ServerBusy):
        return Fate.ANSWERED if error.retry_after_ms is None else Fate.BUSY
    return Fate.NO_ANSWER if error.may_have_run else Fate.NOT_SENT


def repeats(repeatable: bool, what: Fate, attempt: int) -> bool:
    """Whether to send it once more after attempt number `attempt`, the first being 1.

    `repeatable`: running twice does no harm, see `protocol/methods.py`, or the configuration
    says so of the tool.
    """
    if attempt > MAX_REPEATS:
        return False
    return what in (_ALWAYS if repeatable else _UNSENT)


def pause_s(attempt: int, draw: float) -> float:
    """How long to wait before the same replica is tried again; `draw` is from 0 up to 1."""
    return draw * min(FIRST_PAUSE_S * 2.0**attempt, LONGEST_PAUSE_S)


class Budget(Window):
    """The repeats of one server: a window of its requests, those that are repeats marked."""

    __slots__ = ("denied", "share", "spent")

    def __init__(self, share: float, now: float) -> None:
        """`share` is repeats per request; 0: none at all."""
        super().__init__(WINDOW_S, now)
        self.spent = 0
        """Repeats in all."""
        self.denied = 0
        """Repeats that there was no budget for."""
        self.share = share

    def spend(self, now: float) -> bool:
        """Take one repeat; False if there is none left."""
        requests, repeated = self.counts(now)
        if not self.share or repeated + 1 > max(FLOOR, requests * self.share):
            self.denied += 1
            return False
        self.spent += 1
        self.marked += 1
        return True
