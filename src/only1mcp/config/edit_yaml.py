"""Changes single values in a YAML text; every other character stays where it is.

What is put in is written in flow style (`{a: 1}`), which is right wherever it stands. Positions
come from composing the text; it is never written anew from a tree, since that moves comments.

Rule    an alias counts in several places, and not every way to write YAML is foreseen here:
        load the result and look whether it says what was wanted.
Raises  NotEditable, if the place cannot be found in the text.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from only1mcp.config.tree import Path

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*|\d+(\.\d+)?(ms|s|m|h)", re.ASCII)
"""Text that needs no quotes, unless it is one of ..."""
_WORDS: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
BY_HAND: Final = "written in a way that only a person can change"
_COMMENT: Final = re.compile(r"#[^\n]*")
_ALIAS: Final = re.compile(r"\s*:\s*\*[^\s,\]}]+")


class NotEditable(Exception):
    """The text cannot be changed this way; says why and what to do."""


def put(text: str, path: Path, value: Any) -> str:
    """The value at `path` is this one; a key that is not there is added at the end of its block."""
    return _Text(text).put(path, value)


def append(text: str, path: Path, value: Any) -> str:
    """The list at `path` has one more element, its keys on lines of their own."""
    return _Text(text).append(path, value)


def drop(text: str, path: Path, _: Any = None) -> str:
    """What is at `path` is not there any more."""
    return _Text(text).drop(path)


ACTIONS: Final[Mapping[str, Callable[[str, Path, Any], str]]] = {
    "put": put,
    "append": append,
    "drop": drop,
}


def flow(value: Any) -> str:
    """A value in flow style, text without quotes where it can be."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in text)


def _element(value: Mapping[str, Any], column: int) -> str:
    """An element of a list, its dash at `column`."""
    indent = " " * column
    lines = [f"{_scalar(key)}: {flow(item)}" for key, item in value.items()]
    return f"{indent}- " + f"\n{indent}  ".join(lines)


def _line(key: str, value: Any) -> str:
    """A key at the top of a file: a list of blocks has their keys on lines of their own."""
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return "\n".join([f"{_scalar(key)}:", *(_element(one, 2) for one in value)])
    return f"{_scalar(key)}: {flow(value)}"


class _Text:
    """A text and where its values stand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._root: Node | None = YAML(typ="safe", pure=True).compose(text)

    def put(self, path: Path, value: Any) -> str:
        *way, last = path
        if self._root is None:
            return self._at_end(str(last), value)
        parent = self._walk(way)
        for key, node in _pairs(parent):
            if key.value == last:
                return self._replaced(key, node, value, top=not way)
        if _is_flow(parent) or not parent.value:
            return self._into_flow(parent, f"{_scalar(last)}: {flow(value)}")
        if not way:
            return self._at_end(str(last), value)
        column, end = parent.value[0][0].start_mark.column, self._end(parent)
        return self._spliced(end, end, f"\n{' ' * column}{_scalar(last)}: {flow(value)}")

    def append(self, path: Path, value: Any) -> str:
        node = self._walk(path)
        if _is_flow(node) or not node.value:
            return self._into_flow(node, flow(value))
        dash = self._dash(node.value[-1])
        end = self._end(node)
        return self._spliced(end, end, "\n" + _element(value, dash - self._line_start(dash)))

    def drop(self, path: Path) -> str:
        *way, last = path
        parent = self._walk(way)
        index = _index(parent, last)
        firsts = [item[0] if isinstance(item, tuple) else item for item in parent.value]
        if len(firsts) == 1 and way:
            return self.put(tuple(way), [] if isinstance(parent, SequenceNode) else {})
        if _is_flow(parent):
            return self._out_of_flow(parent, firsts, index)
        start, end = firsts[index].start_mark.index, self._end_of(parent, index)
        if isinstance(parent, SequenceNode):
            start = self._dash(firsts[index])
        line = self._line_start(start)
        if self._text[line:start].strip():  # the first key of a list's element: the dash stays
            return self._spliced(start, firsts[index + 1].start_mark.index, "")
        newline = self._text.find("\n", end)
        return self._spliced(line, newline + 1 if newline >= 0 else len(self._text), "")

    # --- where things stand ---

    def _walk(self, path: Path | list[str | int]) -> Node:
        node = self._root
        for part in path:
            assert node is not None  # who calls has found it there
            node = _value(node, _index(node, part))
        assert node is not None
        return node

    def _end(self, node: Node) -> int:
        """The offset after its last character. A block's own end mark is past the comments."""
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, ScalarNode):
            return int(start + len(self._text[start:end].rstrip()))
        if _is_flow(node) or not node.value:
            return int(end)
        return self._end_of(node, len(node.value) - 1)

    def _end_of(self, parent: Node, index: int) -> int:
        """The offset after the last character of an entry of `parent`."""
        item = parent.value[index]
        if isinstance(item, tuple):
            key, value = item
            if value.start_mark.index < key.end_mark.index:
                return self._alias(key).end()
            if _is_unwritten(value):
                return self._text.index(":", key.end_mark.index) + 1
            return self._end(value)
        return self._end(item)

    def _alias(self, key: Node) -> re.Match[str]:
        match = _ALIAS.match(self._text, key.end_mark.index)
        if match is None:
            raise NotEditable(f"line {key.start_mark.line + 1} is {BY_HAND}")
        return match

    def _dash(self, element: Node) -> int:
        return self._text.rindex("-", 0, element.start_mark.index)

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    # --- the changes ---

    def _spliced(self, start: int, end: int, new: str) -> str:
        if "\r\n" in self._text:
            new = new.replace("\n", "\r\n")
        return self._text[:start] + new + self._text[end:]

    def _at_end(self, key: str, value: Any) -> str:
        end = len(self._text)
        newline = "" if not self._text or self._text.endswith("\n") else "\n"
        return self._spliced(end, end, f"{newline}{_line(key, value)}\n")

    def _replaced(self, key: ScalarNode, node: Node, value: Any, *, top: bool) -> str:
        after, start = key.end_mark.index, node.start_mark.index
        if start < after:
            return self._spliced(after, self._alias(key).end(), f": {flow(value)}")
        colon = self._text.index(":", after)
        if top and not key.start_mark.column and "#" not in self._text[after:start]:
            end = colon + 1 if _is_unwritten(node) else self._end(node)
            return self._spliced(key.start_mark.index, end, _line(key.value, value))
        if _is_unwritten(node):
            return self._spliced(colon + 1, colon + 1, f" {flow(value)}")
        between = self._text[colon + 1 : start]
        if "\n" in between:  # a comment that stands there comes after the value
            end = self._end(node)
            new = f" {flow(value)}{between.rstrip()}"
            if "#" in between and self._text[end:].partition("\n")[0].strip():
                new += "\n "  # what comes next would be part of the comment
            return self._spliced(colon + 1, end, new)
        return self._spliced(start, self._end(node), flow(value))

    def _into_flow(self, node: Node, new: str) -> str:
        start, close = node.start_mark.index, node.end_mark.index - 1
        if self._text[start] not in "{[":  # [a: 1] is a list of a block without braces
            raise NotEditable(f"line {node.start_mark.line + 1} is {BY_HAND}")
        if not node.value:
            return self._spliced(close, close, new)
        end = self._end_of(node, len(node.value) - 1)
        if "," in _COMMENT.sub("", self._text[end:close]):
            return self._spliced(close, close, new)
        return self._spliced(end, end, f", {new}")

    def _out_of_flow(self, parent: Node, firsts: list[Node], index: int) -> str:
        if index + 1 < len(firsts):
            start, end = firsts[index].start_mark.index, firsts[index + 1].start_mark.index
            return self._spliced(start, end, "")
        return self._spliced(self._end_of(parent, index - 1), self._end_of(parent, index), "")


def _pairs(node: Node) -> Iterator[tuple[ScalarNode, Node]]:
    for key, value in node.value if isinstance(node, MappingNode) else ():
        if isinstance(key, ScalarNode):
            yield key, value


def _index(node: Node, part: str | int) -> int:
    if isinstance(part, int):
        return part
    for index, (key, _) in enumerate(node.value if isinstance(node, MappingNode) else ()):
        if key.value == part:
            return index
    line = node.start_mark.line + 1
    raise NotEditable(f"{part} is not written in the block on line {line}: a merge key brings it")


def _value(node: Node, index: int) -> Node:
    item = node.value[index]
    found: Node = item[1] if isinstance(item, tuple) else item
    return found


def _is_flow(node: Node) -> bool:
    return isinstance(node, CollectionNode) and bool(node.flow_style)


def _is_unwritten(node: Node) -> bool:
    """Nothing stands after the key; ruamel's mark is on some later line."""
    return isinstance(node, ScalarNode) and not node.value and not node.style
