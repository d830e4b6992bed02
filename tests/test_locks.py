"""The lock files pin all that is asked for, by hash, and name no place to get it from."""

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "tests" / "peers"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
HASHES = r"(?: ;[^\\\n]*)? \\\n(?:    --hash=sha256:[0-9a-f]{64}.*\n)+"
PIN = re.compile(rf"^([a-z0-9-]+)==(\S+)({HASHES})", re.MULTILINE)

ASKED = {
    "requirements.lock": [
        *PROJECT["project"]["dependencies"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ],
    "deploy/requirements.lock": PROJECT["project"]["dependencies"],
    "tests/peers/fastmcp.lock": (PEERS / "fastmcp.in").read_text().splitlines(),
    "tests/peers/legacy.lock": (PEERS / "legacy.in").read_text().splitlines(),
    "tests/peers/node.lock": (PEERS / "node.in").read_text().splitlines(),
}


@pytest.mark.parametrize("lock", ASKED)
def test_a_lock_pins_what_is_asked_for(lock: str) -> None:
    pins = {name: version for name, version, _ in PIN.findall((ROOT / lock).read_text())}
    lines = [line for line in ASKED[lock] if line and not line.startswith("#")]
    wanted = {canonicalize_name(need.name): need for need in map(Requirement, lines)}
    assert [str(need) for name, need in wanted.items() if name not in pins] == []
    assert [
        f"{need}, locked {pins[name]}"
        for name, need in wanted.items()
        if not need.specifier.contains(pins[name], prereleases=True)
    ] == []


def imported() -> set[str]:
    """The distributions that the package imports, wherever the import stands."""
    found: set[str] = set()
    for source in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
    known = packages_distributions()
    tops = {name.partition(".")[0] for name in found} - {"only1mcp"} - sys.stdlib_module_names
    by_name = {"ruamel": "ruamel-yaml", "opentelemetry": "opentelemetry-sdk"}  # many share these
    return {by_name.get(top) or canonicalize_name(known[top][0]) for top in tops}


def test_what_is_imported_is_asked_for() -> None:
    project = PROJECT["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["otel"]]
    names = {canonicalize_name(Requirement(one).name) for one in asked}
    assert imported() - names == set()


@pytest.mark.parametrize("lock", ASKED)
def test_every_line_of_a_lock_is_a_pin_a_hash_or_a_comment(lock: str) -> None:
    rest = PIN.sub("", (ROOT / lock).read_text())
    assert [line for line in rest.splitlines() if not line.lstrip().startswith("#")] == []


def test_the_npm_lock_has_hashes_and_no_places() -> None:
    lock = json.loads((PEERS / "npm" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "integrity" not in package] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []
