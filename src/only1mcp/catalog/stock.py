"""What of one server's listing is offered: checked, filtered, renamed, free of doubles.

Independent of all other servers and of the naming rule, so a rebuild keeps the stock of every
server whose listing and rules did not change.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import translate
from typing import Final

from msgspec import Raw

from only1mcp.catalog.check import checked, fits_legacy
from only1mcp.catalog.header_params import HeaderParam, header_params
from only1mcp.catalog.listing import Kind, Listing, Target
from only1mcp.config.servers import Tools
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import Params, as_raw, members, text
from only1mcp.protocol.uri_template import UriTemplate

MAX_ENTRIES: Final = 50_000  # of one kind; a catalogue of that size is ~50 MB
MAX_MATCHED: Final = 200  # templates of one server tried on a URI that is not listed
MAX_REPORTED: Final = 100  # faults of one server kept for the report
MAX_NAME: Final = 200  # characters of a name in a report
MAX_REASON: Final = 200  # characters of a reason, which may quote the server

CAPABILITIES: Final = ("tools", "prompts", "resources", "completions", "logging")
"""What a server may declare that we carry."""
_CAPABILITY: Final = {kind: kind.value for kind in Kind} | {Kind.TEMPLATES: "resources"}


@dataclass(frozen=True, slots=True)
class Dropped:
    """An entry that clients do not see, and why."""

    kind: Kind
    server: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Two entries under one shown name: `kept` is the server that has it, `hidden` the other."""

    kind: Kind
    name: str
    kept: str
    hidden: str
    hint: str


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One offered entry. `base` is its name before any prefix."""

    base: str
    entry: Params
    target: Target
    legacy: Params  # the entry for clients before 2026-07-28
    modern: bool  # False: clients of 2026-07-28 must not see it


class Stock:
    """One server's offer. Immutable but for what is computed on first use."""

    __slots__ = (
        "_own_of",
        "_permits",
        "_templates",
        "clashes",
        "dropped",
        "items",
        "listing",
        "rules",
        "server",
    )

    def __init__(
        self, server: str, rules: Tools, listing: Listing, before: "Stock | None" = None
    ) -> None:
        """`before` is the stock of the same listing under other rules, which are for tools alone:
        the rest of it is taken over."""
        self.server = server
        self.rules = rules
        self.listing = listing
        self._permits = _filter(rules)
        self._own_of = {shown: own for own, shown in rules.rename.items()}
        self._templates: list[tuple[UriTemplate, Target]] | None = None
        self.dropped: list[Dropped] = []
        self.clashes: list[Clash] = []
        taken = before.items if before is not None and not before.reports else {}
        self.items: dict[Kind, tuple[Item, ...]] = {
            kind: taken[kind] if kind in taken and kind is not Kind.TOOLS else self._take(kind)
            for kind in Kind
        }

    @property
    def capabilities(self) -> frozenset[str]:
        """What the server can do: what it declares, and what it lists undeclared."""
        listed = {_CAPABILITY[kind] for kind in Kind if self.listing.entries(kind)}
        return frozenset(listed.union(self.listing.capabilities).intersection(CAPABILITIES))

    @property
    def reports(self) -> bool:
        """Whether there is an entry that clients do not see."""
        return bool(self.dropped or self.clashes)

    def unlisted_tool(self, name: str) -> Target | None:
        """Where a tool that is in no list would be, by the rules; None if they withhold it."""
        own = self._own_of.get(name, name)
        if name in self.rules.rename and name not in self._own_of:
            return None
        return Target(self.server, own, as_raw(own)) if self._permits(own) else None

    def templates(self) -> list[tuple[UriTemplate, Target]]:
        """The templates that are tried on a URI, the most literal first."""
        if self._templates is None:
            targets = (item.target for item in self.items[Kind.TEMPLATES])
            pairs = [(parsed, own) for own in targets if (parsed := _parsed(own.name))]
            self._templates = sorted(pairs, key=lambda pair: -pair[0].literals)[:MAX_MATCHED]
        return self._templates

    def _take(self, kind: Kind) -> tuple[Item, ...]:
        items: dict[str, Item] = {}
        owns: set[str] = set()
        for position, entry in enumerate(self.listing.entries(kind)):
            if len(items) == MAX_ENTRIES:
                self._drop(kind, f"#{position}", f"more than {MAX_ENTRIES} {kind.value}")
                break
            item = self._item(kind, position, entry, owns)
            if item is None:
                continue
            if item.base in items:
                self._clash(kind, item, items[item.base])
            else:
                items[item.base] = item
        return tuple(items.values())

    def _item(self, kind: Kind, position: int, entry: Params, owns: set[str]) -> Item | None:
        name = _name(kind, entry)
        try:
            entry = checked(kind, entry)
        except ValueError as error:
            self._drop(kind, name or f"#{position}", str(error))
            return None
        if name in owns:
            self._drop(kind, name, "listed twice by this server; the first is kept")
            return None
        owns.add(name)
        if kind is not Kind.TOOLS:
            target = Target(self.server, name, entry[kind.key], entry)
            return Item(name, entry, target, entry, modern=True)
        return self._tool(name, entry) if self._permits(name) else None

    def _tool(self, name: str, entry: Params) -> Item:
        mirrored: tuple[HeaderParam, ...] = ()
        modern = True
        try:
            mirrored = header_params(entry["inputSchema"])
        except ValueError as error:
            self._drop(Kind.TOOLS, name, f"not shown to clients of 2026-07-28: {error}")
            modern = False
        legacy = entry
        if (output := entry.get("outputSchema")) and not fits_legacy(output):
            legacy = {key: raw for key, raw in entry.items() if key != "outputSchema"}
        needs_task = self._needs_task(entry)
        target = Target(self.server, name, entry["name"], entry, mirrored, needs_task=needs_task)
        return Item(self.rules.rename.get(name, name), entry, target, legacy, modern)

    def _needs_task(self, entry: Params) -> bool:
        """Whether it works only as a task of 2025-11-25."""
        if "execution" not in entry or "tasks" not in self.listing.capabilities:
            return False
        return text(members(entry["execution"]).get("taskSupport")) == "required"

    def _drop(self, kind: Kind, name: str, reason: str) -> None:
        if len(self.dropped) < MAX_REPORTED:
            self.dropped.append(Dropped(kind, self.server, name[:MAX_NAME], reason[:MAX_REASON]))

    def _clash(self, kind: Kind, item: Item, kept: Item) -> None:
        if len(self.clashes) < MAX_REPORTED:
            hint = (
                f"{kept.target.name!r:.99} has this name and {item.target.name!r:.99} is hidden; "
                f"give one of them another name in tools.rename of server {self.server}"
            )
            self.clashes.append(Clash(kind, item.base[:MAX_NAME], self.server, self.server, hint))


def _name(kind: Kind, entry: Params) -> str:
    """The entry's name as far as it has one."""
    raw: Raw | None = entry.get(kind.key)
    try:
        return text(raw) or ""
    except McpError:
        return ""


def _parsed(template: str) -> UriTemplate | None:
    """None if it is malformed: then it is listed as it is, and only its own text leads to it."""
    try:
        return UriTemplate(template)
    except ValueError:
        return None


def _filter(rules: Tools) -> Callable[[str], bool]:
    """Whether a tool is offered; deny wins over allow."""
    if rules.allow == ("*",) and not rules.deny:
        return lambda name: True
    allow, deny = _any_of(rules.allow), _any_of(rules.deny)
    return lambda name: bool(allow.match(name)) and not deny.match(name)


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Shell patterns as one expression, case-sensitive; none of them matches nothing."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")
