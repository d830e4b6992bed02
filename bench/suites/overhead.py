"""What the gateway adds to a call: percentiles at fixed rates, the server beside it as zero."""

from functools import partial
from typing import Final

from bench.rig import Rig
from only1mcp.bench.figures import Histogram
from only1mcp.bench.load import Outcome

RATES: Final = (100, 1000, 4000)
PERCENTS: Final = (50, 90, 99, 99.9)
SECONDS: Final = 1.5
_BARS: Final[dict[float, float]] = {50: 0.3, 99: 1.0}


def run(rig: Rig) -> None:
    """One client in sequence, then open loops."""
    with rig.pair() as targets:
        _rows(rig, "1 client", rig.turns(targets, partial(rig.alone, seconds=SECONDS)), bars=True)
        for rate in RATES:
            at = partial(rig.open, rate=rate, seconds=SECONDS)
            _rows(rig, f"{rate}/s", rig.turns(targets, at))
    rig.note("Open loops: a call's time counts from when it was due, not from when it was sent.")
    rig.note("Load and stub server are the bundled ones; wrk has no fixed rates.")


def _rows(rig: Rig, load: str, runs: dict[str, list[Outcome]], *, bars: bool = False) -> None:
    for percent in PERCENTS:
        ms = {
            name: [run.latencies.percentile_s(percent) * 1e3 for run in some]
            for name, some in runs.items()
        }
        group = f"p{percent:g}"
        for name, samples in ms.items():
            rig.row(f"{name} {group} at {load}", "ms", samples)
        added = [b - a for a, b in zip(ms["direct"], ms["gateway"], strict=True)]
        bar = _BARS.get(percent) if bars else None
        rig.row(f"added {group} at {load}", "ms", added, better="less", bar=bar)
    for name, some in runs.items():
        rig.curve(f"{name} at {load}", _curve(some))


def _curve(runs: list[Outcome]) -> list[tuple[float, float]]:
    total = Histogram({})
    for one in runs:
        total.merge(one.latencies)
    return [(percent, seconds * 1e3) for percent, seconds in total.curve()]
