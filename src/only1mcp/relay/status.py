"""The state of every server as plain values: what the admin API and the command line show."""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from only1mcp.catalog.fate import fates
from only1mcp.catalog.listing import Kind
from only1mcp.config.servers import Http, Sse, Stdio
from only1mcp.config.show import mask_arguments, mask_url
from only1mcp.policy.health import Status
from only1mcp.relay.snapshot import Snapshot
from only1mcp.upstream.roster import Live, Replica, State

PROMPTS: Final = (Kind.PROMPTS,)
RESOURCES: Final = (Kind.RESOURCES, Kind.TEMPLATES)
_UNSEEN: Final = (State.STARTING, State.IDLE, State.DISABLED, State.STOPPED)


def describe_servers(snapshot: Snapshot) -> list[dict[str, Any]]:
    """One JSON-able row per configured server, in the order of the configuration."""
    return [describe_server(live, snapshot) for live in snapshot.servers.values()]


def describe_server(live: Live, snapshot: Snapshot) -> dict[str, Any]:
    """State, health, transport, era, what the server offers, and how its replicas are."""
    upstream = live.upstream
    greeting = upstream.greeting if upstream is not None and live.state == "ready" else None
    view = snapshot.catalog.view(live.id)
    replicas = [describe_replica(one) for one in live.replicas]
    row: dict[str, Any] = {
        "id": live.id,
        "state": str(live.state),
        "reason": live.reason,
        **_health(replicas),
        "transport": "sse" if live.replicas[0].is_sse else live.config.instances[0].transport.type,
        "target": ", ".join(one["target"] for one in replicas),
        "revision": greeting.revision if greeting else None,
        "revisions": _revisions(live) if greeting else [],
        "era": None if greeting is None else "modern" if greeting.modern else "legacy",
        "protocol": live.config.protocol,
        "restarts": live.restarts,
        "isolation": live.config.isolation,
        "pid": live.lead.pid if live.lead is not None else None,
        "replicas": replicas,
    }
    for kind in Kind:
        name = "templates" if kind is Kind.TEMPLATES else kind.value
        row[name] = view.count(kind) if view is not None else 0
    return row


def describe_replica(one: Replica) -> dict[str, Any]:
    """How one replica is: its connection, its health, its breaker, its calls."""
    health, reason, since = str(one.health.status), one.health.reason, one.health.since
    if not one.connected:
        unseen = one.state in _UNSEEN
        health, reason, since = "unknown" if unseen else "unhealthy", one.reason, one.since
    return {
        "id": one.id,
        "state": str(one.state),
        "health": health,
        "reason": reason or one.breaker.reason,
        "since": _moment(one.clock() - since),
        "breaker": str(one.breaker.state),
        "weight": one.weight,
        "in_flight": one.in_flight,
        "latency_ms": round(one.latency_s * 1000, 3),
        "target": _target(one.transport),
        "restarts": one.restarts,
        "pid": one.pid,
    }


def _revisions(live: Live) -> list[str]:
    """All that it is spoken to in now: clients of another era may have connections of their own."""
    return sorted({one.greeting.revision for one in live.connections()}, reverse=True)


def describe_tools(snapshot: Snapshot) -> list[dict[str, Any]]:
    """One row for every tool that an enabled server lists, shown or not."""
    return [asdict(one) for one in fates(snapshot.catalog)]


def describe_entries(snapshot: Snapshot, *kinds: Kind) -> list[dict[str, Any]]:
    """One row for every prompt, resource or template that clients of all servers see."""
    return [
        {"kind": kind.value, "server": target.server, "own": target.name, "name": name}
        for kind in kinds
        for name, target in snapshot.catalog.all.section(kind).index.items()
    ]


def _health(replicas: list[dict[str, Any]]) -> dict[str, str]:
    """That of all replicas if they agree, else degraded; since the latest change of one."""
    kinds = {one["health"] for one in replicas}
    status = kinds.pop() if len(kinds) == 1 else str(Status.DEGRADED)
    return {"health": status, "since": max(one["since"] for one in replicas)}


def _moment(ago_s: float) -> str:
    """The time so many seconds ago, for people and programs."""
    return datetime.fromtimestamp(time.time() - ago_s, UTC).isoformat(timespec="seconds")


def _target(transport: Stdio | Http | Sse) -> str:
    """The URL or the command line, without the secrets that people put there."""
    if isinstance(transport, Stdio):
        return " ".join((transport.command, *mask_arguments(transport.args)))
    return mask_url(transport.url)
