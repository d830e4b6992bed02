"""section.py: several shelves as one list."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.listings import listing
from only1mcp.catalog import section as module
from only1mcp.catalog.listing import Kind
from only1mcp.catalog.section import Section
from only1mcp.catalog.shelf import Shelf, label
from only1mcp.catalog.stock import Stock
from only1mcp.config.servers import Tools


def section(kind: Kind = Kind.TOOLS, **offers: list[str]) -> Section:
    stocks = [
        Stock(server, Tools(), listing(tools=names, resources=names))
        for server, names in offers.items()
    ]
    return Section(kind, tuple(label(stock, kind, None) for stock in stocks))


def listed(found: Section) -> list[str]:
    page = json.loads(found.legacy.page(None))
    assert page[found.kind.value] == json.loads(found.modern.page(None))[found.kind.value]
    return [entry[found.kind.key] for entry in page[found.kind.value]]


def owners(found: Section) -> dict[str, str]:
    return {name: target.server for name, target in found.index.items()}


def test_shelves_follow_each_other() -> None:
    found = section(one=["b", "a"], two=[], three=["c"])
    assert listed(found) == ["b", "a", "c"]
    assert owners(found) == {"b": "one", "a": "one", "c": "three"}
    assert not found.clashes
    assert not found.dropped


def test_the_first_keeps_a_contested_name() -> None:
    found = section(one=["a", "b"], two=["c", "a"], three=["a", "c"])
    assert listed(found) == ["a", "b", "c"]
    assert owners(found) == {"a": "one", "b": "one", "c": "two"}
    assert [(clash.name, clash.kept, clash.hidden) for clash in found.clashes] == [
        ("a", "one", "two"),
        ("a", "one", "three"),
        ("c", "two", "three"),
    ]


def test_a_clash_says_what_to_do() -> None:
    (tools,) = section(one=["a"], two=["a"]).clashes
    assert "/mcp/two" in tools.hint
    assert "tools.rename" in tools.hint
    (uris,) = section(Kind.RESOURCES, one=["a:1"], two=["a:1"]).clashes
    assert "/mcp/two" in uris.hint
    assert "rename" not in uris.hint


def test_the_total_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOTAL", 3)
    found = section(one=["a", "b"], two=["c", "d", "e"], three=["a", "f"])
    assert listed(found) == list(found.index) == ["a", "b", "c"]
    assert [(fault.server, fault.name) for fault in found.dropped] == [
        ("two", "2 entries"),
        ("three", "1 entries"),
    ]
    assert "more than 3 tools" in found.dropped[0].reason


def test_the_report_of_clashes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLASHES", 1)
    assert len(section(one=["a", "b"], two=["a", "b"]).clashes) == 1


def test_it_knows_what_was_meant() -> None:
    assert section(one=["one__read"]).suggest("reed", "__") is None
    assert section(one=["one__read"]).suggest("read", "__") == "one__read"


names = st.lists(st.sampled_from("abcdef"), max_size=3, unique=True)
states = st.dictionaries(st.sampled_from(["one", "two", "three"]), names)


@given(st.lists(states, min_size=1, max_size=4))
def test_a_section_is_the_same_whatever_was_before_it(history: list[dict[str, list[str]]]) -> None:
    """What follows on from another takes from it what is unchanged, and nothing else."""
    before: Section | None = None
    known: dict[tuple[str, tuple[str, ...]], Shelf] = {}
    for state in history:
        shelves = tuple(
            known.setdefault(
                (server, tuple(tools)), section(Kind.TOOLS, **{server: tools}).shelves[0]
            )
            for server, tools in state.items()
        )
        found, fresh = Section(Kind.TOOLS, shelves, before), Section(Kind.TOOLS, shelves)
        assert (owners(found), listed(found)) == (owners(fresh), listed(fresh))
        assert (found.clashes, found.dropped) == (fresh.clashes, fresh.dropped)
        before = found
