"""What a client is told while nobody takes its call: why, and when to come again.

Units   seconds of the clock whose `now` is passed in.
"""

from typing import Final

from only1mcp.policy.breaker import State as BreakerState
from only1mcp.protocol.errors import CircuitOpen, ServerFault, ServerUnavailable
from only1mcp.upstream.replica import Replica, State

_SOON: Final = "try again in a moment"


def left_alone(one: Replica, now: float) -> ServerFault:
    """For a replica that is connected and yet takes no calls."""
    after_s = wait_s(one, now)
    kind: type[ServerFault] = CircuitOpen
    if one.breaker.state is not BreakerState.CLOSED:
        why = f"fails and is left alone: {one.breaker.reason}"
    elif not one.breaker.admits(now):
        why = "has asked for a pause"
    else:
        kind, why = ServerUnavailable, f"is unhealthy: {one.health.reason}"
    hint = f"the call was not sent; it is looked at again within {after_s:.1f} s"
    said, after_ms = f"server '{one.name}' {why}", int(after_s * 1000) + 1
    return kind(one.server, said, hint=hint, retry_after_ms=after_ms)


def down(one: Replica, name: str, now: float) -> ServerUnavailable:
    """For one that is not connected; `name` is what clients call it by."""
    said = f"server '{name}' is {one.state}: {one.reason or 'not connected yet'}"
    if one.state is State.DISABLED:
        return ServerUnavailable(one.server, said, hint=f"set enabled: true for server '{name}'")
    if one.state not in (State.WAITING, State.FAILED):
        return ServerUnavailable(one.server, said, hint=_SOON)
    after_s = max(one.tries_at - now, 0.0)
    hint, after_ms = f"it is tried again within {after_s:.1f} s", int(after_s * 1000) + 1
    return ServerUnavailable(one.server, said, hint=hint, retry_after_ms=after_ms)


def wait_s(one: Replica, now: float) -> float:
    """How long until it may take calls again."""
    return one.breaker.wait_s(now) or max(one.health.due_at - now, 0.0)
