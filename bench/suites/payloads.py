"""Large answers: from 1 KiB to 4 MiB."""

from functools import partial
from typing import Final

from bench.rig import Rig
from only1mcp.bench.figures import paired

SIZES: Final = {
    "1 KiB": 1 << 10,
    "16 KiB": 1 << 14,
    "256 KiB": 1 << 18,
    "1 MiB": 1 << 20,
    "4 MiB": 4 << 20,
}
SECONDS: Final = 1
CONNECTIONS: Final = 8


def run(rig: Rig) -> None:
    """Direct and through the gateway, by size; the CPU a call takes."""
    with rig.pair() as targets:
        for size, count in SIZES.items():
            load = partial(rig.counted, connections=CONNECTIONS, seconds=SECONDS, size=count)
            runs = rig.turns(targets, load, 3)
            mib = {name: [o.rate * count / 2**20 for o, _ in some] for name, some in runs.items()}
            for name, values in mib.items():
                rig.row(f"{name}, answers of {size}", "MiB/s", values, better="more")
            ratio = paired(mib["gateway"], mib["direct"])
            rig.row(f"gateway over direct, {size}", "x", ratio, better="more")
            cpu = [us for _, us in runs["gateway"]]
            rig.row(f"gateway CPU a call, {size}", "us", cpu, better="less")
