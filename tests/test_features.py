"""features.toml and the tree belong together, both ways.

Tests are read, not run: one that is there passes, or `make test` fails because of it.
"""

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import pytest

from only1mcp.report import gather
from only1mcp.report.derive import Standing, Status, standings, unclaimed
from only1mcp.report.evidence import Case, Evidence, Run, Source, number
from only1mcp.report.registry import Claim, load

ROOT: Final = Path(__file__).resolve().parents[1]
REGISTRY: Final = load(ROOT / "features.toml")
BENCHMARKS: Final = "not measured: "
"""Results of benchmarks belong to the report: `make check` runs none."""


def cases() -> Iterator[Case]:
    """Every test of the tree, as if it had passed."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for node in ast.parse(file.read_text()).body:
            members = node.body if isinstance(node, ast.ClassDef) else [node]
            for one in members:
                name = getattr(one, "name", "")
                if name.startswith("test_"):
                    yield Case(path, name, "passed")


@cache
def evidence() -> Evidence:
    """The tests there are, and nothing else."""
    run = Run(Source("the tree"), list(cases()))
    return Evidence(today=datetime(2026, 1, 1, tzinfo=UTC), tests=run)


def judged() -> list[Standing]:
    """How far each feature is, as far as files say."""
    return standings(REGISTRY, evidence(), ROOT)


@pytest.mark.parametrize("standing", judged(), ids=lambda standing: standing.feature.id)
def test_what_is_there_has_its_proof(standing: Standing) -> None:
    missing = [why for why in standing.reasons if not why.startswith((BENCHMARKS, "builds on"))]
    assert standing.status is Status.PENDING or missing == []


def test_every_test_through_the_front_door_belongs_to_a_feature() -> None:
    assert unclaimed(REGISTRY, evidence()) == []


def test_a_test_that_is_taken_away_is_missed() -> None:
    feature = REGISTRY.feature[0]
    kept = [case for case in evidence().tests.cases if "e2e" not in case.path]  # type: ignore[union-attr]
    poorer = msgspec.structs.replace(evidence(), tests=Run(Source("the tree"), kept))
    first = standings(REGISTRY, poorer, ROOT)[0]
    assert first.feature is feature
    assert "no test through the front door" in first.reasons


@pytest.mark.parametrize("claim", [one for one in REGISTRY.claim if one.evidence[:6] == "bench:"])
def test_what_may_be_claimed_is_measured(claim: Claim) -> None:
    results = gather.read_benchmarks(ROOT / REGISTRY.checks.benchmarks)
    known = msgspec.structs.replace(evidence(), benchmarks=results)
    path = claim.evidence.format(peer="nginx", share="50")
    assert number(known, path) is not None
