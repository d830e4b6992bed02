"""Large answers: from 1 KiB to 4 MiB."""

from typing import Final

from bench.rig import Rig
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.started import http_server

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
    """Direct and through the gateway, by size; the CPU a MiB takes."""
    with rig.stub() as stub, rig.gateway({"servers": [http_server("stub", stub.url)]}) as gateway:
        ends = {
            "direct": (Endpoint(stub.url).open(), "echo"),
            "gateway": (Endpoint(gateway.url).open(), "stub__echo"),
        }
        for size, count in SIZES.items():
            runs = rig.turns({
                name: lambda e=end, n=count: rig.per_call_us(
                    gateway.program, lambda: rig.closed(*e, CONNECTIONS, SECONDS, size=n)
                )
                for name, end in ends.items()
            }, 3)  # fmt: skip
            mib = {name: [o.rate * count / 2**20 for o, _ in some] for name, some in runs.items()}
            for name, values in mib.items():
                rig.row(f"{name}, answers of {size}", "MiB/s", values, better="more", group=size)
            rig.row(
                f"gateway over direct, {size}",
                "x",
                paired(mib["gateway"], mib["direct"]),
                better="more",
                group="ratio",
            )
            rig.row(
                f"gateway CPU a call, {size}",
                "us",
                [us for _, us in runs["gateway"]],
                better="less",
                group="CPU",
            )
