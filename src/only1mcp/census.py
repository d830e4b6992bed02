"""All the metrics of a gateway: which there are, and where a scrape reads each."""

from collections.abc import Callable, Mapping
from typing import Final

from only1mcp.admin import numbers as of_config
from only1mcp.admin.reload import Reloads
from only1mcp.observe import numbers as of_process
from only1mcp.observe.metrics import Metrics, Room
from only1mcp.observe.numbers import Pulse
from only1mcp.relay import numbers as of_requests
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server import numbers as of_clients
from only1mcp.server.numbers import Front
from only1mcp.upstream import numbers as of_servers
from only1mcp.upstream.live import Live

FAMILIES: Final = (
    ("Requests", of_requests.FAMILIES),
    ("Servers", of_servers.FAMILIES),
    ("Clients", of_clients.FAMILIES),
    ("The configuration", of_config.FAMILIES),
    ("The process", of_process.FAMILIES),
)
"""Every metric there is, as docs/metrics.md lists them."""


def census(
    snapshot: Callable[[], Snapshot],
    servers: Callable[[], Mapping[str, Live]],
    front: Callable[[], Front | None],
    reloads: Reloads,
    pulse: Pulse,
) -> Metrics:
    """The metrics of one gateway, each room asked for its own at a scrape."""
    return Metrics(
        Room(of_requests.FAMILIES, snapshot),
        Room(of_servers.FAMILIES, servers),
        Room(of_clients.FAMILIES, front),
        Room(of_config.FAMILIES, lambda: reloads),
        Room(of_process.FAMILIES, lambda: pulse),
    )
