"""TOML with places found by a scanner of our own."""

import tomllib
from pathlib import Path

import pytest

from only1mcp.config.faults import ConfigError, Report
from only1mcp.config.read_toml import read
from only1mcp.config.tree import Node

SAMPLE = Path(__file__).with_name("sample.toml").read_text()


def tree(text: str) -> Node:
    report = Report()
    node = read(text, "f", report)
    report.fail_if_any()
    return node


def written_at(node: Node, text: str) -> str:
    return text.splitlines()[node.place.line - 1][node.place.column - 1 :]


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("title",), '"x"', "title"),
        (("server", "host"), '"0.0.0.0"', "host"),
        (("server", "quoted key"), "1", '"quoted key"'),
        (("server", "it.has"), "2", "'it.has'"),
        (("server", "ab"), "3", '"\\u0061b"'),
        (("server", "auth", "tokens"), '[ "a"', "tokens"),
        (("server", "auth", "tokens", 1), "'b]'", ""),
        (("server", "auth", "tokens", 2), '"""c', ""),
        (("server", "auth", "tokens", 3), '"""f', ""),
        (("server", "auth", "tokens", 4), "'''g", ""),
        (("server", "tls", "key", "x"), "'k'", "x"),
        (("server", "tls", "deep", 1, "a"), "2}", "a"),
        (("servers", 0), "[[servers]]", ""),
        (("servers", 0, "transport", "url"), '"u"', "url"),
        (("servers", 1, "id"), '"two"', "id"),
        (("servers", 1, "transport"), "[servers.transport]", "transport"),
        (("servers", 1, "transport", "env", "A", "B"), '"1"', "B"),
        (("servers", 1, "list", 0, "q"), "0x1F", "q"),
        (("servers", 1, "list", 1, "q"), "-1.5e3", "q"),
        (("a", "b", "c", "d"), "true", "d"),
        (("a", "x"), '[ a . "x" ]', '"x"'),
    ],
)
def test_places(path: tuple[str | int, ...], value: str, key: str) -> None:
    node = tree(SAMPLE).at(*path)
    assert node is not None
    assert written_at(node, SAMPLE).startswith(value)
    if node.key is not None:
        line = SAMPLE.splitlines()[node.key.line - 1]
        assert line[node.key.column - 1 :].startswith(key)


def test_every_value_is_found_in_its_own_line() -> None:
    root = tree(SAMPLE)
    scalars = [node for node in root.walk() if not isinstance(node.value, dict | list)]
    assert len(scalars) == 24
    assert len({node.place[1:3] for node in scalars}) == len(scalars)
    assert root.at("servers", 1, "transport", "when").plain() == "1979-05-27 07:32:00"  # type: ignore[union-attr]


def test_windows_line_ends_do_not_move_places() -> None:
    node = tree('a = 1\r\nb = """x\r\ny"""\r\nc = 2\r\n').at("c")
    assert node is not None
    assert node.place[1:3] == (4, 5)


def test_the_values_are_those_of_tomllib() -> None:
    plain = tree(SAMPLE).plain()
    theirs = tomllib.loads(SAMPLE)
    del plain["servers"][1]["transport"]["when"], theirs["servers"][1]["transport"]["when"]
    assert plain == theirs
    assert tree("").value == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\na = 2\n", "TOML syntax: Cannot overwrite a value"),
        ("a = \n", "f:1:5: TOML syntax: Invalid value"),
        ('a = "x', "f:1:7: TOML syntax: Unterminated string"),
        ("a = " + "[" * 5000, "nested too deep"),
        ("a = " + "[" * 90 + "]" * 90, "nested too deep"),
    ],
)
def test_what_is_no_toml(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tree(text)
    assert said in str(caught.value)
