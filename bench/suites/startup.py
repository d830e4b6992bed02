"""From `only1mcp run` to the first answer, and what a slow server changes about it."""

import json
import sys
import tempfile
import time
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from bench import nginx
from bench.rig import Rig
from only1mcp.bench.endpoint import Endpoint, Refused
from only1mcp.bench.processes import Program, cores, running
from only1mcp.bench.started import http_server

PATIENCE_S: Final = 20.0
_SLOW: Final = {
    "id": "slow",
    "transport": {"type": "stdio", "command": sys.executable, "args": ["-c", "input(); input()"]},
}
"""Takes what it is told and says nothing."""
_COMPILED: Final = {"PYTHONDONTWRITEBYTECODE": ""}
"""Modules are compiled once, as an installer does it, whatever is set here."""


def run(rig: Rig) -> None:
    """Each start is a new process."""
    with rig.stub() as stub:
        quick = [http_server("stub", stub.url)]
        _start(rig, quick)  # compiles
        servers = {"alone": quick, "with a server that never answers": [*quick, _SLOW]}
        found = rig.turns(servers, partial(_start, rig))
    for name, times in found.items():
        listening, called = zip(*times, strict=True)
        rig.row(f"first answer of /livez, {name}", "s", listening, better="less", bar=0.5)
        rig.row(f"first tools/call, {name}", "s", called, better="less")
    rig.row("only1mcp --help", "s", [_help() for _ in range(rig.rounds)], better="less")


def _start(rig: Rig, servers: list[dict[str, Any]]) -> tuple[float, float]:
    """Seconds from the start of the process to the first answer, and to the first call."""
    port = nginx.free_port()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "only1mcp.json"
        file.write_text(json.dumps({"servers": servers}))
        command = [sys.executable, "-m", "only1mcp", "run", "-c", str(file), "--port", str(port)]
        env = {"HOME": folder, **_COMPILED}
        with running(Program(command, rig.cores.gateway, env=env)) as program:
            listening = _until(lambda: _alive(port)) - program.started
            url = f"http://127.0.0.1:{port}/mcp"
            called = _until(lambda: _called(url)) - program.started
    return listening, called


def _until(done: Any) -> float:
    end = time.perf_counter() + PATIENCE_S
    while not done():
        if time.perf_counter() > end:
            raise Refused(f"nothing answered within {PATIENCE_S} s of the start")
        time.sleep(0.002)
    return time.perf_counter()


def _alive(port: int) -> bool:
    http = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        http.request("GET", "/livez")
        return http.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        http.close()


def _called(url: str) -> bool:
    try:
        result = Endpoint(url).open().ask("tools/call", {"name": "stub__echo", "arguments": {}})
    except (OSError, Refused):
        return False
    return not result.get("isError")


def _help() -> float:
    command = [sys.executable, "-m", "only1mcp", "--help"]
    with running(Program(command, cores().gateway, env=_COMPILED)) as program:
        program.process.wait(PATIENCE_S)
        return time.perf_counter() - program.started
