"""Gateways behind gateways: which ids are named, and who is refused."""

from dataclasses import replace
from typing import Any

import pytest

from fakes.listings import listing, server
from fakes.upstream import FakeUpstream, offers
from only1mcp.catalog.catalog import Catalog
from only1mcp.config.model import Naming
from only1mcp.protocol.eras import GATEWAYS_KEY
from only1mcp.protocol.errors import ServerProtocolError
from only1mcp.relay import behind, fetch


def gateway(*ids: str, modern: bool = True, now: tuple[str, ...] | None = None) -> FakeUpstream:
    """A server that named these gateways when it was greeted, and names others `now`."""
    said: Any = {"_meta": {GATEWAYS_KEY: list(ids if now is None else now)}}
    fake = FakeUpstream("back", offers() | {"server/discover": said}, modern=modern)
    object.__setattr__(fake.greeting, "gateways", ids)
    return fake


def test_we_name_ourselves_and_once_each_that_our_servers_name() -> None:
    listings = {
        "one": replace(listing(), gateways=("b", "c")),
        "two": replace(listing(), gateways=("c", "d")),
        "plain": listing(),
    }
    catalog = Catalog.build([server(id) for id in listings], listings, Naming())
    assert behind.told(catalog.all) == {GATEWAYS_KEY: [behind.OURS, "b", "c", "d"]}
    alone = catalog.view("plain")
    assert alone is not None
    assert behind.told(alone) == {GATEWAYS_KEY: [behind.OURS]}


async def test_a_server_that_is_no_gateway_is_not_asked() -> None:
    fake = gateway(now=("never",))
    assert await behind.check(fake, 1) == ()
    assert fake.calls == []


async def test_a_gateway_is_asked_again_for_others_come_and_go() -> None:
    assert await behind.check(gateway("b", now=("b", "c")), 1) == ("b", "c")
    assert await behind.check(gateway("b", modern=False, now=("b", "c")), 1) == ("b",)


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (gateway(behind.OURS), "leads back to this gateway"),
        (gateway(behind.OURS, modern=False), "leads back to this gateway"),
        (gateway("b", now=("b", behind.OURS)), "leads back to this gateway"),
        (gateway(*map(str, range(33))), "stands before 33 gateways"),
    ],
    ids=["ourselves", "by handshake", "through another", "too many"],
)
async def test_what_leads_back_is_left_out(fake: FakeUpstream, said: str) -> None:
    with pytest.raises(ServerProtocolError, match=said) as caught:
        await fetch.fetch(fake, 1)
    assert caught.value.data is not None
    assert "enabled: false" in caught.value.data["hint"]
    assert "tools/list" not in dict(fake.calls)
