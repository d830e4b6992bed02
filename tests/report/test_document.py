"""Numbers get into a text with their source, or read as not measured."""

import pytest

from fakes.project import NOON
from only1mcp.report.document import Bars, Document, Items, Section, Text, several, spelt
from only1mcp.report.evidence import Source


def test_each_source_has_one_number() -> None:
    document = Document("Tea", NOON)
    pot, cup = Source("pot"), Source("cup", NOON)
    cited = [document.cite(3, pot, "ms"), document.cite("hot", cup), document.cite(9, pot, "%")]
    assert cited == ["3 ms [1]", "hot [2]", "9% [1]"]
    assert document.sources == [pot, cup]
    assert document.cite(None, pot) == document.cite(3, None) == "not measured"


def test_what_is_empty_is_said() -> None:
    section = Section("Tea")
    section.items(["a"])
    section.items([], "No tea.")
    section.table("a | b", [])
    section.bars("cups", {})
    assert section.blocks == [Items(["a"]), Text("No tea."), Text("None.")]


def test_only_the_largest_are_plotted() -> None:
    section = Section("Tea")
    section.largest("cups", {"a": 1, "b": 2})
    section.largest("cups", {str(number): number for number in range(25)})
    whole, part = section.blocks
    assert whole == Bars("cups", {"b": 2, "a": 1})
    assert isinstance(part, Bars)
    assert (part.unit, list(part.values)[:2]) == ("cups, the 20 largest of 25", ["24", "23"])


def test_how_many() -> None:
    assert [several(count, "cup") for count in (0, 1, 2)] == ["0 cups", "1 cup", "2 cups"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3.0, "3"),
        (12345, "12 345"),
        (0.12345, "0.123"),
        (99.5, "99.5"),
        (99.999, "99.99"),
        (1234.56, "1 234.6"),
    ],
)
def test_numbers_for_people(value: float, expected: str) -> None:
    assert spelt(value) == expected
