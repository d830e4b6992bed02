"""A pytest plugin for tests that start processes: `pytest_plugins = ["fakes.orphans"]`."""

from collections.abc import Iterator

import pytest

from fakes.children import descendants
from only1mcp.upstream import process


@pytest.fixture
def no_orphans() -> Iterator[None]:
    """Fail if a process is left behind."""
    before = {one.pid for one in descendants()}
    yield
    left = [one.cmdline() for one in descendants() if one.pid not in before]
    assert left == []


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for processes that ignore us."""
    monkeypatch.setattr(process, "GRACE_S", 0.3)
