"""One request, one snapshot: what it sees does not change under it."""

import dataclasses

import pytest

from fakes.upstream import FakeUpstream, gateway_of, offers
from only1mcp.catalog.listing import Kind
from only1mcp.protocol.errors import InvalidParams


async def test_views_are_those_of_the_catalogue() -> None:
    async with gateway_of(FakeUpstream("one"), FakeUpstream("two")) as gateway:
        snapshot = gateway.snapshot()
        assert snapshot.view(None) is snapshot.catalog.all
        one = snapshot.view("one")
        assert one is not None
        assert one.server == "one"
        assert snapshot.view("three") is None


async def test_a_snapshot_stays_as_it_was_when_a_list_changes() -> None:
    fake = FakeUpstream("one", {"tools/list": {"tools": [], "ttlMs": 0}})
    async with gateway_of(fake) as gateway:
        before = gateway.snapshot()
        fake.answers |= offers(tools=["new"])
        await before.listings.renewed(before.catalog.all)
        after = gateway.snapshot()
    assert before.catalog.all.count(Kind.TOOLS) == 0
    assert after.catalog.all.count(Kind.TOOLS) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.catalog = after.catalog  # type: ignore[misc]


async def test_an_unchanged_gateway_gives_the_same_snapshot() -> None:
    async with gateway_of(FakeUpstream("one")) as gateway:
        assert gateway.snapshot() is gateway.snapshot()


async def test_a_server_that_is_no_more_is_the_answer_to_whoever_asks_for_it() -> None:
    async with gateway_of(FakeUpstream("one")) as gateway:
        servers = gateway.snapshot().servers
        assert servers["one"].id == "one"
        with pytest.raises(InvalidParams, match="'gone' is not in the configuration; list again"):
            servers["gone"]
