"""What the tests of the command line share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.cli import Shell
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
