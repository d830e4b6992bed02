"""features.toml: what a project promises, and where the evidence for each promise is.

    [project]   name, summary, claims in its documents
    [[phase]]   id, name, start, target
    [[feature]] id, title, phase, and globs or names of its evidence
    [[target]]  a number to reach, and where the measured one is

Nothing here says whether a feature is done: that is derived (report/derive.py).
"""

import tomllib
from datetime import date
from pathlib import Path
from typing import Final, Literal

import msgspec

NAME: Final = "features.toml"


class Strict(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A table of the file; a key it does not know is a fault."""


class Phase(Strict, frozen=True):
    """A stretch of work with a start and a day it is meant to end."""

    id: int
    name: str
    start: date
    target: date
    weeks: str = ""


class Feature(Strict, frozen=True):
    """One thing a user gets. Every list may be empty, only `tests` and `source` may not."""

    id: str
    title: str
    phase: int
    summary: str
    source: list[str]
    """Globs below the project's root; the history of these files is the feature's."""
    tests: list[str]
    """`path` or `path::name`, each part with wildcards."""
    docs: list[str] = []
    """`path` or `path#words`: the file, and words that have to stand in it."""
    metrics: list[str] = []
    keys: list[str] = []
    """Configuration keys, as the reference page spells them."""
    benchmarks: list[str] = []
    """Paths into the benchmark results: `suite/figure`."""
    depends: list[str] = []
    packages: list[str] = []
    """Libraries that came with it."""
    priority: Literal["high", "medium", "low"] = "medium"
    estimate: str = ""


class Target(Strict, frozen=True):
    """A number to reach: `value op bound`, the value found at `evidence`."""

    name: str
    evidence: str
    op: Literal["<", "<=", "==", ">=", ">"]
    bound: float
    unit: str = ""


class Claim(Strict, frozen=True):
    """A number in a document and the evidence that has to agree with it."""

    file: str
    pattern: str
    """A regular expression; its first group is the number."""
    evidence: str
    """Its path; `{name}` stands for what the group of this name has found."""
    within: float = 0.0
    """How far apart they may be, as a share of the evidence; what is only rounded agrees."""
    many: bool = False
    """It may be claimed anywhere, any number of times, or not at all."""


class Issue(Strict, frozen=True):
    """Something known to be wrong."""

    text: str
    critical: bool = False
    impact: str = ""
    action: str = ""


class Notes(Strict, frozen=True):
    """What only a person can know; free text."""

    lessons: list[str] = []
    challenges: list[str] = []
    improvements: list[str] = []
    architecture: list[str] = []
    issues: list[Issue] = []


class Checks(Strict, frozen=True):
    """Commands whose exit code is evidence, and the pages that evidence is looked up in."""

    commands: dict[str, list[str]] = {}
    front_door: str = ""
    """Glob of the tests that go through the front door; empty: the project has none such."""
    key_page: str = ""
    metric_page: str = ""
    lock: str = ""
    """Lock file with a line `name==version` for each library."""
    rooms: str = ""
    """Globs of the folders that code size is shown by, with blanks between them."""
    junit: str = ""
    """Where pytest --junitxml leaves the results of the tests."""
    coverage: str = ""
    """Where coverage json leaves its totals."""
    benchmarks: str = ""
    """Folder of result files, `suite.json` each."""
    reports: str = "docs/reports"
    """Where reports are written to and the one before is looked for."""


class Project(Strict, frozen=True):
    """What the report is about."""

    name: str
    summary: str
    documents: list[str] = []
    """Whose numbers have to be backed by claims."""
    constants: list[str] = []
    """Regular expressions of numbers in the documents that are no results: limits, ports."""


class Registry(Strict, frozen=True):
    """The whole file."""

    project: Project
    phase: list[Phase]
    feature: list[Feature]
    checks: Checks = Checks()
    target: list[Target] = []
    claim: list[Claim] = []
    notes: Notes = Notes()

    def of_phase(self, phase: int) -> list[Feature]:
        """The features of one phase, in the order of the file."""
        return [feature for feature in self.feature if feature.phase == phase]


class RegistryError(Exception):
    """The file cannot be used; the text names place, cause and next step."""


def load(path: Path) -> Registry:
    """Read and check the registry at `path`."""
    try:
        tables = tomllib.loads(path.read_text())
        registry = msgspec.convert(tables, Registry)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise RegistryError(
            f"{path}: {reason}; a project needs a {NAME} to be reported on"
        ) from None
    except UnicodeDecodeError:
        raise RegistryError(f"{path}: is not UTF-8; save it as such") from None
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"{path}: {error}") from None
    except msgspec.ValidationError as error:
        raise RegistryError(f"{path}: {_place(str(error), tables)}") from None
    if faults := _faults(registry):
        raise RegistryError("\n".join(f"{path}: {fault}" for fault in faults))
    return registry


def _place(text: str, tables: dict[str, object]) -> str:
    """`text` with the feature's id in it where the fault is in one."""
    features = tables.get("feature")
    if ".feature[" not in text or not isinstance(features, list):
        return text
    known = (item for item in features if isinstance(item, dict))
    for item in known:
        try:
            msgspec.convert(item, Feature)
        except msgspec.ValidationError:
            return f"feature '{item.get('id', '?')}': {text}"
    return text


def _faults(registry: Registry) -> list[str]:
    """What the types do not say: names that are used twice, or point nowhere."""
    found = []
    phases = {phase.id for phase in registry.phase}
    ids = [feature.id for feature in registry.feature]
    found += [f"feature '{one}' is there twice" for one in sorted({*ids}) if ids.count(one) > 1]
    for feature in registry.feature:
        if feature.phase not in phases:
            found.append(f"feature '{feature.id}': there is no phase {feature.phase}")
        if not feature.source or not feature.tests:
            found.append(f"feature '{feature.id}': name its source and its tests")
        for other in feature.depends:
            if other not in ids:
                found.append(f"feature '{feature.id}': depends on '{other}', which is not there")
    if circle := _circle(registry):
        found.append(f"features depend on each other in a circle: {', '.join(circle)}")
    return found


def _circle(registry: Registry) -> list[str]:
    """The features left when those without open dependencies are taken away again and again."""
    left = {feature.id: {*feature.depends} for feature in registry.feature}
    while ready := [one for one, needs in left.items() if not needs & {*left}]:
        for one in ready:
            del left[one]
    return sorted(left)
