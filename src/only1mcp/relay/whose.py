"""Whose a request is, for what treats callers apart: connections, queues, the choice of a replica.

In  the caller of a request as its edge knows it: a principal, and a session if it is legacy.
"""

from contextlib import suppress
from typing import Protocol

from only1mcp.policy.access import ANONYMOUS
from only1mcp.protocol import message, tasks
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import Params
from only1mcp.relay.handed import Holder, Owner
from only1mcp.relay.snapshot import Snapshot


class Client(Protocol):
    """Part of relay.request.Caller."""

    principal: str

    @property
    def session(self) -> str | None:
        """The id of its session; None for a modern client."""


def isolated(isolation: str, caller: Client) -> str | None:
    """Whose own connection it is: a session's (a modern client has none: its principal's)."""
    if isolation == "shared":
        return None
    return caller.session or caller.principal if isolation == "session" else caller.principal


def line(caller: Client) -> str:
    """In whose line a call waits for its turn: sessions count as callers if nobody has a name."""
    return (caller.session or "") if caller.principal == ANONYMOUS else caller.principal


def holder(caller: Client, snapshot: Snapshot) -> Holder:
    """The client before the table of what servers have handed out."""

    def connection(place: str) -> str | None:
        return isolated(snapshot.servers[tasks.server(place)].config.isolation, caller)

    audience, owner = snapshot.audience, Owner(caller.principal, caller.session)
    return Holder(audience.handed, owner, connection, alone=audience.one_principal)


def hash_key(kind: str, params: Params, caller: Client) -> str | None:
    """What consistent_hash goes by for this call; None: it has nothing of the kind."""
    match kind:
        case "session":
            return caller.session or caller.principal
        case "principal":
            return caller.principal
        case "tool":
            return message.text(params.get("name"))
    with suppress(McpError):
        arguments = message.members(params.get("arguments", message.NO_RAW))
        value = arguments.get(kind.removeprefix("argument:"))
        return None if value is None else bytes(value).decode()
    return None
