"""Calls per second on one core, by connections, and what CPU a call takes."""

from typing import Final

from bench import nginx
from bench.rig import Rig
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.started import http_server

CONNECTIONS: Final = (1, 8, 32, 128, 512)
USUAL: Final = 32
SECONDS: Final = 2


def run(rig: Rig) -> None:
    """The gateway beside nginx where it is there, to the same server; both on one core."""
    with nginx.stub(rig.cores.server) as stub:
        config = {"servers": [http_server("stub", stub.url, concurrency=ROOM)]}
        with rig.gateway(config) as gateway:
            subjects = {
                "direct": (Endpoint(stub.url).open(), "echo", stub.program),
                "gateway": (Endpoint(gateway.url).open(), "stub__echo", gateway.program),
            }
            for connections in CONNECTIONS:
                runs = rig.turns({
                    name: lambda s=subject, c=connections: rig.per_call_us(
                        s[2], lambda: rig.closed(s[0], s[1], c, SECONDS)
                    )
                    for name, subject in subjects.items()
                }, 5 if connections == USUAL else 3)  # fmt: skip
                _rows(rig, connections, runs)
    rig.note(f"The stub server is {'nginx' if nginx.can_stub() else 'the bundled Python one'}.")


def _rows(rig: Rig, connections: int, runs: dict) -> None:
    usual = connections == USUAL
    load = f"{connections} connection{'s' * (connections > 1)}"
    for name, some in runs.items():
        bar = 10_000 if usual and name == "gateway" else None
        rig.row(
            f"{name}, {load}",
            "calls/s",
            [o.rate for o, _ in some],
            better="more",
            bar=bar,
            group="calls/s",
        )
        rig.row(
            f"{name} p99, {load}",
            "ms",
            [o.latencies.percentile_s(99) * 1e3 for o, _ in some],
            better="less",
            group="p99",
        )
    cpu = {name: [us for _, us in some] for name, some in runs.items()}
    rig.row(f"gateway CPU a call, {load}", "us", cpu["gateway"], better="less", group="CPU")
    rig.row(
        f"gateway CPU over stub server's, {load}",
        "x",
        paired(cpu["gateway"], cpu["direct"]),
        better="less",
        guard=usual,
        group="ratio",
    )


ROOM: Final = {"max_in_flight": 1024}
"""More calls at once than any load here has: nobody waits for a turn."""
