"""The metrics of servers: how they are, what they work on, what they were spared."""

from collections.abc import Callable, Mapping
from typing import Final

from only1mcp.observe.meter import Histogram
from only1mcp.observe.metrics import Family, Samples, Value
from only1mcp.policy.breaker import State as BreakerState
from only1mcp.policy.health import Status
from only1mcp.upstream import traffic
from only1mcp.upstream.replica import Replica
from only1mcp.upstream.roster import Live, State

Servers = Mapping[str, Live]


def _each(read: Callable[[Live], Value]) -> Callable[[Servers], Samples]:
    """One number for each server."""
    return lambda servers: [((id,), read(live)) for id, live in servers.items()]


def _states(servers: Servers) -> Samples:
    for id, live in servers.items():
        for state in State:
            yield (id, state.value), live.state is state


def _replicas(read: Callable[[Replica], Value]) -> Callable[[Servers], Samples]:
    """One number for each replica; of a histogram only if there is something in it."""

    def samples(servers: Servers) -> Samples:
        for id, live in servers.items():
            for replica in live.replicas:
                value = read(replica)
                if not isinstance(value, Histogram) or any(value.counts):
                    yield (id, replica.id), value

    return samples


def _waits(servers: Servers) -> Samples:
    return [
        ((id,), live.turns.waits) for id, live in servers.items() if any(live.turns.waits.counts)
    ]


def _health(servers: Servers) -> Samples:
    for id, live in servers.items():
        for replica in live.replicas:
            for status in Status:
                yield (id, replica.id, status.value), replica.health.status is status


def _breakers(servers: Servers) -> Samples:
    for id, live in servers.items():
        for replica in live.replicas:
            for state in BreakerState:
                yield (id, replica.id, state.value), replica.breaker.state is state


def _transitions(servers: Servers) -> Samples:
    for id, live in servers.items():
        for replica in live.replicas:
            for state, count in replica.breaker.entered.items():
                yield (id, replica.id, state.value), count


def _checks(servers: Servers) -> Samples:
    for id, live in servers.items():
        for replica in live.replicas:
            yield (id, replica.id, "good"), replica.good_checks
            yield (id, replica.id, "failed"), replica.failed_checks


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
        _waits,
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
        "Requests that were sent once more, because that was safe; the gateway's own for lists, "
        "too.",
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
    Family(
        "only1mcp_server_received_bytes",
        "counter",
        "What a server has sent, heads included; behind TLS.",
        ("server",),
        _each(lambda live: traffic.of(live.id).received),
    ),
    Family(
        "only1mcp_server_sent_bytes",
        "counter",
        "What was sent to a server, heads included; before TLS.",
        ("server",),
        _each(lambda live: traffic.of(live.id).sent),
    ),
    Family(
        "only1mcp_server_connections",
        "gauge",
        "Connections to a server, as MCP sees it: one for all clients, or more, see `isolation`.",
        ("server",),
        _each(lambda live: sum(1 for _ in live.connections())),
    ),
    Family(
        "only1mcp_server_connections_opened",
        "counter",
        "HTTP connections that were opened, or programs that were started. Few for many calls: "
        "they are kept and used again.",
        ("server",),
        _each(lambda live: traffic.of(live.id).opened),
    ),
    Family(
        "only1mcp_late_answers",
        "counter",
        "Answers that came when nobody waited for them any more.",
        ("server",),
        _each(lambda live: traffic.of(live.id).late),
    ),
    Family(
        "only1mcp_replica_calls",
        "counter",
        "Calls that a replica got, the gateway's own for lists included.",
        ("server", "replica"),
        _replicas(lambda one: one.taken),
    ),
    Family(
        "only1mcp_replica_calls_in_flight",
        "gauge",
        "Calls that a replica works on.",
        ("server", "replica"),
        _replicas(lambda one: one.in_flight),
    ),
    Family(
        "only1mcp_replica_latency_seconds",
        "gauge",
        "What a call takes there of late: the average that `p2c_ewma` goes by.",
        ("server", "replica"),
        _replicas(lambda one: one.latency_s),
    ),
    Family(
        "only1mcp_replica_health",
        "gauge",
        "1 for the health a replica is in, 0 for the others.",
        ("server", "replica", "status"),
        _health,
    ),
    Family(
        "only1mcp_health_checks",
        "counter",
        "Health checks, the probes of breakers included; an answered call spares one.",
        ("server", "replica", "result"),
        _checks,
    ),
    Family(
        "only1mcp_health_check_duration_seconds",
        "histogram",
        "How long health checks took.",
        ("server", "replica"),
        _replicas(lambda one: one.checks),
    ),
    Family(
        "only1mcp_breaker_state",
        "gauge",
        "1 for the state a circuit breaker is in, 0 for the others.",
        ("server", "replica", "state"),
        _breakers,
    ),
    Family(
        "only1mcp_breaker_transitions",
        "counter",
        "How often it came into each state.",
        ("server", "replica", "to"),
        _transitions,
    ),
)
