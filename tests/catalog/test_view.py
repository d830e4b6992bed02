"""view.py: all servers under the naming rule, one server as it is."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from fakes.listings import listing, tool
from only1mcp.catalog.listing import NOTHING, Kind, Listing, Target
from only1mcp.catalog.owners import Owners
from only1mcp.catalog.pages import Promise
from only1mcp.catalog.stock import Stock
from only1mcp.catalog.view import AllServers, OneServer, View
from only1mcp.config.model import Naming
from only1mcp.config.servers import Tools


def named(mode: str, offers: Mapping[str, Listing]) -> AllServers:
    stocks = tuple(Stock(id, Tools(), offer) for id, offer in offers.items())
    return AllServers(stocks, Naming.model_validate({"mode": mode}), Owners(), None)


def all_servers(**offers: Listing) -> AllServers:
    return named("prefix", offers)


def one_server(offer: Listing, **rules: Any) -> OneServer:
    return OneServer(Stock("s", Tools.model_validate(rules), offer), None)


def names(view: View, kind: Kind, modern: bool = False) -> list[str]:
    return [entry[kind.key] for entry in json.loads(view.page(kind, None, modern))[kind.value]]


def own(target: Target | None) -> tuple[str, str] | None:
    return (target.server, target.name) if target else None


SAME = {"one": listing(tools=["a", "b"]), "two": listing(tools=["a", "c"])}


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("prefix", ["one__a", "one__b", "two__a", "two__c"]),
        ("bare", ["a", "b", "c"]),
        ("on_conflict", ["one__a", "b", "two__a", "c"]),
    ],
)
def test_the_naming_rule(mode: str, shown: list[str]) -> None:
    view = named(mode, SAME)
    assert names(view, Kind.TOOLS) == names(view, Kind.TOOLS, modern=True) == shown
    for name in shown:
        target = view.tool(name)
        assert target is not None
        assert target.entry is not None
        assert name.endswith(target.name)
    assert [clash.hidden for clash in view.section(Kind.TOOLS).clashes] == (
        ["two"] if mode == "bare" else []
    )


def test_prompts_follow_the_naming_rule_in_a_space_of_their_own() -> None:
    view = named("on_conflict", {"one": listing(prompts=["a"]), "two": listing(tools=["a"])})
    assert names(view, Kind.PROMPTS) == names(view, Kind.TOOLS) == ["a"]
    assert own(view.prompt("a")) == ("one", "a")
    assert own(view.tool("a")) == ("two", "a")


def test_all_servers_know_only_what_is_listed() -> None:
    view = all_servers(**SAME)
    assert view.tool("a") is None
    assert view.tool("one__z") is None
    assert view.prompt("one__a") is None
    assert view.server is None
    assert view.servers == ("one", "two")


def test_uris_are_never_changed() -> None:
    same = listing(resources=["x:1"], templates=["x:{n}"])
    view = all_servers(one=same, two=same)
    assert names(view, Kind.RESOURCES) == ["x:1"]
    assert names(view, Kind.TEMPLATES) == ["x:{n}"]
    assert own(view.resource("x:1")) == ("one", "x:1")
    assert [clash.hidden for clash in view.section(Kind.RESOURCES).clashes] == ["two"]


def test_an_unlisted_uri_is_routed() -> None:
    view = all_servers(one=listing(templates=["x:{n}"]), two=listing(resources=["y:1"]))
    target = view.resource("x:7")
    assert own(target) == ("one", "x:7")
    assert target is not None
    assert (bytes(target.raw_name), target.entry) == (b'"x:7"', None)
    assert own(view.resource("y:7")) == ("two", "y:7")
    assert view.resource("z:7") is None


def test_a_template_is_found_by_its_text_or_by_a_uri() -> None:
    view = all_servers(one=listing(templates=["x:{n}", "x:{broken"]))
    listed = view.template("x:{n}")
    assert own(listed) == ("one", "x:{n}")
    assert listed is not None
    assert listed.entry is not None
    assert own(view.template("x:{broken")) == ("one", "x:{broken")
    assert own(view.template("x:7")) == ("one", "x:7")


def test_one_server_is_as_it_is() -> None:
    odd = ["a b", "x" * 200, "läs"]
    view = one_server(listing(tools=odd, prompts=["p q"], resources=["x:1"]))
    assert names(view, Kind.TOOLS) == odd
    assert [own(view.tool(name)) for name in odd] == [("s", name) for name in odd]
    assert own(view.prompt("p q")) == ("s", "p q")
    assert (view.server, view.servers) == ("s", ("s",))


def test_one_server_is_asked_for_what_it_does_not_list() -> None:
    view = one_server(NOTHING, deny=["delete_*"])
    for target in (view.tool("n"), view.prompt("n"), view.resource("n"), view.template("n")):
        assert target is not None
        assert (target.server, target.name, bytes(target.raw_name)) == ("s", "n", b'"n"')
        assert target.entry is None
    assert view.tool("delete_all") is None


def test_rules_hold_for_one_server_too() -> None:
    offer = listing(tools=["old", "delete_all"])
    view = one_server(offer, deny=["delete_*"], rename={"old": "new"})
    assert names(view, Kind.TOOLS) == ["new"]
    assert own(view.tool("new")) == ("s", "old")
    assert view.tool("old") is None
    assert view.tool("delete_all") is None


def test_counts_are_what_clients_see() -> None:
    view = named("bare", SAME)
    assert (view.count("tools"), view.count("prompts")) == (3, 0)
    assert one_server(SAME["one"]).count(Kind.TOOLS) == 2


def test_lists_differ_when_either_era_does() -> None:
    plain = one_server(listing(tools=["a"]))
    odd = one_server(listing(tools=[tool("a", outputSchema={"type": "array"})]))
    assert plain.page(Kind.TOOLS, None, False) == odd.page(Kind.TOOLS, None, False)
    assert not plain.lists_as(odd, Kind.TOOLS)
    assert plain.lists_as(one_server(listing(tools=["a"])), Kind.TOOLS)
    assert not plain.lists_as(None, Kind.TOOLS)
    assert plain.lists_as(None, Kind.PROMPTS)


def test_capabilities_are_the_union() -> None:
    view = all_servers(
        one=listing(capabilities={"logging": {}, "tools": {"listChanged": True}}),
        two=listing(capabilities={"completions": {}, "x": {}}, prompts=["p"]),
        three=NOTHING,
    )
    assert view.capabilities() == ("tools", "prompts", "completions", "logging")


def test_instructions_name_their_server() -> None:
    view = all_servers(one=Listing(instructions="Be kind."), two=NOTHING)
    assert view.instructions() == [("one", "Be kind.")]


def test_modern_pages_say_how_long_they_hold() -> None:
    page = json.loads(all_servers().page(Kind.TOOLS, None, True, Promise(7, public=True)))
    assert (page["ttlMs"], page["cacheScope"]) == (7, "public")
