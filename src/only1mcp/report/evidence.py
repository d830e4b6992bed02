"""What was measured, each value with how and when; what was not is None and stays so."""

from datetime import date, datetime
from statistics import median
from typing import Any, Literal

import msgspec

Outcome = Literal["passed", "failed", "skipped"]


class Source(msgspec.Struct, frozen=True):
    """Where a value comes from: the command or file, and when it was made."""

    how: str
    at: datetime | None = None


class Case(msgspec.Struct, frozen=True):
    """One test that ran."""

    path: str
    """File below the project's root."""
    name: str
    """`class::function[parameters]` without the file."""
    outcome: Outcome
    seconds: float = 0.0
    message: str = ""

    @property
    def id(self) -> str:
        """As pytest writes it."""
        return f"{self.path}::{self.name}"


class Run(msgspec.Struct, frozen=True):
    """One run of all tests."""

    source: Source
    cases: list[Case]

    def count(self, *outcomes: Outcome) -> int:
        """How many ended so; all of them without an argument."""
        return sum(not outcomes or case.outcome in outcomes for case in self.cases)


class Coverage(msgspec.Struct, frozen=True):
    """How much of the source the tests ran through."""

    source: Source
    percent: float


class Check(msgspec.Struct, frozen=True):
    """A command that says yes or no."""

    source: Source
    ok: bool
    last_line: str


class Size(msgspec.Struct, frozen=True):
    """Lines of one part of the tree."""

    files: int
    code: int
    comment: int
    blank: int


class Commit(msgspec.Struct, frozen=True):
    """One entry of the history."""

    hash: str
    day: date
    subject: str
    added: int
    removed: int


class Evidence(msgspec.Struct, frozen=True):
    """All that could be found out about a project."""

    today: datetime
    version: str | None = None
    tests: Run | None = None
    coverage: Coverage | None = None
    checks: dict[str, Check] = {}
    sizes: dict[str, Size] = {}
    commits: dict[str, list[Commit]] = {}
    """Feature -> the commits that touched its sources, newest first."""
    head: Commit | None = None
    packages: dict[str, str] = {}
    benchmarks: dict[str, Any] = {}
    """Result file -> its content."""
    bench_source: Source | None = None


def number(evidence: Evidence, path: str) -> tuple[float, Source] | None:
    """The value at `path` and where it is from; None if it was not measured.

    Paths: tests.passed|failed|skipped|total, tests.pass_rate, coverage.percent,
    size.ROOM.code|comment|blank|files, checks.NAME (1 ok, 0 not), bench:FILE/KEY/ROW...
    """
    kind, _, rest = path.partition(".")
    if path.startswith("bench:"):
        return _bench(evidence, path.removeprefix("bench:"))
    if kind == "tests" and evidence.tests is not None:
        value = _of_tests(evidence.tests, rest)
        return None if value is None else (value, evidence.tests.source)
    if kind == "coverage" and evidence.coverage is not None:
        return evidence.coverage.percent, evidence.coverage.source
    if kind == "checks" and rest in evidence.checks:
        check = evidence.checks[rest]
        return float(check.ok), check.source
    if kind == "size":
        room, _, field = rest.rpartition(".")
        size = evidence.sizes.get(room)
        return None if size is None else (getattr(size, field), Source("lines of the files"))
    return None


def _of_tests(tests: Run, field: str) -> float | None:
    total, passed, failed = tests.count(), tests.count("passed"), tests.count("failed")
    ran = passed + failed
    known = {
        "total": total,
        "passed": passed,
        "failed": failed,
        "skipped": tests.count("skipped"),
        "pass_rate": 100 * passed / ran if ran else None,
    }
    return known.get(field)


def _bench(evidence: Evidence, path: str) -> tuple[float, Source] | None:
    """A figure of a result file: of several samples the median."""
    value: Any = evidence.benchmarks
    rest = path
    while rest and value is not None:
        value, rest = _step(value, rest)
    if isinstance(value, dict) and (samples := value.get("samples")):
        value = median(samples)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value, evidence.bench_source or Source(path.partition("/")[0])


def _step(value: Any, path: str) -> tuple[Any, str]:
    """What the beginning of `path` names in `value`, and the rest: a key, or a row by its name."""
    if isinstance(value, dict):
        key, _, rest = path.partition("/")
        return value.get(key), rest
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    for row in rows:
        name = str(row.get("name"))
        if path == name or path.startswith(f"{name}/"):
            return row, path.removeprefix(name).removeprefix("/")
    return None, ""
