"""Ten thousand clients that have a session and listen: memory, and what a call takes meanwhile."""

import resource
import socket
from contextlib import ExitStack
from typing import Final

from bench.rig import Rig, Target
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.started import http_server

WANTED: Final = 10_000
SPARE: Final = 200
SECONDS: Final = 2


def run(rig: Rig) -> None:
    """Each session keeps one GET open."""
    count = min(WANTED, _files() - SPARE)
    if count < WANTED:
        rig.gap(f"{WANTED} streams", f"this machine lets a process open {_files()} files")
    config = {"server": {"max_connections": WANTED + 1000}}
    with rig.stub() as stub, ExitStack() as stack:
        servers = {"servers": [http_server("stub", stub.url)]}
        gateway = stack.enter_context(rig.gateway({**config, **servers}))
        end = Endpoint(gateway.url, "modern").open()  # a session more might end one of them
        target = Target(end, "stub__echo", gateway.program)
        alone = rig.closed(target, 32, SECONDS)
        before = gateway.program.own_memory_bytes()
        for _ in range(count):
            stack.enter_context(_listening(gateway.url))
        grown = gateway.program.own_memory_bytes() - before
        rig.row(f"memory for {count} idle streams", "MB", [grown / 1e6], better="less")
        rig.row(
            "per session with a stream",
            "kB",
            [grown / count / 1e3],
            better="less",
            guard=True,
        )
        beside, cpu = rig.counted(target, 32, SECONDS)
        rig.row(
            "calls beside them, over calls without",
            "x",
            [beside.rate / alone.rate],
            better="more",
        )
        rig.row(
            "CPU a call beside them",
            "us",
            [cpu],
            better="less",
        )


def _listening(url: str) -> socket.socket:
    end = Endpoint(url).open()
    lines = {"Host": f"{end.host}:{end.port}", **end.headers, "Accept": "text/event-stream"}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    line = socket.create_connection((end.host, end.port), timeout=10)
    line.sendall(f"GET {end.path} HTTP/1.1\r\n{head}\r\n".encode())
    if not line.recv(4096).startswith(b"HTTP/1.1 200"):
        raise OSError("a session is refused its stream")
    return line


def _files() -> int:
    """How many files a process may have open; raised to what it may be raised to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < min(hard, 65_536):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
