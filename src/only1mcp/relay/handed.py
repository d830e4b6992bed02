"""What servers hand out to one client and speak of again later: tasks, visits to a URL.

Most servers see all clients of the gateway as one, so that an id is the client's own is known
here alone. Two connections of a server that isolates its callers hand out ids apart.
Bounds  MAX_IDS, the longest unused is forgotten first; an id that is forgotten is nobody's.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

MAX_IDS: Final = 10_000
TASK: Final = "taskId"
VISIT: Final = "elicitationId"
"""What there is to hand out, by the member that holds its id."""


class Thing(NamedTuple):
    """One thing: `who` has the connection that handed it out to itself; None: it is shared."""

    server: str
    who: str | None
    kind: str
    id: str


class Owner(NamedTuple):
    """Whom it was handed to; `session` is None for a modern client."""

    principal: str
    session: str | None


class Handed:
    """A bounded table of Thing -> Owner."""

    __slots__ = ("_owners",)

    def __init__(self) -> None:
        self._owners: OrderedDict[Thing, Owner] = OrderedDict()

    def __len__(self) -> int:
        return len(self._owners)

    def note(self, thing: Thing, owner: Owner) -> None:
        """It has just been handed to `owner`."""
        self._owners[thing] = owner
        self._owners.move_to_end(thing)
        if len(self._owners) > MAX_IDS:
            self._owners.popitem(last=False)

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
        """`connection` says for a server who has the connection to it that this client uses;
        `alone`: all clients are one principal, so what nobody noted is this one's, too."""
        self._handed = handed
        self._owner = owner
        self._connection = connection
        self._alone = alone

    def take(self, server: str, kind: str, id: str) -> None:
        """The server has just handed it to this client."""
        self._handed.note(self._thing(server, kind, id), self._owner)

    def has(self, server: str, kind: str, id: str) -> bool:
        """Whether it was handed to this client's principal."""
        known = self._handed.owner(self._thing(server, kind, id))
        return self._alone if known is None else known.principal == self._owner.principal

    def _thing(self, server: str, kind: str, id: str) -> Thing:
        return Thing(server, self._connection(server), kind, id)
