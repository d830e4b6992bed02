"""The only composer: a Config becomes running servers, a catalogue and two edges.

Roster ──joined──► Listings ──► Catalog ──► Snapshot ──► Streamable / StdioEdge
   └─ notifications that belong to no call ──► list_changed, log messages to sessions
reload ──► read, checked ──► the difference ──► Roster, Listings, Edge; then one list_changed
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Raw

from only1mcp.admin.app import make_app
from only1mcp.admin.desk import Desk
from only1mcp.admin.reload import Outcome, Reloads
from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import Kind
from only1mcp.census import FAMILIES, census
from only1mcp.config.diff import Diff, diff, in_force, others
from only1mcp.config.faults import ConfigError, Fault
from only1mcp.config.load import Loaded
from only1mcp.config.model import Config
from only1mcp.config.secrets import secrets
from only1mcp.config.store import Store
from only1mcp.config.watch import Source, Watch
from only1mcp.observe import access, logs, tracing
from only1mcp.observe.meter import Meter
from only1mcp.observe.numbers import Pulse
from only1mcp.observe.tasks import Tasks
from only1mcp.observe.watch import watch
from only1mcp.policy.access import Access, one_principal
from only1mcp.policy.limit import Gate
from only1mcp.protocol.errors import McpError
from only1mcp.relay.answers import Answers
from only1mcp.relay.audience import CHANGED, Audience
from only1mcp.relay.bridge import Bridge
from only1mcp.relay.fanout import Listings
from only1mcp.relay.happenings import Happenings
from only1mcp.relay.levels import LogLevels
from only1mcp.relay.snapshot import Servers, Snapshot
from only1mcp.server.http import Edge, Exchange, ListenError, Rest
from only1mcp.server.numbers import Front
from only1mcp.server.reader import SSE_PATHS
from only1mcp.server.session import Session, Sessions, describe
from only1mcp.server.sse import SseEdge
from only1mcp.server.stdio import MAX_LINE_BYTES, Lines, StdioEdge
from only1mcp.server.streamable import Streamable
from only1mcp.upstream.roster import Live, Roster, State

__all__ = ["FAMILIES", "MAX_LINE_BYTES", "Gateway", "Kind", "Lines", "ListenError", "Live", "State"]

log = logging.getLogger("only1mcp.gateway")

SWEEP_S: Final = 1.0
"""How often idle sessions and silent streams are looked at."""
ANNOUNCE_S: Final = 0.1
"""Changes within this time make one list_changed."""
TOGETHER_S: Final = 10.0
"""So long the servers that a reload starts may take to be part of its one list_changed."""
HURRY_S: Final = 0.3
"""For clients to be told that their calls end, before everything is cut."""


class Gateway:
    """One running gateway. `start` it, `serve` stdio if wanted, `close` it."""

    def __init__(
        self,
        config: Config,
        notice: Callable[[Live], None] | None = None,
        source: Source | None = None,
    ) -> None:
        """`notice` is called after each change of a server's state; `source` is where `config`
        has been read and can be read again."""
        self.config = config
        self._source = source
        self._happenings = Happenings()
        self.events = self._happenings.events
        hear = self._happenings.reloaded
        self._reloads = Reloads(self._read, self._apply, lambda how: hear(how.changes, how.faults))
        self._watching: list[asyncio.Task[None]] = []
        self._together: asyncio.Task[None] | None = None
        self._notice = notice
        self._tasks = Tasks()
        self._draining = False
        self._announcing: asyncio.TimerHandle | None = None
        clock = asyncio.get_running_loop().time
        self._sessions = Sessions(clock, self._left)
        self._stdio: StdioEdge | None = None
        self.roster = Roster(
            config.servers, self._noticed, self._from_server, lambda one: self._levels.greeted(one)
        )
        self._listings = Listings(self.roster, config, self._lists_changed)
        self._levels = LogLevels(self.roster, self._wanted_levels)
        alone = one_principal(config.server)
        self._audience = Audience(
            *(self.roster.servers, self._clients, self._client, self._from_server),
            one_principal=alone,
        )
        self._answers = Answers(config, clock, one_principal=alone)
        self._gate = Gate(config.server.limits)
        self._meter = Meter(config.metrics.tools) if config.metrics.enabled else None
        self._bridge = Bridge(clock)
        self._snapshot = self._take_snapshot(self._listings.catalog)
        self._announced = self._snapshot.catalog
        self._streamable = Streamable(self.snapshot, self._sessions)
        self._sse = SseEdge(self.snapshot, self._sessions)
        self.edge: Edge | None = None
        self._pulse = Pulse()
        rooms = (lambda: self.roster.servers), self._front, self._reloads, self._pulse
        self.metrics = census(self.snapshot, *rooms) if config.metrics.enabled else None

    def snapshot(self) -> Snapshot:
        """Everything as it is now; a request keeps the one it got."""
        catalog = self._listings.catalog
        if catalog is not self._snapshot.catalog:
            self._snapshot = self._take_snapshot(catalog)
        return self._snapshot

    def _front(self) -> Front | None:
        shared = self.edge.shared if self.edge is not None else None
        return None if shared is None else Front(shared, self._sessions)

    async def listen(self, port: int | None = None) -> Edge:
        """Bind the HTTP edge. `port` overrides the configured one; 0 takes a free one.

        Raises:
            ListenError: the address cannot be bound, or the certificate cannot be used.
        """
        app = make_app(self.desk())
        settings = self.config.server
        self.edge = Edge(settings, Access(settings), self._handle, app, port=port)
        await self.edge.start()
        return self.edge

    def desk(self) -> Desk:
        """What the admin API works with."""
        source = self._source
        store = Store(source.file, source.check) if source is not None else None
        return Desk(
            *(self.snapshot, lambda: not self._draining, self._reloads, self.roster.restart),
            lambda: describe(self._clients(), asyncio.get_running_loop().time()),
            lambda: self.edge.load if self.edge is not None else (0, 0),
            *(self.events, store, self.metrics),
        )

    def start(self) -> None:
        """Start all servers; each is ready in its own time."""
        self.roster.start(self._joined, self._held, self._moved)
        self._tasks.start(self._sweep(), "sweep")
        self._follow()

    async def reload(self) -> Outcome:
        """Read the configuration again and put it in force, all of it or nothing.

        Requests under way keep the snapshot they have and the servers it names.
        """
        if self._source is None:
            log.warning("not reloaded: this gateway was not started from a file")
            return Outcome()
        return await self._reloads.reload()

    async def serve_stdio(self, lines: Lines, write: Callable[[bytes], None]) -> None:
        """Be an MCP server on a pair of pipes until the input ends."""
        self._stdio = StdioEdge(self.snapshot, write)
        await self._stdio.serve(lines)

    async def drain(self) -> None:
        """Take no new requests and let those under way finish, up to `server.drain_timeout`."""
        self._draining = True
        self._unfollow()
        self.events.close()
        if self.edge is not None:
            await asyncio.sleep(self.config.server.drain_delay)
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
        self._unfollow()
        self._happenings.close()
        await self._reloads.close()
        self._audience.end_listens()
        await self._sse.close()
        if self.edge is not None:
            await self.edge.close()
        await self._tasks.close()
        await self._answers.close()
        await self._bridge.close()
        await self._levels.close()
        await self._audience.close()
        await self._listings.close()
        await self.roster.close()
        if self._announcing is not None:
            self._announcing.cancel()

    def hurry(self) -> None:
        """While it drains or closes: calls under way end now, then everything is cut."""

        def cut() -> None:
            if self.edge is not None:
                self.edge.cut()
            self.roster.hurry()

        if self.edge is not None:
            self.edge.hurry()
        asyncio.get_running_loop().call_later(HURRY_S, cut)

    def _handle(self, exchange: Exchange) -> Rest:
        older = exchange.request.path in SSE_PATHS
        return self._sse.handle(exchange) if older else self._streamable.handle(exchange)

    def _take_snapshot(self, catalog: Catalog) -> Snapshot:
        return Snapshot(
            self.config,
            catalog,
            Servers(self.roster.servers),
            self._listings,
            self._levels,
            self._bridge,
            self._audience,
            self._gate,
            self._answers,
            watch(self._meter, tracing.current(), access.current(), remember=self.events.tell),
        )

    # --- another configuration ---

    def _read(self) -> Loaded:
        assert self._source is not None
        return self._source.read()

    def _apply(self, config: Config) -> Diff:
        """Put `config` in force.

        Raises:
            ConfigError: it cannot be; nothing has changed then.
        """
        changes = diff(self.config, config)
        config = in_force(self.config, config, changes)
        renew = self._prepared(config)
        logs.hide(secrets(others(self.config, config)))
        if "logging.level" in changes.settings:
            logs.set_level(config.logging.level)
        self.config = config
        renew()
        if changes:
            self.roster.change(config.servers)
            self._announce_together()
            self._gate.adopt(config.server.limits)
            self._audience.one_principal = one_principal(config.server)
            self._answers.adopt(changes, config, one_principal=one_principal(config.server))
            self._listings.adopt(config)
            self._end_others()
            self._follow()
        return changes

    def _prepared(self, config: Config) -> Callable[[], None]:
        if self.edge is None:
            return lambda: None
        try:
            return self.edge.prepare(config.server)
        except (ValueError, ListenError) as error:
            file = str(self._source.file) if self._source else "configuration"
            raise ConfigError((Fault(file, 0, 0, "server", str(error)),)) from None

    def _end_others(self) -> None:
        """Let go of clients whose token or mount is no more."""
        principals = self.edge.principals if self.edge is not None else None
        self._audience.end_others(principals, self.roster.servers)
        if principals is not None:
            self._sessions.end_others(principals)

    def _announce_together(self) -> None:
        """Tell clients once of all that a reload brings, unless servers take long to start."""

        async def wait() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TOGETHER_S):
                    while late := self.roster.settling():
                        await late[0].settled.wait()
            self._together = None
            self._lists_changed()

        if self._together is None:
            self._together = self._tasks.start(wait(), "settle after a reload")

    def _follow(self) -> None:
        """Watch the file, or watch it no more, as configured."""
        source = self._source
        if source is None or not self.config.hot_reload.enabled:
            self._unfollow()
        elif not self._watching:
            watch = Watch(source.file, source.content, lambda: self.config.hot_reload.debounce)
            self._watching = [
                self._tasks.start(watch.hear(), "hear of the configuration"),
                self._tasks.start(watch.run(self.reload), "watch the configuration"),
            ]

    def _unfollow(self) -> None:
        while self._watching:
            self._watching.pop().cancel()

    # --- what servers do ---

    async def _joined(self, live: Live) -> None:
        if self.roster.is_current(live):
            self._answers.forget(live.id)  # it may be another version
            await self._audience.subscriptions.joined(live)
        await self._listings.joined(live)

    def _moved(self, live: Live) -> None:
        """`live` has taken the place of another: from now on it counts as if it had joined."""
        self._listings.moved(live)
        self._noticed(live)
        if live.upstream is not None:
            self._tasks.start(self._heard_of(live), f"join {live.id}")

    async def _heard_of(self, live: Live) -> None:
        try:
            await self._joined(live)
        except McpError as fault:  # it was good a moment ago; its own task sees to it
            log.warning("server %s: %s", live.id, fault.message)

    def _held(self, live: Live) -> bool:
        mine = self._audience
        return mine.subscriptions.watches(live.id) or bool(mine.handed.at_work(live.id))

    def _left(self, session: Session) -> None:
        self.roster.leave(session.id)
        self._audience.subscriptions.end(session.id)

    def _noticed(self, live: Live) -> None:
        if not self.roster.is_current(live):
            return
        self._listings.noticed(live)
        self._happenings.look(live)
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
        if not self.roster.is_current(live):
            return
        self._answers.heard(live.id, method, params)
        if method not in CHANGED:
            self._audience.hear(live.id, method, params, place, who)
            return
        self._audience.said(live.id, method)
        self._audience.subscriptions.changed(live)
        self._listings.changed(live)

    def _lists_changed(self) -> None:
        if self._announcing is None and self._together is None:
            self._announcing = asyncio.get_running_loop().call_later(ANNOUNCE_S, self._announce)

    def _announce(self) -> None:
        """Tell each client which of its lists are not what they were."""
        self._announcing = None
        if self._together is not None:
            return  # it says this too
        before, self._announced = self._announced, self.snapshot().catalog
        self._audience.announce(before, self._announced)
        self._happenings.lists(before, self._announced)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + SWEEP_S
            await asyncio.sleep(SWEEP_S)
            self._pulse.beat(loop.time() - due)
            self._streamable.sweep(loop.time())
            self._sse.sweep(loop.time())
            self._bridge.sweep()
            self._answers.sweep()
            self.roster.sweep(self._audience.handed.at_work)
            self._happenings.look_at_all(self.roster.servers.values())
