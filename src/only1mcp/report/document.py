"""A report before it has a form: sections of blocks, and a list of where its numbers are from.

A number gets into a text through `Document.cite`, which adds the mark of its source; a number
that is not there reads "not measured".
"""

from collections.abc import Sequence
from datetime import datetime
from math import floor
from typing import Any, Final

import msgspec

from only1mcp.report.evidence import Source

NOT_MEASURED: Final = "not measured"
BARS: Final = 20
"""As many as can be compared by eye."""


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A paragraph."""

    text: str


class Items(msgspec.Struct, frozen=True, tag="items"):
    """A list, one line each."""

    items: list[str]


class Table(msgspec.Struct, frozen=True, tag="table"):
    """Cells below a header."""

    header: list[str]
    rows: list[list[str]]


class Bars(msgspec.Struct, frozen=True, tag="bars"):
    """Quantities to compare by eye; a plot where the form allows it."""

    unit: str
    values: dict[str, float]


class Timeline(msgspec.Struct, frozen=True, tag="timeline"):
    """When things happened; a plot where the form allows it."""

    what: str
    began: str
    ended: str
    marks: dict[str, list[float]]
    """Whose -> when, each as a share of the time between the two."""


Block = Text | Items | Table | Bars | Timeline


class Section(msgspec.Struct):
    """A heading and what stands below it."""

    title: str
    blocks: list[Block] = []
    level: int = 2

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.blocks.append(Text(text))

    def items(self, items: Sequence[str], otherwise: str = "None.") -> None:
        """Add a list, or what to say when it is empty."""
        self.blocks.append(Items(list(items)) if items else Text(otherwise))

    def table(self, header: str, rows: Sequence[Sequence[str]], otherwise: str = "None.") -> None:
        """Add a table; `header` holds the heads, separated by `|`."""
        if not rows:
            self.blocks.append(Text(otherwise))
            return
        heads = [head.strip() for head in header.split("|")]
        self.blocks.append(Table(heads, [list(row) for row in rows]))

    def largest(self, unit: str, values: dict[str, float]) -> None:
        """Add a comparison of the largest quantities, if there are any."""
        ranked = sorted(values.items(), key=lambda pair: -pair[1])
        more = f", the {BARS} largest of {len(ranked)}" if len(ranked) > BARS else ""
        self.bars(f"{unit}{more}", dict(ranked[:BARS]))

    def bars(self, unit: str, values: dict[str, float]) -> None:
        """Add a comparison of quantities, if there are any."""
        if values:
            self.blocks.append(Bars(unit, values))

    def timeline(self, what: str, began: str, ended: str, marks: dict[str, list[float]]) -> None:
        """Add moments, if there are any."""
        if marks:
            self.blocks.append(Timeline(what, began, ended, marks))


class Document(msgspec.Struct):
    """A whole report; what is written to the JSON file, and the origin of the other forms."""

    title: str
    at: datetime
    sections: list[Section] = []
    sources: list[Source] = []
    facts: dict[str, Any] = {}
    """The figures by name, for the next report and for programs."""

    def section(self, title: str, level: int = 2) -> Section:
        """Begin another section."""
        self.sections.append(Section(title, [], level))
        return self.sections[-1]

    def cite(self, value: float | str | None, source: Source | None, unit: str = "") -> str:
        """`value` with its unit and the mark of its source."""
        if value is None or source is None:
            return NOT_MEASURED
        shown = value if isinstance(value, str) else spelt(value)
        space = "" if unit in ("", "%") else " "
        return f"{shown}{space}{unit} {self.mark(source)}"

    def mark(self, source: Source) -> str:
        """What stands beside every number from there."""
        if source not in self.sources:
            self.sources.append(source)
        return f"[{self.sources.index(source) + 1}]"


def spelt(value: float) -> str:
    """A number for people: as many places as it deserves; 100 is all of it, not nearly."""
    if value == int(value):
        return f"{int(value):,}".replace(",", " ")
    if 99 < value < 100:
        return f"{floor(value * 100) / 100:g}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.1f}".replace(",", " ")


def several(count: int, one: str) -> str:
    """How many of what."""
    return f"{spelt(count)} {one}{'s' * (count != 1)}"
