"""`subscriptions/listen` on two pipes: frames are told apart by their mark, a note ends them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from msgspec import Raw

from fakes.edge import PATIENCE_S, until
from fakes.upstream import gateway_of, library
from only1mcp.gateway import Gateway
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.subscription import ACKNOWLEDGED, LISTEN, TAG_KEY, UPDATED
from only1mcp.server.stdio import StdioEdge

PROMPTS = "notifications/prompts/list_changed"


class Pipes:
    """A client on the other side of the pipes."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.lines = asyncio.StreamReader()
        self.heard: list[Any] = []
        self.edge = gateway._stdio = StdioEdge(gateway.snapshot, self._take)
        self.tasks = Tasks()
        self.serving = self.tasks.start(self.edge.serve(self.lines), "serve")

    def _take(self, line: bytes) -> None:
        self.heard.append(json.loads(line))

    def say(self, method: str, params: Any, **more: Any) -> None:
        """Write one message."""
        body = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        self.lines.feed_data(json.dumps(body).encode() + b"\n")

    async def listen(self, id: Any, **notifications: Any) -> Any:
        """Begin a listen; its first frame."""
        count = len(self.heard)
        self.say(LISTEN, {"notifications": notifications, "_meta": own_meta({})}, id=id)
        await until(lambda: len(self.heard) > count)
        return self.heard[count]

    def server_says(self, method: str, params: bytes = b"{}") -> None:
        """A notification of the server that belongs to no call."""
        self.gateway._from_server(self.gateway.roster.servers["lib"], method, Raw(params))


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Pipes]:
    lib = library(answers={"resources/subscribe": {}, "resources/unsubscribe": {}})
    async with gateway_of(lib) as gateway:
        pipes = Pipes(gateway)
        yield pipes
        await pipes.tasks.close()


async def test_each_frame_says_whose_it_is(client: Pipes) -> None:
    first = await client.listen(1, resourceSubscriptions=["lib://a"])
    assert first["method"] == ACKNOWLEDGED
    assert first["params"] == {
        "notifications": {"resourceSubscriptions": ["lib://a"]},
        "_meta": {TAG_KEY: 1},
    }
    await client.listen("1", promptsListChanged=True)
    client.server_says(UPDATED, b'{"uri":"lib://a"}')
    client.server_says(PROMPTS)
    await until(lambda: len(client.heard) == 4)
    assert client.heard[2]["params"] == {"uri": "lib://a", "_meta": {TAG_KEY: 1}}
    assert client.heard[3]["method"] == PROMPTS
    assert client.heard[3]["params"] == {"_meta": {TAG_KEY: "1"}}


async def test_a_note_ends_it_without_an_answer(client: Pipes) -> None:
    await client.listen(1, resourceSubscriptions=["lib://a"])
    client.say("notifications/cancelled", {"requestId": 1})
    audience = client.gateway.snapshot().audience
    await until(lambda: len(audience) == 0)
    client.server_says(UPDATED, b'{"uri":"lib://a"}')
    assert len(client.heard) == 1


async def test_the_end_of_the_input_ends_it_at_once_and_properly(client: Pipes) -> None:
    await client.listen(1, promptsListChanged=True)
    client.lines.feed_eof()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait([client.serving])
    assert client.heard[1]["result"] == {"resultType": "complete", "_meta": {TAG_KEY: 1}}


async def test_a_handshake_client_hears_on_its_one_channel(client: Pipes) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}
    client.say("initialize", hello, id=0)
    client.say("resources/subscribe", {"uri": "lib://a"}, id=1)
    await until(lambda: len(client.heard) == 2)
    client.server_says(UPDATED, b'{"uri":"lib://a"}')
    assert client.heard[2] == {"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": "lib://a"}}
