"""YAML text to nodes by libyaml, several times as fast as ruamel.

libyaml knows YAML 1.1. It is asked only about text that means the same in 1.2, and what a plain
scalar is ruamel says here too. Everything else is left to ruamel: faults above all, whose words and
places are its own.
"""

import re
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode as Scalar
from yaml import YAMLError, nodes
from yaml.nodes import MappingNode, Node, ScalarNode

from only1mcp.config.tree import MAX_DEPTH

try:
    from yaml._yaml import CParser
except ImportError:  # PyYAML was built without it
    CParser = None

__all__ = ["compose", "nodes"]

_DIFFERS: Final = re.compile(
    "[^\n -~\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\uffef\U00010000-\U0010ffff]"
    r"|^(?:%|---|\.\.\.)"
    r"|(?:^|[\s\[\]{},:?-])(?:[!&*]|[|>](?![+-]?\n *[^\s]))"
    r"|[\"']:[^ \n]",
    re.MULTILINE,
)
"""Tabs, line breaks of 1.1 and what is not printable; directives, and where documents begin;
tags, anchors, aliases, unusual heads of blocks of text, and a colon with nothing behind it. Found
by comparing the two on generated texts."""
_TAG: Final = "tag:yaml.org,2002:"


class _TooDeep(Exception):
    """C recurses, too."""


def compose(text: str) -> Node | None:
    """The root node of `text`; None if ruamel has to be asked."""
    if CParser is None or _DIFFERS.search(text):
        return None
    try:
        return _Composer(text).get_single_node()
    except (YAMLError, _TooDeep, ValueError):
        return None


if CParser is not None:

    class _Composer(CParser):  # type: ignore[misc]
        """Makes the nodes in C, all but their tags."""

        def __init__(self, text: str) -> None:
            super().__init__(text)
            self._resolve = YAML(typ="safe", pure=True).resolver.resolve
            self._plain: dict[str, str] = {}
            self._depth = 0

        def resolve(self, kind: type[Node], value: str, implicit: Any) -> str:
            """The tag of a node that has none of its own."""
            if kind is not ScalarNode:
                return f"{_TAG}map" if kind is MappingNode else f"{_TAG}seq"
            if not implicit[0]:
                return f"{_TAG}str"
            if (tag := self._plain.get(value)) is None:
                tag = self._plain[value] = str(self._resolve(Scalar, value, (True, False)))
            return tag

        def descend_resolver(self, parent: Node | None, index: Any) -> None:
            """A node begins."""
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise _TooDeep

        def ascend_resolver(self) -> None:
            """It has ended."""
            self._depth -= 1
