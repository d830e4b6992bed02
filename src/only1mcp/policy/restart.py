"""When is a server that has ended started again? A pure count: no clock, no task, no process.

    ended ──0.5 s, doubling to 60 s──► again        it was up for 30 s: from 0.5 s on
      ├── CRASHES starts of a program within CRASHES_S ──┐
      └── the command cannot be run at all ──────────────┴──► given up: by hand, or in 5 min

A program that ends at once would otherwise cost a start per minute for ever, and fill the log.
Units   seconds of a monotonic clock, passed in as `now`.
Source  the back-off of systemd and of Kubernetes (CrashLoopBackOff), which also begin anew after
        steady time.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
GIVEN_UP_S: Final = 300.0
"""Between the starts of a server that was given up."""
JITTER: Final = 0.2  # of the pause: servers that fail together do not come back in step
STEADY_S: Final = 30.0
"""Up this long, a server starts again from FIRST_PAUSE_S; before, the pause doubles."""
CRASHES: Final = 5
CRASHES_S: Final = 120.0


class Restarts:
    """The starts of one server. `gave_up` says why the latest pause is a long one."""

    __slots__ = ("_crashed", "_is_program", "_pause_s", "_random", "_starts", "gave_up")

    def __init__(self, random: Callable[[], float], *, is_program: bool) -> None:
        """`random` gives numbers from 0 up to 1; `is_program`: a start costs a process."""
        self.gave_up = ""
        self._crashed = ""
        self._random = random
        self._is_program = is_program
        self._pause_s = FIRST_PAUSE_S
        self._starts: deque[float] = deque(maxlen=CRASHES)

    def begins(self, now: float) -> None:
        """It is started."""
        self._starts.append(now)

    def pause_s(self, up_s: float, now: float, *, startable: bool = True) -> float:
        """How long to wait now that it has ended, having been up for `up_s`.

        A server that crashed too often stays given up until it has been up for STEADY_S.
        """
        if up_s > STEADY_S:
            self.forget()
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, LONGEST_PAUSE_S)
        if self._is_program and self._crashes(now):
            self._crashed = f"it ended {CRASHES} times within {now - self._starts[0]:.0f} s"
        self.gave_up = self._crashed if startable else "it cannot be started"
        if self.gave_up:
            pause_s = GIVEN_UP_S
        return pause_s * (1 - JITTER + 2 * JITTER * self._random())

    def forget(self) -> None:
        """Begin anew: it has been up for long, or somebody starts it by hand."""
        self.gave_up = self._crashed = ""
        self._pause_s = FIRST_PAUSE_S
        self._starts.clear()

    def _crashes(self, now: float) -> bool:
        return len(self._starts) == CRASHES and now - self._starts[0] <= CRASHES_S
