"""Calls per second on one core, by connections, and what CPU a call takes."""

from functools import partial
from typing import Final

from bench import nginx
from bench.rig import Rig, Target
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.load import Outcome
from only1mcp.bench.started import http_server

CONNECTIONS: Final = (1, 8, 32, 128, 512)
USUAL: Final = 32
SECONDS: Final = 2
ROOM: Final = {"max_in_flight": 1024}
"""More calls at once than any load here has: nobody waits for a turn."""


def run(rig: Rig) -> None:
    """The server alone beside the gateway in front of it."""
    with nginx.stub(rig.cores.server) as stub:
        config = {"servers": [http_server("stub", stub.url, concurrency=ROOM)]}
        with rig.gateway(config) as gateway:
            targets = {
                "direct": Target(Endpoint(stub.url).open(), "echo", stub.program),
                "gateway": Target(Endpoint(gateway.url).open(), "stub__echo", gateway.program),
            }
            for connections in CONNECTIONS:
                load = partial(rig.counted, connections=connections, seconds=SECONDS)
                rounds = rig.rounds if connections == USUAL else min(3, rig.rounds)
                _rows(rig, connections, rig.turns(targets, load, rounds))
    rig.note(f"The stub server is {'nginx' if nginx.can_stub() else 'the bundled Python one'}.")


def _rows(rig: Rig, connections: int, runs: dict[str, list[tuple[Outcome, float]]]) -> None:
    usual = connections == USUAL
    load = f"{connections} connection{'s' * (connections > 1)}"
    for name, some in runs.items():
        bar = 10_000 if usual and name == "gateway" else None
        rates = [outcome.rate for outcome, _ in some]
        rig.row(f"{name}, {load}", "calls/s", rates, better="more", bar=bar)
        p99 = [outcome.latencies.percentile_s(99) * 1e3 for outcome, _ in some]
        rig.row(f"{name} p99, {load}", "ms", p99, better="less")
    cpu = {name: [us for _, us in some] for name, some in runs.items()}
    rig.row(f"gateway CPU a call, {load}", "us", cpu["gateway"], better="less")
    ratio = paired(cpu["gateway"], cpu["direct"])
    rig.row(f"gateway CPU over stub server's, {load}", "x", ratio, better="less", guard=usual)
