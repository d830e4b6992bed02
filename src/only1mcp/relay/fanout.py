"""Lists: ask each server for all it offers, keep the answers, know when they are too old.

    server joins / says list_changed / its time is up ──► fetch ──► Listing ──► Catalog

Requests never wait for a server that is merely slow: after GRACE_S they get the last list.
Bounds  pages, entries and bytes per list, one fetch at a time per server.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import NOTHING, Kind, Listing
from only1mcp.catalog.view import View
from only1mcp.config.model import Naming
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.errors import (
    InvalidParams,
    McpError,
    MethodNotFound,
    ParseError,
    ServerFault,
    ServerProtocolError,
    ServerTimeout,
    UpstreamError,
)
from only1mcp.protocol.message import Params, as_raw
from only1mcp.protocol.methods import METHODS
from only1mcp.relay import behind
from only1mcp.relay.admission import once_more
from only1mcp.upstream.base import Call, Upstream
from only1mcp.upstream.roster import Live, Roster

log = logging.getLogger("only1mcp.lists")

MAX_PAGES: Final = 1000
MAX_ENTRIES: Final = 50_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all pages of one list; 50 000 tools with usual schemas are about as much."""
DEFAULT_TTL_S: Final = 300.0
"""How long a list is kept from a server that gives no ttlMs; list_changed ends it at once."""
UNTOLD_TTL_S: Final = 5.0
"""The same of a server that declares no listChanged: only a further look can tell."""
LONGEST_TTL_S: Final = 86_400.0
FAILED_TTL_S: Final = 30.0
"""How long a list that could not be had is not asked for again."""
CALM_S: Final = 0.1
"""Between list_changed and the fetch: changes within this time make one fetch, and a server
that says it at every list is not asked without end."""
GRACE_S: Final = 2.0
"""How long a list request waits for a server that is starting or slow to list."""

_METHODS: Final = {
    Kind.TOOLS: "tools/list",
    Kind.PROMPTS: "prompts/list",
    Kind.RESOURCES: "resources/list",
    Kind.TEMPLATES: "resources/templates/list",
}
_CAPABILITY: Final = {
    Kind.TOOLS: "tools",
    Kind.PROMPTS: "prompts",
    Kind.RESOURCES: "resources",
    Kind.TEMPLATES: "resources",
}


@dataclass(slots=True)
class _Kept:
    listing: Listing
    expires_at: float


@dataclass(slots=True)
class _Fetch:
    task: "asyncio.Task[McpError | None]"
    began: float


class Listings:
    """The last list of every server, refreshed when needed, and the catalogue of them all."""

    def __init__(self, roster: Roster, naming: Naming, on_change: Callable[[], None]) -> None:
        self._roster = roster
        self._naming = naming
        self._on_change = on_change
        self._catalog: Catalog | None = None
        self._outdated = True
        self._kept: dict[str, _Kept] = {}
        self._fetching: dict[str, _Fetch] = {}
        self._again: set[str] = set()
        self._tasks = Tasks()
        self._born = asyncio.get_running_loop().time()

    @property
    def catalog(self) -> Catalog:
        """Who offers what, as of now; built when first asked for after a change."""
        if self._outdated or self._catalog is None:
            servers = [live.config for live in self._roster.servers.values()]
            known = {id: kept.listing for id, kept in self._kept.items()}
            self._catalog = Catalog.build(servers, known, self._naming, self._catalog)
            self._outdated = False
        return self._catalog

    async def joined(self, live: Live) -> None:
        """Fetch the lists of a server that has just been greeted.

        Raises:
            McpError: no list could be had; the server is not ready then.
        """
        if (fault := await self._refresh(live).task) is not None:
            raise fault

    def changed(self, live: Live) -> None:
        """The server said list_changed: what we hold is old from now on."""
        if (kept := self._kept.get(live.id)) is not None:
            kept.expires_at = asyncio.get_running_loop().time()
        if live.id in self._fetching:
            self._again.add(live.id)  # the answer under way may predate the change
        else:
            self._refresh(live, CALM_S)

    async def started(self, ids: Sequence[str]) -> bool:
        """Wait for those of these servers that are still starting, until GRACE_S after our own
        start; says whether there were any."""
        late = [id for id in ids if not self._roster.servers[id].settled.is_set()]
        grace_s = self._born + GRACE_S - asyncio.get_running_loop().time()
        if not late or grace_s <= 0:
            return False
        await self._roster.settle(late, grace_s)
        return True

    async def renewed(self, view: View) -> View:
        """The view to list from: its servers' lists brought up to date, within GRACE_S.

        Only the first of those who ask wait for a server that hangs.
        """
        now = asyncio.get_running_loop().time()
        servers = self._roster.servers
        await self.started(view.servers)
        fetches = [
            self._refresh(servers[id])
            for id in view.servers
            if servers[id].upstream is not None
            and (kept := self._kept.get(id)) is not None
            and kept.expires_at <= now
        ]
        waiting = [one.task for one in fetches if one.began + GRACE_S > now]
        if waiting:
            await asyncio.wait(waiting, timeout=GRACE_S)
        return self.catalog.view(view.server) or view

    async def close(self) -> None:
        """End the fetches under way."""
        await self._tasks.close()

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
            if live.upstream is not None:
                await self._fetch(live, live.upstream)
        except McpError as error:
            fault = error
            self._put_off(live, error)
        finally:
            del self._fetching[live.id]
        if live.id in self._again:
            self._again.discard(live.id)
            self.changed(live)
        elif pause_s:  # it said so, and whoever passes that on waits for the list
            self._on_change()
        return fault

    def _put_off(self, live: Live, fault: McpError) -> None:
        if (kept := self._kept.get(live.id)) is not None:
            kept.expires_at = asyncio.get_running_loop().time() + FAILED_TTL_S
            log.warning("server %s: lists not refreshed: %s", live.id, fault.message)

    async def _fetch(self, live: Live, upstream: Upstream) -> None:
        kept = self._kept.get(live.id)
        last = kept.listing if kept is not None else NOTHING
        began, timeout_s = monotonic(), live.config.timeouts.list
        try:
            listing, ttl_s = await fetch(upstream, timeout_s, last)
        except ServerFault as fault:
            if live.upstream is not upstream or isinstance(fault, ServerTimeout):
                raise  # connected again it is listed anew; and who hangs has had its time
            await once_more(fault, live, METHODS[_METHODS[Kind.TOOLS]], "", began)
            listing, ttl_s = await fetch(upstream, timeout_s, last)
        expires_at = asyncio.get_running_loop().time() + ttl_s
        if kept is not None and kept.listing == listing:
            kept.expires_at = expires_at  # unchanged: keep the object, and all built from it
            return
        self._kept[live.id] = _Kept(listing, expires_at)
        self._outdated = True
        self._on_change()


async def fetch(
    upstream: Upstream, timeout_s: float, last: Listing = NOTHING
) -> tuple[Listing, float]:
    """Everything a server offers, and for how many seconds that holds.

    A list that cannot be had stays as it was in `last`; the others still count.

    Raises:
        McpError: the server is lost, leads back here, or not one of its lists could be had.
    """
    greeting = upstream.greeting
    gateways = await behind.check(upstream, timeout_s)
    ttl_s = LONGEST_TTL_S
    lists: dict[Kind, tuple[Params, ...]] = {}
    faults: list[McpError] = []
    for kind in _asked(greeting.capabilities):
        try:
            lists[kind], kind_ttl_s = await _pages(upstream, kind, timeout_s)
        except (UpstreamError, ServerTimeout, ServerProtocolError) as fault:
            faults.append(fault)
            lists[kind], kind_ttl_s = _missing(upstream, kind, fault, last)
        ttl_s = min(ttl_s, kind_ttl_s)
    serious = [fault for fault in faults if isinstance(fault, ServerFault)]
    if serious and len(faults) == len(lists):
        raise serious[0]
    listing = Listing(
        tools=lists.get(Kind.TOOLS, ()),
        prompts=lists.get(Kind.PROMPTS, ()),
        resources=lists.get(Kind.RESOURCES, ()),
        templates=lists.get(Kind.TEMPLATES, ()),
        capabilities=greeting.capabilities,
        instructions=greeting.instructions,
        server_info=greeting.server_info,
        gateways=gateways,
    )
    return listing, ttl_s


def _asked(declared: Mapping[str, object]) -> list[Kind]:
    """The lists to ask for; all of them if the server declares nothing at all."""
    return [kind for kind in Kind if not declared or _CAPABILITY[kind] in declared]


def _missing(
    upstream: Upstream, kind: Kind, fault: McpError, last: Listing
) -> tuple[tuple[Params, ...], float]:
    if isinstance(fault, UpstreamError) and fault.own_code == MethodNotFound.code:
        return (), DEFAULT_TTL_S  # declared in part, e.g. resources without templates
    log.warning("server %s: %s failed: %s", upstream.server, _METHODS[kind], fault.message)
    return last.entries(kind), FAILED_TTL_S


async def _pages(
    upstream: Upstream, kind: Kind, timeout_s: float
) -> tuple[tuple[Params, ...], float]:
    """One whole list and its time to live.

    Raises:
        McpError: as the server says; ServerProtocolError for what is no list.
    """
    entries: list[Params] = []
    seen: set[str] = set()
    cursor: str | None = None
    ttl_s = LONGEST_TTL_S
    silent_ttl_s = DEFAULT_TTL_S if _announces(upstream, kind) else UNTOLD_TTL_S
    size = 0
    while True:
        raw = await upstream.call(_page_call(upstream, kind, cursor, timeout_s))
        size += len(raw)
        try:
            page = message.members(raw)
            entries += message.objects(page.get(kind.value, message.NO_RAW))
            ttl_s = min(ttl_s, _ttl_s(page, silent_ttl_s))
            cursor = message.text(page.get("nextCursor"))
        except (InvalidParams, ParseError):
            raise _no_list(upstream, kind) from None
        if cursor is None:
            break
        if (
            cursor in seen
            or len(seen) >= MAX_PAGES
            or len(entries) > MAX_ENTRIES
            or size > MAX_BYTES
        ):
            log.warning(
                "server %s: %s never ends; cut at %d", upstream.server, _METHODS[kind], len(entries)
            )
            break
        seen.add(cursor)
    return tuple(entries[:MAX_ENTRIES]), ttl_s


def _page_call(upstream: Upstream, kind: Kind, cursor: str | None, timeout_s: float) -> Call:
    params: Params = {} if cursor is None else {"cursor": as_raw(cursor)}
    if upstream.greeting.modern:
        params["_meta"] = as_raw(own_meta({}))
    return Call(_METHODS[kind], params, idle_s=timeout_s, max_s=timeout_s)


def _no_list(upstream: Upstream, kind: Kind) -> ServerProtocolError:
    server, method = upstream.server, _METHODS[kind]
    return ServerProtocolError(
        server,
        f"server '{server}' answered {method} with something that is no list",
        hint="its log may say more",
    )


def _announces(upstream: Upstream, kind: Kind) -> bool:
    declared = upstream.greeting.capabilities.get(_CAPABILITY[kind])
    return isinstance(declared, dict) and declared.get("listChanged") is True


def _ttl_s(page: Params, silent_ttl_s: float) -> float:
    ttl: Any = message.any_value(page.get("ttlMs", message.NO_RAW))
    if isinstance(ttl, int | float) and not isinstance(ttl, bool):
        return min(max(ttl, 0), LONGEST_TTL_S * 1000) / 1000
    return silent_ttl_s
