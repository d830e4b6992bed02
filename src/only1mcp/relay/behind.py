"""Gateways behind gateways: one that stood behind itself would list its own tools without end.

    greeting of a gateway ──► the ids of all gateways its answers come through
         ──► ours among them: the server is refused; else we name them, and ours, to our clients

The ids are new with each start of a gateway. Those behind another one change while it runs, so
it is asked for them before each fetch of its lists; two that find each other at the same moment
both step back, and the first to come again stays.
Bounds  MAX_BEHIND gateways behind each other.
"""

from secrets import token_hex
from typing import Final

from only1mcp.catalog.view import View
from only1mcp.protocol import message
from only1mcp.protocol.eras import GATEWAYS_KEY, gateways_in, own_meta
from only1mcp.protocol.errors import ServerProtocolError
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call, Callee

OURS: Final = token_hex(8)
"""Names this process, to gateways only."""
MAX_BEHIND: Final = 32


def told(view: View) -> dict[str, list[str]]:
    """What we say of it in `_meta` when we are greeted."""
    behind = (stock.listing.gateways for stock in view.stocks)
    return {GATEWAYS_KEY: list(dict.fromkeys([OURS, *(id for ids in behind for id in ids)]))}


async def check(upstream: Callee, timeout_s: float) -> tuple[str, ...]:
    """The gateways that answers of this server come through, the server first if it is one.

    Raises:
        ServerProtocolError: we are one of them, or there are too many.
        McpError: as the server says.
    """
    found = upstream.greeting.gateways
    if found and upstream.greeting.modern:
        params = {"_meta": as_raw(own_meta({}))}
        call = Call("server/discover", params, idle_s=timeout_s, max_s=timeout_s)
        found = gateways_in(message.any_value(await upstream.call(call)))
    if OURS in found:
        raise _refusal(upstream.server, "leads back to this gateway")
    if len(found) > MAX_BEHIND:
        raise _refusal(upstream.server, f"stands before {len(found)} gateways")
    return found


def _refusal(server: str, why: str) -> ServerProtocolError:
    hint = "remove it here or there, or set enabled: false"
    return ServerProtocolError(server, f"server '{server}' {why}, so it is left out", hint=hint)
