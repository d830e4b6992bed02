"""JSON with exact places."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.faults import ConfigError, Report
from only1mcp.config.read_json import read, strict, unplaced
from only1mcp.config.tree import Lines, Node

leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False)
values = st.recursive(
    leaves.filter(lambda leaf: leaf not in (float("inf"), float("-inf"))) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def tree(text: str) -> Node:
    report = Report()
    node = read(text, "f", report)
    report.fail_if_any()
    return node


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_value_stands_where_its_place_says(
    value: Any, indent: int | str | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    root = tree(text)
    assert root.plain() == value
    starts = {Lines(text).at(offset): offset for offset in range(len(text))}
    decode = json.JSONDecoder().raw_decode
    for node in root.walk():
        assert decode(text, starts[node.place[1:3]])[0] == node.plain()
        if node.key is not None:
            assert decode(text, starts[node.key[1:3]])[0] in node.key.where


def test_an_empty_file_is_an_empty_block() -> None:
    assert tree(" \n").value == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n "a": 1,\n "a": 2}', "f:3:2: key 'a' is given twice; the first is on line 2"),
        ('{"a": 1,,}', "f:1:9: JSON syntax: "),
        ("[,]", "f:1:2: JSON syntax: "),
        ("{,}", "f:1:2: JSON syntax: "),
        ('{"a":,}', "f:1:6: JSON syntax: "),
        ("{\n /* x\n}", "f:2:2: JSON syntax: Expecting property name enclosed in double quotes; "),
        ("{\n /* x\n}", "the comment has no end"),
        ('// one\n{"a": 1, /* two\n */ "a": 2}', "f:3:5: key 'a' is given twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": 1} x', "f:1:10: JSON syntax: Extra data"),
        ("[" * 5000, "nested too deep"),
        ("[" * 90 + "]" * 90, "nested too deep"),
    ],
)
def test_what_is_no_json(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tree(text)
    assert said in str(caught.value)


COMMENTED = """\
// the servers
{
  "url": "http://h/*", // not a comment, and one
  /* of
     several lines, */ "list": [1, "a,]", [], // last
  ],
  "quoted \\" // no": {"b": true,},
}
"""


def test_comments_and_last_commas_are_passed_over_and_places_stay() -> None:
    root = tree(COMMENTED)
    assert root.plain() == {
        "url": "http://h/*",
        "list": [1, "a,]", []],
        'quoted " // no': {"b": True},
    }
    (url, listed, quoted) = (root.mapping()[key].spot[1:3] for key in root.mapping())
    assert (url, listed, quoted) == ((3, 3), (5, 24), (7, 3))


@given(st.text(alphabet='[]{},:"/*\\ \n1a', max_size=40))
def test_what_json_takes_means_the_same(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        return
    assert json.loads(strict(text)) == value


@given(values)
def test_without_places_it_is_the_same_tree(value: Any) -> None:
    text = json.dumps(value)
    quick = unplaced(text, "f")
    assert quick is not None
    assert repr(quick.plain()) == repr(tree(text).plain())
    assert {node.place for node in quick.walk()} == {("f", 1, 1, "")}


@pytest.mark.parametrize(
    "text",
    ["", '{"a": 1, "a": 2}', '{"a": NaN}', "[1,]", "// x\n{}", "[" * 90 + "]" * 90, "[" * 5000],
)
def test_what_there_may_be_something_to_say_of_is_read_with_places(text: str) -> None:
    assert unplaced(text, "f") is None


def test_without_places_a_huge_number_is_text_too() -> None:
    text = str(1 << 2000)
    quick = unplaced(text, "f")
    assert quick is not None
    assert quick.value == tree(text).value == hex(1 << 2000)
