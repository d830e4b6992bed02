"""A client on a pair of pipes, as fast as one process can ask and read."""

import json
import subprocess
import sys
import time
from collections import deque
from typing import Any, Final

from bench.rig import ARGUMENTS
from only1mcp.bench.endpoint import LEGACY
from only1mcp.bench.figures import Histogram
from only1mcp.bench.load import Outcome
from only1mcp.bench.processes import on_core

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

    def ask(self, method: str, params: dict[str, Any]) -> bytes:
        """One question; the line that answers it."""
        self._send(method, params)
        return self._answer()

    def load(self, tool: str, in_flight: int, seconds: float) -> Outcome:
        """Calls of one tool, so many under way; answers are taken to come in order."""
        params = {"name": tool, "arguments": ARGUMENTS}
        latencies, sent = Histogram({}), deque[float]()
        start = time.perf_counter()
        for _ in range(in_flight):
            sent.append(time.perf_counter())
            self._send("tools/call", params)
        while time.perf_counter() - start < seconds:
            self._answer()
            latencies.add(time.perf_counter() - sent.popleft())
            sent.append(time.perf_counter())
            self._send("tools/call", params)
        took = time.perf_counter() - start
        for _ in range(in_flight):
            self._answer()
        return Outcome(latencies.count, 0, took, latencies.buckets)

    def close(self) -> None:
        """End of input ends the server."""
        self._in.close()
        self._process.wait(10)
        self._out.close()

    def _send(self, method: str, params: dict[str, Any]) -> None:
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._in.write(json.dumps(message).encode() + b"\n")
        self._in.flush()

    def _answer(self) -> bytes:
        while line := self._out.readline():
            if b'"id"' in line:
                return line
        raise OSError("the server on the pipe has ended")


_INFO: Final = {"name": "only1mcp-bench", "version": "1"}
