"""The table against the official SDK's own registry of methods and revisions."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from mcp_types import methods as oracle

from only1mcp.protocol.methods import (
    ALL,
    FROM_CLIENTS,
    FROM_SERVERS,
    LEGACY,
    METHODS,
    MODERN,
    QUESTIONS,
    R2025_11_25,
    Fate,
    Method,
    Route,
    fate,
    known,
)

TASKS = {
    ("tasks/get", R2025_11_25),
    ("tasks/get", MODERN[0]),
    ("tasks/cancel", R2025_11_25),
    ("tasks/cancel", MODERN[0]),
    ("tasks/update", MODERN[0]),
    ("tasks/result", R2025_11_25),
    ("tasks/list", R2025_11_25),
}
"""Of the tasks of either era the SDK has nothing: MCP 2025-11-25 utilities/tasks, SEP-2663."""
NEWS = {("notifications/tasks/status", R2025_11_25), ("notifications/tasks", MODERN[0])}


def registry(rows: Iterable[tuple[str, Any]], beside: set[tuple[str, str]]) -> set[tuple[str, str]]:
    found = {(method, str(version)) for method, version in rows if str(version) in ALL}
    assert found, "the SDK's registry has moved"
    return found | beside


@pytest.mark.parametrize(
    ("table", "rows", "beside"),
    [
        (METHODS, oracle.CLIENT_REQUESTS, TASKS),
        (QUESTIONS, oracle.SERVER_REQUESTS, set()),
        (FROM_CLIENTS, oracle.CLIENT_NOTIFICATIONS, set()),
        (FROM_SERVERS, oracle.SERVER_NOTIFICATIONS, NEWS),
    ],
    ids=["requests of clients", "of servers", "notifications of clients", "of servers"],
)
def test_every_method_of_every_revision_has_its_row_and_no_other(
    table: Mapping[str, Any], rows: Iterable[tuple[str, Any]], beside: set[tuple[str, str]]
) -> None:
    ours = {(row.name, revision) for row in table.values() for revision in row.revisions}
    assert ours == registry(rows, beside)


def test_methods_and_revisions_that_do_not_meet() -> None:
    assert known("tools/call", LEGACY[0]) is METHODS["tools/call"]
    assert known("server/discover", LEGACY[0]) is None
    assert known("tasks/list", MODERN[0]) is None


def test_a_method_of_no_revision_may_be_of_an_extension() -> None:
    row = known("tools/fly", LEGACY[0])
    assert row == Method("tools/fly", Route.OTHER, (LEGACY[0],), repeatable=False)


@pytest.mark.parametrize("name", ["", "a b", "a\r\nX: y", "a\n", "\x7f", "ü", "a\0"])
def test_a_name_that_no_header_can_carry_is_none(name: str) -> None:
    assert known(name, MODERN[0]) is None


def test_routed_rows_name_their_target() -> None:
    targeted = (Route.NAME, Route.URI, Route.REF, Route.TASK)
    for row in METHODS.values():
        assert (row.target is not None) == (row.route in targeted)
        assert (row.items is not None) == (row.route is Route.LIST)


def test_what_a_neighbour_says_has_its_fate_or_none() -> None:
    assert fate(FROM_SERVERS, "notifications/progress") is Fate.PROGRESS
    assert fate(FROM_CLIENTS, "notifications/cancelled") is Fate.HOP
    assert fate(FROM_CLIENTS, "notifications/message") is None
    assert fate(QUESTIONS, "tasks/get") is None


def test_a_server_asks_within_a_call_or_not_at_all() -> None:
    assert {row.fate for row in QUESTIONS.values()} == {Fate.HOP, Fate.CALL}
