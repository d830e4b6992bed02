"""The state of every server as plain values: what the admin API and the command line show."""

from dataclasses import asdict
from typing import Any

from only1mcp.catalog.fate import fates
from only1mcp.catalog.listing import Kind
from only1mcp.config.servers import Http, Sse, Stdio
from only1mcp.config.show import mask_arguments, mask_url
from only1mcp.relay.snapshot import Snapshot
from only1mcp.upstream.roster import Live
from only1mcp.upstream.sse import LegacySse


def describe_servers(snapshot: Snapshot) -> list[dict[str, Any]]:
    """One JSON-able row per configured server, in the order of the configuration."""
    return [describe_server(live, snapshot) for live in snapshot.servers.values()]


def describe_server(live: Live, snapshot: Snapshot) -> dict[str, Any]:
    """State, reason, transport, era, and what the server offers."""
    transport = live.config.transport
    upstream = live.upstream
    greeting = upstream.greeting if upstream is not None and live.state == "ready" else None
    view = snapshot.catalog.view(live.id)
    row: dict[str, Any] = {
        "id": live.id,
        "state": str(live.state),
        "reason": live.reason,
        "transport": "sse" if isinstance(upstream, LegacySse) else transport.type,
        "target": _target(transport),
        "revision": greeting.revision if greeting else None,
        "revisions": _revisions(live) if greeting else [],
        "era": None if greeting is None else "modern" if greeting.modern else "legacy",
        "protocol": live.config.protocol,
        "restarts": live.restarts,
        "isolation": live.config.isolation,
        "pid": getattr(upstream, "pid", None),
    }
    for kind in Kind:
        name = "templates" if kind is Kind.TEMPLATES else kind.value
        row[name] = view.count(kind) if view is not None else 0
    return row


def _revisions(live: Live) -> list[str]:
    """All that it is spoken to in now: clients of another era may have connections of their own."""
    upstreams = [live.ready(), *live.further]
    return sorted({one.greeting.revision for one in upstreams}, reverse=True)


def describe_tools(snapshot: Snapshot) -> list[dict[str, Any]]:
    """One row for every tool that an enabled server lists, shown or not."""
    return [asdict(one) for one in fates(snapshot.catalog)]


def _target(transport: Stdio | Http | Sse) -> str:
    """The URL or the command line, without the secrets that people put there."""
    if isinstance(transport, Stdio):
        return " ".join((transport.command, *mask_arguments(transport.args)))
    return mask_url(transport.url)
