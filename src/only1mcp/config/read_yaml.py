"""YAML 1.2 text to a tree with places; every fault of duplicate keys and odd tags at once.

Nodes are built here, not by ruamel's constructors: those drop the places of scalars, stop at
the first duplicate key and turn dates into objects.
"""

import math
import re
import warnings
from typing import Any, Final

from ruamel.yaml import YAML, nodes
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from only1mcp.config import libyaml
from only1mcp.config.faults import ConfigError, Place, Report
from only1mcp.config.tree import MAX_DEPTH, MAX_INT_BITS, MAX_VALUES, Lines, Node, Value, join

_TAG: Final = "tag:yaml.org,2002:"
_MAPPING: Final = nodes.MappingNode, libyaml.nodes.MappingNode
_SEQUENCE: Final = nodes.SequenceNode, libyaml.nodes.SequenceNode
_SCALAR: Final = nodes.ScalarNode, libyaml.nodes.ScalarNode
_FAULTS_OF_PARSER: Final = (YAMLError, ValueError, OverflowError, AssertionError, RecursionError)
"""What ruamel raises on broken text: its own errors, and slips on odd escapes and versions."""


def read(text: str, source: str, report: Report) -> Node:
    """The tree of a YAML text; an empty text is an empty block.

    Raises: ConfigError for a syntax fault; lesser ones go into `report`.
    """
    if (quick := libyaml.compose(text)) is not None:
        return _Builder(source, report).node(quick, "", 0)
    yaml = YAML(typ="safe", pure=True)
    yaml.max_depth = MAX_DEPTH
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a reused anchor is legal YAML
            root = yaml.compose(text)
    except _FAULTS_OF_PARSER as error:
        _syntax_fault(error, text, source, report)
        raise report.failure() from None
    if root is None:
        return Node({}, Place(source, 1, 1, ""))
    return _Builder(source, report).node(root, "", 0)


def unplaced(text: str, source: str) -> Node | None:
    """The tree with every value at its beginning; None if there may be something to say of it."""
    report = Report()
    try:
        quick = libyaml.compose(text)
        tree = None if quick is None else _Unplaced(source, report).node(quick, "", 0)
    except ConfigError:
        return None
    return None if report.found else tree


def _syntax_fault(error: Exception, text: str, source: str, report: Report) -> None:
    line, column, problem = 1, 1, "not readable as YAML"
    if isinstance(error, ReaderError) and isinstance(error.position, int):
        line, column = Lines(text).at(error.position)
        problem = f"character {_escaped(error.character)} is not allowed in YAML"
    elif isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = _words(error) or problem
    written = text.splitlines()[line - 1 : line]
    report.error(
        Place(source, line, column, ""),
        f"YAML syntax: {' '.join(problem.split())[:200]}",
        _syntax_hint(written, problem),
    )


def _escaped(character: object) -> str:
    return f"U+{character:04X}" if isinstance(character, int) else ascii(character)


def _words(error: MarkedYAMLError) -> str:
    problem, context = error.problem or "", error.context or ""
    if problem.startswith("maximum depth"):
        return "nested too deep"
    return f"{context}, {problem}" if problem.startswith("but ") else problem or context


def _syntax_hint(line: list[str], problem: str) -> str | None:
    if "\\t" in problem or (line and line[0][: len(line[0]) - len(line[0].lstrip())].count("\t")):
        return "indent with spaces, not tabs"
    if line and re.search(r"[\[{].*\$\{", line[0]):
        return 'put quotes around "${...}" inside [ ] and { }'
    return None


class _Builder:
    """Turns composed YAML nodes into ours, within bounds."""

    def __init__(self, source: str, report: Report) -> None:
        self._source = source
        self._report = report
        self._left = MAX_VALUES

    def node(self, yaml: Any, where: str, depth: int, key: Place | None = None) -> Node:
        place = self._place(yaml, where)
        if key is not None and isinstance(yaml, _SCALAR) and not yaml.value and not yaml.style:
            place = key  # nothing is written: ruamel's mark is on some later line
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:  # aliases can nest without end
            self._report.error(place, "nested too deep, or too many values")
            raise self._report.failure()
        return Node(self._value(yaml, where, depth + 1), place, key)

    def _value(self, yaml: Any, where: str, depth: int) -> Value:
        if isinstance(yaml, _MAPPING):
            return self._mapping(yaml, where, depth)
        if isinstance(yaml, _SEQUENCE):
            return [
                self.node(item, join(where, index), depth) for index, item in enumerate(yaml.value)
            ]
        return self._scalar(yaml, where)

    def _mapping(self, yaml: Any, where: str, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in yaml.value:
            if key.tag == f"{_TAG}merge":
                merged.update(self._merge(value, where, depth))
            elif not isinstance(key, _SCALAR):
                self._report.error(self._place(key, where), "a key must be plain text")
            else:
                name = str(key.value)
                spot = self._place(key, join(where, name))
                if (first := entries.get(name)) is not None:
                    self._twice(name, spot, first)
                entries[name] = self.node(value, spot.where, depth, spot)
        return {**merged, **entries}

    def _merge(self, yaml: Any, where: str, depth: int) -> dict[str, Node]:
        """`<<: *base` or `<<: [*a, *b]`: the keys of other blocks, the first one named wins."""
        node = self.node(yaml, where, depth)
        blocks = node.elements() or [node]
        if not all(isinstance(block.value, dict) for block in blocks):
            self._report.error(node.place, "<<: expected a block of keys, or a list of them")
        return {key: item for block in reversed(blocks) for key, item in block.mapping().items()}

    def _twice(self, name: str, spot: Place, first: Node) -> None:
        self._report.error(
            spot, f"key {name!r} is given twice", f"the first is on line {first.spot.line}"
        )

    def _scalar(self, yaml: Any, where: str) -> Value:
        text = str(yaml.value)
        match str(yaml.tag).removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() in ("true", "yes", "on")
            case "int" | "float":
                return self._number(text, yaml, where)
            case "str" | "timestamp" | "value" | "merge":
                return text
        self._report.error(self._place(yaml, where), "YAML tags (!) have no meaning here")
        return text

    def _number(self, text: str, yaml: Any, where: str) -> Value:
        try:
            number = _number(text.replace("_", "").lower())
            huge = isinstance(number, int) and number.bit_length() > MAX_INT_BITS
            return text if huge else number
        except ValueError:
            self._report.error(self._place(yaml, where), "not a number", "put it in quotes")
            return text

    def _place(self, yaml: Any, where: str) -> Place:
        mark = yaml.start_mark
        return Place(self._source, mark.line + 1, mark.column + 1, where)


class _Unplaced(_Builder):
    """Spares the places."""

    def __init__(self, source: str, report: Report) -> None:
        super().__init__(source, report)
        self._beginning = Place(source, 1, 1, "")

    def _place(self, yaml: Any, where: str) -> Place:
        return self._beginning


def _number(text: str) -> int | float:
    """A YAML 1.2 number: decimal, 0x, 0o, 0b, a float, .inf or .nan."""
    if text.lstrip("+-") in (".inf", ".nan"):
        return math.copysign(float(text.lstrip("+-.")), -1 if text.startswith("-") else 1)
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if text.lstrip("+-")[:2] in ("0x", "0o", "0b"):
        return int(text, 0)
    return float(text)
