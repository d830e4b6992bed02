"""One kind of one server, labelled for one view: the names clients see, the bytes they get."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from only1mcp.catalog.listing import Kind, Target
from only1mcp.catalog.stock import Clash, Item, Stock
from only1mcp.protocol.message import Params, as_raw, encode, one_line
from only1mcp.protocol.names import safe_name


class Labels(NamedTuple):
    """How the names of one server are shown among all servers."""

    prefix: str
    max_length: int
    prefixed: frozenset[str] | None = None
    """The base names that get the prefix; None for all."""

    def shown(self, item: Item) -> str:
        """The name of `item` in the list of all servers."""
        bare = self.prefixed is not None and item.base not in self.prefixed
        wanted = item.base if bare else self.prefix + item.base
        return safe_name(wanted, item.target.server, item.target.name, self.max_length)


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """Three tables by shown name, in the server's order: whose it is, and the entry as JSON.

    `legacy` and `modern` are one table when both eras see the same.
    """

    stock: Stock
    labels: Labels | None
    targets: dict[str, Target] = field(default_factory=dict)
    legacy: dict[str, bytes] = field(default_factory=dict)
    modern: dict[str, bytes] = field(default_factory=dict)
    clashes: list[Clash] = field(default_factory=list)

    @property
    def server(self) -> str:
        """Whose shelf it is."""
        return self.stock.server

    def shows(self, stock: Stock, kind: Kind) -> bool:
        """Whether it is what `stock` has of this kind, which is its own; names aside. Other rules
        leave what is no tool as it is."""
        own = self.stock
        if own is stock or kind is Kind.TOOLS:
            return own is stock
        return own.listing is stock.listing and own.items[kind] is stock.items[kind]

    def without(self, names: set[str]) -> "Shelf":
        """The same with some entries taken away."""
        return replace(
            self,
            targets={name: whose for name, whose in self.targets.items() if name not in names},
            legacy={name: text for name, text in self.legacy.items() if name not in names},
            modern={name: text for name, text in self.modern.items() if name not in names},
        )


def label(stock: Stock, kind: Kind, labels: Labels | None) -> Shelf:
    """The shelf of one kind. Without `labels` names stay as they are: one server, and all URIs.

    Cost  ~1.5 us per entry.
    """
    shelf = Shelf(stock, labels)
    for item in stock.items[kind]:
        shown = labels.shown(item) if labels else item.base
        if shown in shelf.targets:
            hint = f"two {kind.value} of server {stock.server} come to this name"
            shelf.clashes.append(Clash(kind, shown, stock.server, stock.server, hint))
        else:
            _put(shelf, shown, item)
    if all(shelf.modern.get(shown) is text for shown, text in shelf.legacy.items()):
        return replace(shelf, modern=shelf.legacy)
    return shelf


def _put(shelf: Shelf, shown: str, item: Item) -> None:
    text = _text(item.entry, item, shown)
    shelf.targets[shown] = item.target
    shelf.legacy[shown] = text if item.legacy is item.entry else _text(item.legacy, item, shown)
    if item.modern:
        shelf.modern[shown] = text


def _text(entry: Params, item: Item, shown: str) -> bytes:
    """One line, so that it fits the framing of stdio and SSE."""
    if shown != item.target.name:
        entry = entry | {"name": as_raw(shown)}
    return one_line(encode(entry))
