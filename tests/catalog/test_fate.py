"""What became of each tool a server lists."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fakes.listings import listing, server, tool
from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.fate import Fate, ToolFate, fates, withheld
from only1mcp.catalog.listing import Kind, Listing
from only1mcp.config.model import Naming
from only1mcp.config.servers import Tools


def found(
    offers: Mapping[str, Listing], rules: Mapping[str, dict[str, Any]] | None = None, **naming: Any
) -> list[ToolFate]:
    servers = [server(id, **(rules or {}).get(id, {})) for id in offers]
    return list(fates(Catalog.build(servers, offers, Naming(**naming))))


def test_each_tool_has_one_fate_in_the_order_of_the_list() -> None:
    misfit = "Expected `object`, got `int` - at `$.inputSchema`"
    tools = ["a", "gone", tool("odd", inputSchema=7), "b", "b"]
    rules = {"one": {"deny": ["g*"], "rename": {"b": "c"}}}
    whole = found({"one": listing(tools=tools)}, rules)
    assert [replace(one, bytes=0) for one in whole] == [
        ToolFate("one", "a", "a", "one__a", Fate.SHOWN, ""),
        ToolFate("one", "gone", "gone", None, Fate.WITHHELD, "tools.deny has 'g*'"),
        ToolFate("one", "odd", "odd", None, Fate.DROPPED, misfit),
        ToolFate(
            "one", "b", "c", "one__c", Fate.SHOWN, "listed twice by this server; the first is kept"
        ),
    ]


def test_what_each_takes_in_the_list() -> None:
    offers = {"one": listing(tools=["a", "b"]), "two": listing(tools=["a"])}
    servers = [server("one", deny=["b"]), server("two")]
    catalog = Catalog.build(servers, offers, Naming())
    sizes = [one.bytes for one in fates(catalog)]
    assert sizes[1] == 0
    assert sum(sizes) == sum(map(len, catalog.all.section(Kind.TOOLS).legacy.texts))


def test_a_name_that_another_server_has() -> None:
    both = {"one": listing(tools=["a"]), "two": listing(tools=["a", "b"])}
    hidden = "its name is taken by 'a' of server one"
    assert [(one.server, one.name, one.fate, one.reason) for one in found(both, mode="bare")] == [
        ("one", "a", Fate.SHOWN, ""),
        ("two", None, Fate.HIDDEN, hidden),
        ("two", "b", Fate.SHOWN, ""),
    ]
    named = [one.name for one in found(both, mode="on_conflict")]
    assert named == ["one__a", "two__a", "b"]


def test_a_name_that_another_tool_of_the_server_has() -> None:
    (shown, hidden) = found({"one": listing(tools=["a", "b"])}, {"one": {"rename": {"b": "a"}}})
    assert (shown.name, shown.fate) == ("one__a", Fate.SHOWN)
    assert (hidden.fate, hidden.reason) == (
        Fate.HIDDEN,
        "its name is taken by another of this server",
    )


def test_shown_but_not_to_all() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "x-mcp-header": "A"}}}
    (one,) = found({"one": listing(tools=[tool("a", inputSchema=schema)])})
    assert (one.name, one.fate) == ("one__a", Fate.SHOWN)
    assert one.reason.startswith("not shown to clients of 2026-07-28: ")


def test_nothing_is_listed() -> None:
    assert found({"one": listing()}) == []


@pytest.mark.parametrize(
    ("rules", "own", "reason"),
    [
        ({}, "a", ""),
        ({"deny": ["b", "a*"]}, "ab", "tools.deny has 'a*'"),
        ({"deny": ["A"]}, "a", ""),
        ({"allow": ["x", "y*"]}, "a", "tools.allow has only 'x', 'y*'"),
        ({"allow": []}, "a", "tools.allow has only nothing"),
        ({"allow": ["a"], "deny": ["a"]}, "a", "tools.deny has 'a'"),
    ],
)
def test_which_rule_withholds_it(rules: dict[str, Any], own: str, reason: str) -> None:
    assert withheld(Tools(**rules), own) == reason
