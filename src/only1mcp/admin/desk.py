"""What the admin API can see and do of a running gateway: the gateway fills it in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from only1mcp.admin.reload import Reloads
from only1mcp.config.store import Store
from only1mcp.observe.events import Events
from only1mcp.observe.metrics import Metrics
from only1mcp.relay.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Desk:
    """Each is asked for when it is needed."""

    snapshot: Callable[[], Snapshot]
    ready: Callable[[], bool]
    """Whether it takes requests; false while it drains."""
    reloads: Reloads
    restart: Callable[[str], None]
    """Start a server anew; KeyError: there is none of this id."""
    sessions: Callable[[], list[dict[str, Any]]]
    """One row for each."""
    connections: Callable[[], tuple[int, int]]
    """Of clients, and how many requests are under way on them."""
    events: Events
    store: Store | None
    """The file of the configuration; None: there is none."""
    metrics: Metrics | None
    """None: they are off."""
