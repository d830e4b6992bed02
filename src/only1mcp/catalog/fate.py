"""What became of each tool a server lists: shown under which name, or why not.

    listed ──► fits the schema? ──► allowed, not denied? ──► renamed ──► named ──► no clash?
                  dropped               withheld                               hidden

Pure, from one catalogue; made when somebody asks, not when lists change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import Kind, Target
from only1mcp.catalog.shelf import Shelf
from only1mcp.config.servers import Tools
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import Params, text


class Fate(StrEnum):
    """How the way of a tool to the clients ended."""

    SHOWN = "shown"
    WITHHELD = "withheld"  # by tools.allow or tools.deny
    DROPPED = "dropped"  # clients would refuse it
    HIDDEN = "hidden"  # another has its name


@dataclass(frozen=True, slots=True)
class ToolFate:
    """One tool of one server."""

    server: str
    own: str
    """What the server calls it."""
    base: str
    """What it is called after tools.rename."""
    name: str | None
    """What clients of all servers call it, if they see it."""
    fate: Fate
    reason: str
    """Why it is not shown, or not to all; empty otherwise."""
    bytes: int = 0
    """What it takes in the list of all servers, as handshake clients get it."""


def fates(catalog: Catalog) -> Iterator[ToolFate]:
    """Every tool that is listed, in the order of servers and lists.

    Cost  ~3 us a tool.
    """
    section = catalog.all.section(Kind.TOOLS)
    dropped = {(one.server, one.name): one.reason for one in section.dropped}
    shown: dict[tuple[str, str], str] = {}
    for name, target in section.index.items():
        shown[target.server, target.name] = name
    for shelf in section.shelves:
        stock = shelf.stock
        mine = (one for one in stock.dropped if one.kind is Kind.TOOLS)
        dropped |= {(one.server, one.name): one.reason for one in mine}
        wanted = _wanted(shelf)
        for own in dict.fromkeys(map(_name, stock.listing.tools)):
            key = (stock.server, own)
            base = stock.rules.rename.get(own, own)
            fate, reason = Fate.SHOWN, dropped.get(key, "")
            if key not in shown:
                owner = section.index.get(wanted.get(own, ""))
                fate, reason = _not_shown(stock.rules, own, reason, owner)
            size = len(shelf.legacy[shown[key]]) if key in shown else 0
            yield ToolFate(stock.server, own, base, shown.get(key), fate, reason, size)


def _wanted(shelf: Shelf) -> dict[str, str]:
    """The name each tool of a server would be shown under, by its own name."""
    items = shelf.stock.items[Kind.TOOLS]
    labels = shelf.labels
    return {one.target.name: labels.shown(one) if labels else one.base for one in items}


def _not_shown(rules: Tools, own: str, dropped: str, owner: Target | None) -> tuple[Fate, str]:
    if why := withheld(rules, own):
        return Fate.WITHHELD, why
    if dropped:
        return Fate.DROPPED, dropped
    whose = f"'{owner.name}' of server {owner.server}" if owner else "another of this server"
    return Fate.HIDDEN, f"its name is taken by {whose}"


def withheld(rules: Tools, own: str) -> str:
    """Which rule keeps a tool from clients; empty if none does."""
    for pattern in rules.deny:
        if fnmatchcase(own, pattern):
            return f"tools.deny has '{pattern}'"
    if any(fnmatchcase(own, pattern) for pattern in rules.allow):
        return ""
    return f"tools.allow has only {', '.join(map(repr, rules.allow)) or 'nothing'}"


def _name(entry: Params) -> str:
    try:
        return text(entry.get(Kind.TOOLS.key)) or ""
    except McpError:
        return ""
