"""The only composer: a Config becomes running servers, a catalogue and two edges.

Roster ──joined──► Listings ──► Catalog ──► Snapshot ──► Streamable / StdioEdge
   └─ notifications that belong to no call ──► list_changed, log messages to sessions
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Raw

from only1mcp.admin.app import make_app
from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import Kind
from only1mcp.config.model import Config
from only1mcp.observe import access
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.access import Access
from only1mcp.policy.limit import Gate
from only1mcp.relay.audience import CHANGED, Audience
from only1mcp.relay.bridge import Bridge
from only1mcp.relay.fanout import Listings
from only1mcp.relay.levels import LogLevels
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server.http import Edge, Exchange, ListenError
from only1mcp.server.reader import SSE_PATHS
from only1mcp.server.session import Session, Sessions
from only1mcp.server.sse import SseEdge
from only1mcp.server.stdio import MAX_LINE_BYTES, Lines, StdioEdge
from only1mcp.server.streamable import Streamable
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.roster import Live, Roster, State

__all__ = ["MAX_LINE_BYTES", "Gateway", "Kind", "Lines", "ListenError", "Live", "State"]

log = logging.getLogger("only1mcp.gateway")

SWEEP_S: Final = 1.0
"""How often idle sessions and silent streams are looked at."""
ANNOUNCE_S: Final = 0.1
"""Changes within this time make one list_changed."""


class Gateway:
    """One running gateway. `start` it, `serve` stdio if wanted, `close` it."""

    def __init__(self, config: Config, notice: Callable[[Live], None] | None = None) -> None:
        """`notice` is called after each change of a server's state."""
        self.config = config
        self._notice = notice
        self._tasks = Tasks()
        self._draining = False
        self._announcing: asyncio.TimerHandle | None = None
        self._sessions = Sessions(asyncio.get_running_loop().time, self._left)
        self._stdio: StdioEdge | None = None
        self.roster = Roster(config.servers, self._noticed, self._from_server, self._greeted)
        self._listings = Listings(self.roster, config.naming, self._lists_changed)
        self._levels = LogLevels(self.roster, self._wanted_levels)
        self._audience = Audience(
            *(self.roster.servers, self._clients, self._client, self._from_server),
            one_principal=_one_principal(config),
        )
        self._gate = Gate(config.server.limits)
        self._bridge = Bridge(asyncio.get_running_loop().time)
        self._snapshot = self._take_snapshot(self._listings.catalog)
        self._announced = self._snapshot.catalog
        self._streamable = Streamable(self.snapshot, self._sessions)
        self._sse = SseEdge(self.snapshot, self._sessions)
        self.edge: Edge | None = None

    def snapshot(self) -> Snapshot:
        """Everything as it is now; a request keeps the one it got."""
        catalog = self._listings.catalog
        if catalog is not self._snapshot.catalog:
            self._snapshot = self._take_snapshot(catalog)
        return self._snapshot

    async def listen(self, port: int | None = None) -> Edge:
        """Bind the HTTP edge. `port` overrides the configured one; 0 takes a free one.

        Raises:
            ListenError: the address cannot be bound, or the certificate cannot be used.
        """
        app = make_app(self.snapshot, lambda: not self._draining)
        settings = self.config.server
        self.edge = Edge(settings, Access(settings), self._handle, app, port=port)
        await self.edge.start()
        return self.edge

    def start(self) -> None:
        """Start all servers; each is ready in its own time."""
        self.roster.start(self._joined, self._held)
        self._tasks.start(self._sweep(), "sweep")

    async def serve_stdio(self, lines: Lines, write: Callable[[bytes], None]) -> None:
        """Be an MCP server on a pair of pipes until the input ends."""
        self._stdio = StdioEdge(self.snapshot, write)
        await self._stdio.serve(lines)

    async def drain(self) -> None:
        """Take no new requests and let those under way finish, up to `server.drain_timeout`."""
        self._draining = True
        self._audience.end_listens()
        if self.edge is None:
            return
        self.edge.stop_accepting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.server.drain_timeout):
                while self.edge.requests_in_flight:  # noqa: ASYNC110 - no event per request for this
                    await asyncio.sleep(0.02)

    async def close(self) -> None:
        """End everything: clients first, then the servers and their processes."""
        self._draining = True
        self._audience.end_listens()
        await self._sse.close()
        if self.edge is not None:
            await self.edge.close()
        await self._tasks.close()
        await self._bridge.close()
        await self._levels.close()
        await self._audience.subscriptions.close()
        await self._listings.close()
        await self.roster.close()
        if self._announcing is not None:
            self._announcing.cancel()

    async def _handle(self, exchange: Exchange) -> None:
        older = exchange.request.path in SSE_PATHS
        await (self._sse if older else self._streamable).handle(exchange)

    def _take_snapshot(self, catalog: Catalog) -> Snapshot:
        return Snapshot(
            self.config,
            catalog,
            self.roster.servers,
            self._listings,
            self._levels,
            self._bridge,
            self._audience,
            self._gate,
            access.current(),
        )

    async def _joined(self, live: Live) -> None:
        await self._audience.subscriptions.joined(live)
        await self._listings.joined(live)

    def _held(self, live: Live) -> bool:
        audience = self._audience
        return audience.subscriptions.watches(live.id) or bool(audience.handed.at_work(live.id))

    async def _greeted(self, upstream: Upstream) -> None:
        await self._levels.greeted(upstream)

    def _left(self, session: Session) -> None:
        self.roster.leave(session.id)
        self._audience.subscriptions.end(session.id)

    def _noticed(self, live: Live) -> None:
        self._listings.noticed(live)
        if self._notice is not None:
            self._notice(live)

    def _clients(self) -> Iterable[Session]:
        yield from self._sessions
        if self._stdio is not None and self._stdio.session is not None:
            yield self._stdio.session

    def _client(self, id: str) -> Session | None:
        stdio = self._stdio.session if self._stdio is not None else None
        return stdio if stdio is not None and stdio.id == id else self._sessions.get(id)

    def _wanted_levels(self) -> Iterable[int]:
        return [one.least for one in self._clients() if one.least is not None]

    def _from_server(
        self, live: Live, method: str, params: Raw, place: str = "", who: str | None = None
    ) -> None:
        if method not in CHANGED:
            self._audience.hear(live.id, method, params, place, who)
            return
        self._audience.said(live.id, method)
        self._audience.subscriptions.changed(live)
        self._listings.changed(live)

    def _lists_changed(self) -> None:
        if self._announcing is None:
            loop = asyncio.get_running_loop()
            self._announcing = loop.call_later(ANNOUNCE_S, self._announce)

    def _announce(self) -> None:
        """Tell each client which of its lists are not what they were."""
        self._announcing = None
        before, self._announced = self._announced, self.snapshot().catalog
        self._audience.announce(before, self._announced)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            self._streamable.sweep(loop.time())
            self._sse.sweep(loop.time())
            self._bridge.sweep()
            self.roster.sweep(self._audience.handed.at_work)


def _one_principal(config: Config) -> bool:
    """Whether all clients there can be are one and the same: the local user, or one token."""
    auth = config.server.auth
    return auth is None or (auth != "none" and len(auth.tokens) == 1)
