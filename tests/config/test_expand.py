"""Variables in values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.expand import expand
from only1mcp.config.faults import Place, Report
from only1mcp.config.tree import Node

PLACE = Place("f", 1, 1, "a")
ENVIRON = {"A": "one", "EMPTY": "", "NESTED": "${A}", "_1": "under"}


def expanded(text: str) -> Node:
    node = Node(text, PLACE)
    report = Report()
    expand(node, ENVIRON, report)
    report.fail_if_any()
    return node


def said_of(text: str) -> list[str]:
    report = Report()
    node = Node({"k": Node(text, PLACE)}, PLACE)
    expand(node, ENVIRON, report)
    assert node.mapping()["k"].spoiled
    return [str(fault) for fault in report.failure().faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("<${A}${_1}>", "<oneunder>"),
        ("${env:A}", "one"),
        ("${NO:-x}", "x"),
        ("${NO:-}", ""),
        ("${A:-x}", "one"),
        ("${EMPTY}", ""),
        ("${EMPTY:-x}", "x"),
        ("${NO:-http://h:1/?a=b$c}", "http://h:1/?a=b$c"),
        ("$A $ 5$", "$A $ 5$"),
        ("$${A}", "${A}"),
        ("$$$${A}", "$${A}"),
        ("$$${A}", "$one"),
        ("${NESTED}", "${A}"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert expanded(text).value == value


def test_what_was_written_is_kept() -> None:
    assert expanded("Bearer ${A}").written == "Bearer ${A}"
    assert expanded("$$").written is None


@given(st.text())
def test_doubling_every_dollar_keeps_any_text(text: str) -> None:
    assert expanded(text.replace("$", "$$")).value == text


def test_all_missing_variables_are_named() -> None:
    first, second = said_of("${NO} ${NEITHER}")
    assert first == (
        "f:1:1: variable NO is not set; set it in the environment, or write ${NO:-default}"
    )
    assert "NEITHER" in second


@pytest.mark.parametrize("text", ["${", "pass${word", "${}", "${a b}", "${A:-${B}}", "${A:?x}"])
def test_what_is_no_variable_is_reported_without_the_text(text: str) -> None:
    said = said_of(text)[0]
    assert "write $$ for a plain $" in said
    assert "word" not in said


def test_a_question_of_an_editor_is_reported() -> None:
    (said,) = said_of("${input:token}")
    assert "write ${VARIABLE} and set it in the environment" in said


def test_keys_and_final_values_are_left_alone() -> None:
    final = Node("${A}", PLACE, written="option x")
    node = Node({"${A}": final, "n": Node([Node(1, PLACE)], PLACE)}, PLACE)
    expand(node, ENVIRON, Report())
    assert node.plain() == {"${A}": "${A}", "n": [1]}
