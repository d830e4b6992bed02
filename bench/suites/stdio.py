"""Servers on pipes: calls per second through one child, and `only1mcp stdio` as the client sees it."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.rig import ARGUMENTS, Rig
from only1mcp.bench.endpoint import LEGACY, Endpoint
from only1mcp.bench.processes import on_core
from only1mcp.bench.started import http_server, stdio_server

SECONDS: Final = 2.0
IN_FLIGHT: Final = 32
STUB: Final = [sys.executable, "-m", "only1mcp.bench.stub", "--stdio"]


class Pipe:
    """An MCP server on a pair of pipes, asked by this very process."""

    def __init__(self, command: list[str], core: int) -> None:
        with on_core(core):
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._id = 0
        hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": _INFO}
        self._send("initialize", hello)
        self._answer()
        self._in.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def until_offered(self, tool: str, patience_s: float = 20) -> None:
        """Wait until `tool` can be called."""
        end = time.perf_counter() + patience_s
        while time.perf_counter() < end:
            self._send("tools/call", {"name": tool, "arguments": {}})
            if b'"result"' in self._answer():
                return
            time.sleep(0.05)
        raise OSError(f"{tool} is not offered within {patience_s} s")

    def rate(self, tool: str, in_flight: int) -> float:
        """Calls per second with so many of them under way."""
        params = {"name": tool, "arguments": ARGUMENTS}
        for _ in range(in_flight):
            self._send("tools/call", params)
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS:
            self._answer()
            done += 1
            self._send("tools/call", params)
        took = time.perf_counter() - start
        for _ in range(in_flight):
            self._answer()
        return done / took

    def close(self) -> None:
        """End of input ends the server."""
        self._in.close()
        self._process.wait(10)
        self._out.close()

    def _send(self, method: str, params: dict[str, object]) -> None:
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._in.write(json.dumps(message).encode() + b"\n")
        self._in.flush()

    def _answer(self) -> bytes:
        while line := self._out.readline():
            if b'"id"' in line:
                return line
        raise OSError("the server on the pipe has ended")


def run(rig: Rig) -> None:
    """Over HTTP to a child, then over a pipe to the gateway."""
    _children(rig)
    _as_a_server(rig)


def _children(rig: Rig) -> None:
    config = {"servers": [stdio_server("stub", concurrency={"max_in_flight": 1024})]}
    with rig.gateway(config) as gateway:
        end = Endpoint(gateway.url).open()
        direct = Pipe(STUB, rig.cores.server)
        try:
            loads: dict[str, Callable[[], float]] = {
                "direct": lambda: direct.rate("echo", IN_FLIGHT),
                "gateway": lambda: rig.closed(end, "stub__echo", IN_FLIGHT, SECONDS).rate,
            }
            runs = rig.turns(loads, 3)
        finally:
            direct.close()
    rig.row("direct, one child on a pipe", "calls/s", runs["direct"], group="one child")
    rig.row(
        "gateway, HTTP to one child", "calls/s", runs["gateway"],
        better="more", bar=5000, group="one child",
    )  # fmt: skip
    rig.note("The child shares the gateway's core: it inherits where the gateway may run.")


def _as_a_server(rig: Rig) -> None:
    with rig.stub() as stub, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "only1mcp.json"
        file.write_text(json.dumps({"servers": [http_server("stub", stub.url)]}))
        gateway = Pipe(
            [sys.executable, "-m", "only1mcp", "stdio", "-c", str(file)], rig.cores.gateway
        )
        try:
            gateway.until_offered("stub__echo")
            for in_flight in (1, IN_FLIGHT):
                rates = [gateway.rate("stub__echo", in_flight) for _ in range(3)]
                rig.row(f"only1mcp stdio, {in_flight} at once", "calls/s", rates, better="more", group="pipe")
        finally:
            gateway.close()


_INFO: Final = {"name": "only1mcp-bench", "version": "1"}
