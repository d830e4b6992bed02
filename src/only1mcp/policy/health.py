"""Is one replica well? What checks and calls have shown, and when the next check is due.

    UNKNOWN ──good──► HEALTHY ◄──enough good in a row── DEGRADED ◄──first good── UNHEALTHY
       └──failed──►  DEGRADED ──enough failed in a row────────────────────────────►┘

A replica in trouble is checked sooner; an UNHEALTHY one then ever less often, for a laptop need
not ask a server that is gone every few seconds. A real answer counts as a good check, so a busy
server is hardly ever asked.

Units   seconds of a monotonic clock, passed in as `now`.
Source  HAProxy's rise, fall, fastinter and downinter; Envoy's first check, which is enough.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from only1mcp.config.resilience import HealthCheck

JITTER: Final = 0.2  # of the interval: twenty servers are not checked in one moment
FIRST_RECHECK_S: Final = 5.0
LONGEST_RECHECK_S: Final = 60.0


class Status(StrEnum):
    """What is known of a replica."""

    UNKNOWN = "unknown"  # nothing yet; it may be called
    HEALTHY = "healthy"
    DEGRADED = "degraded"  # failed of late, or not yet well again; it may be called if it was well
    UNHEALTHY = "unhealthy"


_SURE: Final = (Status.UNKNOWN, Status.HEALTHY)  # one good check is enough


class Health:
    """The health of one replica; `status`, `reason` and `since` are for people, too."""

    __slots__ = (
        "_bad",
        "_first_s",
        "_good",
        "_random",
        "_recheck_s",
        "_settings",
        "due_at",
        "heard_at",
        "reason",
        "since",
        "status",
        "usable",
    )

    def __init__(self, settings: HealthCheck, now: float, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 up to 1, for the jitter."""
        self.status = Status.UNKNOWN
        self.reason = "not checked yet"
        self.since = now
        self.usable = True
        """Whether calls may go there: from the first failure on until enough in a row have
        failed, and then not before enough in a row were good."""
        self.heard_at = now
        """When a call was answered last; set it, a check is spared."""
        self.due_at = now + settings.interval * random()
        """When the next check is due; the first ones are spread over an interval."""
        self._settings = settings
        self._random = random
        self._good = 0
        self._bad = 0
        self._first_s = min(FIRST_RECHECK_S, settings.interval)
        self._recheck_s = 0.0

    def adopt(self, settings: HealthCheck, now: float) -> None:
        """Go by other settings from now on; what is known stays."""
        if settings != self._settings:
            self._settings = settings
            self._schedule(now)

    def due(self, now: float) -> bool:
        """Whether to check now. A call answered since the last interval has done it already."""
        if now < self.due_at:
            return False
        if self.usable and self.heard_at > now - self._settings.interval:
            self.passed(now)
            return False
        return True

    def passed(self, now: float) -> bool:
        """A good check; whether the status changed."""
        self._good += 1
        self._bad = 0
        well = self.status in _SURE or self._good >= self._settings.healthy_threshold
        self.usable = self.usable or well
        self._recheck_s = 0.0 if well else self._first_s
        self._schedule(now)
        if self.status is Status.HEALTHY:
            return False
        if well:
            return self._become(Status.HEALTHY, "", now)
        return self._become(Status.DEGRADED, "answers again", now)

    def failed(self, reason: str, now: float) -> bool:
        """A failed check; whether the status changed."""
        self._bad += 1
        self._good = 0
        longer = self.status is Status.UNHEALTHY
        self._recheck_s = min(self._recheck_s * 2, LONGEST_RECHECK_S) if longer else self._first_s
        self.usable = self.usable and self._bad < self._settings.unhealthy_threshold
        self._schedule(now)
        return self._become(Status.DEGRADED if self.usable else Status.UNHEALTHY, reason, now)

    def _schedule(self, now: float) -> None:
        pause_s = self._recheck_s or self._settings.interval
        self.due_at = now + pause_s * (1 - JITTER + 2 * JITTER * self._random())

    def _become(self, status: Status, reason: str, now: float) -> bool:
        self.reason = reason
        if status is self.status:
            return False
        self.status, self.since = status, now
        return True
