"""Whose a request is: its own connection, its line, the key of consistent_hash."""

from typing import Any

import pytest
from msgspec import Raw

from fakes.upstream import FakeUpstream, gateway_of
from only1mcp.policy.access import ANONYMOUS
from only1mcp.relay import whose
from only1mcp.relay.handed import TASK, Owner, Thing


class Client:
    """Somebody who calls."""

    def __init__(self, principal: str = ANONYMOUS, session: str | None = None) -> None:
        self.principal = principal
        self.session = session


@pytest.mark.parametrize(
    ("isolation", "principal", "session", "own"),
    [
        ("shared", "ann", "s", None),
        ("session", "ann", "s", "s"),
        ("session", "ann", None, "ann"),
        ("principal", "ann", "s", "ann"),
    ],
)
def test_whose_own_connection_it_is(
    isolation: str, principal: str, session: str | None, own: str | None
) -> None:
    assert whose.isolated(isolation, Client(principal, session)) == own


@pytest.mark.parametrize(
    ("principal", "session", "found"),
    [("ann", "s", "ann"), (ANONYMOUS, "s", "s"), (ANONYMOUS, None, "")],
)
def test_in_whose_line_it_waits(principal: str, session: str | None, found: str) -> None:
    assert whose.line(Client(principal, session)) == found


@pytest.mark.parametrize(
    ("kind", "params", "key"),
    [
        ("session", {}, "s"),
        ("principal", {}, "ann"),
        ("tool", {"name": b'"find"'}, "find"),
        ("tool", {}, None),
        ("argument:path", {"arguments": b'{"path": "/a"}'}, '"/a"'),
        ("argument:path", {"arguments": b'{"path": {"x": 1}}'}, '{"x": 1}'),
        ("argument:path", {"arguments": b'{"other": 1}'}, None),
        ("argument:path", {"arguments": b"[]"}, None),
        ("argument:path", {}, None),
    ],
)
def test_what_consistent_hash_goes_by(kind: str, params: dict[str, Any], key: str | None) -> None:
    raw = {name: Raw(value) for name, value in params.items()}
    assert whose.hash_key(kind, raw, Client("ann", "s")) == key


def test_a_client_without_a_session_counts_by_its_principal() -> None:
    assert whose.hash_key("session", {}, Client("ann")) == "ann"


async def test_a_holder_knows_the_connection_of_each_place() -> None:
    entries: dict[str, Any] = {"mine": {"isolation": "principal"}}
    async with gateway_of(FakeUpstream("mine"), FakeUpstream("all"), entries=entries) as gateway:
        table = gateway.snapshot().audience.handed
        whose.holder(Client("ann", "s"), gateway.snapshot()).take("mine@f00", TASK, "1")
        whose.holder(Client("ann", "s"), gateway.snapshot()).take("all", TASK, "1")
    assert table.owner(Thing("mine@f00", "ann", TASK, "1")) == Owner("ann", "s")
    assert table.owner(Thing("all", None, TASK, "1")) == Owner("ann", "s")
