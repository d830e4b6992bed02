"""The metrics of servers: how they are, what they work on, what they were spared."""

from collections.abc import Callable, Mapping
from typing import Final

from only1mcp.observe.metrics import Family, Samples, Value
from only1mcp.upstream.roster import Live, State

Servers = Mapping[str, Live]


def _each(read: Callable[[Live], Value]) -> Callable[[Servers], Samples]:
    """One number for each server."""
    return lambda servers: [((id,), read(live)) for id, live in servers.items()]


def _states(servers: Servers) -> Samples:
    for id, live in servers.items():
        for state in State:
            yield (id, state.value), live.state is state


def _refused(servers: Servers) -> Samples:
    for id, live in servers.items():
        yield (id, "queue"), live.turns.refused
        yield (id, "queue_timeout"), live.turns.expired


FAMILIES: Final[tuple[Family[Servers], ...]] = (
    Family(
        "only1mcp_server_state",
        "gauge",
        "1 for the state a server is in, 0 for the others.",
        ("server", "state"),
        _states,
    ),
    Family(
        "only1mcp_server_restarts",
        "counter",
        "Times a server was started or dialled again after it was lost or could not be reached.",
        ("server",),
        _each(lambda live: live.restarts),
    ),
    Family(
        "only1mcp_server_calls_in_flight",
        "gauge",
        "Calls a server works on (`concurrency.max_in_flight`).",
        ("server",),
        _each(lambda live: live.turns.in_flight),
    ),
    Family(
        "only1mcp_server_calls_waiting",
        "gauge",
        "Calls that wait for a turn at it (`concurrency.queue`).",
        ("server",),
        _each(lambda live: live.turns.waiting),
    ),
    Family(
        "only1mcp_server_wait_seconds",
        "histogram",
        "How long those that had to wait for a turn did, whether they got it or not.",
        ("server",),
        _each(lambda live: live.turns.waits),
    ),
    Family(
        "only1mcp_server_calls_refused",
        "counter",
        "Calls that got no turn; `limit` is the setting of `concurrency` that was reached.",
        ("server", "limit"),
        _refused,
    ),
    Family(
        "only1mcp_retries",
        "counter",
        "Requests that the gateway sent once more, because that was safe.",
        ("server",),
        _each(lambda live: live.repeats.spent),
    ),
    Family(
        "only1mcp_retries_denied",
        "counter",
        "Requests that could have been sent once more, had `retry.budget` allowed it.",
        ("server",),
        _each(lambda live: live.repeats.denied),
    ),
)
