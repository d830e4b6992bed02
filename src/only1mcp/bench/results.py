"""The result file: what was measured, run by run, with all that is needed to judge it again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from only1mcp.bench.figures import Spread, spread

FORMAT: Final = 1


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One figure: a value for each run. `name` is unique in its suite.

    Where things are compared it is `WHO: WHAT`.
    """

    name: str
    unit: str
    samples: list[float]
    better: Literal["less", "more", ""] = ""
    guard: bool = False
    """Steady from machine to machine and hour to hour: a baseline is held against it."""
    bar: float | None = None
    """What it has to reach."""

    @property
    def spread(self) -> Spread:
        """Median, least and greatest run."""
        return spread(self.samples)

    @property
    def holds(self) -> bool | None:
        """Whether the median reaches the bar; None without one."""
        if self.bar is None:
            return None
        median = self.spread.median
        return median <= self.bar if self.better == "less" else median >= self.bar


class Curve(msgspec.Struct, frozen=True):
    """A line of a plot: points of (x, y)."""

    name: str
    points: list[tuple[float, float]]


class Suite(msgspec.Struct, omit_defaults=True):
    """What one suite has found out."""

    name: str
    title: str
    command: str
    seconds: float = 0.0
    rows: list[Row] = []
    notes: list[str] = []
    not_measured: list[str] = []
    curves: list[Curve] = []
    measured: str = ""
    """When and on what, if it was at another time than the rest of its file."""


class Results(msgspec.Struct):
    """The whole file."""

    when: str
    environment: dict[str, Any]
    suites: list[Suite]
    format: int = FORMAT


def merged(kept: Results, now: Results) -> Results:
    """`kept`, with what was measured now in the place of what it replaces, and said to be so."""
    about = now.environment
    measured = f"{now.when} with {about.get('python')} on {about.get('processor')}"
    fresh = {suite.name: msgspec.structs.replace(suite, measured=measured) for suite in now.suites}
    if {suite.name for suite in kept.suites} <= fresh.keys():
        return now
    suites = [fresh.pop(suite.name, suite) for suite in kept.suites]
    return Results(kept.when, kept.environment, [*suites, *fresh.values()])


class Unreadable(Exception):
    """A file is no result file."""


def save(results: Results, path: Path) -> None:
    """Write the file: a line for each row, so that a difference can be read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.encode(results).replace(b',{"name":', b',\n{"name":')
    path.write_bytes(text.replace(b'"rows":[', b'"rows":[\n') + b"\n")


def load(path: Path) -> Results:
    """Read a file.

    Raises:
        Unreadable: it is not there, or something else.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Results)
    except (OSError, msgspec.MsgspecError) as error:
        raise Unreadable(f"{path} is no result file of the benchmark: {error}") from None
    if found.format != FORMAT:
        raise Unreadable(f"{path} is of format {found.format}; this reads {FORMAT}: measure anew")
    return found


def rounded(samples: Sequence[float]) -> list[float]:
    """Five digits are more than any run is good for."""
    return [float(f"{value:.5g}") for value in samples]
