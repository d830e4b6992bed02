"""catalog.py: every view of one configuration, and what a rebuild keeps."""

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.listings import listing, server, tool
from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import Kind, Listing
from only1mcp.catalog.pages import PAGE
from only1mcp.catalog.view import View
from only1mcp.config.model import Naming


def catalog(
    offers: Mapping[str, Listing], previous: Catalog | None = None, **naming: Any
) -> Catalog:
    return Catalog.build([server(id) for id in offers], offers, Naming(**naming), previous)


def tool_names(view: View | None) -> list[str]:
    assert view is not None
    return [entry["name"] for entry in json.loads(view.page(Kind.TOOLS, None, False))["tools"]]


BOTH = {"one": listing(tools=["a", "b"]), "two": listing(tools=["a"])}


def test_every_server_has_its_view() -> None:
    built = catalog(BOTH)
    assert tool_names(built.all) == ["one__a", "one__b", "two__a"]
    assert tool_names(built.view("two")) == ["a"]
    assert built.view(None) is built.all
    assert built.view("three") is None


def test_a_disabled_server_is_not_there() -> None:
    built = Catalog.build([server("one", enabled=False), server("two")], BOTH, Naming())
    assert tool_names(built.all) == ["two__a"]
    assert built.view("one") is None


def test_a_server_without_a_listing_is_there_and_empty() -> None:
    built = Catalog.build([server("one"), server("two")], {"two": BOTH["two"]}, Naming())
    assert tool_names(built.view("one")) == []
    assert built.all.servers == ("one", "two")


def test_the_report_is_of_all_servers() -> None:
    offers = {"one": listing(tools=["a", {}]), "two": listing(tools=["a"], prompts=[{}])}
    built = catalog(offers, mode="bare")
    assert [(fault.server, fault.kind) for fault in built.dropped] == [
        ("one", Kind.TOOLS),
        ("two", Kind.PROMPTS),
    ]
    assert [(clash.kept, clash.hidden) for clash in built.clashes] == [("one", "two")]


def test_a_rebuild_keeps_what_did_not_change() -> None:
    first = catalog(BOTH)
    second = catalog({**BOTH, "two": listing(tools=["c"])}, first)
    assert second.view("one") is first.view("one")
    assert second.view("two") is not first.view("two")
    assert second.all.tool("one__a") is first.all.tool("one__a")
    assert second.all.section(Kind.TOOLS) is not first.all.section(Kind.TOOLS)
    assert tool_names(first.all) == ["one__a", "one__b", "two__a"]
    assert tool_names(second.all) == ["one__a", "one__b", "two__c"]


def test_a_rebuild_without_a_change_renders_nothing_anew() -> None:
    first = catalog(BOTH)
    second = catalog(BOTH, first)
    assert second.all.page(Kind.TOOLS, None, True) is first.all.page(Kind.TOOLS, None, True)


@pytest.mark.parametrize("naming", [{"mode": "bare"}, {"separator": "-"}, {"max_length": 24}])
def test_a_new_naming_rule_takes_effect(naming: dict[str, Any]) -> None:
    offers = {"one": listing(tools=["x" * 40])}
    assert tool_names(catalog(offers, catalog(offers), **naming).all) == tool_names(
        catalog(offers, **naming).all
    )


def test_new_rules_take_effect() -> None:
    first = catalog(BOTH)
    strict = [server("one", deny=["a"]), server("two")]
    assert tool_names(Catalog.build(strict, BOTH, Naming(), first).all) == ["one__b", "two__a"]


def test_new_rules_leave_what_is_no_tool_as_it_was() -> None:
    offers = listing(tools=["find"], prompts=["ask"], resources=["file:///a"])
    before = Catalog.build([server("one")], {"one": offers}, Naming())
    other = [server("one", rename={"find": "seek"})]
    after = Catalog.build(other, {"one": offers}, Naming(), before)
    assert tool_names(after.view(None)) == ["one__seek"]
    same = [before.all.section(kind) is after.all.section(kind) for kind in Kind]
    assert same == [kind is not Kind.TOOLS for kind in Kind]


def test_no_shelf_keeps_a_listing_that_is_gone() -> None:
    """An empty kind is as good as before, but the whole listing would stay with it."""
    first = catalog({"one": listing(tools=["a"])})
    second = catalog({"one": listing(tools=["b"])}, first)
    for kind in Kind:
        (shelf,) = second.all.section(kind).shelves
        assert shelf.stock is second.all.stocks[0]


def test_a_server_that_comes_or_goes_changes_the_lists() -> None:
    first = catalog(BOTH)
    second = catalog({"two": BOTH["two"]}, first)
    third = catalog({"three": listing(tools=["x"]), **BOTH}, second)
    assert tool_names(second.all) == ["two__a"]
    assert tool_names(third.all) == ["three__x", "one__a", "one__b", "two__a"]


def test_on_conflict_a_newcomer_adds_the_prefix_to_both() -> None:
    first = catalog({"one": BOTH["one"]}, mode="on_conflict")
    second = catalog(BOTH, first, mode="on_conflict")
    third = catalog({"one": BOTH["one"]}, second, mode="on_conflict")
    assert tool_names(first.all) == tool_names(third.all) == ["a", "b"]
    assert tool_names(second.all) == ["one__a", "b", "two__a"]


def test_learned_links_outlive_a_rebuild() -> None:
    listed = listing(resources=["x:1"])
    first = catalog({"one": listed, "two": listed, "three": listing(tools=["t"])})
    first.learn("link:7", "three")
    first.learn("x:1", "three")
    second = catalog({"one": listed, "two": listed, "three": listing(tools=["u"])}, first)
    target = second.all.resource("link:7")
    assert target is not None
    assert target.server == "three"
    assert len(second.owners) == 1
    assert second.owners is first.owners


@pytest.mark.parametrize("mount", [None, "one"])
def test_cursors_outlive_rebuilds(mount: str | None) -> None:
    def built(count: int, previous: Catalog | None) -> tuple[Catalog, View]:
        made = catalog({"one": listing(tools=[f"t{n}" for n in range(count)])}, previous)
        view = made.view(mount)
        assert view is not None
        return made, view

    first, view = built(PAGE + 5, None)
    cursor = json.loads(view.page(Kind.TOOLS, None, True))["nextCursor"]
    second, _ = built(3, first)
    _, view = built(PAGE + 7, second)
    assert len(json.loads(view.page(Kind.TOOLS, cursor, True))["tools"]) == 5


def test_did_you_mean() -> None:
    built = catalog(BOTH)
    assert built.suggest(Kind.TOOLS, "one.b") == "one__b"
    assert built.suggest(Kind.PROMPTS, "one.b") is None


def test_an_unknown_name_points_at_its_server() -> None:
    built = catalog({"one": Listing()})
    assert built.prefix_owner("one__anything") == "one"
    assert built.prefix_owner("two__anything") is None


_own_names = st.lists(
    st.text(min_size=1, max_size=80) | st.sampled_from(["a", "b", "a b"]), max_size=5
)
_offers = st.dictionaries(
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True), _own_names, max_size=5
)
_namings: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "mode": st.sampled_from(["prefix", "bare", "on_conflict"]),
        "separator": st.sampled_from(["__", "-", "_", "x"]),
        "max_length": st.sampled_from([24, 64]),
    }
)


@given(_offers, _namings)
def test_names_round_trip(offers: dict[str, list[str]], naming: dict[str, Any]) -> None:
    """Each tool of each server is shown under a name of its own that leads back to it."""
    listings = {id: listing(tools=[tool(name) for name in names]) for id, names in offers.items()}
    built = catalog(listings, **naming)
    wanted = {(id, name) for id, names in offers.items() for name in names}
    shown = tool_names(built.all)
    assert len(set(shown)) == len(shown)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in shown)
    assert all(len(name) <= naming["max_length"] for name in shown)
    targets = [target for name in shown if (target := built.all.tool(name))]
    found = {(target.server, target.name) for target in targets}
    assert len(found) == len(shown)
    assert found <= wanted
    assert len(built.clashes) == len(wanted - found)
    if naming["mode"] == "prefix" and naming["separator"] == "__":
        assert found == wanted
    for id, names in offers.items():
        assert tool_names(built.view(id)) == list(dict.fromkeys(names))


@given(_offers, st.sampled_from(["prefix", "bare"]), st.data())
def test_another_server_changes_no_name(
    offers: dict[str, list[str]], mode: str, data: st.DataObject
) -> None:
    listings = {id: listing(tools=[tool(name) for name in names]) for id, names in offers.items()}
    fewer = {id: listings[id] for id in listings if data.draw(st.booleans())}
    with_all, with_few = catalog(listings, mode=mode).all, catalog(fewer, mode=mode).all
    for name, target in with_all.section(Kind.TOOLS).index.items():
        if target.server in fewer:
            same = with_few.tool(name)
            assert same is not None
            assert (same.server, same.name) == (target.server, target.name)
