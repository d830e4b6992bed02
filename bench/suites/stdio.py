"""Servers and clients on pipes: calls to one child, and what a client sees of `only1mcp stdio`."""

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

from bench.pipe import STUB, Pipe
from bench.rig import Rig, Target
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.started import http_server, stdio_server

SECONDS: Final = 2.0
IN_FLIGHT: Final = 32


def run(rig: Rig) -> None:
    """Over HTTP to a child, then over a pipe to the gateway."""
    _children(rig)
    _as_a_server(rig)


def _children(rig: Rig) -> None:
    config = {"servers": [stdio_server("stub", concurrency={"max_in_flight": 1024})]}
    with rig.gateway(config) as gateway:
        target = Target(Endpoint(gateway.url).open(), "stub__echo", gateway.program)
        direct = Pipe(STUB, rig.cores.server)
        try:
            runs = rig.turns({"direct": direct, "gateway": target}, partial(_rate, rig), 3)
        finally:
            direct.close()
    rig.row("direct, one child on a pipe", "calls/s", runs["direct"])
    rig.row(
        "gateway, HTTP to one child", "calls/s", runs["gateway"],
        better="more", bar=5000,
    )  # fmt: skip
    rig.note("The child shares the gateway's core: it inherits where the gateway may run.")


def _rate(rig: Rig, subject: Pipe | Target) -> float:
    if isinstance(subject, Pipe):
        return subject.load("echo", IN_FLIGHT, SECONDS).rate
    return rig.closed(subject, IN_FLIGHT, SECONDS).rate


def _as_a_server(rig: Rig) -> None:
    with rig.stub() as stub, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "only1mcp.json"
        file.write_text(json.dumps({"servers": [http_server("stub", stub.url)]}))
        gateway = Pipe(
            [sys.executable, "-m", "only1mcp", "stdio", "-c", str(file)], rig.cores.gateway
        )
        try:
            gateway.until_offered("stub__echo")
            for in_flight in (1, IN_FLIGHT):
                rates = [gateway.load("stub__echo", in_flight, SECONDS).rate for _ in range(3)]
                rig.row(
                    f"only1mcp stdio, {in_flight} at once",
                    "calls/s",
                    rates,
                    better="more",
                )
        finally:
            gateway.close()
