"""Single values changed in YAML, all else as it was."""

from typing import Any

import pytest
from ruamel.yaml import YAML

from only1mcp.config.edit_yaml import NotEditable, append, drop, flow, put

PAGE = """\
# the top
server: {port: 8080}  # ours

servers:
  # the first
  - id: one  # its name
    transport:
      type: http
      url: http://127.0.0.1:1/mcp   # where
      headers: {Authorization: "Bearer ${TOKEN}"}
    tools:
      deny:
        - a  # dangerous
        - b

  # the second
  - {id: two, enabled: true}
naming:  # last
  mode: bare
"""
ONE = ("servers", 0)


def differs(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went and the lines that came."""
    old, new = before.splitlines(), after.splitlines()
    gone = [line for line in old if line not in new]
    return gone, [line for line in new if line not in old]


def read(text: str) -> Any:
    """What the text means."""
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize(
    ("path", "value", "gone", "came"),
    [
        (
            (*ONE, "transport", "url"), "http://[::1]:2/mcp",
            ["      url: http://127.0.0.1:1/mcp   # where"],
            ['      url: "http://[::1]:2/mcp"   # where'],
        ),
        ((*ONE, "enabled"), False, [], ["    enabled: false"]),
        ((*ONE, "tools", "allow"), ["x*"], [], ['      allow: ["x*"]']),
        (
            (*ONE, "tools", "deny"), ["c"],
            ["      deny:", "        - a  # dangerous", "        - b"], ["      deny: [c]"],
        ),
        (
            (*ONE, "transport", "headers", "X"), "${Y}",
            ['      headers: {Authorization: "Bearer ${TOKEN}"}'],
            ['      headers: {Authorization: "Bearer ${TOKEN}", X: "${Y}"}'],
        ),
        (
            ("servers", 1, "enabled"), False,
            ["  - {id: two, enabled: true}"], ["  - {id: two, enabled: false}"],
        ),
        (("naming", "mode"), "prefix", ["  mode: bare"], ["  mode: prefix"]),
        (("cache",), {"ttl": "5m"}, [], ["cache: {ttl: 5m}"]),
    ],
)  # fmt: skip
def test_one_value_is_put_in(path: Any, value: Any, gone: list[str], came: list[str]) -> None:
    after = put(PAGE, path, value)
    assert differs(PAGE, after) == (gone, came)
    found = read(after)
    for part in path:
        found = found[part]
    assert found == value


@pytest.mark.parametrize(
    ("path", "gone", "came"),
    [
        ((*ONE, "tools"), ["    tools:", "      deny:", "        - a  # dangerous", "        - b"],
         []),
        (("servers", 1), ["  - {id: two, enabled: true}"], []),
        (("servers", 1, "enabled"), ["  - {id: two, enabled: true}"], ["  - {id: two}"]),
        (("servers", 1, "id"), ["  - {id: two, enabled: true}"], ["  - {enabled: true}"]),
        ((*ONE, "tools", "deny"),
         ["    tools:", "      deny:", "        - a  # dangerous", "        - b"],
         ["    tools: {}"]),
        ((*ONE, "id"), ["  - id: one  # its name", "    transport:"], ["  - transport:"]),
        (("naming",), ["naming:  # last", "  mode: bare"], []),
        ((*ONE, "tools", "deny", 0), ["        - a  # dangerous"], []),
    ],
)  # fmt: skip
def test_one_value_is_taken_out(path: Any, gone: list[str], came: list[str]) -> None:
    after = drop(PAGE, path)
    assert differs(PAGE, after) == (gone, came)
    read(after)


def test_a_server_that_goes_leaves_the_comments_of_the_next() -> None:
    after = drop(PAGE, ONE)
    assert [one["id"] for one in read(after)["servers"]] == ["two"]
    assert "# the first" in after
    assert "# the second" in after


def test_an_element_is_added_in_the_style_of_its_list() -> None:
    after = append(PAGE, ("servers",), {"id": "three", "transport": {"type": "stdio"}})
    assert "\n  - id: three\n    transport: {type: stdio}\nnaming:" in after
    assert append("a: [x]\n", ("a",), {"b": 1}) == "a: [x, {b: 1}]\n"
    assert append("a: [\n  x,\n]\n", ("a",), "z") == "a: [\n  x,\nz]\n"


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", "servers:\n  - id: a\n"),
        ("# only a comment", "# only a comment\nservers:\n  - id: a\n"),
        ("a: 1", "a: 1\nservers:\n  - id: a\n"),
        ("servers:\na: 1\n", "servers:\n  - id: a\na: 1\n"),
        ("servers: []\na: 1\n", "servers:\n  - id: a\na: 1\n"),
        ("servers: null  # none\n", "servers:\n  - id: a  # none\n"),
        ("{a: 1}\n", "{a: 1, servers: [{id: a}]}\n"),
        ("a: 1\r\n", "a: 1\r\nservers:\r\n  - id: a\r\n"),
    ],
)
def test_the_first_server_of_a_file(text: str, after: str) -> None:
    assert put(text, ("servers",), [{"id": "a"}]) == after
    assert read(after)["servers"] == [{"id": "a"}]


def test_what_an_alias_brings_is_written_out_where_it_is_changed() -> None:
    text = "base: &b {x: 1}\none: *b\ntwo: {<<: *b, y: 2}\nthree:\n  z: *b\n"
    assert read(put(text, ("one",), {"x": 2}))["base"] == {"x": 1}
    assert read(put(text, ("three", "y"), 3))["three"] == {"z": {"x": 1}, "y": 3}
    assert read(put(text, ("two", "x"), 9))["two"] == {"x": 9, "y": 2}
    with pytest.raises(NotEditable, match="x is not written in the block on line 3"):
        drop(text, ("two", "x"))


def test_block_text_keeps_its_end() -> None:
    text = "a:\n  b: |\n    one\n\n  # of c\n  c: 1\n"
    assert put(text, ("a", "b"), "two") == "a:\n  b: two\n\n  # of c\n  c: 1\n"
    assert put(text, ("a", "d"), 1) == text + "  d: 1\n"


@pytest.mark.parametrize(
    "value",
    ["", "yes", "No", "null", "~", "1", "1.5", "30s", "a b", "a: b", "- a", "#", "${X}", "*", "é",
     "\n", "\u2028", "\x7f", "0x1f", ".inf", "1e3", "true", "a.b/c-d_e", "'", '"', "=", "<<", "!x",
     "\U0001f600\n", "\U000e0001\xa0\ufeff", "\\"],
)  # fmt: skip
def test_text_stays_text(value: str) -> None:
    assert read(f"a: {flow(value)}\nb: {{c: {flow(value)}, {flow(value)}: 1}}\n") == {
        "a": value,
        "b": {"c": value, value: 1},
    }
