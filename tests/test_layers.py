"""Who may import whom: MAY_IMPORT is the architecture, the rest of this file checks it.

A room is a package or a module directly below only1mcp. Imports are read from the syntax
tree, wherever they stand, so a lazy import or one for types only counts as well.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

SOURCES = Path(__file__).resolve().parents[1] / "src" / "only1mcp"
OURS = "only1mcp"

LEAVES: Final = {"protocol", "config", "observe"}
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "protocol": set(),
    "config": set(),
    "observe": set(),
    "outbox": set(),
    "policy": {"protocol", "config"},
    "catalog": {"protocol", "config", "policy"},
    "upstream": LEAVES | {"outbox", "policy"},
    "relay": LEAVES | {"policy", "catalog", "upstream"},
    "server": LEAVES | {"outbox", "policy", "relay"},
    "admin": LEAVES | {"relay"},
    "census": LEAVES | {"upstream", "relay", "server", "admin"},
    "gateway": LEAVES | {"policy", "catalog", "upstream", "relay", "server", "admin", "census"},
    "bench": set(),
    "tui": set(),
    "report": set(),
    "cli": {"protocol", "config", "observe", "gateway", "bench", "report", "tui"},
    "demo": set(),
    "__init__": set(),
    "__main__": {"cli"},
}
PURE: Final = (
    "protocol",
    "policy",
    "catalog",
    "config/cache.py",
    "config/model.py",
    "config/resilience.py",
    "config/servers.py",
    "config/values.py",
)
"""Decide from values alone: time and the outside world are arguments."""
IMPURE: Final = {"asyncio", "time", "os", "logging"}
DYNAMIC: Final = {"importlib", "__import__"}


def room_of(path: Path) -> str:
    """The room that the source `path`, relative to the package, belongs to."""
    return path.parts[0].removesuffix(".py")


def package_of(path: Path) -> list[str]:
    """The dotted package that a relative import in `path` starts from, as a list."""
    return [OURS, *path.parts[:-1]]


def imports(tree: ast.Module, path: Path) -> Iterator[str]:
    """Every dotted name that `tree` imports, relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = package_of(path)
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Name) and node.id == "__import__":
            yield node.id


def fault(name: str, path: Path) -> str | None:
    """What is wrong with `path` importing `name`."""
    room, (top, *rest) = room_of(path), name.split(".")
    if top in DYNAMIC:
        return "imports by string"
    if top in IMPURE and any(path.is_relative_to(pure) for pure in PURE):
        return f"is pure, but imports {top}"
    if top != OURS or rest == ["__version__"]:
        return None
    if not rest:
        return "imports the whole package; name the module"
    if rest[0] == room or rest[0] in MAY_IMPORT[room]:
        return None
    return f"room {room} may not import {rest[0]}"


def faults(root: Path) -> list[str]:
    """Every forbidden import below `root`, one line each."""
    found = []
    for source in sorted(root.rglob("*.py")):
        path = source.relative_to(root)
        if room_of(path) not in MAY_IMPORT:
            found.append(f"{path}: room {room_of(path)} is not in MAY_IMPORT")
            continue
        names = imports(ast.parse(source.read_text()), path)
        found += [f"{path}: {why} ({name})" for name in names if (why := fault(name, path))]
    return found


def test_every_import_keeps_to_the_table() -> None:
    found = faults(SOURCES)
    assert not found, "\n".join(["", *found])


def test_the_table_has_no_circle() -> None:
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        ready = [room for room in MAY_IMPORT if room not in order and MAY_IMPORT[room] <= {*order}]
        assert ready, f"rooms in a circle: {sorted(set(MAY_IMPORT) - set(order))}"
        order += ready


def toy(root: Path, path: str, source: str) -> list[str]:
    """The faults of a package that holds `source` at `path` and nothing else."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(source)
    return faults(root)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("relay/call.py", "from only1mcp.upstream.base import Upstream"),
        ("relay/call.py", "from only1mcp import __version__, upstream"),
        ("relay/call.py", "import only1mcp.policy.balance, asyncio"),
        ("relay/call.py", "from only1mcp.relay.fanout import gather"),
        ("relay/call.py", "from .fanout import gather"),
        ("gateway.py", "from only1mcp.server.http import Edge"),
        ("cli/main.py", "def run() -> None:\n    from only1mcp.gateway import Gateway"),
        ("config/load.py", "import os"),
        ("policy/health.py", "from only1mcp.config.model import Config\nimport timeit"),
    ],
)
def test_allowed(tmp_path: Path, path: str, source: str) -> None:
    assert toy(tmp_path, path, source) == []


@pytest.mark.parametrize(
    ("path", "source", "why"),
    [
        ("relay/call.py", "from only1mcp import server", "may not import server"),
        ("relay/call.py", "from only1mcp import server as s", "may not import server"),
        ("relay/call.py", "import only1mcp.server.http", "may not import server"),
        ("relay/call.py", "import only1mcp.server.http as edge", "may not import server"),
        ("relay/call.py", "from only1mcp.server.http import Edge", "may not import server"),
        ("relay/call.py", "from ..server.http import Edge", "may not import server"),
        ("relay/call.py", "from .. import server", "may not import server"),
        ("relay/deep/call.py", "from ...server import http", "may not import server"),
        ("relay/call.py", "def f() -> None:\n    import only1mcp.server", "may not import server"),
        ("relay/call.py", "if 1:\n    from only1mcp import admin", "may not import admin"),
        ("gateway.py", "from only1mcp import cli", "may not import cli"),
        ("demo/notes.py", "from only1mcp.protocol import message", "may not import protocol"),
        ("__init__.py", "from only1mcp.gateway import Gateway", "may not import gateway"),
        ("relay/call.py", "import only1mcp", "whole package"),
        ("relay/call.py", "from only1mcp import *", "may not import *"),
        ("relay/call.py", "import importlib", "by string"),
        ("relay/call.py", "from importlib import import_module", "by string"),
        ("relay/call.py", "m = __import__('only1mcp.server')", "by string"),
        ("policy/breaker.py", "import time", "pure, but imports time"),
        ("policy/breaker.py", "from time import monotonic", "pure, but imports time"),
        ("protocol/sse.py", "import os.path", "pure, but imports os"),
        ("catalog/index.py", "def f() -> None:\n    import asyncio", "pure, but imports asyncio"),
        ("config/model.py", "from logging import getLogger", "pure, but imports logging"),
        ("utils.py", "", "not in MAY_IMPORT"),
        ("helpers/text.py", "", "not in MAY_IMPORT"),
    ],
)
def test_caught(tmp_path: Path, path: str, source: str, why: str) -> None:
    (line,) = toy(tmp_path, path, source)
    assert why in line
