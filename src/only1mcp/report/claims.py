"""`--check`: what the documents say and the evidence does not show.

A number with a unit in one of the project's documents is a claim. It has to be tied to its
evidence by a `[[claim]]` of the registry, or named as a constant there (a limit, a default).
Code blocks hold commands and settings and are not read.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from only1mcp.report.derive import Status, text_of, unclaimed
from only1mcp.report.document import spelt
from only1mcp.report.evidence import number
from only1mcp.report.facts import Facts
from only1mcp.report.registry import Claim

UNITS: Final = "%|x|times|ms|µs|us|s|MB|MiB|KiB|GB|tests?|cells|calls|requests|features?|lines"
QUANTITY: Final = re.compile(rf"(?<![\w.\-])\d[\d.,]*\s?(?:{UNITS})(?![\w])")
FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def faults(facts: Facts, root: Path) -> list[str]:
    """Everything that is claimed and not shown, a line each, with its place."""
    if facts.evidence.tests is None:
        return [f"no test results at {facts.registry.checks.junit or '(checks.junit is not set)'}"]
    found = [fault for claim in facts.registry.claim for fault in _of_claim(claim, facts, root)]
    for document in facts.registry.project.documents:
        found += _without_evidence(document, facts, root)
    for standing in facts.standings:
        if standing.status is Status.IN_PROGRESS:
            reasons = "; ".join(standing.reasons)
            found.append(f"feature '{standing.feature.id}' is {standing.status}: {reasons}")
    found += [
        f"{path}: a test through the front door that no feature names"
        for path in unclaimed(facts.registry, facts.evidence)
    ]
    return found


def _of_claim(claim: Claim, facts: Facts, root: Path) -> Iterator[str]:
    """What is wrong with the places that a claim is about: the first, or all of them."""
    text = text_of(root / claim.file)
    found = list(re.finditer(claim.pattern, text))
    if not found and not claim.many:
        yield f"{claim.file}: nothing is like '{claim.pattern}'; the claim in the registry is stale"
    for match in found if claim.many else found[:1]:
        if fault := _of_number(match, claim, facts):
            yield f"{claim.file}:{text.count(chr(10), 0, match.start()) + 1}: {fault}"


def _of_number(match: re.Match[str], claim: Claim, facts: Facts) -> str | None:
    """What is wrong with one number; right is what the evidence is when rounded as it is."""
    said = re.sub(r"[,\s]", "", match[1])
    evidence = claim.evidence.format_map(match.groupdict())
    value = number(facts.evidence, evidence)
    if value is None:
        return f"says {match[1]}, and {evidence} was not measured"
    places = len(said.partition(".")[2])
    rounding = 0.5 * 10**-places * (1 + 1e-9)
    if abs(float(said) - value[0]) > max(claim.within * abs(value[0]), rounding):
        return f"says {match[1]}, but {evidence} is {spelt(value[0])}"
    return None


def _without_evidence(document: str, facts: Facts, root: Path) -> Iterator[str]:
    """Quantities in a document that neither a claim nor a constant covers."""
    text = FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), text_of(root / document))
    patterns = [one.pattern for one in facts.registry.claim if one.file == document]
    patterns += facts.registry.project.constants
    covered = [match.span() for one in patterns for match in re.finditer(one, text)]
    for match in QUANTITY.finditer(text):
        if not any(start <= match.start() and match.end() <= end for start, end in covered):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{document}:{line}: '{match[0]}' has no evidence; add a claim or a constant"
