"""Find the evidence: test results, coverage, checks, code size, history, libraries, benchmarks.

What is missing is left out, never estimated. Commands run in the project's root, one after
another; no shell is involved.
"""

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from only1mcp.report.evidence import (
    Case,
    Check,
    Commit,
    Coverage,
    Evidence,
    Outcome,
    Run,
    Size,
    Source,
)
from only1mcp.report.registry import Registry, RegistryError

RECORD: Final = "\x1e"
FIELD: Final = "\x1f"
COMMENTS: Final = ("#", "//", "--")
PINNED: Final = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", re.MULTILINE)
MESSAGE: Final = 300
"""Characters of a failure's message."""


def gather(registry: Registry, root: Path, today: datetime) -> Evidence:
    """Everything that can be found out about the project in `root`."""
    checks = registry.checks
    junit, coverage, benchmarks = (
        _there(root, name) for name in (checks.junit, checks.coverage, checks.benchmarks)
    )
    commits = {
        feature.id: history(root, "--", *(f":(glob){one}" for one in feature.source))
        for feature in registry.feature
    }
    newest = history(root, "-1")
    return Evidence(
        today=today,
        tests=read_junit(junit, root) if junit else None,
        coverage=read_coverage(coverage) if coverage else None,
        checks={name: run_check(argv, root, today) for name, argv in checks.commands.items()},
        sizes=sizes(registry, root),
        commits=commits,
        head=newest[0] if newest else None,
        packages=pins(root / checks.lock) if checks.lock else {},
        benchmarks=read_benchmarks(benchmarks) if benchmarks else {},
        bench_source=Source(checks.benchmarks) if benchmarks else None,
    )


def _there(root: Path, name: str) -> Path | None:
    """The file or folder of evidence called `name`, if it is there."""
    path = root / name
    return path if name and path.exists() else None


def read_junit(path: Path, root: Path) -> Run:
    """The test run in the JUnit file that pytest wrote to `path`."""
    try:
        tree = ET.fromstring(path.read_text())  # noqa: S314 - written by our own test run
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}; make it with pytest --junitxml") from None
    except ET.ParseError as error:
        raise RegistryError(f"{path}: is no JUnit file: {error}") from None
    cases = [_case(node, root) for node in tree.iter("testcase")]
    suite = next(iter(tree.iter("testsuite")), None)
    stamp = suite.get("timestamp") if suite is not None else None
    at = datetime.fromisoformat(stamp) if stamp else _changed(path)
    return Run(Source("pytest --junitxml", at), cases)


def _case(node: ET.Element, root: Path) -> Case:
    path, classes = _place(node.get("classname", ""), root)
    outcome: Outcome = "passed"
    message = ""
    for child in node:
        if child.tag in ("failure", "error"):
            outcome, message = "failed", child.get("message") or ""
        elif child.tag == "skipped" and outcome == "passed":
            outcome, message = "skipped", child.get("message") or ""
    name = "::".join([*classes, node.get("name", "")])
    seconds = float(node.get("time") or 0)
    return Case(path, name, outcome, seconds, " ".join(message.split())[:MESSAGE])


def _place(dotted: str, root: Path) -> tuple[str, list[str]]:
    """pytest's `tests.room.test_x.TestThing`, as the file and the classes in it."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        path = "/".join(parts[:count]) + ".py"
        if (root / path).is_file():
            return path, parts[count:]
    return "/".join(parts) + ".py", []


def read_coverage(path: Path) -> Coverage:
    """The total of a file that `coverage json` wrote."""
    document = _json(path)
    try:
        percent = float(document["totals"]["percent_covered"])
        at = datetime.fromisoformat(document["meta"]["timestamp"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        raise RegistryError(f"{path}: is not what coverage json writes") from None
    return Coverage(Source("coverage json", at), percent)


def read_benchmarks(folder: Path) -> dict[str, Any]:
    """Every result file in `folder`, by its name without `.json`."""
    return {file.stem: _json(file) for file in sorted(folder.glob("*.json"))}


def run_check(argv: list[str], root: Path, today: datetime) -> Check:
    """Whether a command succeeds."""
    source = Source(" ".join(argv), today)
    try:
        done = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - of the project's own registry
    except OSError as error:
        return Check(source, False, str(error.strerror))
    lines = (done.stdout + done.stderr).strip().splitlines()
    return Check(source, not done.returncode, lines[-1] if lines else "")


def sizes(registry: Registry, root: Path) -> dict[str, Size]:
    """Lines of every folder that the registry's `rooms` names, by its path."""
    rooms = registry.checks.rooms.split() if registry.checks.rooms else []
    folders = (one for glob in rooms for one in sorted(root.glob(glob)))
    found = {one.relative_to(root).as_posix(): size_of(one) for one in folders if one.is_dir()}
    return {name: size for name, size in found.items() if size.files}


def size_of(folder: Path) -> Size:
    """Lines of the Python and Markdown files below `folder`."""
    files = [file for kind in ("*.py", "*.md") for file in folder.rglob(kind)]
    code = comment = blank = 0
    for file in files:
        for line in file.read_text(errors="replace").splitlines():
            bare = line.strip()
            blank += not bare
            comment += file.suffix == ".py" and bare.startswith(COMMENTS)
            code += 1
    return Size(len(files), code - comment - blank, comment, blank)


def pins(lock: Path) -> dict[str, str]:
    """Library -> version, as a lock file pins them."""
    try:
        return {plain(name): version for name, version in PINNED.findall(lock.read_text())}
    except OSError:
        return {}


def plain(name: str) -> str:
    """A library's name as all its spellings become. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def history(root: Path, *arguments: str) -> list[Commit]:
    """Commits, newest first; none where there is no git."""
    shape = f"--format={RECORD}%h{FIELD}%cs{FIELD}%s"
    command = ["git", "log", "--no-merges", "--numstat", shape, *arguments]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - git
    except OSError:
        return []
    return [_commit(record) for record in done.stdout.split(RECORD)[1:]]


def _commit(record: str) -> Commit:
    first, *rest = record.splitlines()
    short, day, subject = first.split(FIELD)
    changes = [line.split("\t") for line in rest if line]
    added, removed = (
        sum(int(change[side]) for change in changes if change[side].isdigit()) for side in (0, 1)
    )
    return Commit(short, date.fromisoformat(day), subject, added, removed)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise RegistryError(f"{path}: is not JSON: {error}") from None


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)
