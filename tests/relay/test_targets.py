"""Whose a request is, before and after its server is there. What clients are told: test_call.py."""

import asyncio

import pytest

from fakes.edge import PATIENCE_S, until
from fakes.upstream import gateway_of, library, request
from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.methods import METHODS, NEWEST_LEGACY
from only1mcp.relay import fanout, targets

CALL = METHODS["tools/call"]


async def test_a_tool_that_is_listed_gets_its_own_name() -> None:
    async with gateway_of(library()) as gateway:
        one = request(gateway, "tools/call", {"name": "lib__find"}, revision=NEWEST_LEGACY)
        target = targets.listed(one, CALL, gateway.snapshot())
        assert target is not None
        assert (target.server, target.name) == ("lib", "find")
        assert bytes(one.params["name"]) == b'"find"'


async def test_what_is_not_known_now_may_be_found_in_a_moment() -> None:
    fake = library()
    fake.hold = asyncio.Event()
    async with gateway_of(fake, settled=False) as gateway, asyncio.TaskGroup() as group:
        one = request(gateway, "tools/call", {"name": "lib__find"}, revision=NEWEST_LEGACY)
        assert targets.listed(one, CALL, gateway.snapshot()) is None
        assert bytes(one.params["name"]) == b'"lib__find"'
        found = group.create_task(targets.find(one, CALL, gateway.snapshot()))
        fake.hold.set()
        assert (await found).server == "lib"


async def test_nobody_waits_for_a_server_that_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "GRACE_S", 3600.0)
    lib, hangs = library(), library("hangs")
    lib.hold, hangs.hold = asyncio.Event(), asyncio.Event()
    async with gateway_of(hangs, lib, settled=False) as gateway, asyncio.TaskGroup() as group:
        one = request(gateway, "tools/call", {"name": "lib__find"}, revision=NEWEST_LEGACY)
        found = group.create_task(targets.find(one, CALL, gateway.snapshot()))
        await until(lambda: lib.connects == 1)
        lib.hold.set()
        async with asyncio.timeout(PATIENCE_S):
            assert (await found).server == "lib"
        assert not gateway.roster.servers["hangs"].settled.is_set()


async def test_what_nobody_has_is_not_found() -> None:
    async with gateway_of(library()) as gateway:
        one = request(gateway, "tools/call", {"name": "lib__nothing"}, revision=NEWEST_LEGACY)
        assert targets.listed(one, CALL, gateway.snapshot()) is None
        with pytest.raises(InvalidParams):
            await targets.find(one, CALL, gateway.snapshot())
