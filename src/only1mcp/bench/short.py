"""The short run behind `only1mcp bench`: half a minute, no source tree, no other programs.

Without an address it starts a gateway and a stub server of its own, and shows what the gateway
adds to a call. With one it measures that gateway, by asking for the list of tools, which runs
nothing, and by calling a tool only if one is named.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from only1mcp.bench import drive, machine, started, wrk
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.figures import paired
from only1mcp.bench.load import Outcome
from only1mcp.bench.processes import cores
from only1mcp.bench.results import Results, Row, Suite, rounded

CONNECTIONS: Final = 32
ROUNDS: Final = 5
PERCENTS: Final = (50, 99)
_NO_WRK: Final = "Load by the bundled Python generator, which may be the limit: no wrk on PATH."


class Subject(NamedTuple):
    """What is asked, and where."""

    end: Endpoint
    method: str
    params: dict[str, Any]


def own(seconds: float, version: str) -> Results:
    """A gateway of ours beside its server."""
    suite = Suite("bench", "tools/call, direct and through the gateway", "only1mcp bench")
    with _pair() as subjects:
        alone, many = _turns(subjects, seconds)
    for percent in PERCENTS:
        ms = {name: _ms(runs, percent) for name, runs in alone.items()}
        added = [b - a for a, b in zip(ms["direct"], ms["gateway"], strict=True)]
        for name, samples in (*ms.items(), ("added", added)):
            suite.rows.append(Row(f"{name} p{percent}, 1 client", "ms", rounded(samples), "less"))
    rates = {name: [run.rate for run in runs] for name, runs in many.items()}
    for name, samples in rates.items():
        suite.rows.append(_rate(name, samples))
    share = rounded(paired(rates["gateway"], rates["direct"]))
    suite.rows.append(Row("gateway over direct", "x", share, "more", guard=True))
    return _results(suite, version)


def theirs(subject: Subject, seconds: float, version: str) -> Results:
    """A gateway that runs already, on whatever cores it runs."""
    title = f"{subject.method} at {subject.end.url}"
    suite = Suite("bench", title, f"only1mcp bench --url {subject.end.url}")
    alone, many = _turns({"gateway": subject}, seconds)
    for percent in PERCENTS:
        samples = rounded(_ms(alone["gateway"], percent))
        suite.rows.append(Row(f"p{percent}, 1 client", "ms", samples, "less"))
    suite.rows.append(_rate("gateway", [run.rate for run in many["gateway"]]))
    return _results(suite, version)


@contextmanager
def _pair() -> Iterator[dict[str, Subject]]:
    place = cores()
    with (
        started.stub(place.server) as stub,
        started.gateway(
            place.gateway, {"servers": [started.http_server("stub", stub.url)]}
        ) as gateway,
    ):
        arguments = {"text": "y" * 400}
        yield {
            name: Subject(
                Endpoint(url).open(), "tools/call", {"name": tool, "arguments": arguments}
            )
            for name, url, tool in (
                ("direct", stub.url, "echo"),
                ("gateway", gateway.url, "stub__echo"),
            )
        }


def _turns(
    subjects: dict[str, Subject], seconds: float
) -> tuple[dict[str, list[Outcome]], dict[str, list[Outcome]]]:
    """Each subject in turn: one client in sequence, then many connections."""
    core = cores().load
    alone: dict[str, list[Outcome]] = {name: [] for name in subjects}
    many: dict[str, list[Outcome]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        for name, subject in subjects.items():
            alone[name].append(drive.ours(drive.job(*subject, 1, seconds), core))
            many[name].append(drive.closed(drive.job(*subject, CONNECTIONS, seconds), core))
    return alone, many


def _ms(runs: list[Outcome], percent: float) -> list[float]:
    return [run.latencies.percentile_s(percent) * 1e3 for run in runs]


def _rate(name: str, samples: list[float]) -> Row:
    return Row(f"{name}, {CONNECTIONS} connections", "calls/s", rounded(samples), "more")


def _results(suite: Suite, version: str) -> Results:
    if wrk.version() is None:
        suite.notes.append(_NO_WRK)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return Results(when, machine.environment(version), [suite])
