"""How far each feature is, from what was found; nobody writes a status down.

complete      every kind of evidence the registry names is there, and all tests pass
in progress   some is; the reasons say what is missing
pending       there is neither source nor test
"""

import fnmatch
from enum import StrEnum
from pathlib import Path

import msgspec

from only1mcp.report.evidence import Case, Evidence, number
from only1mcp.report.registry import Feature, Registry


class Status(StrEnum):
    """How far a feature is."""

    COMPLETE = "complete"
    IN_PROGRESS = "in progress"
    PENDING = "pending"
    NOT_MEASURED = "not measured"
    """There is no test run to judge by."""


class Standing(msgspec.Struct, frozen=True):
    """A feature and what is known about it."""

    feature: Feature
    status: Status
    reasons: list[str]
    """Why it is not complete; empty if it is."""
    tests: list[Case]
    front_door: list[Case]
    """Those of `tests` that use the program as a user does."""


def standings(registry: Registry, evidence: Evidence, root: Path) -> list[Standing]:
    """Where each feature stands, in the order of the registry; dependencies count."""
    pages = {name: text_of(root / name) for name in _pages(registry)}
    found: dict[str, Standing] = {}
    for feature in registry.feature:
        found[feature.id] = _standing(feature, registry, evidence, root, pages)
    return [_with_dependencies(standing, found) for standing in found.values()]


def matches(pattern: str, test: Case) -> bool:
    """True if the registry's `pattern` names `test`: `path` or `path::name` with wildcards.

    A name without parameters stands for all of its parameters.
    """
    path, _, name = pattern.partition("::")
    if not fnmatch.fnmatchcase(test.path, path):
        return False
    bare = test.name.partition("[")[0]
    return not name or fnmatch.fnmatchcase(bare, name) or fnmatch.fnmatchcase(test.name, name)


def unclaimed(registry: Registry, evidence: Evidence) -> list[str]:
    """Files of front-door tests that belong to no feature."""
    if evidence.tests is None or not registry.checks.front_door:
        return []
    patterns = [pattern for feature in registry.feature for pattern in feature.tests]
    front = [case for case in evidence.tests.cases if _is_front(registry, case)]
    return sorted({case.path for case in front if not any(matches(one, case) for one in patterns)})


def _standing(
    feature: Feature, registry: Registry, evidence: Evidence, root: Path, pages: dict[str, str]
) -> Standing:
    sources = [one for glob in feature.source for one in root.glob(glob)]
    cases = evidence.tests.cases if evidence.tests is not None else []
    per_pattern = {one: [case for case in cases if matches(one, case)] for one in feature.tests}
    tests = list({case.id: case for found in per_pattern.values() for case in found}.values())
    front = [case for case in tests if _is_front(registry, case)]
    reasons = [f"no source at {one}" for one in feature.source if not any(root.glob(one))]
    reasons += _lacking_tests(per_pattern, tests)
    if registry.checks.front_door and not front:
        reasons.append("no test through the front door")
    reasons += _lacking_pages(feature, registry, root, pages)
    reasons += [
        f"not measured: {one}"
        for one in feature.benchmarks
        if number(evidence, f"bench:{one}") is None
    ]
    if evidence.tests is None:
        return Standing(feature, Status.NOT_MEASURED, ["no test run"], [], [])
    status = Status.COMPLETE if not reasons else Status.IN_PROGRESS
    if not sources:
        status = Status.PENDING
    return Standing(feature, status, reasons, tests, front)


def _lacking_tests(per_pattern: dict[str, list[Case]], tests: list[Case]) -> list[str]:
    reasons = [f"no test is named {pattern}" for pattern, found in per_pattern.items() if not found]
    reasons += [
        f"every test of {pattern} was skipped"
        for pattern, found in per_pattern.items()
        if found and all(case.outcome == "skipped" for case in found)
    ]
    return reasons + [f"fails: {case.id}" for case in tests if case.outcome == "failed"]


def _lacking_pages(
    feature: Feature, registry: Registry, root: Path, pages: dict[str, str]
) -> list[str]:
    reasons = []
    for doc in feature.docs:
        path, _, words = doc.partition("#")
        if not (root / path).is_file():
            reasons.append(f"no document {path}")
        elif words and words not in text_of(root / path):
            reasons.append(f"{path} does not say '{words}'")
    for kind, names, page in (
        ("key", feature.keys, registry.checks.key_page),
        ("metric", feature.metrics, registry.checks.metric_page),
    ):
        shown = pages.get(page, "")
        reasons += [f"{kind} {name} is not in {page}" for name in names if f"`{name}`" not in shown]
    return reasons


def _with_dependencies(standing: Standing, found: dict[str, Standing]) -> Standing:
    """The same, no longer complete if something it builds on is not."""
    open_ones = [one for one in standing.feature.depends if found[one].reasons]
    if standing.status is not Status.COMPLETE or not open_ones:
        return standing
    reasons = [f"builds on '{one}', which is {found[one].status}" for one in open_ones]
    return msgspec.structs.replace(standing, status=Status.IN_PROGRESS, reasons=reasons)


def _is_front(registry: Registry, case: Case) -> bool:
    return fnmatch.fnmatchcase(case.path, registry.checks.front_door)


def _pages(registry: Registry) -> list[str]:
    checks = registry.checks
    return [page for page in (checks.key_page, checks.metric_page) if page]


def text_of(path: Path) -> str:
    """A document; nothing if it is not there."""
    try:
        return path.read_text()
    except OSError:
        return ""
