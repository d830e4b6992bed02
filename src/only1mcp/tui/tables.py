"""What can be filtered, and a table of rows that stay where they are while they change."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Input, Static

Row = dict[str, Any]
LONGEST: Final = 60
"""Characters of a cell; details show the whole."""


class Filtered(Vertical):
    """A field that says what to look for, above what is looked through."""

    @property
    def field(self) -> Input:
        """Where it is typed."""
        return self.query_one(Input)

    @property
    def wanted(self) -> str:
        """What is looked for."""
        return self.field.value.casefold()

    def filter(self) -> None:
        """Let the user type what to look for."""
        self.field.display = True
        self.field.focus()

    def unfilter(self) -> None:
        """Show all again."""
        self.field.value = ""
        self.field.display = False
        self.back()

    def back(self) -> None:
        """Leave the field for what fits."""
        raise NotImplementedError

    def on_input_submitted(self) -> None:
        """Enter in the field."""
        self.back()


class Listed(Filtered):
    """A filter, a table and a line about it. Subclasses say what a row is."""

    columns: Sequence[str] = ()
    nothing: str = "no data"

    def compose(self) -> ComposeResult:
        """Filter, table, line."""
        yield Input(placeholder="filter", classes="filter")
        yield DataTable(cursor_type="row", zebra_stripes=True)
        yield Static(self.nothing, classes="line", markup=False)

    def on_mount(self) -> None:
        """Columns, once."""
        self.rows: dict[str, Row] = {}
        self._cells: dict[str, tuple[str, ...]] = {}
        self._styles: dict[str, str] = {}
        self.field.display = False
        for column in self.columns:
            self.table.add_column(column, key=column)

    @property
    def table(self) -> DataTable[Text]:
        """The table itself."""
        return self.query_one(DataTable)

    def key_of(self, row: Row) -> str:
        """What makes a row the same as before."""
        raise NotImplementedError

    def cells_of(self, row: Row) -> tuple[str, ...]:
        """Its text, a cell for each column."""
        raise NotImplementedError

    def style_of(self, row: Row) -> str:
        """How its cells look, as Rich names it; what it tells must stand in the text as well."""
        return ""

    def show(self, rows: Iterable[Row], said: str) -> None:
        """These rows; the cursor stays on its row while that is there."""
        self.rows = {self.key_of(row): row for row in rows}
        cells = {key: self._cut(self.cells_of(row)) for key, row in self.rows.items()}
        wanted = self.wanted
        cells = {key: row for key, row in cells.items() if wanted in " ".join(row).casefold()}
        styles = {key: self.style_of(self.rows[key]) for key in cells}
        if list(cells) == list(self._cells):
            self._update(cells, styles)
        else:
            self._replace(cells, styles)
        self._cells, self._styles = cells, styles
        shown = f"{len(cells)} of {said}" if wanted else said
        self.query_one(".line", Static).update(shown if self.rows else self.nothing)

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        keys = list(self._cells)
        at = self.table.cursor_row
        return self.rows.get(keys[at]) if 0 <= at < len(keys) else None

    def _update(self, cells: dict[str, tuple[str, ...]], styles: dict[str, str]) -> None:
        for key, row in cells.items():
            before, style = self._cells[key], styles[key]
            for column, old, new in zip(self.columns, before, row, strict=True):
                if old != new or style != self._styles[key]:
                    self.table.update_cell(key, column, Text(new, style))

    def _replace(self, cells: dict[str, tuple[str, ...]], styles: dict[str, str]) -> None:
        keys = list(self._cells)
        at = self.table.cursor_row
        under = keys[at] if 0 <= at < len(keys) else None
        self.table.clear()
        for key, row in cells.items():
            self.table.add_row(*(Text(cell, styles[key]) for cell in row), key=key)
        if under in cells:
            self.table.move_cursor(row=list(cells).index(under), animate=False)

    @staticmethod
    def _cut(row: tuple[str, ...]) -> tuple[str, ...]:
        flat = (" ".join(cell.split()) for cell in row)
        return tuple(one if len(one) <= LONGEST else f"{one[: LONGEST - 1]}…" for one in flat)

    def back(self) -> None:
        """To the rows."""
        self.table.focus()


def field(row: Row, name: str) -> str:
    """A member as text; `-` for what is not known."""
    value = row.get(name)
    return "-" if value is None or value == "" else str(value)


def as_text(value: Any) -> str:
    """Any document for people: JSON with lines."""
    return json.dumps(value, indent=2, ensure_ascii=False)
