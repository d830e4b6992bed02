"""The second half of the progress report: what comes next, what was learnt, was it reached?"""

import operator
from typing import Final

from only1mcp.report.derive import Standing, Status
from only1mcp.report.document import NOT_MEASURED, Document, Section, several, spelt
from only1mcp.report.evidence import number
from only1mcp.report.facts import Facts, tests_source
from only1mcp.report.registry import Target

HOLDS: Final = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
RANKS: Final = {"high": 0, "medium": 1, "low": 2}


def next_steps(document: Document, section: Section, facts: Facts) -> None:
    """What mends or completes the most, in the order it should be done."""
    run = facts.evidence.tests
    broken = [case.id for case in run.cases if case.outcome == "failed"] if run else []
    now = [f"Mend `{one}`" for one in broken]
    now += [issue.action or issue.text for issue in facts.registry.notes.issues if issue.critical]
    soon = [f"{one.feature.title}: {one.reasons[0]}" for one in by_rank(facts, Status.IN_PROGRESS)]
    later = [one.feature.title for one in by_rank(facts, Status.PENDING)]
    missed = [target.name for target in facts.registry.target if reached(target, facts) is not True]
    for title, items in (
        ("Now:", now),
        ("In progress, the most important first:", soon),
        ("Then:", later),
        ("To end the phase, targets not reached or not measured:", missed),
    ):
        section.text(title)
        section.items(items, "Nothing.")


def by_rank(facts: Facts, status: Status) -> list[Standing]:
    """The features of the phase that stand so, the most important first."""
    return sorted(facts.of_phase(status), key=lambda one: RANKS[one.feature.priority])


def lessons(document: Document, section: Section, facts: Facts) -> None:
    """What people noted; nothing is made up."""
    notes = facts.registry.notes
    for title, items in (
        ("What works well:", notes.lessons),
        ("What was hard:", notes.challenges),
        ("What will be done otherwise:", notes.improvements),
    ):
        section.text(title)
        section.items(items, "Nothing noted.")


def reached(target: Target, facts: Facts) -> bool | None:
    """Whether a target is met; None if its number was not measured."""
    value = number(facts.evidence, target.evidence)
    return None if value is None else bool(HOLDS[target.op](value[0], target.bound))


def success(document: Document, section: Section, facts: Facts) -> None:
    """Targets beside what was measured."""
    verdicts = {True: "met", False: "missed", None: NOT_MEASURED}
    rows = []
    for target in facts.registry.target:
        value = number(facts.evidence, target.evidence)
        shown = document.cite(value[0], value[1], target.unit) if value else NOT_MEASURED
        bound = f"{target.op} {spelt(target.bound)} {target.unit}".strip()
        rows.append([target.name, bound, shown, verdicts[reached(target, facts)]])
    section.table("target | bound | measured | verdict", rows, "No targets are set.")


def achievements(document: Document, section: Section, facts: Facts) -> None:
    """What is done and proven."""
    done, source = facts.of_phase(Status.COMPLETE), tests_source(facts)
    items = [
        f"{one.feature.title}: {document.cite(several(len(one.tests), 'test'), source)},"
        f" {len(one.front_door)} through the front door"
        for one in done
    ]
    items += [
        f"Target met: {target.name}"
        for target in facts.registry.target
        if reached(target, facts) is True
    ]
    section.items(items, "Nothing is complete yet.")


def plain(document: Document, section: Section, facts: Facts) -> None:
    """The state in words that need no knowledge of the code."""
    done, total = facts.of_phase(Status.COMPLETE), facts.of_phase()
    section.text(f"{len(done)} of {len(total)} features of this phase are done and proven.")
    section.items([one.feature.summary for one in done])
    left = [one.feature.title for one in total if one.status is not Status.COMPLETE]
    section.text(f"Still to do: {', '.join(left)}." if left else "Nothing is left to do.")


def footer(document: Document, section: Section, facts: Facts) -> None:
    """When it was made, and when to make the next one."""
    left = [one.feature.title for one in facts.of_phase() if one.status is not Status.COMPLETE]
    section.text(f"Generated {facts.evidence.today:%Y-%m-%d %H:%M}, from evidence only.")
    section.text(f"Next report: when '{left[0]}' is done." if left else "Next report: next phase.")
