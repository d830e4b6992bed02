"""What the client side says of itself; that it moves is in tests/e2e/test_metrics.py."""

from fakes.upstream import library, served
from fakes.wire import web
from only1mcp.observe.metrics import Metrics, Room, Value
from only1mcp.server.numbers import FAMILIES, Front


def numbers(front: Front) -> dict[str, Value]:
    found = Metrics(Room(FAMILIES, lambda: front)).collect()
    return {family.name: value for family, samples in found for _, value in samples}


async def test_bytes_stay_counted_when_their_connection_has_ended() -> None:
    async with served(library()) as (gateway, url):
        front = gateway._front()
        assert front is not None
        assert numbers(front)["only1mcp_client_connections_accepted"] == 0
        async with web(url) as wire:
            sent = (await wire.post(b"{}")).request
            during = numbers(front)
            assert during["only1mcp_client_connections"] == 1
            assert during["only1mcp_client_received_bytes"] > len(sent.content)  # type: ignore[operator]
        await gateway.edge.close()  # type: ignore[union-attr]
        after = numbers(front)
        assert after["only1mcp_client_connections"] == 0
        assert after["only1mcp_client_connections_accepted"] == 1
        for name in ("only1mcp_client_received_bytes", "only1mcp_client_sent_bytes"):
            assert after[name] == during[name]
