"""The progress report of a phase: sixteen sections, every number from the evidence."""

from collections.abc import Callable
from datetime import date
from typing import Final

from only1mcp.report import outlook
from only1mcp.report.derive import Standing, Status, unclaimed
from only1mcp.report.document import NOT_MEASURED, Document, Section, several, spelt
from only1mcp.report.evidence import Source
from only1mcp.report.facts import Facts, cited, figures, tests_source, trend, weeks
from only1mcp.report.gather import plain

SHOWN_COMMITS: Final = 5
SHOWN_REASONS: Final = 8
HISTORY: Final = Source("git log --numstat -- (source of the feature)")
NOTED: Final = Source("features.toml, [notes]")
JUDGED: Final = Source("features.toml, held against the files and tests it names")


def report(facts: Facts) -> Document:
    """The whole report of `facts.phase`."""
    phase, today = facts.phase, facts.evidence.today
    document = Document(f"{facts.registry.project.name}: phase {phase.id} progress report", today)
    write: list[tuple[str, Callable[[Document, Section, Facts], None]]] = [
        (f"Phase {phase.id}: {phase.name}", _header),
        ("Executive summary", _summary),
        ("Completed features", _completed),
        ("Features in progress", _in_progress),
        ("Pending features", _pending),
        ("Technical achievements", _technical),
        ("Testing metrics", _testing),
        ("Documentation status", _documentation),
        ("Known issues", _issues),
        ("Timeline", _timeline),
        ("Next steps", outlook.next_steps),
        ("Lessons learned", outlook.lessons),
        ("Success metrics", outlook.success),
        ("Achievements", outlook.achievements),
        ("For everybody else", outlook.plain),
        ("About this report", outlook.footer),
    ]
    document.facts = figures(facts)
    for title, writer in write:
        writer(document, document.section(title), facts)
    return document


def _header(document: Document, section: Section, facts: Facts) -> None:
    done, total = len(facts.of_phase(Status.COMPLETE)), len(facts.of_phase())
    share = spelt(round(100 * done / total)) if total else "0"
    head = facts.evidence.head
    rows = [
        ["Project", f"{facts.registry.project.name}: {facts.registry.project.summary}"],
        ["Phase", f"{facts.phase.id}, {facts.phase.name} {facts.phase.weeks}".strip()],
        ["Generated", f"{facts.evidence.today:%Y-%m-%d}"],
        ["State", f"commit {head.hash} of {head.day}" if head else NOT_MEASURED],
        ["Status", document.cite(f"{share} % ({done}/{total} features)", JUDGED)],
    ]
    section.table("|", rows)


def _summary(document: Document, section: Section, facts: Facts) -> None:
    phase, today = facts.phase, facts.evidence.today.date()
    days = (today - phase.start).days
    done, total = len(facts.of_phase(Status.COMPLETE)), len(facts.of_phase())
    moved = trend(facts, "features.complete", done)
    issues = facts.registry.notes.issues
    judged = f"Features complete: {document.cite(f'{done}/{total}', JUDGED)}{moved}"
    tests = (
        f"Tests passing: {cited(document, facts, 'tests.passed')}"
        f" of {cited(document, facts, 'tests.total')}"
    )
    coverage = f"Coverage: {cited(document, facts, 'coverage.percent', '%')}"
    checks = [
        f"{name}: {document.cite('passes' if check.ok else 'fails', check.source)}"
        for name, check in facts.evidence.checks.items()
    ]
    section.items(
        [
            f"Started {phase.start}, {weeks(days)} ago; to end on {phase.target}",
            judged,
            tests,
            coverage,
            *checks,
            f"Known issues: {document.cite(len(issues), NOTED)}",
        ]
    )


def _completed(document: Document, section: Section, facts: Facts) -> None:
    done, total = len(facts.of_phase(Status.COMPLETE)), len(facts.of_phase())
    section.text(f"{document.cite(f'{done} of {total}', JUDGED)}.")
    for standing in facts.of_phase(Status.COMPLETE):
        _feature(document, document.section(standing.feature.title, 3), standing, facts)


def _feature(document: Document, section: Section, standing: Standing, facts: Facts) -> None:
    """What there is to say of one feature, from its evidence."""
    feature, commits = standing.feature, facts.evidence.commits.get(standing.feature.id, [])
    section.text(feature.summary)
    passed = sum(case.outcome == "passed" for case in standing.tests)
    added, removed = sum(one.added for one in commits), sum(one.removed for one in commits)
    lines = f"+{added} -{removed} in {several(len(commits), 'commit')}" if commits else None
    pins = facts.evidence.packages
    packages = [f"{one} {pins.get(plain(one), '')}".strip() for one in feature.packages]
    rows = [
        ["Completed", document.cite(str(commits[0].day), HISTORY) if commits else NOT_MEASURED],
        [
            "Worked on since",
            document.cite(str(commits[-1].day), HISTORY) if commits else NOT_MEASURED,
        ],
        ["Lines", document.cite(lines, HISTORY)],
        [
            "Tests",
            f"{document.cite(f'{passed}/{len(standing.tests)} pass', tests_source(facts))},"
            f" {len(standing.front_door)} of them through the front door",
        ],
        ["Metrics", _coded(feature.metrics)],
        ["Configuration", _coded(feature.keys)],
        ["Documents", _coded(feature.docs)],
        ["Benchmarks", _benchmarks(document, facts, feature.benchmarks)],
        ["Libraries", ", ".join(packages) or "none"],
    ]
    section.table("|", rows)
    section.items([f"`{one.hash}` {one.subject}" for one in commits[:SHOWN_COMMITS]])


def _benchmarks(document: Document, facts: Facts, names: list[str]) -> str:
    shown = [f"{name}: {cited(document, facts, f'bench:{name}')}" for name in names]
    return ", ".join(shown) or "none"


def _coded(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _in_progress(document: Document, section: Section, facts: Facts) -> None:
    rows = []
    for one in facts.of_phase(Status.IN_PROGRESS, Status.NOT_MEASURED):
        commits = facts.evidence.commits.get(one.feature.id, [])
        started = document.cite(str(commits[-1].day), HISTORY) if commits else NOT_MEASURED
        more = len(one.reasons) - SHOWN_REASONS
        reasons = one.reasons[:SHOWN_REASONS] + ([f"and {more} more"] if more > 0 else [])
        rows.append([one.feature.title, str(one.status), started, "; ".join(reasons)])
    section.table("feature | status | started | what is missing", rows)


def _pending(document: Document, section: Section, facts: Facts) -> None:
    rows = [
        [
            one.feature.title,
            one.feature.priority,
            one.feature.estimate or "none made",
            ", ".join(one.feature.depends) or "nothing",
            one.feature.summary,
        ]
        for one in facts.of_phase(Status.PENDING)
    ]
    section.table("feature | priority | estimate | builds on | approach", rows)


def _technical(document: Document, section: Section, facts: Facts) -> None:
    sizes = facts.evidence.sizes
    lines = Source("lines of the files, by kind")
    rows = [
        [
            room,
            spelt(size.files),
            spelt(size.code) + trend(facts, f"size.{room}.code", size.code),
            spelt(size.comment),
            spelt(size.blank),
        ]
        for room, size in sizes.items()
    ]
    mark = document.mark(lines) if rows else ""
    heads = f"part | files {mark} | lines {mark} | comment {mark} | blank {mark}"
    section.table(heads, rows, "Code size: not measured.")
    section.bars("lines of code", {room: float(size.code) for room, size in sizes.items()})
    named = {one for feature in facts.registry.feature for one in feature.packages}
    pins = facts.evidence.packages
    section.items(
        [f"Library: {one} {pins.get(plain(one), '(not pinned)')}" for one in sorted(named)],
        "Libraries: none named.",
    )
    section.items(facts.registry.notes.architecture, "Architecture: nothing noted.")


def _testing(document: Document, section: Section, facts: Facts) -> None:
    run = facts.evidence.tests
    front = {case.id for one in facts.standings for case in one.front_door}
    share = cited(document, facts, "tests.pass_rate", "%")
    section.items(
        [
            f"All: {cited(document, facts, 'tests.total')}; passing: {share}",
            f"Failed: {cited(document, facts, 'tests.failed')};"
            f" skipped: {cited(document, facts, 'tests.skipped')}",
            f"Through the front door: {document.cite(len(front), tests_source(facts))}",
        ]
    )
    rows = [
        [
            one.feature.title,
            f"{sum(case.outcome == 'passed' for case in one.tests)}/{len(one.tests)}",
            str(len(one.front_door)),
            spelt(round(sum(case.seconds for case in one.tests), 1)),
        ]
        for one in facts.of_phase()
    ]
    source = tests_source(facts)
    mark = f" {document.mark(source)}" if source else ""
    heads = f"feature | passing{mark} | through the front door{mark} | seconds{mark}"
    section.table(heads, rows)
    failed = [case for case in run.cases if case.outcome == "failed"] if run else []
    section.items([f"`{case.id}`: {case.message}" for case in failed], "No test fails.")
    loose = unclaimed(facts.registry, facts.evidence)
    section.items([f"`{one}` belongs to no feature" for one in loose], "Every test has a feature.")


def _documentation(document: Document, section: Section, facts: Facts) -> None:
    lacking = {
        doc: any(doc.partition("#")[0] in reason for reason in one.reasons)
        for one in facts.of_phase()
        for doc in one.feature.docs
    }
    rows = [[f"`{doc}`", "missing" if bad else "there"] for doc, bad in lacking.items()]
    section.table("document | state", rows, "No documents are named.")


def _issues(document: Document, section: Section, facts: Facts) -> None:
    for critical, title in ((True, "Critical"), (False, "Not critical")):
        rows = [
            [one.text, one.impact, one.action]
            for one in facts.registry.notes.issues
            if one.critical is critical
        ]
        section.text(f"{title}:")
        section.table("issue | impact | action", rows)


def _timeline(document: Document, section: Section, facts: Facts) -> None:
    today: date = facts.evidence.today.date()
    left = (facts.phase.target - today).days
    section.items(
        [
            f"Start {facts.phase.start}, today {today}, target {facts.phase.target}",
            f"Elapsed: {weeks((today - facts.phase.start).days)}",
            f"Remaining: {weeks(left)}" if left >= 0 else f"Over the target by {weeks(-left)}",
        ]
    )
    rows = []
    for one in facts.of_phase():
        commits = facts.evidence.commits.get(one.feature.id, [])
        first, last = (str(commits[-1].day), str(commits[0].day)) if commits else ("", "")
        rows.append([one.feature.title, str(one.status), first, last])
    mark = document.mark(HISTORY)
    section.table(f"feature | status | first commit {mark} | last commit {mark}", rows)
