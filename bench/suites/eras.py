"""The four bridges: clients and servers of both eras."""

from functools import partial
from typing import Final

from bench.rig import Rig, Target
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
                (client, server): Target(
                    Endpoint(gateway.url, client).open(), f"{server}__echo", gateway.program
                )
                for client in ERAS
                for server in ERAS
            }
            load = partial(rig.counted, connections=CONNECTIONS, seconds=SECONDS)
            runs = rig.turns(ways, load, 3)
    same = [us for _, us in runs["legacy", "legacy"]]
    for (client, server), some in runs.items():
        name = f"client {ERAS[client]}, server {ERAS[server]}"
        cpu = [us for _, us in some]
        rig.row(name, "calls/s", [outcome.rate for outcome, _ in some], better="more")
        rig.row(f"CPU a call, {name}", "us", cpu, better="less")
        if (client, server) != ("legacy", "legacy"):
            ratio = paired(cpu, same)
            what = f"CPU over legacy to legacy, {name}"
            rig.row(what, "x", ratio, better="less", guard=True)
