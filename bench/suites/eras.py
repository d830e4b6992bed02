"""The four bridges: clients and servers of both eras."""

from typing import Final

from bench.rig import Rig
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.started import http_server

ERAS: Final = {"legacy": "2025-11-25", "modern": "2026-07-28"}
SECONDS: Final = 2
CONNECTIONS: Final = 32


def run(rig: Rig) -> None:
    """Each client with each server, in turns; CPU a call against the way that is no bridge."""
    with rig.stub("--era", "legacy") as old, rig.stub("--era", "modern") as new:
        servers = [http_server("legacy", old.url), http_server("modern", new.url)]
        with rig.gateway({"servers": servers}) as gateway:
            ways = {
                (client, server): (Endpoint(gateway.url, client).open(), f"{server}__echo")
                for client in ERAS
                for server in ERAS
            }
            runs = rig.turns({
                way: lambda e=end: rig.per_call_us(
                    gateway.program, lambda: rig.closed(*e, CONNECTIONS, SECONDS)
                )
                for way, end in ways.items()
            }, 3)  # fmt: skip
    same = [us for _, us in runs["legacy", "legacy"]]
    for (client, server), some in runs.items():
        name = f"client {ERAS[client]}, server {ERAS[server]}"
        cpu = [us for _, us in some]
        rig.row(name, "calls/s", [o.rate for o, _ in some], better="more", group="calls/s")
        rig.row(f"CPU a call, {name}", "us", cpu, better="less", group="CPU")
        if (client, server) != ("legacy", "legacy"):
            rig.row(
                f"CPU over legacy to legacy, {name}",
                "x",
                paired(cpu, same),
                better="less",
                guard=True,
                group="ratio",
            )
