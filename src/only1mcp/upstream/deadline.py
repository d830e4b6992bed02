"""Deadlines of many calls with one timer.

A timer per call would cost more than the rest of the bookkeeping. Deadlines mostly move
away (each message restarts the idle clock), so the one timer is armed for the earliest that
was ever announced, looks when it fires, and goes on from what it sees. No server is blamed for the
time in which we stood still: its answer may have come meanwhile, and is read first. Calls that
began together expire together: a few at a time, so that the calls of other servers get in between.
Units   seconds of the clock passed in.
Cost    adding a call is one comparison; a look is O(calls) and comes once per deadline length.
"""

import asyncio
from collections.abc import Callable, Collection
from math import inf
from typing import Final, Protocol

from only1mcp.upstream.base import Call

MAY_HAVE_RUN: Final = "the call may have run; look before you repeat it"
"""The next step after a call that was sent and has no answer."""
_HANDSHAKE: Final = frozenset(("initialize", "server/discover"))
STOOD_S: Final = 1.0
"""A look that comes so late shows that the process stood still: it was stopped, or its machine."""
AT_ONCE: Final = 2
"""So many calls expire in one go: each takes about 0.2 ms, with the call that gets its turn, and
the 99th percentile of the other servers should not see it."""
BREATH_S: Final = 0.001
"""Then others have the loop, until the next go."""


class Timed(Protocol):
    """A call with a deadline that may move away, never closer."""

    due: float

    def expire(self) -> None:
        """The deadline has passed; said once."""


class Deadlines:
    """Watches `calls`, a live view of what is running."""

    __slots__ = ("_calls", "_clock", "_looks_at", "_timer")

    def __init__(self, calls: Collection[Timed], clock: Callable[[], float]) -> None:
        self._calls = calls
        self._clock = clock
        self._looks_at = inf
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, due: float) -> None:
        """A call with this deadline has begun; one without any has inf."""
        if due < self._looks_at:
            self._arm(due)

    def close(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._looks_at = inf

    def _arm(self, due: float) -> None:
        self.close()
        self._looks_at = due
        delay_s = max(0.0, due - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        now = self._clock()
        late_s = now - self._looks_at
        self.close()
        if late_s > STOOD_S:
            for call in self._calls:
                call.due += late_s + STOOD_S
        over = [call for call in self._calls if call.due <= now]
        for call in over[:AT_ONCE]:
            call.due = inf
            call.expire()
        rest = min((call.due for call in self._calls), default=inf)
        if rest < inf:
            self._arm(rest if rest > now else now + BREATH_S)


def overrun(server: str, call: Call, *, whole: bool) -> tuple[str, str]:
    """What `server` did with a call that has expired, and the next step; `whole`: it took too long
    in all."""
    if whole:
        did, limit = f"took longer than {call.max_s:g} s for {call.method}", "call_max"
    else:
        did, limit = f"sent nothing for {call.idle_s:g} s during {call.method}", "call_idle"
    if call.method in _HANDSHAKE:
        return did, f"see timeouts.start of server '{server}'"
    if call.method.endswith("/list"):
        return did, f"see timeouts.list of server '{server}'"
    return did, f"{MAY_HAVE_RUN}; its limit is timeouts.{limit} of server '{server}'"
