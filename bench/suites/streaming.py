"""Answers that are event streams: progress on its way through the gateway."""

from typing import Final

from bench.rig import ARGUMENTS, Rig
from only1mcp.bench import drive
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.started import http_server

STEPS: Final = (1, 10, 100)
SECONDS: Final = 1.5
CONNECTIONS: Final = 8


def run(rig: Rig) -> None:
    """Calls with so many notifications of progress before the answer."""
    with rig.stub() as stub, rig.gateway({"servers": [http_server("stub", stub.url)]}) as gateway:
        ends = {
            "direct": (Endpoint(stub.url).open(), "echo"),
            "gateway": (Endpoint(gateway.url).open(), "stub__echo"),
        }
        for steps in STEPS:
            runs = rig.turns({
                name: lambda e=end, s=steps: _events(rig, *e, s) for name, end in ends.items()
            }, 3)  # fmt: skip
            for name, rates in runs.items():
                rig.row(
                    f"{name}, {steps} events a call",
                    "events/s",
                    rates,
                    better="more",
                    group=f"{steps} a call",
                )


def _events(rig: Rig, endpoint: Endpoint, tool: str, steps: int) -> float:
    params = {
        "name": tool,
        "arguments": {**ARGUMENTS, "steps": steps},
        "_meta": {"progressToken": 1_000_000_000},
    }
    outcome = drive.ours(
        drive.job(endpoint, "tools/call", params, CONNECTIONS, SECONDS), rig.cores.load
    )
    return outcome.rate * (steps + 1)
