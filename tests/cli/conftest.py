"""What the tests of the command line share."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.cli import Command, Run, Shell
from only1mcp.observe import access, logs


@pytest.fixture(autouse=True)
def same_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands configure the logs of the whole process: put back what they change."""
    root = logging.getLogger(logs.ROOT)
    before = (root.handlers[:], root.level, root.propagate)
    monkeypatch.setattr(logs.mask, "_secrets", [])
    yield
    access.off()
    logs.close()
    root.handlers[:], root.level, root.propagate = before


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs commands in a home of its own."""
    return Shell(tmp_path)


@pytest.fixture
def command(shell: Shell) -> Command:
    """Runs a command beside the gateway of this loop."""

    async def command(*arguments: str, **env: str) -> Run:
        return await asyncio.to_thread(lambda: shell(*arguments, **env))

    return command
