"""The command line in this process: arguments in; exit code, stdout and stderr out."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from typer.testing import CliRunner

from fakes.edge import PATIENCE_S
from only1mcp.cli.instance import Place, Running, every
from only1mcp.cli.main import app

_OURS = ("ONLY1MCP_CONFIG", "ONLY1MCP_URL", "ONLY1MCP_TOKEN", "XDG_CONFIG_HOME", "XDG_STATE_HOME")


Command = Callable[..., Any]
"""Runs a command beside the gateway of a test's own loop; awaits a Run."""


class Run(NamedTuple):
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


class Shell:
    """Runs commands in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str, **env: str) -> Run:
        """One command. An error that is no exit is a bug, and raised."""
        clean: dict[str, str | None] = {**dict.fromkeys(_OURS), "HOME": str(self.home), **env}
        result = CliRunner().invoke(app, [*arguments], env=clean, catch_exceptions=False)
        return Run(result.exit_code, result.stdout, result.stderr)

    def file(self, content: Any, name: str = "only1mcp.json") -> str:
        """A file in the home; data becomes JSON. Returns its name."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)


@contextmanager
def background(home: Path) -> Iterator[Shell]:
    """Runs commands; no gateway that they start outlives the block."""
    yield Shell(home)
    for one in every({"HOME": str(home)}):
        os.kill(one.pid, signal.SIGKILL)
    for process in psutil.Process().children():
        with suppress(ChildProcessError):
            process.wait(PATIENCE_S)


def configured(shell: Shell, *servers: Any, **server: Any) -> str:
    """The usual configuration file of this home."""
    content = {"server": server, "servers": list(servers)}
    return shell.file(content, ".config/only1mcp/only1mcp.json")


def place(shell: Shell, name: str = "default") -> Place:
    """Where the gateway of this name is."""
    return Place(name, {"HOME": str(shell.home)})


def running(shell: Shell, name: str = "default") -> Running:
    """The gateway that runs."""
    found = place(shell, name).look()
    assert found is not None
    return found


def heed_ctrl_c() -> None:
    """Before a program is started: a shell makes what runs in its background deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
