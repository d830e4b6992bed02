"""Which answers are kept, for how long, and which of them goes when there is no room.

    get   fresh ──► hit          put   a place in its tier, and in the budget of all
          else  ──► miss               the one not used for the longest time goes first

True LRU in each tier; the budget of bytes takes the oldest of all tiers. An answer that was
asked for before an invalidation is not kept after it: whoever asks notes the `generation`.
Units   seconds of any clock that does not jump; it is passed in.
Cost    a hit: one dictionary look-up, two if it is public, and one move in a linked list.
"""

from collections import OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from only1mcp.config.cache import Cache

MAX_SHARE: Final = 4
"""An answer larger than this part of the budget is not kept: it would push out all others."""
OVERHEAD_BYTES: Final = 500
"""Of an entry and its key, beside the texts: tracemalloc says 499 in a store of 10 000."""
HOT_HITS: Final = 2
"""So many hits of an entry make it worth asking for anew before it ends."""
AHEAD: Final = 0.1
"""Of its time is left when that is done."""
SWEPT: Final = 500
"""Entries looked at in one round of `sweep`."""


class Tier(StrEnum):
    """Three kinds of answers that age differently."""

    L1 = "l1"  # tools
    L2 = "l2"  # resources
    L3 = "l3"  # prompts


TIER_OF: Final = {
    "tools/list": Tier.L1,
    "tools/call": Tier.L1,
    "resources/list": Tier.L2,
    "resources/templates/list": Tier.L2,
    "resources/read": Tier.L2,
    "prompts/list": Tier.L3,
    "prompts/get": Tier.L3,
}


class Key(NamedTuple):
    """What an answer is the answer to. `shape` is whatever else gives it its form: the revision
    of the client, what it declared; `owner` is whose it is, None: everybody's."""

    server: str
    method: str
    name: str
    params: bytes
    shape: tuple[object, ...]
    owner: str | None


class Counts:
    """What has happened in one tier, and what is in it. `stale` are answers after their time."""

    __slots__ = ("bytes", "entries", "evictions", "expiries", "hits", "invalidations", "misses",
                 "stale")  # fmt: skip

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.stale = 0
        self.evictions = 0
        self.expiries = 0
        self.invalidations = 0
        self.entries = 0
        self.bytes = 0


class Entry:
    """One kept answer. `hinted`: somebody said of this one for how long; else the tier does.
    `timed`: what is left of its time is part of the answer. `renewing`: once that was tried."""

    __slots__ = ("began_at", "ends_at", "expired", "hinted", "hits", "renewing", "size", "text",
                 "timed", "used")  # fmt: skip

    def __init__(
        self,
        text: bytes,
        began_at: float,
        ends_at: float,
        *,
        hinted: bool = False,
        timed: bool = False,
    ) -> None:
        self.text = text
        self.began_at = began_at
        self.ends_at = ends_at
        self.hinted = hinted
        self.timed = timed
        self.renewing = False
        self.expired = False  # and counted as such
        self.hits = 0
        self.size = 0
        self.used = 0

    def is_due(self, now: float) -> bool:
        """Whether it is asked for so often, and ends so soon, that it is worth renewing."""
        if self.renewing or self.hits < HOT_HITS:
            return False
        return now > self.ends_at - AHEAD * (self.ends_at - self.began_at)


class Store:
    """All kept answers. `counts` are plain numbers, by tier."""

    def __init__(self, settings: Cache) -> None:
        self._tiers: dict[Tier, OrderedDict[Key, Entry]] = {tier: OrderedDict() for tier in Tier}
        self._keys: dict[tuple[str, Tier], dict[Key, None]] = {}
        self._generations: dict[tuple[str, Tier], int] = {}
        self._epoch = 0
        self._tick = 0
        self._public: set[str] = set()  # servers that have given answers for everybody
        self._due: list[Key] = []  # still to be looked at in this round
        self.counts = {tier: Counts() for tier in Tier}
        self.configure(settings)

    def configure(self, settings: Cache) -> None:
        """Go by other settings; what there is no room for any more is dropped."""
        self._max_bytes = settings.max_bytes
        self._stale_s = settings.stale
        self._capacity = {
            Tier.L1: settings.l1.capacity,
            Tier.L2: settings.l2.capacity,
            Tier.L3: settings.l3.capacity,
        }
        for tier in Tier:
            self._make_room(tier)

    @property
    def bytes(self) -> int:
        """Of all tiers."""
        return sum(one.bytes for one in self.counts.values())

    def holds(self, key: Key, now: float) -> bool:
        """Whether `get` will find an answer; not counted."""
        entries = self._tiers[TIER_OF[key.method]]
        entry = entries.get(key)
        if entry is None and key.server in self._public:
            entry = entries.get(key._replace(owner=None))
        return entry is not None and entry.ends_at > now

    def get(self, key: Key, now: float) -> Entry | None:
        """The answer to `key`, if it is fresh: the owner's own, else everybody's."""
        tier = TIER_OF[key.method]
        entries, counts = self._tiers[tier], self.counts[tier]
        entry = entries.get(key)
        if entry is None and key.server in self._public:
            key = key._replace(owner=None)
            entry = entries.get(key)
        if entry is None or entry.ends_at <= now:
            counts.misses += 1
            if entry is not None:
                self._expire(key, entry, now)
            return None
        entries.move_to_end(key)
        self._tick += 1
        entry.used = self._tick
        entry.hits += 1
        counts.hits += 1
        return entry

    def get_stale(self, key: Key, now: float) -> Entry | None:
        """The answer to `key` although its time may be over, while that is still allowed."""
        tier = TIER_OF[key.method]
        entries = self._tiers[tier]
        entry = entries.get(key) or entries.get(key._replace(owner=None))
        if entry is None or now >= entry.ends_at + self._stale_s:
            return None
        self.counts[tier].stale += 1
        return entry

    def generation(self, server: str, tier: Tier) -> int:
        """Grows with each invalidation of these answers."""
        return self._epoch + self._generations.get((server, tier), 0)

    def put(self, key: Key, entry: Entry, generation: int) -> bool:
        """Keep an answer; whether it is kept. `generation` is from before it was asked for."""
        tier = TIER_OF[key.method]
        entry.size = len(entry.text) + len(key.params) + len(key.name) + OVERHEAD_BYTES
        lasts = entry.ends_at > entry.began_at
        known = generation == self.generation(key.server, tier)
        if not lasts or not known or entry.size > self._max_bytes // MAX_SHARE:
            return False
        if key in self._tiers[tier]:
            self._remove(key)
        self._tick += 1
        entry.used = self._tick
        self._tiers[tier][key] = entry
        self._keys.setdefault((key.server, tier), {})[key] = None
        if key.owner is None:
            self._public.add(key.server)
        counts = self.counts[tier]
        counts.entries += 1
        counts.bytes += entry.size
        self._make_room(tier)
        return True

    def invalidate(
        self,
        server: str,
        tier: Tier,
        *,
        method: str | None = None,
        name: str | None = None,
        unhinted: bool = False,
    ) -> int:
        """Drop what is kept of a server, and what is on its way; how many.

        `method` and `name` narrow it down; `unhinted` spares what the server itself has timed.
        """
        place = (server, tier)
        self._generations[place] = self._generations.get(place, 0) + 1
        dropped = [
            key
            for key in self._keys.get(place, ())
            if method in (None, key.method) and name in (None, key.name)
        ]
        if unhinted:
            dropped = [key for key in dropped if not self._tiers[tier][key].hinted]
        return self._drop(dropped)

    def clear(
        self, tier: Tier | None = None, server: str | None = None, method: str | None = None
    ) -> int:
        """Drop all that fits, and whatever is on its way; how many."""
        self._epoch += 1
        tiers = [one for one in Tier if tier in (None, one)]
        return self._drop(
            [
                key
                for one in tiers
                for key in self._tiers[one]
                if server in (None, key.server) and method in (None, key.method)
            ]
        )

    def sweep(self, now: float) -> None:
        """Remove what can no longer be given to anybody, SWEPT looks at a time."""
        if not self._due:
            self._due = [key for entries in self._tiers.values() for key in entries]
        round, self._due = self._due[-SWEPT:], self._due[:-SWEPT]
        for key in round:
            entry = self._tiers[TIER_OF[key.method]].get(key)
            if entry is not None and entry.ends_at <= now:
                self._expire(key, entry, now)

    def _expire(self, key: Key, entry: Entry, now: float) -> None:
        if not entry.expired:
            entry.expired = True
            self.counts[TIER_OF[key.method]].expiries += 1
        if now >= entry.ends_at + self._stale_s:
            self._remove(key)

    def _make_room(self, tier: Tier) -> None:
        while len(self._tiers[tier]) > self._capacity[tier]:
            self._evict(tier)
        while self.bytes > self._max_bytes:
            self._evict(min((one for one in Tier if self._tiers[one]), key=self._last_use))

    def _last_use(self, tier: Tier) -> int:
        return next(iter(self._tiers[tier].values())).used

    def _evict(self, tier: Tier) -> None:
        self._remove(next(iter(self._tiers[tier])))
        self.counts[tier].evictions += 1

    def _drop(self, keys: Iterable[Key]) -> int:
        dropped = 0
        for key in keys:
            self._remove(key)
            self.counts[TIER_OF[key.method]].invalidations += 1
            dropped += 1
        return dropped

    def _remove(self, key: Key) -> None:
        tier = TIER_OF[key.method]
        entry = self._tiers[tier].pop(key)
        del self._keys[key.server, tier][key]
        counts = self.counts[tier]
        counts.entries -= 1
        counts.bytes -= entry.size
