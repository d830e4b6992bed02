"""What suites measure with: subjects that take turns, rows of figures, reasons for gaps."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

from only1mcp.bench import drive, started
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.load import Outcome
from only1mcp.bench.processes import Program, cores
from only1mcp.bench.results import Curve, Row, Suite, rounded
from only1mcp.bench.started import Started, http_server

K = TypeVar("K")
S = TypeVar("S")
T = TypeVar("T")
Better = Literal["less", "more", ""]
ARGUMENTS: Final = {"text": "y" * 400}
OPEN_CONNECTIONS: Final = 64
"""Of an open loop: so many calls can be under way before one has to wait for a connection."""


class Target(NamedTuple):
    """Something to put load on: where, the name of the tool there, and whose CPU counts."""

    end: Endpoint
    tool: str
    program: Program


class Rig:
    """One suite under way: it fills `suite`."""

    def __init__(self, suite: Suite, rounds: int = 5) -> None:
        self.suite = suite
        self.rounds = rounds
        self.cores = cores()

    def row(
        self,
        name: str,
        unit: str,
        samples: Iterable[float],
        *,
        better: Better = "",
        guard: bool = False,
        bar: float | None = None,
    ) -> Row:  # fmt: skip
        """Write down one figure, a value for each run."""
        row = Row(name, unit, rounded([*samples]), better, guard, bar)
        self.suite.rows.append(row)
        median = row.spread.median
        print(f"  {name:<52} {median:>12.5g} {unit}", file=sys.stderr, flush=True)
        return row

    def note(self, text: str) -> None:
        """Something a reader of the figures must know."""
        if text not in self.suite.notes:
            self.suite.notes.append(text)

    def gap(self, what: str, why: str) -> None:
        """Something that was not measured."""
        why = " ".join(why.split())  # what a program says may have line ends of any kind
        self.suite.not_measured.append(f"{what}: {why}")
        print(f"  {what}: not measured: {why}", file=sys.stderr, flush=True)

    def curve(self, name: str, points: Iterable[tuple[float, float]]) -> None:
        """A line of the suite's plot."""
        self.suite.curves.append(Curve(name, [(round(x, 5), float(f"{y:.4g}")) for x, y in points]))

    def turns(
        self, subjects: Mapping[K, S], measure: Callable[[S], T], rounds: int | None = None
    ) -> dict[K, list[T]]:
        """Every subject once, then every subject again: A/B/A/B, so that noise meets all."""
        found: dict[K, list[T]] = {name: [] for name in subjects}
        for _ in range(rounds or self.rounds):
            for name, subject in subjects.items():
                found[name].append(measure(subject))
        return found

    @contextmanager
    def gateway(self, config: Mapping[str, Any], **more: Any) -> Iterator[Started]:
        """A gateway on its core."""
        with started.gateway(self.cores.gateway, config, **more) as found:
            yield found

    def knows(self, config: Mapping[str, Any]) -> bool:
        """True if this version has these settings."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "only1mcp.json"
            file.write_text(json.dumps({"servers": [], **config}))
            command = [sys.executable, "-m", "only1mcp", "validate", str(file)]
            return not subprocess.run(command, capture_output=True, check=False).returncode

    @contextmanager
    def stub(self, *arguments: str) -> Iterator[Started]:
        """Our stub server on its core."""
        with started.stub(self.cores.server, *arguments) as found:
            yield found

    def closed(self, target: Target, connections: int, seconds: float, **arguments: Any) -> Outcome:
        """Calls of one tool, as many as go."""
        params = {"name": target.tool, "arguments": {**ARGUMENTS, **arguments}}
        job = drive.job(target.end, "tools/call", params, connections, seconds)
        outcome = drive.closed(job, self.cores.load)
        if outcome.tool != "wrk":
            self.note("Load by the bundled Python generator, which may be the limit: no wrk here.")
        return outcome

    def open(self, target: Target, rate: float, seconds: float) -> Outcome:
        """Calls of one tool at a fixed rate."""
        params = {"name": target.tool, "arguments": ARGUMENTS}
        job = drive.job(target.end, "tools/call", params, OPEN_CONNECTIONS, seconds, rate)
        return drive.ours(job, self.cores.load)

    def alone(self, target: Target, seconds: float) -> Outcome:
        """Calls of one tool by one client, one after the other, by the bundled generator."""
        params = {"name": target.tool, "arguments": ARGUMENTS}
        job = drive.job(target.end, "tools/call", params, 1, seconds)
        return drive.ours(job, self.cores.load)

    @contextmanager
    def pair(self) -> Iterator[dict[str, Target]]:
        """The stub server, and a gateway in front of it: `direct` and `gateway`."""
        with (
            self.stub() as stub,
            self.gateway({"servers": [http_server("stub", stub.url)]}) as gateway,
        ):
            yield {
                "direct": Target(Endpoint(stub.url).open(), "echo", stub.program),
                "gateway": Target(Endpoint(gateway.url).open(), "stub__echo", gateway.program),
            }

    def counted(
        self, target: Target, connections: int, seconds: float, **arguments: Any
    ) -> tuple[Outcome, float]:
        """A closed load, and the CPU microseconds a call of it takes."""
        return self.per_call_us(
            target.program, lambda: self.closed(target, connections, seconds, **arguments)
        )

    def per_call_us(self, program: Program, load: Callable[[], Outcome]) -> tuple[Outcome, float]:
        """A load, and the CPU microseconds a call of it took `program` and its children."""
        before = program.cpu_s()
        outcome = load()
        return outcome, (program.cpu_s() - before) / outcome.calls * 1e6
