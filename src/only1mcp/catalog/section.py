"""One kind in one view: the shelves side by side, one index over all of them."""

from collections.abc import Iterable
from itertools import chain
from typing import Final

from only1mcp.catalog.listing import Kind, Target
from only1mcp.catalog.pages import Pages, Snapshot
from only1mcp.catalog.shelf import Shelf
from only1mcp.catalog.stock import MAX_NAME, Clash, Dropped
from only1mcp.catalog.suggest import Suggester

MAX_TOTAL: Final = 50_000  # entries of one kind in one view; no client can use a tenth of it
MAX_CLASHES: Final = 1000  # kept for the report

Older = tuple[tuple[Snapshot, ...], tuple[Snapshot, ...]]
"""Earlier states of a list: for legacy, for modern clients."""
NO_OLDER: Final[Older] = ((), ())

_HINTS: Final = {
    Kind.TOOLS: "; tools.rename, or another naming.mode, shows both",
    Kind.PROMPTS: "; another naming.mode shows both",
}


class Section:
    """`index` says whose a shown name is, `legacy` and `modern` are the list as clients see it."""

    __slots__ = ("_suggester", "clashes", "dropped", "index", "kind", "legacy", "modern", "shelves")

    def __init__(
        self,
        kind: Kind,
        shelves: tuple[Shelf, ...],
        before: "Section | None" = None,
        older: Older = NO_OLDER,
    ) -> None:
        """The first shelf in order wins a name that several have.

        In    `before` is the section that this one follows on; without one, `older` is what
              `older()` of it said.
        Cost  ~50 us per 1000 entries, a tenth of it beside one shelf that has changed; ~0.5 ms
              when a name is contested.
        """
        self.kind = kind
        self.shelves = shelves
        self.clashes: list[Clash] = list(chain.from_iterable(shelf.clashes for shelf in shelves))
        self.dropped: list[Dropped] = []
        self.index = _index(shelves, before)
        total = sum(len(shelf.targets) for shelf in shelves)
        shown = shelves if total == len(self.index) <= MAX_TOTAL else self._sort_out()
        older = before.older() if before is not None else older
        self.legacy: Pages = Pages(kind, shown, older[0], modern=False)
        self.modern: Pages = Pages(kind, shown, older[1], modern=True)
        self._suggester: Suggester | None = None

    def older(self) -> Older:
        """What the next section must keep, so that cursors given out still work."""
        return self.legacy.snapshots(), self.modern.snapshots()

    def suggest(self, name: str, separator: str) -> str | None:
        """The shown name that was probably meant."""
        if self._suggester is None:
            self._suggester = Suggester(self.index, separator)
        return self._suggester.suggest(name)

    def _sort_out(self) -> tuple[Shelf, ...]:
        """Name by name: who has it, who is hidden, what is too much."""
        self.index = {}
        return tuple(self._admit(shelf) for shelf in self.shelves)

    def _admit(self, shelf: Shelf) -> Shelf:
        hidden: set[str] = set()
        surplus = 0
        for name, target in shelf.targets.items():
            if name in self.index:
                self._clash(name, shelf.server)
                hidden.add(name)
            elif len(self.index) == MAX_TOTAL:
                surplus += 1
                hidden.add(name)
            else:
                self.index[name] = target
        if surplus:
            reason = f"more than {MAX_TOTAL} {self.kind.value} in total"
            self.dropped.append(Dropped(self.kind, shelf.server, f"{surplus} entries", reason))
        return shelf.without(hidden) if hidden else shelf

    def _clash(self, name: str, hidden: str) -> None:
        if len(self.clashes) < MAX_CLASHES:
            hint = f"that of {hidden} is reachable on /mcp/{hidden}{_HINTS.get(self.kind, '')}"
            kept = self.index[name].server
            self.clashes.append(Clash(self.kind, name[:MAX_NAME], kept, hidden, hint))


def _index(shelves: tuple[Shelf, ...], before: Section | None) -> dict[str, Target]:
    """Whose each name is; of a name that several have, any one's, and then there are fewer names
    than entries."""
    if before is None or before.clashes or before.dropped:
        return _merged(shelves)
    gone, come = set(before.shelves).difference(shelves), set(shelves).difference(before.shelves)
    index = before.index.copy()
    for shelf in gone:
        for name in shelf.targets:
            del index[name]
    return index | _merged(come)


def _merged(shelves: Iterable[Shelf]) -> dict[str, Target]:
    return {name: whose for shelf in shelves for name, whose in shelf.targets.items()}
