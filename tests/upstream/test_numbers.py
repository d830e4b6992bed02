"""What is said of servers and their replicas; that it moves is in tests/e2e/test_metrics.py."""

from fakes.upstream import ask, gateway_of, library
from only1mcp.gateway import Gateway
from only1mcp.observe.metrics import Metrics, Room, Value
from only1mcp.upstream.numbers import FAMILIES


def numbers(gateway: Gateway) -> dict[str, dict[tuple[str, ...], Value]]:
    found = Metrics(Room(FAMILIES, lambda: gateway.roster.servers)).collect()
    return {family.name: dict(samples) for family, samples in found}


async def test_one_state_is_the_one_it_is_in() -> None:
    async with gateway_of(library(), entries={"off": {"enabled": False}}) as gateway:
        found = numbers(gateway)
        states = [labels for labels, value in found["only1mcp_server_state"].items() if value]
        assert states == [("lib", "ready"), ("off", "disabled")]
        closed = [labels for labels, value in found["only1mcp_breaker_state"].items() if value]
        assert [(server, state) for server, _, state in closed] == [
            ("lib", "closed"),
            ("off", "closed"),
        ]


async def test_calls_of_a_replica() -> None:
    async with gateway_of(library()) as gateway:
        (before,) = numbers(gateway)["only1mcp_replica_calls"].values()
        await ask(gateway, "tools/call", {"name": "lib__find"})
        (after,) = numbers(gateway)["only1mcp_replica_calls"].values()
        assert after == before + 1  # type: ignore[operator]
        assert numbers(gateway)["only1mcp_server_wait_seconds"] == {}
