"""Resident memory: at rest, per server, per connection, per open stream, and after many calls."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from bench.rig import Rig, Target
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.processes import Program
from only1mcp.bench.started import http_server

MB: Final = 1e6
SERVERS: Final = 100
TOOLS_EACH: Final = 20
CONNECTIONS: Final = 1000
CALLS_S: Final = 8


def run(rig: Rig) -> None:
    """Empty, then full."""
    with rig.gateway({"servers": []}) as gateway:
        rest = gateway.program.own_memory_bytes()
        rig.row(
            "at rest, no servers",
            "MB",
            [rest / MB],
            better="less",
            bar=60,
            guard=True,
        )
        with connections(gateway.url, CONNECTIONS):
            grown = gateway.program.own_memory_bytes() - rest
            rig.row(
                "per idle connection",
                "kB",
                [grown / CONNECTIONS / 1e3],
                better="less",
            )
    with rig.stub("--tools", str(TOOLS_EACH)) as stub:
        servers = [http_server(f"s{n}", stub.url) for n in range(SERVERS)]
        with rig.gateway({"servers": servers}) as gateway:
            full = gateway.program.own_memory_bytes()
            name = f"{SERVERS} HTTP servers, {SERVERS * TOOLS_EACH} tools"
            rig.row(name, "MB", [full / MB], better="less", bar=100, guard=True)
            rig.row(
                "per HTTP server",
                "kB",
                [(full - rest) / SERVERS / 1e3],
                better="less",
            )
            _many_calls(rig, Endpoint(gateway.url).open(), gateway.program)


def _many_calls(rig: Rig, end: Endpoint, program: Program) -> None:
    """The first part warms up; what grows afterwards grows for ever."""
    rig.closed(Target(end, "s0__echo", program), 32, CALLS_S)
    before = program.own_memory_bytes()
    outcome = rig.closed(Target(end, "s1__echo", program), 32, CALLS_S)
    grown = program.own_memory_bytes() - before
    rig.row("growth per million calls", "MB", [grown / outcome.calls], better="less")
    rig.note(f"Growth is seen over {outcome.calls} calls and put as per million.")


@contextmanager
def connections(url: str, count: int) -> Iterator[list[socket.socket]]:
    """So many connections; each has had one answer, and is idle."""
    end = Endpoint(url)
    ask = f"GET /livez HTTP/1.1\r\nHost: {end.host}:{end.port}\r\n\r\n".encode()
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            line = stack.enter_context(socket.create_connection((end.host, end.port), timeout=10))
            line.sendall(ask)
            found.append(line)
        for line in found:
            line.recv(4096)
        yield found
