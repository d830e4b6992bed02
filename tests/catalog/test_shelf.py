"""shelf.py: names and bytes of one server in one view."""

import json

import pytest
from msgspec import Raw

from fakes.listings import listing, tool
from only1mcp.catalog.listing import Kind, Listing
from only1mcp.catalog.shelf import Labels, label
from only1mcp.catalog.stock import Stock
from only1mcp.config.servers import Tools
from only1mcp.protocol.message import members
from only1mcp.protocol.names import safe_name

PREFIX = Labels("s__", 64)


def stock(offer: Listing, **rules: object) -> Stock:
    return Stock("s", Tools.model_validate(rules), offer)


def test_without_labels_names_stay() -> None:
    shelf = label(stock(listing(tools=["a b", "x" * 200])), Kind.TOOLS, None)
    assert list(shelf.targets) == list(shelf.legacy) == ["a b", "x" * 200]


def test_labels_prefix_and_make_safe() -> None:
    shelf = label(stock(listing(tools=["a", "a b"])), Kind.TOOLS, PREFIX)
    assert list(shelf.targets) == ["s__a", safe_name("s__a b", "s", "a b", 64)]
    assert [target.name for target in shelf.targets.values()] == ["a", "a b"]


def test_only_some_get_the_prefix() -> None:
    labels = Labels("s__", 64, frozenset({"a"}))
    assert list(label(stock(listing(tools=["a", "b"])), Kind.TOOLS, labels).targets) == [
        "s__a",
        "b",
    ]


def test_nothing_but_the_name_changes() -> None:
    odd = (
        rb'{"description":"\u00fc\n","name":"a","x":{"b":1e+2, "a":[ 12345678901234567890123 ]},'
        rb'"inputSchema":{"type":"object","$schema":"s"},"_meta":{}}'
    )
    found = stock(Listing(tools=(members(odd),)))
    assert label(found, Kind.TOOLS, None).legacy["a"] == odd
    assert label(found, Kind.TOOLS, PREFIX).legacy["s__a"] == odd.replace(b'"a"', b'"s__a"', 1)


def test_a_rename_is_shown_without_labels_too() -> None:
    shelf = label(stock(listing(tools=["old"]), rename={"old": "new"}), Kind.TOOLS, None)
    assert json.loads(shelf.legacy["new"])["name"] == "new"
    assert shelf.targets["new"].name == "old"


def test_an_entry_is_one_line() -> None:
    offer = Listing(
        resources=({"uri": Raw(b'"r:1"'), "name": Raw(b'"n"'), "x": Raw(b"[1,\r\n2]")},)
    )
    shelf = label(stock(offer), Kind.RESOURCES, None)
    assert shelf.legacy["r:1"] == b'{"uri":"r:1","name":"n","x":[1,  2]}'


def test_both_eras_share_what_is_the_same() -> None:
    shelf = label(stock(listing(tools=["a", "b"])), Kind.TOOLS, PREFIX)
    assert shelf.modern is shelf.legacy


def test_eras_differ_where_they_must() -> None:
    bad = {"type": "object", "properties": {"p": {"type": "number", "x-mcp-header": "P"}}}
    offer = [tool("a", outputSchema={"type": "array"}), tool("b", inputSchema=bad), "c"]
    shelf = label(stock(listing(tools=offer)), Kind.TOOLS, None)
    assert [list(json.loads(text)) for text in shelf.legacy.values()] == [
        ["name", "inputSchema"]
    ] * 3
    assert list(shelf.modern) == ["a", "c"]
    assert "outputSchema" in json.loads(shelf.modern["a"])
    assert shelf.modern["c"] is shelf.legacy["c"]


def test_a_tagged_name_that_is_taken_is_a_clash() -> None:
    taken = safe_name("s__a b", "s", "a b", 64)
    shelf = label(stock(listing(tools=[taken[3:], "a b"])), Kind.TOOLS, PREFIX)
    assert [target.name for target in shelf.targets.values()] == [taken[3:]]
    assert [(clash.name, clash.kept, clash.hidden) for clash in shelf.clashes] == [
        (taken, "s", "s")
    ]


@pytest.mark.parametrize("kind", [Kind.TOOLS, Kind.RESOURCES])
def test_entries_can_be_taken_away(kind: Kind) -> None:
    found = stock(listing(tools=["a:1", "b:1"], resources=["a:1", "b:1"]))
    shelf = label(found, kind, None).without({"a:1"})
    assert list(shelf.targets) == list(shelf.legacy) == list(shelf.modern) == ["b:1"]
