"""Values keep their places."""

import pytest

from only1mcp.config.faults import Place
from only1mcp.config.tree import MAX_DEPTH, Lines, Mark, Marked, Node, join, literal

PLACE = Place("f", 1, 1, "")


def test_offsets_are_lines_and_columns_from_one() -> None:
    lines = Lines("ab\n\nc")
    assert [lines.at(offset) for offset in range(5)] == [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1)]


def test_a_marked_text_becomes_a_tree() -> None:
    root = Marked("a: [7]", "f", {(): Mark(0), ("a",): Mark(3, 0), ("a", 0): Mark(4)}).node(
        {"a": [7]}
    )
    seven = root.at("a", 0)
    assert seven is not None
    assert (seven.value, seven.place) == (7, Place("f", 1, 5, "a[0]"))
    assert root.plain() == {"a": [7]}
    assert [node.spot.column for node in root.walk()] == [1, 1, 5]


def test_a_value_without_a_mark_stands_at_its_block() -> None:
    node = Marked("[a]", "f", {("a",): Mark(0, 1)}).node({"a": {"b": 1}}).at("a", "b")
    assert node is not None
    assert node.place == Place("f", 1, 1, "a.b")


def test_nesting_is_bounded() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deep"):
        Marked("", "f", {}).node(deep)


def test_what_python_cannot_print_stays_text() -> None:
    assert Marked("", "f", {}).node(1 << 20_000).value == hex(1 << 20_000)


def test_nothing_is_found_where_nothing_is() -> None:
    root = Node({"a": Node(1, PLACE)}, PLACE)
    assert root.at("a", "b") is None
    assert root.at("x", "b", 0) is None
    assert root.child(0) is None
    assert (root.text(), root.elements()) == (None, [])


def test_key_paths() -> None:
    assert join(join(join("", "servers"), 1), "id") == "servers[1].id"


def test_a_literal_stands_in_one_place_and_is_final() -> None:
    node = literal({"a": [1, None]}, PLACE)
    assert node.plain() == {"a": [1, None]}
    assert all(inner.place == PLACE and inner.written for inner in node.walk())


def test_what_was_said_is_the_text_before_expansion() -> None:
    place = Place("f", 3, 1, "a")
    assert Node("secret", place, written="${A}").said() == "${A}"
    assert Node("plain", place).said() == "plain"
