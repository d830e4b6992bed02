"""YAML 1.2 with exact places, and one fault for what is no YAML."""

import pytest

from only1mcp.config.faults import ConfigError, Report
from only1mcp.config.read_yaml import read, unplaced
from only1mcp.config.tree import Node


def tree(text: str) -> Node:
    report = Report()
    node = read(text, "f", report)
    report.fail_if_any()
    return node


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        tree(text)
    return str(caught.value)


def test_keys_and_values_have_places() -> None:
    node = tree("server:\n  port: 80\nservers:\n  - {id: a}\n")
    port, ident = node.at("server", "port"), node.at("servers", 0, "id")
    assert port is not None and port.key is not None and ident is not None
    assert (port.key[1:], port.place[1:]) == ((2, 3, "server.port"), (2, 9, "server.port"))
    assert ident.place[1:] == (4, 10, "servers[0].id")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 0x1F", 31),
        ("a: 0o17", 15),
        ("a: 010", 10),
        ("a: 1_000", 1000),
        ("a: -1.5e3", -1500.0),
        ("a: -.inf", float("-inf")),
        ("a: true", True),
        ("a: no", "no"),  # YAML 1.2: Norway is text
        ("a: ~", None),
        ("a:", None),
        ("a: 2026-07-28", "2026-07-28"),
        ("a: '1'", "1"),
        ("a: !!str 1", "1"),
        ("a: |\n  x\n  y\n", "x\ny\n"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    assert tree(text).plain() == {"a": value}


def test_an_empty_file_is_an_empty_block() -> None:
    assert tree("").value == {}
    assert tree("# nothing\n").value == {}


def test_merge_keys_fill_what_is_not_given() -> None:
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nt: {<<: [*b, *m], x: 0}\n"
    assert tree(text).plain()["t"] == {"x": 0, "y": 2, "z": 4}


def test_an_anchor_may_be_used_again() -> None:
    assert tree("a: &x 1\nb: &x 2\nc: *x\n").plain() == {"a": 1, "b": 2, "c": 2}


def test_every_key_given_twice_is_reported() -> None:
    assert fault("a: 1\nb: 2\na: 3\nb: 4\n").splitlines() == [
        "f:3:1: key 'a' is given twice; the first is on line 1",
        "f:4:1: key 'b' is given twice; the first is on line 2",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n b: 2\n", "f:2:3: YAML syntax: mapping values are not allowed here"),
        ("a:\n\tb: 1", "f:2:1: YAML syntax: found character '\\t' that cannot start any token; "),
        ("a: [${X}]", 'put quotes around "${...}" inside [ ] and { }'),
        ("a: 1\n---\nb: 1", "f:2:1: YAML syntax: expected a single document in the stream, but"),
        ("a: \x01", "f:1:4: YAML syntax: character U+0001 is not allowed in YAML"),
        ("a: *b", "f:1:4: YAML syntax: found undefined alias 'b'"),
        ("[" * 500, "nested too deep"),
        ("a: &x [*x]", "nested too deep"),
        ('a: "\\UFFFFFFFF"', "f:1:1: YAML syntax: not readable"),
        ("%YAML 1.3\n---\na: 1", "f:1:1: YAML syntax: not readable"),
        ("a: !secret x", "f:1:4: YAML tags (!) have no meaning here"),
        ("a: !!int x", "f:1:4: not a number; put it in quotes"),
        ("? [a]\n: 1", "f:1:3: a key must be plain text"),
        ("a: {<<: 1}", "f:1:9: <<: expected a block of keys, or a list of them"),
    ],
)
def test_what_is_no_yaml(text: str, said: str) -> None:
    assert said in fault(text)


def test_aliases_cannot_multiply_without_end() -> None:
    lines = ["a: &a [1,1,1,1,1,1,1,1,1,1]"]
    for here, there in zip("bcdefgh", "abcdefg", strict=True):
        lines.append(f"{here}: &{here} [{','.join(['*' + there] * 10)}]")
    assert "too many values" in fault("\n".join(lines))


def test_without_places_it_is_the_same_tree() -> None:
    text = "a: 1\nb: [x, yes, 0x1f, ~]\nc:\n  d: 'q'\n"
    quick = unplaced(text, "f")
    assert quick is not None
    assert quick.plain() == read(text, "f", Report()).plain()
    assert {node.place for node in quick.walk()} == {("f", 1, 1, "")}


@pytest.mark.parametrize("text", ["", "a: 1\na: 2\n", "a: &x 1\nb: *x\n", "a: [", "a: !t 1\n"])
def test_what_there_may_be_something_to_say_of_is_read_with_places(text: str) -> None:
    assert unplaced(text, "f") is None
