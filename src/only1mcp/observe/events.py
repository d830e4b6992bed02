"""What happens, as it happens: the latest events of each kind, and whoever follows them.

    tell(kind, at, said) ──► ring of its kind ──► each follower that wants it: queued, woken

No clock, no task and no text in here: `said` is turned into words by who reads it.
Bounds  KEPT events of each kind, MAX_QUEUED for a follower; of what is more the oldest goes.
Cost    0.2 us for an event that nobody follows, and 0.1 us for each who follows others.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from heapq import merge
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple

REQUEST: Final = "request"
SERVER: Final = "server"
HEALTH: Final = "health"
BREAKER: Final = "breaker"
RESTART: Final = "restart"
RELOAD: Final = "reload"
LISTS: Final = "lists"
LOG: Final = "log"
KEPT: Final[Mapping[str, int]] = MappingProxyType(
    {
        REQUEST: 500,
        LOG: 500,
        **dict.fromkeys((SERVER, HEALTH, BREAKER, RESTART, RELOAD, LISTS), 200),
    }
)
"""How many of each kind are remembered: requests come by the thousand, a reload once a day."""
MAX_QUEUED: Final = 1000


class Event(NamedTuple):
    """One thing that has happened."""

    number: int
    """Counts the events of this process, from 1."""
    kind: str
    at: float
    """Seconds since 1970."""
    said: Any
    """What there is to say of it."""


_Plain = tuple[int, str, float, Any]
"""An Event that costs half as much to make."""


class Missed(NamedTuple):
    """Events that are not there any more; `many` is None if nobody knows how many, if any."""

    many: int | None


class Follower:
    """Somebody who reads events at his own pace."""

    def __init__(self, kinds: Collection[str], wake: Callable[[], None]) -> None:
        self.ended = False
        """There will be no more."""
        self._kinds = frozenset(kinds)
        self._wake = wake
        self._queue: deque[_Plain] = deque()
        self._missed: int | None = 0

    def begin(self, events: Iterable[_Plain], *, complete: bool) -> None:
        """Read these first; not `complete`: some before them may be missing."""
        self._queue.extend(events)
        if not complete:
            self._missed = None

    def take(self, event: _Plain) -> None:
        """Queue it, if it is of a kind that is wanted."""
        if event[1] not in self._kinds:
            return
        if len(self._queue) >= MAX_QUEUED:
            self._queue.popleft()
            self._missed = (self._missed or 0) + 1
        self._queue.append(event)
        self._wake()

    def end(self) -> None:
        """There will be no more."""
        self.ended = True
        self._wake()

    def read(self) -> list[Missed | Event]:
        """What has come since; a Missed stands where something is missing."""
        found: list[Missed | Event] = [Missed(self._missed)] if self._missed != 0 else []
        found += (Event(*event) for event in self._queue)
        self._missed = 0
        self._queue.clear()
        return found


class Events:
    """All events of one gateway. Only for the thread of its loop."""

    def __init__(self, boot: str, kept: Mapping[str, int] = KEPT) -> None:
        """`boot` is another one for each process: numbers begin anew with it."""
        self.boot = boot
        self._rings: dict[str, deque[_Plain]] = {
            kind: deque(maxlen=count) for kind, count in kept.items()
        }
        self._followers: list[Follower] = []
        self._closed = False
        self._number = 0

    def __len__(self) -> int:
        """How many follow."""
        return len(self._followers)

    @property
    def kinds(self) -> Collection[str]:
        """All there are."""
        return self._rings.keys()

    def tell(self, kind: str, at: float, said: Any) -> None:
        """This has happened."""
        self._number = number = self._number + 1
        event = number, kind, at, said
        self._rings[kind].append(event)
        for follower in self._followers:
            follower.take(event)

    def latest(self, kind: str, count: int) -> list[Event]:
        """The last `count` of a kind that are remembered, the newest first."""
        ring = self._rings[kind]
        return [Event(*ring[-index]) for index in range(1, min(count, len(ring)) + 1)]

    def capacity(self, kind: str) -> int:
        """How many of a kind are remembered at most."""
        return self._rings[kind].maxlen or 0

    def follow(
        self, kinds: Collection[str], wake: Callable[[], None], after: str | None = None
    ) -> Follower:
        """From now on, or `after` an event that was read before, by its id.

        `wake` is called when there is something to read; it must not block.
        """
        follower = Follower(kinds, wake)
        if after is not None:
            self._replay(follower, kinds, after)
        self._followers.append(follower)
        if self._closed:
            follower.end()
        return follower

    def leave(self, follower: Follower) -> None:
        """It does not follow any more."""
        if follower in self._followers:
            self._followers.remove(follower)

    def close(self) -> None:
        """Nothing more will happen: all followers end, and whoever comes."""
        self._closed = True
        for follower in self._followers:
            follower.end()

    def id(self, event: Event) -> str:
        """What `follow` takes as `after`."""
        return f"{self.boot}-{event.number}"

    def _replay(self, follower: Follower, kinds: Collection[str], after: str) -> None:
        boot, _, text = after.rpartition("-")
        known = boot == self.boot and text.isascii() and text.isdigit() and len(text) < 20
        last = int(text) if known and int(text) <= self._number else None
        rings = [self._rings[kind] for kind in kinds]
        floor = last or 0
        complete = last is not None and not any(
            len(ring) == ring.maxlen and ring[0][0] > last + 1 for ring in rings
        )
        found = (one for one in merge(*rings, key=itemgetter(0)) if one[0] > floor)
        follower.begin(found, complete=complete)
