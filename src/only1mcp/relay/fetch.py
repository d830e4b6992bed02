"""One fetch of the lists of one server: page after page, and for how long each list holds.

Bounds  pages, entries and bytes per list.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from only1mcp.catalog.listing import NOTHING, Kind, Listing
from only1mcp.protocol import message
from only1mcp.protocol.caching import ttl
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.errors import (
    InvalidParams,
    McpError,
    MethodNotFound,
    ParseError,
    ServerFault,
    ServerProtocolError,
    ServerTimeout,
    UpstreamError,
)
from only1mcp.protocol.message import Params, as_raw
from only1mcp.relay import behind
from only1mcp.upstream.base import Call, Callee

log = logging.getLogger("only1mcp.lists")

MAX_PAGES: Final = 1000
MAX_ENTRIES: Final = 50_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all pages of one list; 50 000 tools with usual schemas are about as much."""
FAILED_TTL_S: Final = 30.0
"""How long a list that could not be had is not asked for again."""
UNTOLD_TTL_S: Final = 5.0
"""How long a list is kept at most from a server that neither gives a time nor declares
listChanged: only a further look can tell."""

METHOD_OF_KIND: Final = {
    Kind.TOOLS: "tools/list",
    Kind.PROMPTS: "prompts/list",
    Kind.RESOURCES: "resources/list",
    Kind.TEMPLATES: "resources/templates/list",
}
_CAPABILITY: Final = {
    Kind.TOOLS: "tools",
    Kind.PROMPTS: "prompts",
    Kind.RESOURCES: "resources",
    Kind.TEMPLATES: "resources",
}


class Hold(NamedTuple):
    """How long one list of one server holds, and for whom. `ttl_s` None: the server does not say;
    `said`: it is its own word, so clients may rely on it; `told` False:
    nor does it tell when the list has changed."""

    ttl_s: float | None = None
    said: bool = False
    public: bool = False
    told: bool = True

    def lasts_s(self, usual_s: float) -> float:
        """How long to keep it, where `usual_s` is right for a server that does not say."""
        if self.ttl_s is not None:
            return self.ttl_s
        return usual_s if self.told else min(usual_s, UNTOLD_TTL_S)


async def fetch(
    upstream: Callee, timeout_s: float, last: Listing = NOTHING, kinds: Iterable[Kind] = Kind
) -> tuple[Listing, dict[Kind, Hold]]:
    """Everything a server offers of these kinds, and for how long each list holds.

    The others stay as they were in `last`, and so does a list that cannot be had.

    Raises:
        McpError: the server is lost, leads back here, or not one of its lists could be had.
    """
    greeting = upstream.greeting
    gateways = await behind.check(upstream, timeout_s)
    lists = {kind: last.entries(kind) for kind in Kind if kind not in kinds}
    holds: dict[Kind, Hold] = {}
    faults: list[McpError] = []
    for kind in _asked(greeting.capabilities, kinds):
        try:
            lists[kind], holds[kind] = await _pages(upstream, kind, timeout_s)
        except (UpstreamError, ServerTimeout, ServerProtocolError) as fault:
            faults.append(fault)
            lists[kind], holds[kind] = _missing(upstream, kind, fault, last)
    serious = [fault for fault in faults if isinstance(fault, ServerFault)]
    if serious and len(faults) == len(holds):
        raise serious[0]
    listing = Listing(
        tools=lists.get(Kind.TOOLS, ()),
        prompts=lists.get(Kind.PROMPTS, ()),
        resources=lists.get(Kind.RESOURCES, ()),
        templates=lists.get(Kind.TEMPLATES, ()),
        capabilities=greeting.capabilities,
        instructions=greeting.instructions,
        server_info=greeting.server_info,
        gateways=gateways,
    )
    return listing, holds


def _asked(declared: Mapping[str, object], kinds: Iterable[Kind]) -> list[Kind]:
    """The lists to ask for; all of them if the server declares nothing at all."""
    return [kind for kind in kinds if not declared or _CAPABILITY[kind] in declared]


def _missing(
    upstream: Callee, kind: Kind, fault: McpError, last: Listing
) -> tuple[tuple[Params, ...], Hold]:
    if isinstance(fault, UpstreamError) and fault.own_code == MethodNotFound.code:
        return (), Hold()  # declared in part, e.g. resources without templates
    log.warning("server %s: %s failed: %s", upstream.server, METHOD_OF_KIND[kind], fault.message)
    return last.entries(kind), Hold(FAILED_TTL_S)


async def _pages(upstream: Callee, kind: Kind, timeout_s: float) -> tuple[tuple[Params, ...], Hold]:
    """One whole list and how long it holds.

    Raises:
        McpError: as the server says; ServerProtocolError for what is no list.
    """
    entries: list[Params] = []
    seen: set[str] = set()
    cursor: str | None = None
    holds: list[Hold] = []
    size = 0
    while True:
        raw = await upstream.call(_page_call(upstream, kind, cursor, timeout_s))
        size += len(raw)
        try:
            page = message.members(raw)
            entries += message.objects(page.get(kind.value, message.NO_RAW))
            holds.append(_hold(page))
            cursor = message.text(page.get("nextCursor"))
        except (InvalidParams, ParseError):
            raise _no_list(upstream, kind) from None
        if cursor is None:
            break
        if (
            cursor in seen
            or len(seen) >= MAX_PAGES
            or len(entries) > MAX_ENTRIES
            or size > MAX_BYTES
        ):
            log.warning(
                "server %s: %s never ends; cut at %d",
                upstream.server,
                METHOD_OF_KIND[kind],
                len(entries),
            )
            break
        seen.add(cursor)
    least = _least(holds)
    told = least.ttl_s is not None or _announces(upstream, kind)
    return tuple(entries[:MAX_ENTRIES]), least._replace(told=told)


def _announces(upstream: Callee, kind: Kind) -> bool:
    declared = upstream.greeting.capabilities.get(_CAPABILITY[kind])
    return isinstance(declared, dict) and declared.get("listChanged") is True


def _page_call(upstream: Callee, kind: Kind, cursor: str | None, timeout_s: float) -> Call:
    params: Params = {} if cursor is None else {"cursor": as_raw(cursor)}
    if upstream.greeting.modern:
        params["_meta"] = as_raw(own_meta({}))
    return Call(METHOD_OF_KIND[kind], params, idle_s=timeout_s, max_s=timeout_s)


def _no_list(upstream: Callee, kind: Kind) -> ServerProtocolError:
    server, method = upstream.server, METHOD_OF_KIND[kind]
    return ServerProtocolError(
        server,
        f"server '{server}' answered {method} with something that is no list",
        hint="its log may say more",
    )


def _hold(page: Params) -> Hold:
    ttl_s = ttl(page)
    scope: object = message.any_value(page.get("cacheScope", message.NO_RAW))
    return Hold(ttl_s, ttl_s is not None, scope == "public")


def _least(holds: list[Hold]) -> Hold:
    """Of all pages of a list: the shortest time, and private if one is."""
    said = [hold.ttl_s for hold in holds if hold.ttl_s is not None]
    all_said = len(said) == len(holds)
    return Hold(min(said, default=None), all_said, all(hold.public for hold in holds))
