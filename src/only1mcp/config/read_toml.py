"""TOML text to a tree with places.

tomllib judges and decodes but keeps no places, so a second pass over text known to be good
finds where keys and values begin: tables, arrays of tables, dotted keys, inline tables and
strings of all four kinds. A place it does not find is that of the enclosing table.
"""

import re
import tomllib
from typing import Final

from only1mcp.config.faults import Place, Report
from only1mcp.config.tree import Lines, Mark, Marked, Node, Path

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART: Final = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*(\.?)""")
_STRING: Final = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:'{0,2})|"(?:[^"\\]|\\.)*"|'[^']*\'''',
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_WHERE: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")


def read(text: str, source: str, report: Report) -> Node:
    """The tree of a TOML text; an empty text is an empty block.

    Raises: ConfigError for a syntax fault, a key given twice included.
    """
    text = text.replace("\r\n", "\n")  # as tomllib does, so that offsets agree
    try:
        value = tomllib.loads(text)
        return Marked(text, source, _Scanner(text).marks()).node(value)
    except (ValueError, RecursionError) as error:
        _syntax_fault(error, text, source, report)
        raise report.failure() from None


def _syntax_fault(error: Exception, text: str, source: str, report: Report) -> None:
    message = "nested too deep" if isinstance(error, RecursionError) else str(error)
    line, column = 1, 1
    if (match := _WHERE.search(message)) is not None:
        message = message[: match.start()]
        line, column = Lines(text).at(len(text))
        if match[1]:
            line, column = int(match[1]), int(match[2])
    report.error(Place(source, line, column, ""), f"TOML syntax: {message}")


class _Scanner:
    """Finds the offset of every key and value in text that is valid TOML."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._marks: dict[Path, Mark] = {(): Mark(0)}
        self._last: dict[Path, int] = {}  # array of tables -> index of its newest element

    def marks(self) -> dict[Path, Mark]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._marks

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the table that the next pairs belong to."""
        start = self._at
        double = self._text.startswith("[[", start)
        self._at += 2 if double else 1
        parts = self._parts()
        self._at += 2 if double else 1
        path: Path = ()
        for name, offset in parts[:-1]:
            path = self._newest((*path, name))
            self._marks.setdefault(path, Mark(start, offset))
        name, offset = parts[-1]
        path = (*path, name)
        if double:
            self._marks.setdefault(path, Mark(start, offset))
            self._last[path] = self._last.get(path, -1) + 1
            self._marks[self._newest(path)] = Mark(start)
            return self._newest(path)
        self._marks[path] = Mark(start, offset)
        return path

    def _newest(self, path: Path) -> Path:
        return (*path, self._last[path]) if path in self._last else path

    def _pair(self, table: Path) -> None:
        """`a.b = value`, in a table or an inline table."""
        parts = self._parts()
        self._at += 1  # the equals sign
        self._skip(_BLANK)
        path = table
        for name, offset in parts:
            path = (*path, name)
            self._marks.setdefault(path, Mark(self._at, offset))
        self._value(path)

    def _parts(self) -> list[tuple[str, int]]:
        """A dotted key as names and their offsets."""
        parts: list[tuple[str, int]] = []
        dot = "."
        while dot and (match := _PART.match(self._text, self._at)):
            parts.append((_name(match[1]), match.start(1)))
            self._at, dot = match.end(), match[2]
        return parts

    def _value(self, path: Path) -> None:
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if first in "\"'" else _SCALAR)

    def _array(self, path: Path) -> None:
        self._step()
        index = 0
        while self._text[self._at] != "]":
            self._marks[(*path, index)] = Mark(self._at)
            self._value((*path, index))
            self._separator()
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._step()
        while self._text[self._at] != "}":
            self._pair(path)
            self._separator()
        self._at += 1

    def _separator(self) -> None:
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._step()

    def _step(self) -> None:
        self._at += 1
        self._skip(_BLANK)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._at)
        assert match is not None  # tomllib accepted the text
        self._at = match.end()


def _name(written: str) -> str:
    """A bare or quoted key as the name that tomllib made of it."""
    if written[0] == "'":
        return written[1:-1]
    return next(iter(tomllib.loads(f"{written} = 0"))) if written[0] == '"' else written
