"""From a request to what it asks for: whether another may have the same answer.

    request ──► Key: server, method, target, params, form of the answer, whose it is
            └─► None: nothing to look up and nothing to keep

None is for requests that answer a question of the server or ask for a task, for tools that are
not listed in `cache.tools`, and for what is malformed: the server shall judge that. A caller of
whom nobody knows who it is makes calls of its own, and so does one who wants to hear of the call.
Cost    one encoding of the capabilities; what `_meta` means is remembered.
Source  MCP 2026-07-28 server/utilities/caching.
"""

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Raw

from only1mcp.catalog.listing import Target
from only1mcp.config.cache import CachedTool
from only1mcp.policy.access import ANONYMOUS
from only1mcp.policy.cache import TIER_OF, Key, Tier
from only1mcp.protocol import caching, downlevel, message
from only1mcp.protocol.caching import Hint, Meta
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.methods import Method
from only1mcp.upstream.roster import Live

if TYPE_CHECKING:
    from only1mcp.relay.request import Caller, Request

MAX_METAS: Final = 1024
"""Of `_meta` texts whose meaning is remembered; dropped all at once."""
NOBODY: Final = ""
"""The owner of what a caller gets that cannot be told from others: nothing is kept for it."""

_ONCE: Final = frozenset(("requestState", "inputResponses", "task"))
"""Members of params that make a request the only one of its kind: it goes on with a call, or begins
a task."""


class Fetch:
    """One call on behalf of the cache. `hear` takes the server's own result, before an era
    changes it; `gathers`: it may travel with others."""

    __slots__ = ("gathers", "hint", "raw")

    def __init__(self, *, gathers: bool) -> None:
        self.gathers = gathers
        self.raw: bytes = b""
        self.hint: Hint | None = None

    def hear(self, raw: bytes) -> None:
        """The server has answered."""
        self.raw = raw
        self.hint = caching.hint(raw)


Call = Callable[["Caller", Fetch | None], Awaitable[bytes]]
"""Makes the call, as this client."""


class Wanted(NamedTuple):
    """A request as the cache sees it. `ttl_s` is what the operator says of a tool; `alone`: its
    call is not shared."""

    key: Key
    tier: Tier
    ttl_s: float | None
    alone: bool
    live: Live
    caller: "Caller"
    call: Call


class Reader:
    """Reads requests. `one_principal`: whether callers without a name are one and the same."""

    def __init__(self, rules: tuple[CachedTool, ...], *, shares: bool, one_principal: bool) -> None:
        self._rules = rules
        self._shares = shares
        self.one_principal = one_principal
        self._tool_ttls: dict[tuple[str, str], float | None] = {}
        self._metas: dict[bytes, Meta] = {}

    def read(
        self, request: "Request", row: Method, live: Live, target: Target, call: Call
    ) -> Wanted | None:
        """What to look for; None: this one has nothing to do with the cache."""
        params, caller, ttl_s = request.params, request.caller, None
        form: object = request.revision if row.name in downlevel.METHODS else request.modern
        if row.name == "tools/call":
            ttl_s = self._tool_ttl(target)
            if ttl_s is None or target.header_params:
                return None
        if not _ONCE.isdisjoint(params):
            return None
        try:
            counts, alone = self._meta(params.get("_meta", message.NO_RAW))
            given = caching.params(params, row.target or "")
        except McpError:
            return None
        declared = message.encode(caller.capabilities)
        owner = self._owner(live, caller)
        key = Key(target.server, row.name, target.name, given, (form, counts, declared), owner)
        alone = alone or owner == NOBODY or not self._shares
        return Wanted(key, TIER_OF[row.name], ttl_s, alone, live, caller, call)

    def _owner(self, live: Live, caller: "Caller") -> str | None:
        """Whose the answer is. Where a server remembers its client, that is whoever shares its
        connection; strangers without a name are told apart by their sessions."""
        if live.config.cache.shared:
            return None
        unknown = caller.principal == ANONYMOUS and not self.one_principal
        if live.config.isolation == "session" or unknown:
            if caller.session is not None:
                return f"session {caller.session}"
            return NOBODY if unknown else caller.principal
        return caller.principal

    def _meta(self, raw: Raw) -> Meta:
        text = bytes(raw)
        known = self._metas.get(text)
        if known is None:
            if len(self._metas) >= MAX_METAS:
                self._metas.clear()
            known = self._metas[text] = caching.meta(raw)
        return known

    def _tool_ttl(self, target: Target) -> float | None:
        place = (target.server, target.name)
        if place not in self._tool_ttls:
            if target.entry is None and len(self._tool_ttls) >= MAX_METAS:
                self._tool_ttls.clear()  # names that no list has are the client's invention
            name = f"{target.server}__{target.name}"
            found = (rule.ttl for rule in self._rules if fnmatchcase(name, rule.match))
            self._tool_ttls[place] = next(found, None)
        return self._tool_ttls[place]
