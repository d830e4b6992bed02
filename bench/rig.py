"""What suites measure with: subjects that take turns, rows of figures, reasons for gaps."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from only1mcp.bench import drive, started
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.load import Outcome
from only1mcp.bench.processes import Program, cores
from only1mcp.bench.results import Curve, Row, Suite, rounded
from only1mcp.bench.started import Started

T = TypeVar("T")
Better = Literal["less", "more", ""]
ARGUMENTS: Final = {"text": "y" * 400}


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
        group: str = "",
    ) -> Row:  # fmt: skip
        """Write down one figure, a value for each run."""
        row = Row(name, unit, rounded([*samples]), better, guard, bar, group)
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
        self.suite.not_measured.append(f"{what}: {why}")
        print(f"  {what}: not measured: {why}", file=sys.stderr, flush=True)

    def curve(self, name: str, points: Iterable[tuple[float, float]]) -> None:
        """A line of the suite's plot."""
        self.suite.curves.append(Curve(name, [(round(x, 5), float(f"{y:.4g}")) for x, y in points]))

    def turns(
        self, subjects: Mapping[str, Callable[[], T]], rounds: int | None = None
    ) -> dict[str, list[T]]:
        """Every subject once, then every subject again: A/B/A/B, so that noise meets all."""
        found: dict[str, list[T]] = {name: [] for name in subjects}
        for _ in range(rounds or self.rounds):
            for name, measure in subjects.items():
                found[name].append(measure())
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

    def closed(
        self, endpoint: Endpoint, tool: str, connections: int, seconds: float, **arguments: Any
    ) -> Outcome:
        """Calls of one tool, as many as go."""
        params = {"name": tool, "arguments": {**ARGUMENTS, **arguments}}
        job = drive.job(endpoint, "tools/call", params, connections, seconds)
        outcome = drive.closed(job, self.cores.load)
        if outcome.tool != "wrk":
            self.note("Load by the bundled Python generator, which may be the limit: no wrk here.")
        return outcome

    def open(
        self, endpoint: Endpoint, tool: str, rate: float, seconds: float, connections: int = 64
    ) -> Outcome:
        """Calls of one tool at a fixed rate."""
        params = {"name": tool, "arguments": ARGUMENTS}
        job = drive.job(endpoint, "tools/call", params, connections, seconds, rate)
        return drive.ours(job, self.cores.load)

    def per_call_us(self, program: Program, load: Callable[[], Outcome]) -> tuple[Outcome, float]:
        """A load, and the CPU microseconds a call of it took `program` and its children."""
        before = program.cpu_s()
        outcome = load()
        return outcome, (program.cpu_s() - before) / outcome.calls * 1e6
