"""What a client is told while nobody takes its call: why, and when to come again.

Units   seconds of the clock whose `now` is passed in.
"""

from typing import Final

from only1mcp.policy.breaker import State as BreakerState
from only1mcp.protocol.errors import CircuitOpen, ServerFault, ServerUnavailable
from only1mcp.upstream.replica import Replica, State

SHORT_S: Final = 0.1
"""Nobody has to come again sooner, nor is it said more exactly."""
_SOON: Final = "try again in a moment"


def left_alone(one: Replica, now: float) -> ServerFault:
    """For a replica that is connected and yet takes no calls."""
    kind: type[ServerFault] = CircuitOpen
    if one.breaker.state is not BreakerState.CLOSED:
        why = f"fails and is left alone: {one.breaker.reason}"
    elif not one.breaker.admits(now):
        why = "has asked for a pause"
    else:
        kind, why = ServerUnavailable, f"is unhealthy: {one.health.reason}"
    when, after_ms = _again(wait_s(one, now))
    hint = f"the call was not sent; it is looked at again {when}"
    return kind(one.server, f"server '{one.name}' {why}", hint=hint, retry_after_ms=after_ms)


def down(one: Replica, name: str, now: float) -> ServerUnavailable:
    """For one that is not connected; `name` is what clients call it by."""
    said = f"server '{name}' is {one.state}: {one.reason or 'not connected yet'}"
    if one.state is State.DISABLED:
        return ServerUnavailable(one.server, said, hint=f"set enabled: true for server '{name}'")
    if one.state not in (State.WAITING, State.FAILED):
        return ServerUnavailable(one.server, said, hint=_SOON)
    when, after_ms = _again(one.tries_at - now)  # past: it has just ended, and is being closed
    return ServerUnavailable(
        one.server, said, hint=f"it is tried again {when}", retry_after_ms=after_ms
    )


def _again(after_s: float) -> tuple[str, int]:
    """When something is tried again, for people and in milliseconds."""
    when = f"within {after_s:.1f} s" if after_s >= SHORT_S else "in a moment"
    return when, int(max(after_s, SHORT_S) * 1000)


def wait_s(one: Replica, now: float) -> float:
    """How long until it may take calls again."""
    return one.breaker.wait_s(now) or max(one.health.due_at - now, 0.0)
