"""A file's values with their places, whatever its format.

A value keeps its place through every step (client shapes, overrides, expansion), so a fault
found at the end still points at what was written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from only1mcp.config.faults import Place

MAX_DEPTH: Final = 64
"""Nesting that is followed; a configuration needs 6, and readers recurse."""
MAX_VALUES: Final = 100_000
"""Values of one file, aliases counted each time: a few lines of YAML can stand for billions."""

MAX_INT_BITS: Final = 1024
"""Longer whole numbers stay text: Python refuses to print some of them."""

Value = dict[str, "Node"] | list["Node"] | str | int | float | bool | None


@dataclass(slots=True)
class Node:
    """One value and where it stands."""

    value: Value
    place: Place
    key: Place | None = None
    """Where its key stands, if it has one."""
    written: str | None = None
    """The text before a variable was put in; such a value is final and never shown."""
    spoiled: bool = False
    """Already reported: what a later step finds here is only an echo."""

    @property
    def spot(self) -> Place:
        """Where to point at the entry as a whole: its key, else its value."""
        return self.key or self.place

    def child(self, part: str | int) -> "Node | None":
        """The value under a key, or an element of a list."""
        value = self.value
        if isinstance(value, dict):
            return value.get(part) if isinstance(part, str) else None
        if isinstance(value, list) and isinstance(part, int) and part < len(value):
            return value[part]
        return None

    def at(self, *path: str | int) -> "Node | None":
        """The value at the end of `path`, if all of it is there."""
        node: Node | None = self
        for part in path:
            node = node.child(part) if node else None
        return node

    def mapping(self) -> dict[str, "Node"]:
        """Its entries; none unless it is a block of keys."""
        return self.value if isinstance(self.value, dict) else {}

    def elements(self) -> list["Node"]:
        """Its elements; none unless it is a list."""
        return self.value if isinstance(self.value, list) else []

    def text(self) -> str | None:
        """Its text; None unless it is text."""
        return self.value if isinstance(self.value, str) else None

    def said(self) -> Any:
        """The value as its author wrote it: `${VARIABLE}`, not what the variable holds."""
        return self.value if self.written is None or not self.place.line else self.written

    def plain(self) -> Any:
        """The value without places."""
        value = self.value
        if isinstance(value, dict):
            return {key: node.plain() for key, node in value.items()}
        if isinstance(value, list):
            return [node.plain() for node in value]
        return value

    def walk(self) -> Iterator["Node"]:
        """This node and everything beneath it."""
        yield self
        for node in self.mapping().values():
            yield from node.walk()
        for node in self.elements():
            yield from node.walk()


def join(where: str, part: str | int) -> str:
    """The key path one step further down."""
    if isinstance(part, int):
        return f"{where}[{part}]"
    return f"{where}.{part}" if where else part


def literal(value: Any, place: Place) -> Node:
    """A node for a value that was not read from a file, all of it at one place."""
    made: Value
    if isinstance(value, Mapping):
        made = {str(key): literal(item, place) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        made = [literal(item, place) for item in value]
    else:
        made = value if isinstance(value, str | int | float | None) else str(value)
    return Node(made, place, place, written=place.source)


Path = tuple[str | int, ...]


class Mark(NamedTuple):
    """Offsets in the text at which a value and its key begin."""

    value: int
    key: int | None = None


class Lines:
    """Offsets of a text as lines and columns from 1."""

    __slots__ = ("_starts",)

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column of `offset`. Cost: a binary search."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


class Marked:
    """Builds the tree of a parsed text from the marks a scanner made in it."""

    __slots__ = ("_lines", "_marks", "_source")

    def __init__(self, text: str, source: str, marks: Mapping[Path, Mark]) -> None:
        self._lines = Lines(text)
        self._source = source
        self._marks = marks

    def node(self, value: Any, path: Path = (), where: str = "") -> Node:
        """The tree of `value`, which stands at `path`.

        Raises: ValueError, if it nests too deep.
        """
        if len(path) > MAX_DEPTH:
            raise ValueError("nested too deep")
        mark = self._mark(path)
        key = None if mark.key is None else self._place(mark.key, where)
        return Node(self._inside(value, path, where), self._place(mark.value, where), key)

    def _inside(self, value: Any, path: Path, where: str) -> Value:
        if isinstance(value, dict):
            return {
                key: self.node(item, (*path, key), join(where, key)) for key, item in value.items()
            }
        if isinstance(value, list):
            return [
                self.node(item, (*path, index), join(where, index))
                for index, item in enumerate(value)
            ]
        if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
            return hex(value)
        if value is None or isinstance(value, str | int | float):
            return value
        return str(value)  # TOML dates: we have no key that takes one

    def _mark(self, path: Path) -> Mark:
        while path not in self._marks and path:
            path = path[:-1]
        return self._marks.get(path, Mark(0))

    def _place(self, offset: int, where: str) -> Place:
        return Place(self._source, *self._lines.at(offset), where)
