"""What servers hand out to one client and speak of again later: tasks, visits to a URL.

Most servers see all clients of the gateway as one, so that an id is the client's own is known
here alone.
Bounds  MAX_IDS, the longest unused is forgotten first; an id that is forgotten is nobody's.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

MAX_IDS: Final = 10_000


class Owner(NamedTuple):
    """Whom it was handed to; `session` is None for a modern client."""

    principal: str
    session: str | None


class Handed:
    """A bounded table of (place, id) -> Owner."""

    __slots__ = ("_owners",)

    def __init__(self) -> None:
        self._owners: OrderedDict[tuple[str, str], Owner] = OrderedDict()

    def __len__(self) -> int:
        return len(self._owners)

    def note(self, place: str, id: str, owner: Owner) -> None:
        """`place` (see protocol/tasks.py) has just handed `id` to `owner`."""
        self._owners[place, id] = owner
        self._owners.move_to_end((place, id))
        if len(self._owners) > MAX_IDS:
            self._owners.popitem(last=False)

    def owner(self, place: str, id: str) -> Owner | None:
        """Whose it is, as far as that is remembered."""
        if (found := self._owners.get((place, id))) is not None:
            self._owners.move_to_end((place, id))
        return found
