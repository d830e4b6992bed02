"""What the gateway answers itself: initialize and server/discover.

It declares what it can really serve to this client: every list (possibly empty) on `/mcp`,
what the one server declared on `/mcp/{server}`.
"""

from typing import Any

from only1mcp.catalog.view import View
from only1mcp.protocol import message
from only1mcp.protocol.eras import IMPLEMENTATION, SERVER_INFO_KEY
from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.message import Params
from only1mcp.protocol.methods import (
    LEGACY,
    MODERN,
    NEWEST_LEGACY,
    NEWEST_MODERN,
    R2025_11_25,
)
from only1mcp.relay import behind, extensions


def negotiate(params: Params) -> str:
    """The handshake revision: the client's if we serve it, else our newest (lifecycle spec).

    Raises:
        InvalidParams: the client names none.
    """
    wanted = message.text(params.get("protocolVersion"))
    if wanted is None:
        raise InvalidParams("params.protocolVersion must be a string")
    return wanted if wanted in LEGACY else NEWEST_LEGACY


def initialize(view: View, revision: str) -> bytes:
    """The result of `initialize`."""
    return message.encode(
        {
            "protocolVersion": revision,
            "capabilities": capabilities(view, modern=False) | _beyond(view, revision),
            "serverInfo": IMPLEMENTATION,
            **_instructions(view),
            "_meta": behind.told(view),
        }
    )


def discover(view: View) -> bytes:
    """The result of `server/discover`: never cached, for servers come and go."""
    return message.encode(
        {
            "resultType": "complete",
            "supportedVersions": list(MODERN),
            "capabilities": capabilities(view, modern=True) | _beyond(view, NEWEST_MODERN),
            **_instructions(view),
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {SERVER_INFO_KEY: IMPLEMENTATION, **behind.told(view)},
        }
    )


def capabilities(view: View, *, modern: bool) -> dict[str, Any]:
    """What a client may ask of this view."""
    change: dict[str, Any] = {"listChanged": True}
    offered: dict[str, Any] = {
        "tools": change,
        "prompts": change,
        "resources": {"subscribe": True, **change},
        "completions": {},
    }
    if not modern:
        offered["logging"] = {}
    declared = view.capabilities() if view.server is not None else {}
    if not declared:
        return offered
    if not view.subscribes():
        offered["resources"] = change
    return {name: flags for name, flags in offered.items() if name in declared}


def _beyond(view: View, revision: str) -> dict[str, Any]:
    """What is offered beyond the core, where it can be routed."""
    if revision in MODERN:
        found = {"extensions": extensions.offered(view, modern=True)}
    else:
        found = {"experimental": extensions.offered(view, modern=False)}
        if revision == R2025_11_25:
            found["tasks"] = extensions.offered_tasks(view)
    return {name: what for name, what in found.items() if what}


def _instructions(view: View) -> dict[str, str]:
    said = view.instructions()
    if not said:
        return {}
    if view.server is not None:
        return {"instructions": said[0][1]}
    return {"instructions": "\n\n".join(f"## {server}\n{text}" for server, text in said)}
