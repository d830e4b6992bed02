"""What one request sees from its first to its last line: one immutable view of everything.

A change of configuration or of a server's lists makes a new Snapshot; requests under way
keep the one they started with. The lists themselves (`listings`) are live: a request for a list,
or for what is not there yet while servers start, is answered from the newest catalogue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.view import View
from only1mcp.config.model import Config
from only1mcp.observe.watch import Watch
from only1mcp.policy.limit import Gate
from only1mcp.protocol.errors import InvalidParams
from only1mcp.relay.answers import Answers
from only1mcp.relay.audience import Audience
from only1mcp.relay.bridge import Bridge
from only1mcp.relay.fanout import Listings
from only1mcp.relay.levels import LogLevels
from only1mcp.upstream.roster import Live

if TYPE_CHECKING:
    from only1mcp.relay.under_way import Way

Key = tuple[str, str | None, bytes]
"""Method, mount and the name or URI as the client has written it."""


class Servers(dict[str, Live]):
    """By id. A request may know one that is not there, as what a server gave out may outlive it."""

    def __missing__(self, id: str) -> Live:
        raise InvalidParams(f"server '{id}' is not in the configuration; list again")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The configuration, who offers what, and the live servers."""

    config: Config
    catalog: Catalog
    servers: Mapping[str, Live]
    listings: Listings
    levels: LogLevels
    bridge: Bridge
    audience: Audience
    gate: Gate
    answers: Answers
    watch: Watch | None = None
    """Hears of each finished request; None: nobody does."""
    ways: "dict[Key, Way]" = field(default_factory=dict)
    """Those found so far: see relay/under_way.py."""

    def view(self, mount: str | None) -> View | None:
        """The view of `/mcp` (None) or of `/mcp/{mount}`; None for an unknown server."""
        return self.catalog.view(mount)
