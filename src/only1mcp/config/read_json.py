"""JSON text to a tree with places.

The standard library judges; a second pass over text known to be good finds where things begin,
and keys given twice, which `json` lets pass. Comments and commas before a closing bracket, which
editors write into such files, are blanked out first: places stay.
Cost    ~5 us per value: of 500 servers a hundredth of a second.
"""

import json
import re
from typing import Any, Final, Never

from only1mcp.config.faults import Place, Report
from only1mcp.config.tree import MAX_DEPTH, MAX_INT_BITS, Lines, Node, Value, join

_TOKEN: Final = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+')
"""What is left of good text without space, commas and colons."""
_QUOTED: Final = r'"(?:[^"\\\n]|\\.)*"'
_COMMENT: Final = re.compile(rf"{_QUOTED}|//[^\n]*|/\*.*?\*/", re.DOTALL)
_LAST_COMMA: Final = re.compile(rf"({_QUOTED}|[\]}}\w])([ \t\r\n]*),(?=[ \t\r\n]*[\]}}])|{_QUOTED}")


def read(text: str, source: str, report: Report) -> Node:
    """The tree of a JSON text; an empty text is an empty block.

    Raises: ConfigError for a syntax fault; keys given twice go into `report`.
    """
    try:
        if not _is_strict(text):
            text = strict(text)
            if not text.strip():
                return Node({}, Place(source, 1, 1, ""))
            json.loads(text, parse_constant=_no_constant)
        return _Builder(text, source, report).root()
    except (ValueError, RecursionError) as error:
        _syntax_fault(error, text, source, report)
        raise report.failure() from None


def unplaced(text: str, source: str) -> Node | None:
    """The tree with every value at its beginning; None if there may be something to say of it.

    Cost    a fifth of `read`.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once_each)
        return _at(value, Place(source, 1, 1, ""), 0)
    except (ValueError, RecursionError):
        return None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key is given twice")
    return members


def _at(value: Any, place: Place, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        members = {key: _at(item, place, depth + 1) for key, item in value.items()}
        return Node(members, place, place)
    if isinstance(value, list):
        return Node([_at(item, place, depth + 1) for item in value], place, place)
    return Node(_bounded(value), place, place)


def _is_strict(text: str) -> bool:
    """Whether the standard library takes it as it is, which most files are written for."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


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


class _Builder:
    """Makes the tree of text that is valid JSON."""

    def __init__(self, text: str, source: str, report: Report) -> None:
        self._tokens = _TOKEN.finditer(text)
        self._source = source
        self._report = report
        self._lines = Lines(text)

    def root(self) -> Node:
        """The whole text.

        Raises: ValueError, if it nests too deep.
        """
        return self._node(next(self._tokens), "", 0, None)

    def _node(self, token: re.Match[str], where: str, depth: int, key: Place | None) -> Node:
        if depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        said = token[0]
        place = Place(self._source, *self._lines.at(token.start()), where)
        if said == "{":
            return Node(self._members(where, depth + 1), place, key)
        if said == "[":
            return Node(self._elements(where, depth + 1), place, key)
        return Node(_scalar(said), place, key)

    def _members(self, where: str, depth: int) -> dict[str, Node]:
        members: dict[str, Node] = {}
        for token in self._tokens:
            if token[0] == "}":
                break
            name = str(_scalar(token[0]))
            key = Place(self._source, *self._lines.at(token.start()), join(where, name))
            if name in members:
                self._twice(name, key, members[name])
            members[name] = self._node(next(self._tokens), key.where, depth, key)
        return members

    def _elements(self, where: str, depth: int) -> list[Node]:
        elements: list[Node] = []
        for token in self._tokens:
            if token[0] == "]":
                break
            elements.append(self._node(token, join(where, len(elements)), depth, None))
        return elements

    def _twice(self, name: str, key: Place, first: Node) -> None:
        hint = f"the first is on line {first.spot.line}"
        self._report.error(key, f"key {name!r} is given twice", hint)


def _scalar(said: str) -> Value:
    """What one token stands for."""
    if said[0] == '"' and "\\" not in said:
        return said[1:-1]
    return _bounded(json.loads(said))


def _bounded(value: Value) -> Value:
    if isinstance(value, int) and value.bit_length() > MAX_INT_BITS:
        return hex(value)
    return value
