"""The metrics of clients: their connections, sessions and streams."""

from dataclasses import dataclass
from typing import Final

from only1mcp.observe.metrics import Family, Samples
from only1mcp.server.connection import Shared
from only1mcp.server.session import Sessions


@dataclass(frozen=True, slots=True)
class Front:
    """The client side of a gateway that listens."""

    shared: Shared
    sessions: Sessions


def _refused(front: Front) -> Samples:
    return [((str(status),), count) for status, count in front.shared.tally.refused.items()]


def _streams(front: Front) -> Samples:
    return [((), sum(one.streaming for one in front.shared.connections))]


def _received(front: Front) -> Samples:
    open_ones = sum(one.received for one in front.shared.connections)
    return [((), front.shared.tally.received + open_ones)]


def _sent(front: Front) -> Samples:
    open_ones = sum(one.written for one in front.shared.connections)
    return [((), front.shared.tally.sent + open_ones)]


def _held(front: Front) -> Samples:
    return [((), sum(one.events.count for one in front.sessions if one.events is not None))]


def _held_bytes(front: Front) -> Samples:
    return [((), sum(one.events.size for one in front.sessions if one.events is not None))]


FAMILIES: Final[tuple[Family[Front], ...]] = (
    Family(
        "only1mcp_client_connections",
        "gauge",
        "Open connections of clients (`server.max_connections`).",
        (),
        lambda front: [((), len(front.shared.connections))],
    ),
    Family(
        "only1mcp_client_connections_accepted",
        "counter",
        "Connections of clients in all.",
        (),
        lambda front: [((), front.shared.tally.accepted)],
    ),
    Family(
        "only1mcp_client_received_bytes",
        "counter",
        "What clients have sent, heads included; behind TLS.",
        (),
        _received,
    ),
    Family(
        "only1mcp_client_sent_bytes",
        "counter",
        "What was written to clients, heads included; before TLS.",
        (),
        _sent,
    ),
    Family(
        "only1mcp_http_refused",
        "counter",
        "HTTP requests that nobody looked into: no token or a wrong one (401), a Host or Origin "
        "that is not allowed (403), too large (413), too slow (408), no room (503), or no HTTP.",
        ("status",),
        _refused,
    ),
    Family(
        "only1mcp_sessions",
        "gauge",
        "Sessions of clients with handshake, HTTP+SSE included.",
        (),
        lambda front: [((), len(front.sessions))],
    ),
    Family(
        "only1mcp_sessions_opened",
        "counter",
        "Sessions in all.",
        (),
        lambda front: [((), front.sessions.opened)],
    ),
    Family(
        "mcp_server_session_duration_seconds",
        "histogram",
        "How long sessions lasted that have ended.",
        (),
        lambda front: [((), front.sessions.durations)],
    ),
    Family(
        "only1mcp_streams",
        "gauge",
        "Open streams of events to clients.",
        (),
        _streams,
    ),
    Family(
        "only1mcp_events_held",
        "gauge",
        "Events that are kept for clients that may come back for them.",
        (),
        _held,
    ),
    Family(
        "only1mcp_events_held_bytes",
        "gauge",
        "Memory that they take.",
        (),
        _held_bytes,
    ),
)
