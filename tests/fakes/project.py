"""A small project with a registry, tests that ran, and documents that claim something."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from only1mcp.report.derive import Standing, standings
from only1mcp.report.facts import Facts
from only1mcp.report.gather import gather
from only1mcp.report.registry import load

NOON: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
REGISTRY: Final = """
[project]
name = "Kettle"
summary = "water, hot"
documents = ["README.md"]
constants = ["at most 5 s"]

[checks]
front_door = "tests/e2e/*"
key_page = "docs/keys.md"
lock = "lock.txt"
rooms = "src"
junit = "junit.xml"
coverage = "coverage.json"
benchmarks = "bench"

[checks.commands]
types = ["true"]

[[phase]]
id = 1
name = "Water"
start = 2026-01-01
target = 2026-01-31

[[feature]]
id = "boil"
title = "Boiling"
phase = 1
summary = "Water gets hot."
source = ["src/boil.py"]
tests = ["tests/test_boil.py", "tests/e2e/test_cup.py::test_tea"]
docs = ["README.md#boils"]
keys = ["boil.degrees"]
packages = ["steam"]
benchmarks = ["speed/boil/seconds"]

[[feature]]
id = "pour"
title = "Pouring"
phase = 1
summary = "Water gets out."
source = ["src/pour.py"]
tests = ["tests/test_pour.py"]
depends = ["boil"]
priority = "high"

[[target]]
name = "Fast"
evidence = "bench:speed/boil/seconds"
op = "<"
bound = 4
unit = "s"

[[claim]]
file = "README.md"
pattern = 'boils in (\\d+) s'
evidence = "bench:speed/boil/seconds"

[[claim]]
file = "README.md"
pattern = '([\\d.]+)x (?P<peer>kettle|stove)'
evidence = "bench:speed/pan/over {peer}"
many = true

[notes]
lessons = ["Keep the lid on."]
issues = [{ text = "It whistles.", critical = false, impact = "noise", action = "wait" }]
"""
README: Final = "# Kettle\n\nIt boils in 3 s, at most 5 s.\n\n```\nwait 9 s\n```\n"
JUNIT: Final = """<testsuites><testsuite name="pytest" timestamp="2026-01-15T11:00:00+00:00">
<testcase classname="tests.test_boil" name="test_heat[90]" time="0.5"/>
<testcase classname="tests.test_boil.TestLid" name="test_open" time="0.25"/>
<testcase classname="tests.e2e.test_cup" name="test_tea" time="2.0"/>
</testsuite></testsuites>"""
COVERAGE: Final = """{"meta": {"timestamp": "2026-01-15T11:05:00"},
 "totals": {"percent_covered": 93.5}}"""
FILES: Final = {
    "features.toml": REGISTRY,
    "README.md": README,
    "docs/keys.md": "`boil.degrees`: how hot\n",
    "lock.txt": "steam==1.2.3 \\\n    --hash=sha256:00\n",
    "src/boil.py": '"""Boil."""\n\n# hot\nDEGREES = 100\n',
    "tests/test_boil.py": "",
    "tests/e2e/test_cup.py": "",
    "junit.xml": JUNIT,
    "coverage.json": COVERAGE,
    "bench/speed.json": '{"boil": {"seconds": 3}, "pan": {"over kettle": 0.437}}',
}


def project(root: Path, **changed: str) -> Path:
    """Write the project below `root`; `changed` files by name, `_` for `/` and `.`."""
    known = {name.replace("/", "_").replace(".", "_"): name for name in FILES}
    for key, name in known.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changed.get(key, FILES[name]))
    assert changed.keys() <= known.keys()
    return root


def facts(root: Path, **changed: str) -> Facts:
    """What there is to say about the project."""
    project(root, **changed)
    registry = load(root / "features.toml")
    evidence = gather(registry, root, NOON)
    judged = standings(registry, evidence, root)
    return Facts(registry, registry.phase[0], evidence, judged, {})


def standing(root: Path, id: str = "boil", **changed: str) -> Standing:
    """How far one of its features is."""
    return next(one for one in facts(root, **changed).standings if one.feature.id == id)
