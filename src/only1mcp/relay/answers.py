"""Answers that are kept, and calls that are shared: what stands between a request and its server.

    request ──► key ──► kept and fresh ──────────────────────────────► answer (hit)
                  ├───► the same call is under way ──► wait with it ─► answer (miss)
                  └───► call the server ──► keep what may be kept ───► answer (miss)
                            └─ it fails us, and an old one is there ─► answer (stale)

What a request asks for, and which have nothing to do with all this: relay/wanted.py. A request
with a progress token takes a kept answer, and makes a call of its own if there is none.
Source  MCP 2026-07-28 server/utilities/caching; RFC 9111 4.4 (what writes ends what was read).
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Raw

from only1mcp.catalog.listing import Kind, Target
from only1mcp.config.cache import Cache
from only1mcp.config.diff import Diff
from only1mcp.config.model import Config
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.cache import Entry, Key, Store, Tier
from only1mcp.protocol import caching, message
from only1mcp.protocol.errors import McpError, ServerFault
from only1mcp.protocol.methods import METHODS, Route
from only1mcp.protocol.subscription import UPDATED
from only1mcp.relay.flight import Client, Flight
from only1mcp.relay.wanted import NOBODY, Fetch, Reader, Wanted
from only1mcp.relay.window import Gathered, Windows
from only1mcp.upstream.base import Callee
from only1mcp.upstream.roster import State
from only1mcp.upstream.turns import InTurn, Turns

if TYPE_CHECKING:
    from only1mcp.relay.request import Caller

MAX_AHEAD: Final = 32
"""Renewals of hot answers at once; the others end and are asked for by the next who wants them."""
TIER_OF_KIND: Final = {
    Kind.TOOLS: Tier.L1,
    Kind.RESOURCES: Tier.L2,
    Kind.TEMPLATES: Tier.L2,
    Kind.PROMPTS: Tier.L3,
}
_TIER_OF_CHANGE: Final = {
    "notifications/tools/list_changed": Tier.L1,
    "notifications/resources/list_changed": Tier.L2,
    "notifications/prompts/list_changed": Tier.L3,
}
_READS: Final = frozenset(("resources/read", "prompts/get"))
_LISTS: Final = frozenset(row.name for row in METHODS.values() if row.route is Route.LIST)
_UP: Final = (State.READY, State.IDLE)


class Answers:
    """Of all servers. `methods` are those it has anything to do with."""

    def __init__(self, config: Config, clock: Callable[[], float], *, one_principal: bool) -> None:
        """`one_principal`: whether callers without a name are one and the same."""
        self.store = Store(config.cache)
        self.windows = Windows(config.batching)
        self._clock = clock
        self._configure(config, one_principal)
        self._read: set[str] = set()  # servers that were asked since something was written there
        self._flights: dict[Key, Flight] = {}
        self._tasks = Tasks()
        self._ahead = 0
        self.calls = 0
        self.shared = 0

    def _configure(self, config: Config, one_principal: bool) -> None:
        settings, shares = config.cache, config.batching.enabled
        self.debug = settings.debug_headers
        self.reader = Reader(settings.tools, shares=shares, one_principal=one_principal)
        self._keeps = settings.enabled
        self._ttl_s = {
            Tier.L1: settings.l1.ttl,
            Tier.L2: settings.l2.ttl,
            Tier.L3: settings.l3.ttl,
        }
        used = _READS | {"tools/call"} if settings.tools else _READS
        self.methods = used if self._keeps or shares else frozenset[str]()
        self.may_hold = _LISTS | self.methods if self._keeps else _LISTS
        """The methods whose answers may be there."""
        self._settings = settings

    # --- for requests ---

    def holds(self, wanted: Wanted) -> bool:
        """Whether `kept` will find a fresh answer."""
        return self._keeps and self.store.holds(wanted.key, self._clock())

    def kept(self, wanted: Wanted) -> bytes | None:
        """The answer, if it is there: a fresh one, or an old one while its server is down."""
        if not self._keeps:
            return None
        now = self._clock()
        if (entry := self.store.get(wanted.key, now)) is not None:
            if entry.is_due(now):
                self._renew(wanted, entry)
            return self._given(entry, now, wanted.caller, b"hit")
        return None if wanted.live.state in _UP else self._old(wanted)

    async def ask(self, wanted: Wanted) -> bytes:
        """The answer of the server; an old one if it fails us.

        Raises:
            McpError: as the call.
        """
        try:
            result = await self._asked(wanted)
        except ServerFault:
            if (old := self._old(wanted)) is None:
                raise
            return old
        self._label(wanted.caller, b"miss")
        return result

    def in_turn(
        self, callee: Callee, turns: Turns, line: str, upstream: Callee, fetch: Fetch
    ) -> InTurn | None:
        """The way to a server through a window, if this may travel with others; but once: what is
        sent again has waited."""
        if not fetch.gathers or not self.windows.window_s:
            return None
        fetch.gathers = False
        return Gathered(callee, turns, line, upstream, self.windows)

    def wrote(self, target: Target) -> None:
        """A tool has been called: what was read of its server before may be different now.

        Spared is what the server itself has timed, and a tool that says it only reads.
        """
        if target.server not in self._read or _only_reads(target):
            return
        self._read.discard(target.server)
        for tier in (Tier.L2, Tier.L3):
            self.store.invalidate(target.server, tier, unhinted=True)

    def listed(self, kind: Kind, *, hit: bool, caller: "Caller") -> None:
        """A list has been answered, from what was there or after asking servers."""
        counts = self.store.counts[TIER_OF_KIND[kind]]
        if hit:
            counts.hits += 1
        else:
            counts.misses += 1
        self._label(caller, b"hit" if hit else b"miss")

    # --- for servers ---

    def heard(self, server: str, method: str, params: Raw) -> None:
        """A server says that something has changed: what is kept of that ends now."""
        if (tier := _TIER_OF_CHANGE.get(method)) is not None:
            self.store.invalidate(server, tier)
        elif method == UPDATED:
            uri = None  # of a notification that names none: all of them
            with suppress(McpError):
                uri = message.text(message.members(params).get("uri"))
            self.store.invalidate(server, Tier.L2, method="resources/read", name=uri)

    def forget(self, server: str) -> None:
        """Whatever is kept of a server is no more: it may be another one now."""
        for tier in Tier:
            self.store.invalidate(server, tier)

    def adopt(self, changes: Diff, config: Config, *, one_principal: bool) -> None:
        """Another configuration is in force: what was everybody's may not be so any more, and
        what is kept may be so for another time, or not at all."""
        same = _rules(self._settings) == _rules(config.cache)
        self._configure(config, one_principal)
        self.windows.configure(config.batching)
        self.store.configure(config.cache)
        if not same:
            self.store.clear()
        for server in (*changes.adjusted, *changes.changed, *changes.removed):
            self.forget(server)
        if "server.auth" in changes.settings:
            self.store.clear()

    def sweep(self) -> None:
        """Remove what is too old for anybody."""
        self.store.sweep(self._clock())

    async def close(self) -> None:
        """End the calls under way."""
        self.windows.close()
        await self._tasks.close()

    # --- one request ---

    async def _asked(self, wanted: Wanted) -> bytes:
        """The answer of the server, by a call of one's own or one that is under way."""
        if wanted.alone:
            return await self._call(wanted, wanted.caller, Fetch(gathers=False))
        flight = self._flights.get(wanted.key)
        if flight is not None and self._joinable(flight, wanted):
            self.shared += 1
            if (result := await flight.follow()) is not None:
                return result
            return await self._call(wanted, wanted.caller, Fetch(gathers=False))
        flight, client = self._begin(wanted, here=True)
        return await flight.lead(client)

    def _joinable(self, flight: Flight, wanted: Wanted) -> bool:
        """Not if its answer is from before something that has been heard since."""
        generation = self.store.generation(wanted.key.server, wanted.tier)
        return flight.open and flight.generation == generation

    def _begin(self, wanted: Wanted, *, here: bool) -> tuple[Flight, Client]:
        key = wanted.key

        def ended(flight: Flight) -> None:
            if self._flights.get(key) is flight:
                del self._flights[key]

        flight = Flight(self.store.generation(key.server, wanted.tier), ended)
        client = Client(wanted.caller, flight.part, here=here)
        running = self._fly(wanted, flight, client)
        flight.task = self._tasks.start(running, f"{key.method} {key.server}")
        flight.task.add_done_callback(lambda _: ended(flight))
        self._flights[key] = flight
        return flight, client

    async def _fly(self, wanted: Wanted, flight: Flight, client: Client) -> bytes | McpError:
        """The error as a value: it is for all who wait."""
        fetch = Fetch(gathers=True)
        try:
            result = await self._call(wanted, client, fetch)
        except McpError as error:
            return error
        if fetch.hint is None:
            flight.part()  # it asks this client something, or failed
        return result

    async def _call(self, wanted: Wanted, caller: "Caller", fetch: Fetch) -> bytes:
        self.calls += 1
        self._read.add(wanted.key.server)
        generation = self.store.generation(wanted.key.server, wanted.tier)
        result = await wanted.call(caller, fetch)
        if self._keeps and fetch.hint is not None:
            self._keep(wanted, result, fetch, generation)
        return result

    def _keep(self, wanted: Wanted, result: bytes, fetch: Fetch, generation: int) -> None:
        hint, key, now = fetch.hint, wanted.key, self._clock()
        assert hint is not None
        ttl_s = wanted.ttl_s if wanted.ttl_s is not None else hint.ttl_s
        owner = None if hint.public else key.owner
        if owner == NOBODY:
            return
        timed = wanted.ttl_s is None and hint.ttl_s is not None and result == fetch.raw
        lasts_s = self._ttl_s[wanted.tier] if ttl_s is None else ttl_s
        entry = Entry(
            hint.body if timed else result,
            now,
            now + lasts_s,
            hinted=ttl_s is not None,
            timed=timed,
        )
        self.store.put(key._replace(owner=owner), entry, generation)

    # --- what is there ---

    def _given(self, entry: Entry, now: float, caller: "Caller", how: bytes) -> bytes:
        self._label(caller, how, now - entry.began_at)
        if not entry.timed:
            return entry.text
        return caching.retimed(entry.text, max(0.0, entry.ends_at - now))

    def _old(self, wanted: Wanted) -> bytes | None:
        now = self._clock()
        entry = self.store.get_stale(wanted.key, now) if self._keeps else None
        return None if entry is None else self._given(entry, now, wanted.caller, b"stale")

    def _renew(self, wanted: Wanted, entry: Entry) -> None:
        """Ask for a hot answer anew while the old one still holds; once for each."""
        entry.renewing = True
        if wanted.alone or wanted.key in self._flights or self._ahead >= MAX_AHEAD:
            return
        flight, _ = self._begin(wanted, here=False)
        self._ahead += 1
        self._tasks.start(self._await_renewal(flight), f"renew {wanted.key.server}")

    async def _await_renewal(self, flight: Flight) -> None:
        try:
            with suppress(McpError):
                await flight.lead()
        finally:
            self._ahead -= 1

    def _label(self, caller: "Caller", how: bytes, age_s: float | None = None) -> None:
        if not self.debug:
            return
        age = b"" if age_s is None else b"Age: %d\r\n" % age_s
        caller.label(b"X-Only1MCP-Cache: %b\r\n%b" % (how, age))


def _rules(settings: Cache) -> tuple[object, ...]:
    """What is kept, and for how long."""
    ttls = settings.l1.ttl, settings.l2.ttl, settings.l3.ttl
    return settings.enabled, settings.tools, ttls


def _only_reads(target: Target) -> bool:
    """What a tool says of itself: if that is wrong, only its own server's answers are old."""
    if target.entry is None or (said := target.entry.get("annotations")) is None:
        return False
    return bytes(message.members(said).get("readOnlyHint", b"")) == b"true"
