"""`only1mcp report --project` as a process, on a project that is not this one."""

import subprocess
import sys
from pathlib import Path

from fakes.project import project


def test_a_project_with_a_registry(tmp_path: Path) -> None:
    root = project(tmp_path)
    command = [sys.executable, "-m", "only1mcp", "report", "--project"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    written = [Path(line) for line in done.stdout.splitlines()]
    assert [path.suffix for path in written] == [".md", ".json", ".html"]
    assert all(path.parent == root / "docs/reports" for path in written)
    assert "| Boiling | complete |" in written[0].read_text()


def test_it_has_to_be_said_which(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "only1mcp", "report"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--project" in done.stderr
