"""What the tests of the command line share."""

from pathlib import Path

import pytest

from fakes.cli import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs commands in a home of its own."""
    return Shell(tmp_path)
