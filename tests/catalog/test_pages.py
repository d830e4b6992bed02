"""pages.py: one page when it can be, consistent pages when it cannot."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.listings import listing
from only1mcp.catalog.listing import Kind
from only1mcp.catalog.pages import MAX_SNAPSHOTS, PAGE, Pages, Promise, Snapshot, differ
from only1mcp.catalog.shelf import Shelf, label
from only1mcp.catalog.stock import Stock
from only1mcp.config.servers import Tools
from only1mcp.protocol.errors import InvalidParams


def shelf(*names: str, server: str = "s") -> Shelf:
    return label(Stock(server, Tools(), listing(prompts=list(names))), Kind.PROMPTS, None)


def pages(*names: str, older: tuple[Snapshot, ...] = ()) -> Pages:
    return Pages(Kind.PROMPTS, (shelf(*names),), older, modern=False)


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"p{number}" for number in range(start, start + count)]


def walk(found: Pages, cursor: str | None = None) -> tuple[list[str], list[int]]:
    """The names from `cursor` on, and how many each page had."""
    names: list[str] = []
    sizes: list[int] = []
    while True:
        page: dict[str, Any] = json.loads(found.page(cursor))
        names += [entry["name"] for entry in page["prompts"]]
        sizes.append(len(page["prompts"]))
        cursor = page.get("nextCursor")
        if cursor is None:
            return names, sizes


def second(found: Pages) -> str:
    """The cursor of the second page."""
    cursor = json.loads(found.page(None))["nextCursor"]
    assert isinstance(cursor, str)
    return cursor


def test_a_legacy_page_is_the_list_and_no_more() -> None:
    found = Pages(Kind.PROMPTS, (shelf("a"), shelf("b", server="t")), modern=False)
    assert found.page(None) == b'{"prompts":[{"name":"a"},{"name":"b"}]}'


def test_a_modern_page_says_how_long_it_lasts() -> None:
    found = Pages(Kind.TEMPLATES, (), modern=True)
    for promise, scope in ((Promise(5000), "private"), (Promise(0, public=True), "public")):
        assert json.loads(found.page(None, promise)) == {
            "resourceTemplates": [],
            "resultType": "complete",
            "ttlMs": promise.ttl_ms,
            "cacheScope": scope,
        }


def test_a_page_is_rendered_once() -> None:
    found = pages("a")
    assert found.page(None) is found.page(None)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (0, [0]),
        (PAGE, [PAGE]),
        (PAGE + 1, [PAGE, 1]),
        (2 * PAGE, [PAGE, PAGE]),
        (2 * PAGE + 5, [PAGE, PAGE, 5]),
    ],
)
def test_a_long_list_comes_in_pages(count: int, sizes: list[int]) -> None:
    assert walk(pages(*numbered(count))) == (numbered(count), sizes)


def test_modern_pages_have_cursors_too() -> None:
    found = Pages(Kind.PROMPTS, (shelf(*numbered(PAGE + 1)),), modern=True)
    assert len(json.loads(found.page(second(found)))["prompts"]) == 1


def test_a_cursor_holds_wherever_the_same_names_are_listed() -> None:
    cursor = second(pages(*numbered(PAGE + 5)))
    assert walk(pages(*numbered(PAGE + 5)), cursor)[0] == numbered(5, PAGE)


def test_a_list_that_changes_under_way_stays_consistent() -> None:
    before = pages(*numbered(PAGE + 5))
    cursor = second(before)
    after = pages("new", *numbered(3), older=before.snapshots())
    assert walk(after, cursor)[0] == numbered(5, PAGE)
    assert walk(after)[0] == ["new", *numbered(3)]


def test_only_the_last_few_lists_are_kept() -> None:
    found = pages(*numbered(PAGE + 1))
    cursors = []
    for round in range(MAX_SNAPSHOTS + 1):
        cursors.append(second(found))
        found = pages(*numbered(PAGE + 2 + round), older=found.snapshots())
    for cursor in cursors[1:]:
        assert found.page(cursor)
    with pytest.raises(InvalidParams, match="has changed"):
        found.page(cursors[0])


def test_a_list_nobody_paged_through_is_not_kept() -> None:
    assert pages(*numbered(PAGE + 1)).snapshots() == ()
    short = pages("a")
    short.page(None)
    assert short.snapshots() == ()


def test_an_unchanged_list_does_not_push_out_others() -> None:
    first = pages(*numbered(PAGE + 1))
    cursor = second(first)
    found = pages(*numbered(PAGE + 2), older=first.snapshots())
    for _ in range(MAX_SNAPSHOTS + 1):
        second(found)
        found = pages(*numbered(PAGE + 2), older=found.snapshots())
    assert found.page(cursor)


def cursor_of(digest: bytes, offset: int) -> str:
    return urlsafe_b64encode(digest + offset.to_bytes(4, "big")).decode()


DIGEST = Snapshot(numbered(PAGE + 1), ()).digest


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "ünicode",
        "\ud800",
        "A" * 16,
        "A" * 17,
        "A" * 1000,
        cursor_of(DIGEST, 0),
        cursor_of(DIGEST, 1),
        cursor_of(DIGEST, 2 * PAGE),
        cursor_of(DIGEST, PAGE) + "=",
        cursor_of(DIGEST, PAGE) + "\n",
        " " + cursor_of(DIGEST, PAGE),
        cursor_of(bytes(8), PAGE),
    ],
)
def test_any_other_cursor_is_refused(cursor: str) -> None:
    found = pages(*numbered(PAGE + 1))
    with pytest.raises(InvalidParams, match="cursor"):
        found.page(cursor)
    assert found.page(cursor_of(DIGEST, PAGE))


TABLES: list[dict[str, bytes]] = [{}, {"a": b"1"}, {"a": b"1"}, {"b": b"2"}, {"a": b"3"}]


@given(st.lists(st.sampled_from(TABLES)), st.lists(st.sampled_from(TABLES)))
def test_lists_differ_if_their_entries_do(old: list[Any], new: list[Any]) -> None:
    def entries(tables: list[Any]) -> list[bytes]:
        return [one for table in tables for one in table.values()]

    assert differ(old, new) == (entries(old) != entries(new))
