"""JSON text to a tree with places.

The standard library judges and decodes; a second pass over text known to be good only finds
where things begin, and keys given twice, which `json` lets pass. Comments and commas before a
closing bracket, which editors write into such files, are blanked out first: places stay.
"""

import json
import re
from typing import Final, Never

from only1mcp.config.faults import Place, Report
from only1mcp.config.tree import Lines, Mark, Marked, Node, Path, join

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_QUOTED: Final = r'"(?:[^"\\\n]|\\.)*"'
_COMMENT: Final = re.compile(rf"{_QUOTED}|//[^\n]*|/\*.*?\*/", re.DOTALL)
_LAST_COMMA: Final = re.compile(rf"({_QUOTED}|[\]}}\w])([ \t\r\n]*),(?=[ \t\r\n]*[\]}}])|{_QUOTED}")
_SCALAR: Final = re.compile(r"[^\s,\]}]+")


def read(text: str, source: str, report: Report) -> Node:
    """The tree of a JSON text; an empty text is an empty block.

    Raises: ConfigError for a syntax fault; keys given twice go into `report`.
    """
    text = strict(text)
    if not text.strip():
        return Node({}, Place(source, 1, 1, ""))
    try:
        value = json.loads(text, parse_constant=_no_constant)
        marks = _Scanner(text, source, report).marks()
        return Marked(text, source, marks).node(value)
    except (ValueError, RecursionError) as error:
        _syntax_fault(error, text, source, report)
        raise report.failure() from None


def strict(text: str) -> str:
    """The text as strict JSON has it, every character in its place."""
    return _LAST_COMMA.sub(_without_comma, uncommented(text))


def uncommented(text: str) -> str:
    """The text with blanks for its comments; the same if it has none."""
    return _COMMENT.sub(_blanked, text) if "//" in text or "/*" in text else text


def _blanked(found: re.Match[str]) -> str:
    said = found.group()
    return said if said[0] == '"' else re.sub(r"[^\r\n]", " ", said)


def _without_comma(found: re.Match[str]) -> str:
    value, space = found.group(1, 2)
    return found.group() if value is None else f"{value}{space} "


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a JSON number")


def _syntax_fault(error: Exception, text: str, source: str, report: Report) -> None:
    place, message, hint = Place(source, 1, 1, ""), str(error), None
    if isinstance(error, RecursionError):
        message = "nested too deep"
    if isinstance(error, json.JSONDecodeError):
        place, message = Place(source, error.lineno, error.colno, ""), error.msg
        rest = text[error.pos :]
        if rest.startswith("/*"):
            hint = "the comment has no end"
        elif "trailing comma" in message.lower() or rest[:1] in ("}", "]"):
            hint = "remove the comma before it"
    report.error(place, f"JSON syntax: {message}", hint)


class _Scanner:
    """Finds the offset of every key and value in text that is valid JSON."""

    def __init__(self, text: str, source: str, report: Report) -> None:
        self._text = text
        self._source = source
        self._report = report
        self._lines = Lines(text)
        self._marks: dict[Path, Mark] = {}
        self._at = 0

    def marks(self) -> dict[Path, Mark]:
        self._space()
        self._value((), "", None)
        return self._marks

    def _value(self, path: Path, where: str, key: int | None) -> None:
        self._marks[path] = Mark(self._at, key)
        match self._text[self._at]:
            case "{":
                self._members(path, where)
            case "[":
                self._elements(path, where)
            case '"':
                self._take(_STRING)
            case _:
                self._take(_SCALAR)

    def _members(self, path: Path, where: str) -> None:
        self._step()
        while self._text[self._at] != "}":
            start = self._at
            name: str = json.loads(self._take(_STRING))
            self._space()
            self._step()  # the colon
            if (first := self._marks.get((*path, name))) is not None:
                self._twice(name, join(where, name), start, first)
            self._value((*path, name), join(where, name), start)
            self._separator()
        self._at += 1

    def _elements(self, path: Path, where: str) -> None:
        self._step()
        index = 0
        while self._text[self._at] != "]":
            self._value((*path, index), join(where, index), None)
            self._separator()
            index += 1
        self._at += 1

    def _separator(self) -> None:
        self._space()
        if self._text[self._at] == ",":
            self._step()

    def _step(self) -> None:
        self._at += 1
        self._space()

    def _space(self) -> None:
        self._take(_SPACE)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None  # json.loads accepted the text
        self._at = match.end()
        return match.group()

    def _twice(self, name: str, where: str, at: int, first: Mark) -> None:
        line = self._lines.at(first.key if first.key is not None else first.value)[0]
        place = Place(self._source, *self._lines.at(at), where)
        self._report.error(place, f"key {name!r} is given twice", f"the first is on line {line}")
