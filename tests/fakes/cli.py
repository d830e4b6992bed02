"""The command line in this process: arguments in; exit code, stdout and stderr out."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

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


def heed_ctrl_c() -> None:
    """Before a program is started: a shell makes what runs in its background deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
