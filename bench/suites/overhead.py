"""What the gateway adds to a call: percentiles at fixed rates, the server beside it as zero."""

from typing import Final

from bench.rig import ARGUMENTS, Rig
from only1mcp.bench import drive
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import Histogram
from only1mcp.bench.load import Outcome
from only1mcp.bench.started import http_server

RATES: Final = (100, 1000, 4000)
PERCENTS: Final = (50, 90, 99, 99.9)
SECONDS: Final = 1.5
_BARS: Final = {50: 0.3, 99: 1.0}


def run(rig: Rig) -> None:
    """One client in sequence, then open loops."""
    with rig.stub() as stub, rig.gateway({"servers": [http_server("stub", stub.url)]}) as gateway:
        ends = {
            "direct": (Endpoint(stub.url).open(), "echo"),
            "gateway": (Endpoint(gateway.url).open(), "stub__echo"),
        }
        one = {name: lambda e=end: _one_client(rig, *e) for name, end in ends.items()}
        _rows(rig, "1 client", rig.turns(one), bars=True)
        for rate in RATES:
            at = {
                name: lambda e=end, r=rate: rig.open(*e, r, SECONDS) for name, end in ends.items()
            }
            _rows(rig, f"{rate}/s", rig.turns(at))
    rig.note("Open loops: a call's time counts from when it was due, not from when it was sent.")
    rig.note("Load and stub server are the bundled ones; wrk has no fixed rates.")


def _one_client(rig: Rig, endpoint: Endpoint, tool: str) -> Outcome:
    params = {"name": tool, "arguments": ARGUMENTS}
    return drive.ours(drive.job(endpoint, "tools/call", params, 1, SECONDS), rig.cores.load)


def _rows(rig: Rig, load: str, runs: dict[str, list[Outcome]], *, bars: bool = False) -> None:
    for percent in PERCENTS:
        ms = {
            name: [run.latencies.percentile_s(percent) * 1e3 for run in some]
            for name, some in runs.items()
        }
        group = f"p{percent:g}"
        rig.row(f"direct {group} at {load}", "ms", ms["direct"], group=group)
        rig.row(f"gateway {group} at {load}", "ms", ms["gateway"], group=group)
        added = [b - a for a, b in zip(ms["direct"], ms["gateway"], strict=True)]
        bar = _BARS.get(int(percent)) if bars else None
        rig.row(f"added {group} at {load}", "ms", added, better="less", bar=bar, group="added")
    for name, some in runs.items():
        rig.curve(f"{name} at {load}", _curve(some))


def _curve(runs: list[Outcome]) -> list[tuple[float, float]]:
    total = Histogram({})
    for one in runs:
        total.merge(one.latencies)
    return [(percent, seconds * 1e3) for percent, seconds in total.curve()]
