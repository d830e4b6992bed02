"""What servers hand out to one client and speak of again later: tasks, visits to a URL.

Most servers see all clients of the gateway as one, so that an id is the client's own is known
here alone. Two connections of a server that isolates its callers hand out ids apart.
Bounds  MAX_IDS, the longest unused is forgotten first; an id that is forgotten is nobody's.
Units   seconds of the clock passed in.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from only1mcp.protocol import tasks

MAX_IDS: Final = 10_000
WORK_S: Final = 24 * 3600.0
"""A task the end of which nobody has heard counts as under way for so long."""
TASK: Final = "taskId"
VISIT: Final = "elicitationId"
"""What there is to hand out, by the member that holds its id."""


class Thing(NamedTuple):
    """One thing. `place` handed it out (see protocol/tasks.py), on a connection that `who` has to
    itself; None: it is shared."""

    place: str
    who: str | None
    kind: str
    id: str


class Owner(NamedTuple):
    """Whom it was handed to; `session` is None for a modern client."""

    principal: str
    session: str | None


class Handed:
    """A bounded table of Thing -> Owner."""

    __slots__ = ("_clock", "_noted", "_owners", "_work")

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        noted: Callable[[Thing], None] | None = None,
    ) -> None:
        """`noted` hears of each thing that has been handed out."""
        self._clock = clock
        self._noted = noted
        self._owners: OrderedDict[Thing, Owner] = OrderedDict()
        self._work: defaultdict[str, dict[Thing, float]] = defaultdict(dict)  # by server: until

    def __len__(self) -> int:
        return len(self._owners)

    def note(self, thing: Thing, owner: Owner) -> None:
        """It has just been handed to `owner`."""
        self._owners[thing] = owner
        self._owners.move_to_end(thing)
        if thing.kind == TASK:
            self._work[tasks.server(thing.place)][thing] = self._clock() + WORK_S
        if len(self._owners) > MAX_IDS:
            self.ended(self._owners.popitem(last=False)[0])
        if self._noted is not None:
            self._noted(thing)

    def ended(self, thing: Thing) -> None:
        """A task has come to its end."""
        self._work[tasks.server(thing.place)].pop(thing, None)

    def at_work(self, server: str) -> set[str | None]:
        """Whose connections to it have tasks under way; None: the one that is shared."""
        now = self._clock()
        return {thing.who for thing, until in self._work[server].items() if until > now}

    def owner(self, thing: Thing) -> Owner | None:
        """Whose it is, as far as that is remembered."""
        if (found := self._owners.get(thing)) is not None:
            self._owners.move_to_end(thing)
        return found


class Holder:
    """One client before the table."""

    __slots__ = ("_alone", "_connection", "_handed", "_owner")

    def __init__(
        self,
        handed: Handed,
        owner: Owner,
        connection: Callable[[str], str | None],
        *,
        alone: bool,
    ) -> None:
        """`connection` says for a place who has the connection to it that this client uses;
        `alone`: all clients are one principal, so what nobody noted is this one's, too."""
        self._handed = handed
        self._owner = owner
        self._connection = connection
        self._alone = alone

    def take(self, place: str, kind: str, id: str) -> None:
        """It has just been handed to this client there."""
        self._handed.note(self.thing(place, kind, id), self._owner)

    def ended(self, place: str, id: str) -> None:
        """A task has come to its end."""
        self._handed.ended(self.thing(place, TASK, id))

    def has(self, place: str, kind: str, id: str) -> bool:
        """Whether it was handed to this client's principal."""
        known = self._handed.owner(self.thing(place, kind, id))
        return self._alone if known is None else known.principal == self._owner.principal

    def thing(self, place: str, kind: str, id: str) -> Thing:
        """What has this id there, on the connection that this client uses."""
        return Thing(place, self._connection(place), kind, id)
