"""One server hangs: what the clients of the others notice of it."""

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Final

from bench.rig import ARGUMENTS, Rig, Target
from only1mcp.bench import drive
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.load import Job, Outcome
from only1mcp.bench.processes import Program
from only1mcp.bench.started import Started, http_server, stdio_server

RATE: Final = 500
"""Calls per second to the server that is well."""
HUNG_RATE: Final = 97
"""And to the one that hangs: prime, so that its calls come at all times between the others."""
HUNG_CONNECTIONS: Final = 200
"""More than can be under way, so that no call has to wait for a connection."""
SECONDS: Final = 3.0
LEAD_S: Final = 1.2
"""After this the queue is full and deadlines fire."""
REST_S: Final = 1.2
"""Then the last of them has ended."""
ROUNDS: Final = 5
STUB: Final = "only1mcp.bench.stub"
BAR: Final = 1.1
"""The p99 of the others may be a tenth longer."""
HUNG: Final[dict[str, Any]] = {
    "timeouts": {"call_idle": "1s"},
    "concurrency": {"max_in_flight": 16, "queue": 64, "queue_timeout": "1s"},
    "health_check": {"enabled": False},
    "circuit_breaker": {"failure_threshold": 1000, "min_calls": 100_000},
}
"""Of 97 calls a second 16 run into their deadline, 64 wait in vain, the rest is refused: neither
breaker nor checks spare the gateway one of them."""
CASES: Final[tuple[tuple[str, bool, dict[str, Any]], ...]] = (
    ("HTTP", False, HUNG),
    ("stdio", True, HUNG),
    ("HTTP, default settings", False, {}),
    ("stdio, default settings", True, {}),
)
"""Name, whether it is on pipes, and its settings."""


def run(rig: Rig) -> None:
    """One that hangs, in every case."""
    for name, pipe, settings in CASES:
        with rig.stub() as well, rig.stub() as other:
            make = stdio_server("hangs") if pipe else http_server("hangs", other.url)
            servers = [http_server("well", well.url), {**make, **settings}]
            with rig.gateway({"servers": servers}) as gateway:
                _pair(rig, name, gateway, other, gateway.program if pipe else other.program)
    rig.note(
        f"{RATE} calls a second to a server that is well. The other one is stopped (SIGSTOP): it "
        f"accepts and never answers, under {HUNG_RATE} calls a second. Alone: these calls go to a "
        "stub past the gateway, as their generator takes its part of a core either way. Without "
        "default settings neither breaker nor health checks end it, and calls expire all the time."
    )


def _pair(rig: Rig, name: str, gateway: Started, other: Started, holder: Program) -> None:
    """`holder` is the server that is to hang, or the gateway whose child it is."""
    end = Endpoint(gateway.url).open()
    target = Target(end, "well__echo", gateway.program)
    loads = {
        False: _load(Endpoint(other.url).open(), "echo"),
        True: _load(end, "hangs__echo"),
    }

    def measured(hung: bool) -> tuple[Outcome, float]:
        with _stopped(holder) if hung else nullcontext(), drive.beside(loads[hung], rig.cores.load):
            time.sleep(LEAD_S)
            found = rig.per_call_us(gateway.program, lambda: rig.open(target, RATE, SECONDS))
        if hung:
            time.sleep(REST_S)
        return found

    _rows(rig, name, rig.turns({"alone": False, "beside": True}, measured, ROUNDS))


def _load(end: Endpoint, tool: str) -> Job:
    params = {"name": tool, "arguments": ARGUMENTS}
    seconds = LEAD_S + SECONDS + 1
    return drive.job(end, "tools/call", params, HUNG_CONNECTIONS, seconds, HUNG_RATE)


def _rows(rig: Rig, name: str, runs: Mapping[str, list[tuple[Outcome, float]]]) -> None:
    for percent in (50, 99):
        ms = {
            side: [run.latencies.percentile_s(percent) * 1e3 for run, _ in some]
            for side, some in runs.items()
        }
        rig.row(f"{name}: p{percent} alone", "ms", ms["alone"])
        rig.row(f"{name}: p{percent} beside one that hangs", "ms", ms["beside"], better="less")
        bar = BAR if percent == 99 else None
        ratio = paired(ms["beside"], ms["alone"])
        rig.row(f"{name}: p{percent} beside over alone", "x", ratio, better="less", bar=bar)
    cpu = {side: [us for _, us in some] for side, some in runs.items()}
    rig.row(f"{name}: CPU beside over alone", "x", paired(cpu["beside"], cpu["alone"]))


@contextmanager
def _stopped(holder: Program) -> Iterator[None]:
    """The stub server that `holder` is, or has started, is stopped in here."""
    (stub,) = [one for one in holder.family() if STUB in one.cmdline()]
    stub.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        stub.send_signal(signal.SIGCONT)
