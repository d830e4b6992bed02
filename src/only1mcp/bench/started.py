"""A gateway and a stub server of our own, started from outside as a user would."""

import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.processes import PATIENCE_S, Program, running

_URL = re.compile(r"http://[\w.:]+/mcp")


class Started(NamedTuple):
    """A program that listens."""

    program: Program
    url: str


@contextmanager
def stub(core: int, *arguments: str) -> Iterator[Started]:
    """A stub server; see stub.py for its arguments."""
    program = Program([sys.executable, "-m", "only1mcp.bench.stub", *arguments], core)
    with running(program):
        yield Started(program, program.wait_for(url_in))


@contextmanager
def gateway(
    core: int, config: Mapping[str, Any], *, servers: int | None = None, command: str = "run"
) -> Iterator[Started]:
    """The gateway with this configuration, when all its servers (or so many) are ready."""
    wanted = len(config.get("servers", ())) if servers is None else servers
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "only1mcp.json"
        file.write_text(json.dumps(config))
        arguments = [sys.executable, "-m", "only1mcp", command, "-c", str(file), "--port", "0"]
        program = Program(arguments, core, env={"HOME": folder})
        with running(program):
            url = program.wait_for(url_in)
            program.wait_for(lambda said: ready(said) >= wanted, PATIENCE_S + wanted / 5)
            yield Started(program, url)


def ready(said: str) -> int:
    """How many servers are said to be ready."""
    return len(set(re.findall(r"\bready +([a-z0-9-]+)", said)))


def http_server(id: str, url: str, **more: Any) -> dict[str, Any]:
    """The entry of a server in a configuration."""
    return {"id": id, "transport": {"type": "http", "url": url}, **more}


def stdio_server(id: str, *arguments: str, **more: Any) -> dict[str, Any]:
    """The entry of a stub server that is a child process."""
    args = ["-m", "only1mcp.bench.stub", "--stdio", *arguments]
    return {
        "id": id,
        "transport": {"type": "stdio", "command": sys.executable, "args": args},
        **more,
    }


def url_in(said: str) -> str:
    """The address in what a program says; empty until it says one."""
    found = _URL.search(said)
    return found[0] if found else ""


def told(url: str) -> dict[str, int]:
    """How often each method of the stub server at `url` was called so far."""
    end = Endpoint(url)
    http = HTTPConnection(end.host, end.port, timeout=10)
    try:
        http.request("GET", "/count")
        return dict(json.loads(http.getresponse().read()))
    finally:
        http.close()
