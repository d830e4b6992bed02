"""Did you mean? The shown name nearest to one that does not exist.

First the same letters and digits in another dress (`GitHub.search` for `github__search`), or
a name without its prefix (`search`), then spelling, among the names that sort next to it.
"""

import re
from bisect import bisect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Final

MAX_LENGTH: Final = 200  # characters; a longer name is no slip of the pen
NEIGHBOURS: Final = 16  # names compared letter by letter, ~30 us each

_DRESS: Final = re.compile(r"[^a-z0-9]+")


class Suggester:
    """The shown names of one list, arranged for questions."""

    __slots__ = ("_plain", "_separator", "_sorted")

    def __init__(self, names: Iterable[str], separator: str = "") -> None:
        """Cost  ~1 us per name. `separator` stands between server and name, if anything does."""
        self._separator = separator
        self._sorted = sorted(names)
        self._plain: dict[str, str] = {}
        for name in self._sorted:
            bare = name.partition(separator)[2] if separator else ""
            self._plain.setdefault(_undressed(bare or name), name)
        for name in self._sorted:
            self._plain[_undressed(name)] = name

    def suggest(self, name: str) -> str | None:
        """The name that was probably meant."""
        if len(name) > MAX_LENGTH:
            return None
        if (meant := self._plain.get(_undressed(name))) is not None:
            return meant
        at = bisect(self._sorted, name)
        near = self._sorted[max(0, at - NEIGHBOURS // 2) : at + NEIGHBOURS // 2]
        return closest(name, {one: one for one in near}, self._separator)


def closest(name: str, known: Mapping[str, str], separator: str = "") -> str | None:
    """What stands in `known` for the name nearest in spelling.

    Names of the same server are compared without the prefix that they share, which would make
    any two of them alike.
    """
    prefix = "".join(name.partition(separator)[:2]) if separator in name and separator else ""
    mine = {one.removeprefix(prefix): one for one in known if prefix and one.startswith(prefix)}
    if mine:
        found = get_close_matches(name.removeprefix(prefix), mine, n=1)
        return known[mine[found[0]]] if found else None
    found = get_close_matches(name, known, n=1)
    return known[found[0]] if found else None


def _undressed(name: str) -> str:
    return _DRESS.sub("", name.lower())
