"""When may one replica be called? A pure state machine: no clock, no task, no log.

    CLOSED ──failures in a row, or their share──► OPEN ──open * 2**trips over──► HALF_OPEN
       ▲                                           ▲                                 │
       │                                           └────────── probe failed ─────────┤
       └───────────────────────────── probe answered ────────────────────────────────┘

User calls go out while it is CLOSED only. What decides in HALF_OPEN is one health probe, since
to find out with a user's call would mean to lose it. A server that asks for time (429 or 503
with Retry-After) is paused, which is no fault and needs no probe.

Use     permit = breaker.epoch; … ; breaker.succeeded(permit) or breaker.failed(permit, …)
Units   seconds of a monotonic clock, always passed in as `now`.
Source  linkerd2-proxy failure accrual: one trial, stragglers ignored; Envoy outlier detection.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from only1mcp.config.resilience import CircuitBreaker
from only1mcp.policy.window import Window
from only1mcp.protocol.errors import (
    McpError,
    ServerBusy,
    ServerLost,
    ServerProtocolError,
    ServerRefused,
    ServerTimeout,
    ServerUnavailable,
)

JITTER: Final = 0.5  # of the back-off: replicas that fail together are not probed in step

_FAILURES: Final = (ServerUnavailable, ServerTimeout, ServerLost, ServerProtocolError)


def is_failure(error: McpError) -> bool:
    """Whether `error` speaks against the replica: no connection, no answer, no MCP, HTTP 5xx.

    A JSON-RPC error of a live server does not, whatever its status, nor do wrong credentials,
    nor what the client or the gateway did; a request for time pauses it instead.
    """
    if isinstance(error, ServerBusy):
        return error.retry_after_ms is None
    return isinstance(error, _FAILURES) and not isinstance(error, ServerRefused)


class State(StrEnum):
    """Who may call."""

    CLOSED = "closed"  # everybody
    OPEN = "open"  # nobody
    HALF_OPEN = "half_open"  # one probe is under way


_CLOSED: Final = State.CLOSED  # a member of an enumeration is slow to get at


class Breaker:
    """The breaker of one replica; `state`, `reason` and `since` are for people, too."""

    __slots__ = (
        "_random",
        "_settings",
        "_window",
        "entered",
        "epoch",
        "failures",
        "paused_until",
        "reason",
        "retry_at",
        "since",
        "state",
        "trips",
    )

    def __init__(self, settings: CircuitBreaker, now: float, random: Callable[[], float]) -> None:
        """`random` gives numbers from 0 up to 1, for the jitter."""
        self.state = State.CLOSED
        self.entered = dict.fromkeys(State, 0)
        """How often it came into each state."""
        self.reason = ""
        self.since = now
        self.epoch = 0
        """The permit of a call that goes out now; verdicts of an older one are ignored."""
        self.failures = 0
        """In a row, while CLOSED."""
        self.trips = 0
        """Openings since a user's call was answered: the exponent of the back-off."""
        self.retry_at = 0.0
        """OPEN: when a probe is due."""
        self.paused_until = 0.0
        self._settings = settings
        self._window = Window(settings.window, now)
        self._random = random

    def adopt(self, settings: CircuitBreaker, now: float) -> None:
        """Go by other settings from now on; it stays in the state it is in."""
        if settings.window != self._settings.window:
            self._window = Window(settings.window, now)
        self._settings = settings

    def admits(self, now: float) -> bool:
        """Whether a user's call may go out now."""
        return self.state is State.CLOSED and now >= self.paused_until

    def wait_s(self, now: float) -> float:
        """How long until a call may have a chance again; 0 if it has one now."""
        until = self.paused_until if self.state is State.CLOSED else self.retry_at
        return max(until - now, 0.0)

    def succeeded(self, permit: int) -> None:
        """A user's call was answered, be it with an error of the server's own."""
        if permit == self.epoch and self.state is _CLOSED:
            self.failures = self.trips = 0
            self._window.total += 1

    def failed(self, permit: int, reason: str, now: float) -> bool:
        """A user's call failed; whether that opened the breaker."""
        if permit != self.epoch or self.state is not State.CLOSED:
            return False
        self.failures += 1
        self._window.total += 1
        self._window.marked += 1
        if self.failures >= self._settings.failure_threshold:
            self._open(f"{self.failures} failures in a row, the last: {reason}", now)
            return True
        calls, failures = self._window.counts(now)
        if calls >= self._settings.min_calls and failures >= calls * self._settings.failure_rate:
            self._open(f"{failures:.0f} of {calls:.0f} calls failed, the last: {reason}", now)
            return True
        return False

    def pause(self, until: float, now: float) -> None:
        """The server asked for time: no calls before `until`, or `max_open` if that is sooner."""
        until = min(until, now + self._settings.max_open)
        self.paused_until = max(self.paused_until, until)

    def probe(self, now: float) -> bool:
        """Claim the one probe of an OPEN breaker; False if it is not due or somebody has it."""
        if self.state is not State.OPEN or now < self.retry_at:
            return False
        self._enter(State.HALF_OPEN, self.reason, now)
        return True

    def probed(self, good: bool, reason: str, now: float) -> None:
        """The verdict of the probe that was claimed."""
        if self.state is not State.HALF_OPEN:
            return
        if good:
            self._window.clear(now)
            self._enter(State.CLOSED, "", now)
        else:
            self._open(f"its probe failed: {reason}", now)

    def unprobed(self, now: float) -> None:
        """The probe was abandoned without a verdict: it is due again at once."""
        if self.state is State.HALF_OPEN:
            self._enter(State.OPEN, self.reason, now)
            self.retry_at = now

    def disregard(self) -> None:
        """Calls under way say nothing of the replica: whoever ends their connection ends them."""
        self.epoch += 1

    def reset(self, now: float) -> None:
        """Close it by hand, or because the replica was started anew."""
        self.trips = 0
        self.paused_until = 0.0
        self._window.clear(now)
        self._enter(State.CLOSED, "", now)

    def _open(self, reason: str, now: float) -> None:
        settings = self._settings
        pause_s = settings.open
        if self.trips:
            pause_s = min(pause_s * 2.0 ** min(self.trips, 64), settings.max_open)
        pause_s *= 1 - JITTER + 2 * JITTER * self._random()
        self.trips += 1
        self._enter(State.OPEN, reason, now)
        self.retry_at = now + min(pause_s, settings.max_open)

    def _enter(self, state: State, reason: str, now: float) -> None:
        before = self.state
        self.state, self.reason, self.since = state, reason, now
        self.entered[state] += state is not before
        self.failures = 0
        self.epoch += 1
