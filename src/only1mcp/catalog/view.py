"""What clients see: all servers together (`/mcp`), or one server as it is (`/mcp/{server}`)."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from only1mcp.catalog.listing import Kind, Target
from only1mcp.catalog.owners import Owners
from only1mcp.catalog.pages import NO_PROMISE, Promise, differ
from only1mcp.catalog.routes import Routes
from only1mcp.catalog.section import NO_OLDER, Older, Section
from only1mcp.catalog.shelf import Labels, Shelf, label
from only1mcp.catalog.stock import CAPABILITIES, Stock
from only1mcp.config.model import Naming
from only1mcp.protocol.message import as_raw

__all__ = ["AllServers", "OneServer", "Target", "View"]

_NAMED: Final = (Kind.TOOLS, Kind.PROMPTS)
"""The kinds whose entries the naming rule touches; URIs are never changed."""


class View(ABC):
    """One mount. Every look-up is one dict access for what is listed."""

    __slots__ = ("servers", "stocks")

    server: str | None

    def __init__(self, stocks: tuple[Stock, ...]) -> None:
        self.stocks = stocks
        self.servers = tuple(stock.server for stock in stocks)

    @abstractmethod
    def section(self, kind: Kind) -> Section:
        """One kind of this view."""

    @abstractmethod
    def tool(self, name: str) -> Target | None:
        """The tool clients call `name`."""

    @abstractmethod
    def prompt(self, name: str) -> Target | None:
        """The prompt clients call `name`."""

    @abstractmethod
    def resource(self, uri: str) -> Target | None:
        """Who is asked for `uri`: the server that lists it, else the best guess."""

    def template(self, uri_template: str) -> Target | None:
        """Who completes `uri_template`; a concrete URI will do as well."""
        listed = self.section(Kind.TEMPLATES).index.get(uri_template)
        return listed or self.resource(uri_template)

    def page(
        self, kind: Kind, cursor: str | None, modern: bool, promise: Promise = NO_PROMISE
    ) -> bytes:
        """One page of a list: the result object as JSON text.

        Cost  the first page of an unchanged list is kept: ~0.3 us, and a copy if it holds for a
              while.

        Raises:
            InvalidParams: a cursor that is not ours, or too old.
        """
        section = self.section(kind)
        return section.modern.page(cursor, promise) if modern else section.legacy.page(cursor)

    def count(self, kind: str) -> int:
        """How many entries of the kind with this value clients see."""
        return len(self.section(Kind(kind)).index)

    def lists_as(self, other: "View | None", kind: Kind) -> bool:
        """Whether no client sees a difference between this list and that of `other`; of none, an
        empty list."""
        mine, its = self.section(kind), other.section(kind) if other is not None else None
        if its is None:
            return not mine.index
        return mine is its or not (
            differ(mine.legacy.tables, its.legacy.tables)
            or differ(mine.modern.tables, its.modern.tables)
        )

    def capabilities(self) -> tuple[str, ...]:
        """What these servers can do together, as the names of the members of `capabilities`."""
        able = frozenset[str]().union(*(stock.capabilities for stock in self.stocks))
        return tuple(name for name in CAPABILITIES if name in able)

    def declared(self, name: str) -> dict[str, dict[str, Any]]:
        """What the servers here said of one capability, by server; without the silent ones."""
        said = ((stock.server, stock.listing.capabilities.get(name)) for stock in self.stocks)
        return {server: one for server, one in said if isinstance(one, dict)}

    def subscribes(self) -> bool:
        """Whether a server here announces when a resource changes."""
        said = [stock.listing.capabilities.get("resources") for stock in self.stocks]
        return any(isinstance(one, dict) and one.get("subscribe") is True for one in said)

    def instructions(self) -> list[tuple[str, str]]:
        """Pairs of server and what it says of its use, in order; without the silent ones."""
        said = [(stock.server, stock.listing.instructions) for stock in self.stocks]
        return [(server, text) for server, text in said if text]


class AllServers(View):
    """Tools and prompts under names by the naming rule, URIs as they are."""

    __slots__ = ("_naming", "_owners", "_prompts", "_routes", "_sections", "_tools")

    server = None

    def __init__(
        self,
        stocks: tuple[Stock, ...],
        naming: Naming,
        owners: Owners,
        previous: "AllServers | None",
    ) -> None:
        super().__init__(stocks)
        self._naming = naming
        self._owners = owners
        self._routes: Routes | None = None
        self._sections = {kind: self._build(kind, previous) for kind in Kind}
        self._tools = self._sections[Kind.TOOLS].index
        self._prompts = self._sections[Kind.PROMPTS].index

    def section(self, kind: Kind) -> Section:
        """One kind of all servers, built beforehand."""
        return self._sections[kind]

    def tool(self, name: str) -> Target | None:
        """The tool listed under `name`."""
        return self._tools.get(name)

    def prompt(self, name: str) -> Target | None:
        """The prompt listed under `name`."""
        return self._prompts.get(name)

    def resource(self, uri: str) -> Target | None:
        """The first server that lists `uri`, else what `Routes` finds."""
        listed = self._sections[Kind.RESOURCES].index.get(uri)
        if listed is not None:
            return listed
        if self._routes is None:
            self._routes = Routes(self.stocks, self._owners)
        server = self._routes.find(uri)
        return None if server is None else Target(server, uri, as_raw(uri))

    def suggest(self, kind: Kind, name: str) -> str | None:
        """The shown name that was probably meant."""
        return self._sections[kind].suggest(name, self._naming.separator)

    def _build(self, kind: Kind, previous: "AllServers | None") -> Section:
        """The section of one kind; the previous one when not a single shelf has changed."""
        before = previous.section(kind) if previous else None
        known = {shelf.server: shelf for shelf in before.shelves} if before else {}
        shared = self._shared(kind)
        alone = previous is not None and self._names_alone(previous)
        shelves = tuple(
            old
            if alone and (old := known.get(stock.server)) is not None and old.shows(stock, kind)
            else self._shelf(kind, stock, shared, known)
            for stock in self.stocks
        )
        if before is not None and before.shelves == shelves:
            return before
        return Section(kind, shelves, before)

    def _names_alone(self, previous: "AllServers") -> bool:
        """Whether a server's names follow from what it offers alone, and by the same rule."""
        return self._naming.mode != "on_conflict" and self._naming == previous._naming

    def _shelf(
        self, kind: Kind, stock: Stock, shared: frozenset[str], known: Mapping[str, Shelf]
    ) -> Shelf:
        labels = self._labels(kind, stock, shared)
        old = known.get(stock.server)
        if old is not None and old.shows(stock, kind) and old.labels == labels:
            return old
        return label(stock, kind, labels)

    def _labels(self, kind: Kind, stock: Stock, shared: frozenset[str]) -> Labels | None:
        if kind not in _NAMED:
            return None
        naming = self._naming
        prefixed = None
        if naming.mode != "prefix":
            prefixed = shared and shared.intersection(item.base for item in stock.items[kind])
        return Labels(stock.server + naming.separator, naming.max_length, prefixed)

    def _shared(self, kind: Kind) -> frozenset[str]:
        """The base names that must be told apart: several servers have them."""
        if kind not in _NAMED or self._naming.mode != "on_conflict":
            return frozenset()
        count = Counter(item.base for stock in self.stocks for item in stock.items[kind])
        return frozenset(base for base, times in count.items() if times > 1)


class OneServer(View):
    """The server as it stands: its own names, and what it does not list is passed on."""

    __slots__ = ("_older", "_sections", "_stock", "server")

    def __init__(self, stock: Stock, previous: "OneServer | None") -> None:
        super().__init__((stock,))
        self.server = stock.server
        self._stock = stock
        self._sections: dict[Kind, Section] = {}
        self._older: dict[Kind, Older] = previous.older() if previous else {}

    def section(self, kind: Kind) -> Section:
        """One kind of this server, built when first asked for: many are never asked."""
        if (section := self._sections.get(kind)) is not None:
            return section
        shelves = (label(self._stock, kind, None),)
        section = Section(kind, shelves, older=self._older.get(kind, NO_OLDER))
        self._sections[kind] = section
        return section

    def count(self, kind: str) -> int:
        """As many as there are, without rendering them."""
        return len(self._stock.items[Kind(kind)])

    def older(self) -> dict[Kind, Older]:
        """What the next view of this server must keep of the lists that were asked for."""
        return self._older | {kind: section.older() for kind, section in self._sections.items()}

    def tool(self, name: str) -> Target | None:
        """The tool shown as `name`; one that is not listed unless the rules withhold it."""
        listed = self.section(Kind.TOOLS).index.get(name)
        return listed or self._stock.unlisted_tool(name)

    def prompt(self, name: str) -> Target | None:
        """The prompt `name`, listed or not."""
        return self.section(Kind.PROMPTS).index.get(name) or self._unlisted(name)

    def resource(self, uri: str) -> Target | None:
        """The resource `uri`, listed or not."""
        return self.section(Kind.RESOURCES).index.get(uri) or self._unlisted(uri)

    def _unlisted(self, name: str) -> Target:
        return Target(self._stock.server, name, as_raw(name))
