"""Who to ask for a URI that is in no list.

    a template that matches  ->  who handed out a link to it  ->  the only server with URIs of
    its scheme and authority, or scheme  ->  the only server that has resources at all

Templates are tried in the order of the configuration, within a server the most literal first.
Cost  one comparison of the literal prefix per template of the same scheme, ~0.1 us each.
"""

from collections.abc import Iterable, Sequence

from only1mcp.catalog.listing import Kind
from only1mcp.catalog.owners import Owners
from only1mcp.catalog.stock import Stock
from only1mcp.protocol.uri_template import Uri, UriTemplate

_Ranked = tuple[int, UriTemplate, str]
_ANY_SCHEME = ""


class Routes:
    """The unlisted URIs of several servers."""

    __slots__ = ("_only", "_owners", "_scopes", "_servers", "_templates")

    def __init__(self, stocks: Sequence[Stock], owners: Owners) -> None:
        self._owners = owners
        self._servers = {stock.server for stock in stocks}
        self._templates = _by_scheme(stocks)
        self._scopes: dict[str, str | None] = {}  # None: several servers have it
        for stock in stocks:
            for scope in _scopes(stock):
                owner = self._scopes.setdefault(scope, stock.server)
                self._scopes[scope] = owner if owner == stock.server else None
        self._only = _only_one(stocks)

    def find(self, uri: str) -> str | None:
        """The server to ask, None if there is no good guess."""
        if server := self._by_template(uri):
            return server
        if (server := self._owners.get(uri)) in self._servers:
            return server
        for scope in _scopes_of(uri):
            if server := self._scopes.get(scope):
                return server
        return self._only

    def _by_template(self, uri: str) -> str | None:
        scheme, tried = uri.partition(":")[0], Uri(uri)
        hits = [
            hit
            for bucket in {scheme, _ANY_SCHEME}
            if (hit := _first(self._templates.get(bucket, ()), tried))
        ]
        return min(hits)[1] if hits else None


def _first(templates: Iterable[_Ranked], uri: Uri) -> tuple[int, str] | None:
    for rank, template, server in templates:
        if template.matches(uri):
            return rank, server
    return None


def _by_scheme(stocks: Sequence[Stock]) -> dict[str, list[_Ranked]]:
    """All templates in order, by their scheme; those that begin with a variable apart."""
    buckets: dict[str, list[_Ranked]] = {}
    rank = 0
    for stock in stocks:
        for template, target in stock.templates():
            scheme, colon, _ = template.prefix.partition(":")
            bucket = buckets.setdefault(scheme if colon else _ANY_SCHEME, [])
            bucket.append((rank, template, target.server))
            rank += 1
    return buckets


def _scopes(stock: Stock) -> set[str]:
    """The scopes of all that one server lists."""
    scopes: set[str] = set()
    for item in stock.items[Kind.RESOURCES]:
        scopes.update(_scopes_of(item.target.name))
    for template, _ in stock.templates():
        known = _scopes_of(template.prefix)
        cut_short = len(known) == 2 and template.prefix.count("/") < 3
        scopes.update(known[1:] if cut_short else known)
    return scopes


def _scopes_of(uri: str) -> tuple[str, ...]:
    """`scheme://authority` if it has one, then `scheme:`."""
    scheme, colon, rest = uri.partition(":")
    if not colon:
        return ()
    if not rest.startswith("//"):
        return (f"{scheme}:",)
    return (f"{scheme}://{rest[2:].partition('/')[0]}", f"{scheme}:")


def _only_one(stocks: Sequence[Stock]) -> str | None:
    able = [stock.server for stock in stocks if "resources" in stock.capabilities]
    return able[0] if len(able) == 1 else None
