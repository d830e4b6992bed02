"""A change of one server among many: CPU of the reload, and calls that go on meanwhile.

The CPU is the gateway's own, from before the file is written until AFTER_S after the gateway has
logged that it is in force: reading, checking, applying, the lists built anew and announced, and
whatever else it does in that time. Nobody calls it meanwhile. Only afterwards one call proves that
the new name is there. (Asking for the new name until it is there, as this suite once did, costs
the gateway more than a reload of ten servers: each of these calls fails, with a suggestion.)
"""

import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

from bench.rig import Rig, Target
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.load import Outcome
from only1mcp.bench.processes import Program, running
from only1mcp.bench.started import Started, http_server, ready, url_in
from only1mcp.config.watch import MIN_S

SERVERS: Final = (10, 100, 500)
RELOADS: Final = 5
SETTLE_S: Final = 2.0
AFTER_S: Final = 0.5
"""The lists are announced a tenth of a second after a reload."""
LOGGED: Final = "configuration reloaded"
DEBOUNCE: Final = {"hot_reload": {"enabled": True, "debounce": "100ms"}}


def run(rig: Rig) -> None:
    """The file is written anew, with one tool renamed; then seen from a load on another server."""
    if not rig.knows(DEBOUNCE):
        rig.gap("reload", "this version does not know the setting `hot_reload`")
        return
    with rig.stub("--tools", "20") as stub:
        for count in SERVERS:
            with tempfile.TemporaryDirectory() as folder:
                _reloads(rig, stub, Path(folder) / "only1mcp.json", count)


def _reloads(rig: Rig, stub: Started, file: Path, count: int) -> None:
    _write(file, stub, count, 0)
    command = [sys.executable, "-m", "only1mcp", "run", "-c", str(file), "--port", "0"]
    with running(Program(command, rig.cores.gateway, env={"HOME": str(file.parent)})) as program:
        url = program.wait_for(url_in)
        program.wait_for(lambda said: ready(said) >= count, 120)
        time.sleep(SETTLE_S)
        end = Endpoint(url).open()
        cpu, took = [], []
        for number in range(1, RELOADS + 1):
            time.sleep(MIN_S)  # it reads a file again no sooner
            before, written = program.own_cpu_s(), time.perf_counter()
            _write(file, stub, count, number)
            program.wait_for(lambda said, n=number: said.count(LOGGED) >= n)
            took.append((time.perf_counter() - written) * 1e3)
            time.sleep(AFTER_S)
            cpu.append((program.own_cpu_s() - before) * 1e3)
            end.ask("tools/call", {"name": f"s0__echo_v{number}", "arguments": {}})
        bar = 50 if count == max(SERVERS) else None
        rig.row(
            f"CPU of a reload, {count} servers",
            "ms",
            cpu,
            better="less",
            bar=bar,
            guard=True,
        )
        rig.row(f"from write to effect, {count} servers", "ms", took, better="less")
        if count == SERVERS[1]:
            _under_load(rig, stub, file, Target(end, "s1__echo", program))
    rig.note("From write to effect: 100 ms of it is the debounce that the suite sets.")


def _under_load(rig: Rig, stub: Started, file: Path, target: Target) -> None:
    """Calls to a server that does not change, while another one changes all the time."""
    over = threading.Event()

    def change() -> None:
        number = RELOADS
        while not over.wait(0.3):
            number += 1
            _write(file, stub, SERVERS[1], number)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        outcome: Outcome = rig.open(target, 500, 4)
    finally:
        over.set()
        thread.join()
    rig.row(
        "failed calls while reloading", "calls", [outcome.errors], better="less", bar=0, guard=True
    )
    p99 = outcome.latencies.percentile_s(99) * 1e3
    rig.row("p99 of calls while reloading", "ms", [p99], better="less")


def _write(file: Path, stub: Started, count: int, number: int) -> None:
    """The configuration in which the first server's tool is called after `number`."""
    changed = {"tools": {"rename": {"echo": f"echo_v{number}"}}}
    servers: list[dict[str, Any]] = [http_server("s0", stub.url, **changed)]
    servers += [http_server(f"s{n}", stub.url) for n in range(1, count)]
    new = file.with_suffix(".new")
    new.write_text(json.dumps({**DEBOUNCE, "servers": servers}))
    new.replace(file)
