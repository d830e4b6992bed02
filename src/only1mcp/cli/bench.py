"""`bench`: a short benchmark, of a gateway of its own or of one that runs."""

from pathlib import Path
from typing import NamedTuple

from only1mcp import __version__
from only1mcp.bench import page, report, results, short
from only1mcp.bench import verdict as judge
from only1mcp.bench.endpoint import Endpoint, Refused
from only1mcp.bench.processes import NotStarted, ended_by_sigterm
from only1mcp.bench.results import Results, Unreadable
from only1mcp.cli.client import parsed
from only1mcp.cli.reach import bearer, whole
from only1mcp.cli.say import Exit, Failure, fail, note


class Wanted(NamedTuple):
    """What to measure."""

    url: str | None
    token: str | None
    tool: str | None
    """Name and, after a space, arguments."""
    seconds: float


def run_bench(wanted: Wanted, output: Path | None, baseline: Path | None) -> int:
    """`only1mcp bench`: exit 1 if it is worse than the baseline."""
    try:
        before = None if baseline is None else results.load(baseline)
        with ended_by_sigterm():
            now = _measured(wanted)
        if output is not None:
            _write(now, output)
    except Unreadable as error:
        return fail(Failure(str(error), Exit.USAGE))
    except Failure as error:
        return fail(error)
    print(report.markdown(now), end="")
    return Exit.OK if before is None else compared(before, now)


def compared(before: Results, now: Results) -> int:
    """Tell what has changed; exit 1 if that blocks."""
    found = list(judge.changes(before, now))
    gone = judge.missing(before, now)
    for change in judge.notable(found):
        note(str(change))
    for name in gone:
        note(f"BLOCKS  {name}: was measured before, and is not any more")
    blocked = bool(gone) or any(change.blocks for change in found)
    verdict = "worse than the baseline" if blocked else "no worse than the baseline"
    note(f"{verdict}: {len(found)} figures compared")
    return Exit.FAILURE if blocked else Exit.OK


def _measured(wanted: Wanted) -> Results:
    if wanted.url is None and wanted.tool is not None:
        raise Failure("--tool names a tool of a running gateway: say which with --url", Exit.USAGE)
    try:
        if wanted.url is None:
            return short.own(wanted.seconds, __version__)
        return short.theirs(_subject(wanted), wanted.seconds, __version__)
    except (Refused, NotStarted) as error:
        raise Failure(str(error)) from None
    except OSError as error:
        where = wanted.url or "a gateway of its own"
        raise Failure(f"no connection to {where}: {error}", Exit.UNREACHABLE) from None


def _subject(wanted: Wanted) -> short.Subject:
    assert wanted.url is not None
    url = whole(wanted.url)
    url = url if "/mcp" in url else f"{url}/mcp"
    end = Endpoint(url, headers=bearer(wanted.token)).open()
    if wanted.tool is None:
        return short.Subject(end, "tools/list", {})
    name, _, arguments = wanted.tool.partition(" ")
    params = {"name": name, "arguments": parsed(arguments or "{}")}
    return short.Subject(end, "tools/call", params)


def _write(now: Results, output: Path) -> None:
    """The file that was asked for: its ending says what it is."""
    try:
        if output.suffix in (".html", ".htm"):
            output.write_text(page.html(now))
        elif output.suffix == ".md":
            output.write_text(report.markdown(now))
        else:
            results.save(now, output)
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror}") from None
