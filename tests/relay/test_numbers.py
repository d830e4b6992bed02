"""From cells to families: what is added up under which labels."""

import asyncio
from contextlib import suppress

from fakes.upstream import NOT_FOUND, Gate, gateway_of, library, request, text
from only1mcp.gateway import Gateway
from only1mcp.observe.metrics import Metrics, Room, Value
from only1mcp.protocol.errors import McpError, ServerLost
from only1mcp.protocol.methods import NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.relay.numbers import FAMILIES
from only1mcp.relay.watch import watched


def numbers(gateway: Gateway, name: str) -> dict[tuple[str, ...], Value]:
    found = Metrics(Room(FAMILIES, gateway.snapshot)).collect()
    (samples,) = [samples for family, samples in found if family.name == name]
    return dict(samples)


async def ask(gateway: Gateway, method: str, params: object = None, **more: str) -> None:
    now = gateway.snapshot()
    assert now.watch is not None
    with suppress(McpError):
        await watched(request(gateway, method, params, **more), now, now.watch)  # type: ignore[arg-type]


async def test_a_request_counts_once_whoever_asked() -> None:
    async with gateway_of(library()) as gateway:
        for revision in (NEWEST_LEGACY, NEWEST_MODERN):
            await ask(gateway, "tools/call", {"name": "lib__find"}, revision=revision)
        await ask(gateway, "tools/call", {"name": "lib__no-such"})
        await ask(gateway, "made/up")
        await ask(gateway, "tools/list")
        assert numbers(gateway, "only1mcp_requests") == {
            ("tools/call", "lib", "ok"): 2,
            ("tools/call", "", "error"): 1,
            ("_other", "", "error"): 1,
            ("tools/list", "", "ok"): 1,
        }
        front = numbers(gateway, "mcp_server_operation_duration_seconds")
        assert ("tools/call", "find", "lib", "", "pipe", NEWEST_MODERN) in front
        assert ("tools/call", "", "", "-32602", "pipe", NEWEST_LEGACY) in front
        upstream = numbers(gateway, "mcp_client_operation_duration_seconds")
        assert [*upstream] == [("tools/call", "find", "lib", "")]
        assert [*numbers(gateway, "only1mcp_overhead_seconds")] == [("tools/call",)]


async def test_an_error_of_the_server_and_one_that_leaves_it_open() -> None:
    lost = ServerLost("lib", "gone")
    lib = library(answers={"tools/call": NOT_FOUND, "prompts/get": lost})
    async with gateway_of(lib) as gateway:
        await ask(gateway, "tools/call", {"name": "lib__find"})
        assert numbers(gateway, "only1mcp_outcome_unknown") == {}
        await ask(gateway, "prompts/get", {"name": "lib__greet"})
        unknown = numbers(gateway, "only1mcp_outcome_unknown")
        assert unknown == {("lib",): 1}


async def test_what_is_under_way() -> None:
    gate = Gate(text("done"))
    async with gateway_of(library(answers={"tools/call": gate})) as gateway:
        assert numbers(gateway, "only1mcp_requests_in_flight") == {(): 0}
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(gateway, "tools/call", {"name": "lib__find"}))
            await gate.entered.wait()
            assert numbers(gateway, "only1mcp_requests_in_flight") == {(): 1}
            assert numbers(gateway, "only1mcp_requests") == {}
            gate.open()
        assert numbers(gateway, "only1mcp_requests") == {("tools/call", "lib", "ok"): 1}
        assert numbers(gateway, "only1mcp_offered")["lib", "tools"] == 1


async def test_off_nothing_is_counted() -> None:
    async with gateway_of(library(), metrics={"enabled": False}) as gateway:
        watch = gateway.snapshot().watch
        assert watch is None or watch.meter is None
        assert numbers(gateway, "only1mcp_requests") == {}
