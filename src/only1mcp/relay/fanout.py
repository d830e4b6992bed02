"""Lists: ask each server for all it offers, keep the answers, know when they are too old.

    server joins / says list_changed / its time is up ──► fetch ──► Listing ──► Catalog
    server is down ──stale_lists──► hidden, until it is back

Requests never wait for a server that is merely slow: after GRACE_S they get the last list.
Bounds  one fetch at a time per server; what one may bring: relay/fetch.py.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Final

from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import NOTHING, Kind, Listing
from only1mcp.catalog.pages import NO_PROMISE, Promise
from only1mcp.catalog.view import View
from only1mcp.config.model import Config
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.caching import LONGEST_TTL_S
from only1mcp.protocol.errors import McpError, ServerFault, ServerTimeout
from only1mcp.protocol.methods import METHODS
from only1mcp.relay.admission import once_more
from only1mcp.relay.fetch import FAILED_TTL_S, Hold, fetch
from only1mcp.upstream.base import Callee
from only1mcp.upstream.roster import Live, Roster, State

log = logging.getLogger("only1mcp.lists")

_Place = tuple[str | None, Kind]
"""A list of one mount."""
CALM_S: Final = 0.1
"""Between list_changed and the fetch: changes within this time make one fetch, and a server
that says it at every list is not asked without end."""
COARSE_S: Final = 10.0
"""What is promised for longer than this is promised in whole seconds."""
GRACE_S: Final = 2.0
"""How long a list request waits for a server that is starting or slow to list."""


@dataclass(slots=True)
class _Kept:
    listing: Listing
    holds: dict[Kind, Hold]
    ends_at: dict[Kind, float]
    """Of the lists that were asked for; the others never end."""

    def is_due(self, kinds: Iterable[Kind], now: float) -> bool:
        """Whether one of these lists has to be asked for again."""
        return any(self.ends_at.get(kind, inf) <= now for kind in kinds)

    def due(self, now: float) -> tuple[Kind, ...]:
        """What to ask for: these, and what the server may have had no word of before."""
        return tuple(kind for kind in Kind if self.ends_at.get(kind, now) <= now)


@dataclass(slots=True)
class _Fetch:
    task: "asyncio.Task[McpError | None]"
    began: float


class Listings:
    """The last list of every server, refreshed when needed, and the catalogue of them all."""

    def __init__(self, roster: Roster, config: Config, on_change: Callable[[], None]) -> None:
        self._roster = roster
        self._configure(config)
        self._on_change = on_change
        self._catalog: Catalog | None = None
        self._outdated = True
        self._kept: dict[str, _Kept] = {}
        self._fetching: dict[str, _Fetch] = {}
        self._again: set[str] = set()
        self._tried: dict[str, tuple[Live, _Kept]] = {}  # of those that are not current yet
        self._leaving: dict[str, asyncio.TimerHandle] = {}  # down: when its lists are hidden
        self._hidden: set[str] = set()
        self._due_at: dict[_Place, float] = {}  # found out by `current`, ...
        self._promises: dict[_Place, tuple[float, bool] | None] = {}  # ... by `promise`
        self._tasks = Tasks()
        self._news = asyncio.Event()  # a server is in another state; never stays set
        self._born = asyncio.get_running_loop().time()

    @property
    def catalog(self) -> Catalog:
        """Who offers what, as of now; built when first asked for after a change."""
        if self._outdated or self._catalog is None:
            servers = [live.config for live in self._roster.servers.values()]
            shown = self._kept.keys() - self._hidden
            known = {id: kept.listing for id, kept in self._kept.items() if id in shown}
            self._catalog = Catalog.build(servers, known, self._naming, self._catalog)
            self._outdated = False
        return self._catalog

    async def joined(self, live: Live) -> None:
        """Fetch the lists of a server that has just been greeted.

        Raises:
            McpError: no list could be had; the server is not ready then.
        """
        if not self._roster.is_current(live):
            await self._try(live)
            return
        self.end(live.id)  # it may be another version
        self._fetching.pop(live.id, None)  # of the connection before: it ends for nobody
        if (fault := await self._refresh(live).task) is not None:
            raise fault

    def changed(self, live: Live) -> None:
        """The server said list_changed: what we hold is old from now on."""
        self.end(live.id)
        if live.id in self._fetching:
            self._again.add(live.id)  # the answer under way may predate the change
        else:
            self._refresh(live, CALM_S)

    def end(self, server: str, kinds: Iterable[Kind] = Kind) -> None:
        """These lists are old from now on: the next who wants them waits for new ones."""
        if (kept := self._kept.get(server)) is not None:
            now = asyncio.get_running_loop().time()
            kept.ends_at.update({kind: now for kind in kinds if kind in kept.ends_at})
            self._look_again()

    def promise(self, view: View, kind: Kind) -> Promise:
        """What a list may say of itself: the least that is left of what its servers said.

        Nothing is promised while a server is missing, and nothing on behalf of one that is silent.
        It is private where callers have to say who they are.
        """
        place = view.server, kind
        if place not in self._promises:
            self._promises[place] = self._promised(view, kind)
        if (found := self._promises[place]) is None:
            return NO_PROMISE
        ends_at, public = found
        left_s = min(LONGEST_TTL_S, ends_at - asyncio.get_running_loop().time())
        if left_s > COARSE_S:
            left_s = left_s // 1  # so that the text is the same for a second
        return Promise(max(0, int(left_s * 1000)), public)

    def _promised(self, view: View, kind: Kind) -> tuple[float, bool] | None:
        """Until when, and whether for all; None: nothing."""
        ends_at, public = inf, self._for_all
        for id in view.servers:
            if (kept := self._kept.get(id)) is None:
                return None
            if (hold := kept.holds.get(kind)) is None:
                continue  # it has no such list
            if not hold.said:
                return None
            ends_at = min(ends_at, kept.ends_at[kind])
            public = public and hold.public
        return (ends_at, public) if view.servers else None

    def noticed(self, live: Live) -> None:
        """Its state has changed. The last lists of a server that is down are shown for a while
        longer: tools that come and go with it cost clients more than a call that fails."""
        self._look_again()
        self._news.set()  # for those who wait now
        self._news.clear()
        if live.state in (State.READY, State.IDLE):
            self._show(live.id)
        elif live.id in self._kept and live.id not in self._hidden | self._leaving.keys():
            loop = asyncio.get_running_loop()
            stale_s = live.config.stale_lists
            self._leaving[live.id] = loop.call_later(stale_s, self._hide, live)

    def moved(self, live: Live) -> None:
        """A server has taken the place of another: so do its lists, if it has any."""
        self._fetching.pop(live.id, None)  # of the other one: it ends for nobody
        self._again.discard(live.id)
        tried, kept = self._tried.pop(live.id, None), self._kept.get(live.id)
        if tried is not None and tried[0] is live:
            if kept is not None and kept.listing == tried[1].listing:
                tried[1].listing = kept.listing  # unchanged: keep the object
            self._kept[live.id] = tried[1]
        self._change()

    def adopt(self, config: Config) -> None:
        """The configuration is another: names, times, and the servers of the roster."""
        before = self._keeps, self._ttl_s
        self._configure(config)
        if before != (self._keeps, self._ttl_s):
            for id in self._kept:
                self.end(id)
        for id in (self._kept.keys() | self._tried.keys()) - self._roster.servers.keys():
            self._kept.pop(id, None)
            self._tried.pop(id, None)
            self._show(id)
        self._change()

    def _configure(self, config: Config) -> None:
        self._naming = config.naming
        self._keeps = config.cache.enabled
        self._ttl_s = {
            Kind.TOOLS: config.cache.l1.ttl,
            Kind.RESOURCES: config.cache.l2.ttl,
            Kind.TEMPLATES: config.cache.l2.ttl,
            Kind.PROMPTS: config.cache.l3.ttl,
        }
        self._for_all = config.server.auth in (None, "none")

    async def started(self, ids: Sequence[str]) -> None:
        """Wait for those of these servers that are still starting, until GRACE_S after our own
        start."""
        late, grace_s = self._starting(ids)
        await self._roster.settle(late, grace_s)

    async def news(self, ids: Sequence[str]) -> bool:
        """The same, but only until something is new about any server; False if there is nothing
        to wait for."""
        late, grace_s = self._starting(ids)
        if not late or grace_s <= 0:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._news.wait()
        return True

    def _starting(self, ids: Sequence[str]) -> tuple[list[str], float]:
        """Which of these servers are still starting, and for how long that is waited for."""
        servers = self._roster.servers
        late = [id for id in ids if id in servers and not servers[id].settled.is_set()]
        return late, self._born + GRACE_S - asyncio.get_running_loop().time()

    def current(self, view: View, kind: Kind) -> View | None:
        """The view to list from, if none of its servers has to be asked or waited for."""
        place, now = (view.server, kind), asyncio.get_running_loop().time()
        due_at = self._due_at.get(place)
        if due_at is None:
            due_at = self._due_at[place] = self._next_due(view, kind)
        if now >= due_at:
            del self._due_at[place]
            return None
        return self.catalog.view(view.server) or view

    def _next_due(self, view: View, kind: Kind) -> float:
        """When one of these servers has to be asked for this list; at once if one starts."""
        ends_at = inf
        for id in view.servers:
            live, kept = self._roster.servers.get(id), self._kept.get(id)
            if live is not None and not live.settled.is_set():
                return -inf
            if live is not None and live.upstream is not None and kept is not None:
                ends_at = min(ends_at, kept.ends_at.get(kind, inf))
        return ends_at

    async def renewed(self, view: View, kinds: Iterable[Kind] = Kind) -> tuple[View, bool]:
        """The view to list from: its servers' lists brought up to date, within GRACE_S. And
        whether that was so without asking any.

        Only the first of those who ask wait for a server that hangs.
        """
        now = asyncio.get_running_loop().time()
        servers = self._roster.servers
        await self.started(view.servers)
        fetches = [
            self._refresh(servers[id])
            for id in view.servers
            if id in servers
            and servers[id].upstream is not None
            and (kept := self._kept.get(id)) is not None
            and kept.is_due(kinds, now)
        ]
        waiting = [one.task for one in fetches if one.began + GRACE_S > now]
        if waiting:
            await asyncio.wait(waiting, timeout=GRACE_S)
        return self.catalog.view(view.server) or view, not fetches

    async def close(self) -> None:
        """End the fetches under way."""
        for timer in self._leaving.values():
            timer.cancel()
        await self._tasks.close()

    def _hide(self, live: Live) -> None:
        log.warning("server %s: down for too long, its lists are hidden", live.id)
        del self._leaving[live.id]
        self._hidden.add(live.id)
        self._change()

    def _show(self, id: str) -> None:
        if (timer := self._leaving.pop(id, None)) is not None:
            timer.cancel()
        if id in self._hidden:
            self._hidden.remove(id)
            self._change()

    def _look_again(self) -> None:
        """What was found out about all servers together may not be so any more."""
        self._due_at.clear()
        self._promises.clear()

    def _change(self) -> None:
        self._outdated = True
        self._look_again()
        self._on_change()

    def _refresh(self, live: Live, pause_s: float = 0.0) -> _Fetch:
        fetch = self._fetching.get(live.id)
        if fetch is None:
            task = self._tasks.start(self._refetch(live, pause_s), f"list {live.id}")
            fetch = _Fetch(task, asyncio.get_running_loop().time())
            self._fetching[live.id] = fetch
        return fetch

    async def _refetch(self, live: Live, pause_s: float) -> McpError | None:
        """The fault as a value: it is for those who wait, and the last lists are still there."""
        fault = None
        try:
            await asyncio.sleep(pause_s)
            self._again.discard(live.id)
            if live.calls is not None:
                await self._fetch(live, live.calls)
        except McpError as error:
            fault = error
            self._put_off(live, error)
        finally:
            fetch = self._fetching.get(live.id)
            if fetch is not None and fetch.task is asyncio.current_task():
                del self._fetching[live.id]
        if not self._roster.is_current(live):
            return fault
        if live.id in self._again:
            self._again.discard(live.id)
            self.changed(live)
        elif pause_s:  # it said so, and whoever passes that on waits for the list
            self._on_change()
        return fault

    def _put_off(self, live: Live, fault: McpError) -> None:
        if (kept := self._kept.get(live.id)) is not None:
            again_at = asyncio.get_running_loop().time() + FAILED_TTL_S
            kept.ends_at = {kind: max(end, again_at) for kind, end in kept.ends_at.items()}
            self._look_again()
            log.warning("server %s: lists not refreshed: %s", live.id, fault.message)

    async def _try(self, live: Live) -> None:
        """Fetch the lists of a server that is to take the place of another."""
        assert live.lead is not None
        assert live.lead.calls is not None
        listing, holds = await fetch(live.lead.calls, live.config.timeouts.list)
        self._tried[live.id] = live, self._held(listing, holds, None)

    async def _fetch(self, live: Live, upstream: Callee) -> None:
        kept = self._kept.get(live.id)
        last = kept.listing if kept is not None else NOTHING
        began, timeout_s = monotonic(), live.config.timeouts.list
        kinds = tuple(Kind) if kept is None else kept.due(asyncio.get_running_loop().time())
        try:
            listing, holds = await fetch(upstream, timeout_s, last, kinds)
        except ServerFault as fault:
            if live.calls is not upstream or isinstance(fault, ServerTimeout):
                raise  # connected again it is listed anew; and who hangs has had its time
            if await once_more(fault, live, METHODS["tools/list"], "", began) is None:
                raise
            listing, holds = await fetch(upstream, timeout_s, last, kinds)
        if not self._roster.is_current(live) or live.calls is not upstream:
            return  # it was replaced or removed meanwhile, or is connected anew
        unchanged = kept is not None and kept.listing == listing
        if kept is not None and unchanged:
            listing = kept.listing  # the object, and all that is built from it
        self._kept[live.id] = self._held(listing, holds, kept if len(kinds) < len(Kind) else None)
        self._look_again()
        if not unchanged:
            self._change()

    def _held(self, listing: Listing, holds: dict[Kind, Hold], before: _Kept | None) -> _Kept:
        """What is kept now; `before` has the lists that were not asked for this time."""
        now = asyncio.get_running_loop().time()
        ends_at = {}
        for kind, hold in holds.items():
            ends_at[kind] = now + hold.lasts_s(self._ttl_s[kind]) * self._keeps
        if before is not None:
            holds, ends_at = before.holds | holds, before.ends_at | ends_at
        return _Kept(listing, holds, ends_at)
