"""stock.py: what of one listing is offered, and what is said of the rest."""

import pytest

from fakes.listings import listing, template, tool
from only1mcp.catalog import stock as module
from only1mcp.catalog.listing import NOTHING, Kind, Listing
from only1mcp.catalog.stock import MAX_MATCHED, MAX_REPORTED, Stock
from only1mcp.config.servers import Tools


def stock(offer: Listing, **rules: object) -> Stock:
    return Stock("s", Tools.model_validate(rules), offer)


def bases(found: Stock, kind: Kind = Kind.TOOLS) -> list[str]:
    return [item.base for item in found.items[kind]]


def test_all_is_offered_in_the_servers_order() -> None:
    found = stock(listing(tools=["b", "a"], prompts=["p"], resources=["r:1"], templates=["r:{x}"]))
    assert [bases(found, kind) for kind in Kind] == [["b", "a"], ["p"], ["r:1"], ["r:{x}"]]
    assert not found.dropped
    assert not found.clashes


@pytest.mark.parametrize(
    ("rules", "offered"),
    [
        ({}, ["read", "Read", "delete_all", "a.b"]),
        ({"deny": ["delete_*"]}, ["read", "Read", "a.b"]),
        ({"allow": ["read", "a?b"]}, ["read", "a.b"]),
        ({"allow": ["*"], "deny": ["[rR]ead", "*.*"]}, ["delete_all"]),
        ({"allow": ["delete_*"], "deny": ["delete_*"]}, []),
        ({"allow": []}, []),
        ({"rename": {"read": "get"}, "deny": ["get"]}, ["get", "Read", "delete_all", "a.b"]),
    ],
)
def test_the_rules_filter_by_the_servers_own_names(
    rules: dict[str, object], offered: list[str]
) -> None:
    found = stock(listing(tools=["read", "Read", "delete_all", "a.b"]), **rules)
    assert bases(found) == offered
    assert found.dropped == []


def test_rules_are_for_tools_only() -> None:
    found = stock(listing(prompts=["p"]), deny=["*"], rename={"p": "q"})
    assert bases(found, Kind.PROMPTS) == ["p"]


def test_a_renamed_tool_keeps_its_own_name_inside() -> None:
    found = stock(listing(tools=["old"]), rename={"old": "new"})
    (item,) = found.items[Kind.TOOLS]
    assert (item.base, item.target.name, bytes(item.target.raw_name)) == ("new", "old", b'"old"')


def test_two_tools_under_one_new_name_are_a_clash() -> None:
    found = stock(listing(tools=["a", "b", "c"]), rename={"b": "a"})
    assert bases(found) == ["a", "c"]
    (clash,) = found.clashes
    assert (clash.kind, clash.name, clash.kept, clash.hidden) == (Kind.TOOLS, "a", "s", "s")
    assert "'b'" in clash.hint
    assert "rename" in clash.hint


def test_names_can_be_exchanged() -> None:
    found = stock(listing(tools=["a", "b"]), rename={"a": "b", "b": "a"})
    assert bases(found) == ["b", "a"]


def test_a_bad_entry_is_dropped_alone() -> None:
    found = stock(listing(tools=["a", tool("b", inputSchema=3), {"x": 1}, "c"], resources=[{}]))
    assert bases(found) == ["a", "c"]
    assert [(fault.kind, fault.name) for fault in found.dropped] == [
        (Kind.TOOLS, "b"),
        (Kind.TOOLS, "#2"),
        (Kind.RESOURCES, "#0"),
    ]
    assert "inputSchema" in found.dropped[0].reason


def test_a_double_is_dropped_and_reported() -> None:
    found = stock(listing(tools=[tool("a", title="first"), tool("a", title="second")]))
    (item,) = found.items[Kind.TOOLS]
    assert bytes(item.entry["title"]) == b'"first"'
    assert "twice" in found.dropped[0].reason


def test_a_tool_with_bad_headers_is_kept_from_modern_clients() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number", "x-mcp-header": "A"}}}
    found = stock(listing(tools=[tool("t", inputSchema=schema)]))
    (item,) = found.items[Kind.TOOLS]
    assert not item.modern
    assert item.target.header_params == ()
    assert "2026-07-28" in found.dropped[0].reason


@pytest.mark.parametrize(
    ("support", "able", "needs_task"),
    [
        ("required", {"tasks": {}}, True),
        ("optional", {"tasks": {}}, False),
        ("required", {}, False),  # without the capability it means nothing
    ],
)
def test_the_target_knows_a_tool_that_works_only_as_a_task(
    support: str, able: dict[str, object], needs_task: bool
) -> None:
    offer = [tool("t", execution={"taskSupport": support})]
    found = stock(listing(tools=offer, capabilities=able))
    (item,) = found.items[Kind.TOOLS]
    assert item.target.needs_task is needs_task
    assert (item.modern, found.dropped) == (True, [])


def test_mirrored_arguments_are_known_to_the_target() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": "A"}}}
    (item,) = stock(listing(tools=[tool("t", inputSchema=schema)])).items[Kind.TOOLS]
    assert item.modern
    assert item.target.header_params == (("Mcp-Param-A", ("a",), "string"),)


def test_an_output_schema_old_clients_refuse_is_left_out_for_them() -> None:
    offer = [tool("t", outputSchema={"type": "array"}), tool("u", outputSchema={"type": "object"})]
    first, second = stock(listing(tools=offer)).items[Kind.TOOLS]
    assert "outputSchema" in first.entry
    assert list(first.legacy) == ["name", "inputSchema"]
    assert second.legacy is second.entry


@pytest.mark.parametrize(
    ("called", "own"),
    [
        ("free", "free"),
        ("delete_all", None),
        ("new", "old"),
        ("old", None),
        ("shown", None),
        ("b", "a"),
        ("a", "b"),
    ],
)
def test_an_unlisted_tool_goes_by_the_rules(called: str, own: str | None) -> None:
    rename = {"old": "new", "delete_one": "shown", "a": "b", "b": "a"}
    target = stock(NOTHING, deny=["delete_*"], rename=rename).unlisted_tool(called)
    assert (target.name if target else None) == own
    assert target is None or target.entry is None


def test_capabilities_are_what_is_declared_or_listed() -> None:
    declared: dict[str, object] = {"tools": {}, "logging": {}, "experimental": {}}
    found = stock(listing(templates=["r:{x}"], capabilities=declared))
    assert found.capabilities == {"tools", "logging", "resources"}
    assert stock(NOTHING).capabilities == frozenset()


def test_templates_are_tried_with_the_most_literal_first() -> None:
    found = stock(listing(templates=["r:{x}", "r:{x", template("r:a/{x}"), "r:b/{x}"]))
    assert [parsed.text for parsed, _ in found.templates()] == ["r:a/{x}", "r:b/{x}", "r:{x}"]
    assert len(found.items[Kind.TEMPLATES]) == 4


def test_not_every_template_is_tried() -> None:
    found = stock(listing(templates=[f"r:{{x}}/{n}" for n in range(MAX_MATCHED + 1)]))
    assert len(found.templates()) == MAX_MATCHED


def test_reports_are_bounded() -> None:
    found = stock(listing(tools=[tool("x" * 999, title=1)] * (MAX_REPORTED + 1)))
    assert len(found.dropped) == MAX_REPORTED
    assert len(found.dropped[0].name) <= module.MAX_NAME


def test_entries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    found = stock(listing(tools=["a", "b", "c", "d"]))
    assert bases(found) == ["a", "b"]
    assert "more than 2 tools" in found.dropped[0].reason
