"""What libyaml reads is what ruamel reads, to the column; the rest is left to ruamel."""

import random
import warnings
from typing import Any

import pytest
from ruamel.yaml import YAML
from ruamel.yaml import nodes as ruamel
from ruamel.yaml.error import YAMLError

from only1mcp.config import libyaml
from only1mcp.config.tree import MAX_DEPTH

FILE = """\
server: {port: 8080, allowed_hosts: [a.example, "b.example:1"]}
servers:
  - id: a
    transport: {type: http, url: "http://x:1/mcp", headers: {A: 'b c', Authorization: Bearer x}}
    tools: {allow: [a*, "b?", '!c'], rename: {x: y}}
  - id: b   # comment
    enabled: no
    timeouts:
      start: 30s
      list: 1.5
    transport:
      type: stdio
      command: npx
      args: [-y, "@x/y", --flag=1, a:b, http://z]
      env:
        A: 0x10
        B: 0o7
        C: ~
        D:
        E: |
          multi
           line é
        F: >-
          folded
          too
? k
: it's
"q\\n\\u00e9": on
"""
PIECES = [
    *" \n:-#?,[]{}&*!|>'\"%@`~<=.\\/aA01yn$é",
    *("\n  ", "\n- ", "\n    - ", ": ", "- ", "# ", "\n\n", "<<", "!!", "---", "*a", "&a ", "\\x"),
]


def seen(node: Any) -> Any:
    """What the reader makes use of."""
    at = node.start_mark.line, node.start_mark.column
    tag = str(node.tag)
    if isinstance(node, ruamel.ScalarNode | libyaml.nodes.ScalarNode):
        return tag, node.value, bool(node.style), at if node.value or node.style else None
    if isinstance(node, ruamel.SequenceNode | libyaml.nodes.SequenceNode):
        return tag, at, [seen(item) for item in node.value]
    return tag, at, [(seen(key), seen(value)) for key, value in node.value]


def by_ruamel(text: str) -> Any:
    """The same of ruamel; None if it finds fault."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return seen(YAML(typ="safe", pure=True).compose(text))
    except (YAMLError, ValueError, AssertionError):
        return None


def test_a_usual_file_is_read() -> None:
    found = libyaml.compose(FILE)
    assert found is not None
    assert seen(found) == by_ruamel(FILE)


def test_a_file_that_was_spoiled_is_read_as_ruamel_does_or_not_at_all() -> None:
    chance = random.Random(4)
    read = 0
    for _ in range(400):
        lines = FILE.splitlines(keepends=True)
        first = chance.randrange(len(lines))
        text = "".join(lines[first : first + chance.randrange(1, 6)])
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(PIECES) + text[at + chance.choice((0, 0, 1, 2)) :]
        if (found := libyaml.compose(text)) is not None:
            read += 1
            assert seen(found) == by_ruamel(text), text
    assert read > 50


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [1",
        "a:\tb",
        "a: b\r\n",
        "a: b\u2028",
        "%YAML 1.1\n---\na: no",
        "a: 1\n...\n",
        "a: &x 1\nb: *x",
        "a: !t 1",
        "- !",
        "a: |2\n   b",
        "a: |\n   \n b",
        'a: ["b":c]',
        "[" * 1_000_000,
        "- " * 1_000_000,
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    ],
)
def test_what_is_left_to_ruamel(text: str) -> None:
    assert libyaml.compose(text) is None


def test_without_libyaml_all_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libyaml, "CParser", None)
    assert libyaml.compose(FILE) is None
