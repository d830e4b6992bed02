"""What a client gets at each limit, over a real socket; the limits are small for the tests.

Sessions, streams and requests on them: tests/server/test_streamable_session.py, test_sse.py;
events that a client may resume from: tests/server/test_events.py.
"""

from typing import Any

import pytest

from fakes.edge import until
from fakes.mirror import Json
from fakes.upstream import FakeUpstream, library, offers, served, text, unheard
from fakes.wire import BOTH, Web, as_bytes, error, headers_of, last, modern, web
from only1mcp.gateway import Gateway
from only1mcp.protocol.message import as_raw
from only1mcp.relay import audience, bridge, subscriptions
from only1mcp.upstream import connections
from only1mcp.upstream.base import Call

ELICITS: Json = {"elicitation": {}}


async def asks(call: Call) -> Any:
    """A handshake server's tool that asks before it answers."""
    assert call.on_question is not None
    params = as_raw({"message": "Name?", "requestedSchema": {}})
    await call.on_question("elicitation/create", params, unheard)
    return text("thanks")


async def call(wire: Web, id: int = 1) -> Json:
    """The answer to a modern client that may be asked."""
    params = {"name": "lib__find", "arguments": {}}
    return last(await wire.modern("tools/call", params, id=id, clientCapabilities=ELICITS))


async def test_calls_that_wait_for_their_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "MAX_PARKED", 1)
    lib = library(answers={"tools/call": asks})
    async with served(lib) as (gateway, url), web(url) as wire:
        await up(gateway)
        parked = (await call(wire))["result"]
        assert parked["resultType"] == "input_required"
        refused = (await call(wire, 2))["error"]
        assert refused["code"] == -31005
        assert refused["data"] == {
            "server": "lib",
            "outcome": "not_sent",
            "hint": "answer or abandon some; try again later",
        }
        again = await wire.modern("tools/call", answered(parked), clientCapabilities=ELICITS)
        assert last(again)["result"]["content"] == text("thanks")["content"]
        assert (await call(wire, 3))["result"]["resultType"] == "input_required", "there is room"


def answered(parked: Json) -> Json:
    """The same call with what it waits for."""
    given = {key: {"action": "accept", "content": {}} for key in parked["inputRequests"]}
    more = {"inputResponses": given, "requestState": parked["requestState"]}
    return {"name": "lib__find", "arguments": {}, **more}


async def up(gateway: Gateway) -> None:
    """Wait until the lists are there and have been announced."""
    await until(lambda: gateway._announcing is None)


async def test_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "MAX_LISTENS", 1)
    params = {"notifications": {"toolsListChanged": True}}
    body = modern("subscriptions/listen", params)
    headers = {**headers_of(body), "Accept": BOTH, "Content-Type": "application/json"}
    async with served(library()) as (gateway, url), web(url) as wire:
        async with wire.http.stream("POST", url, headers=headers, content=as_bytes(body)) as held:
            assert held.status_code == 200
            response = await wire.modern("subscriptions/listen", params, id=2)
            assert error(response) == (400, -32600)
            assert "holds 1 listens; try again later" in last(response)["error"]["message"]
        await until(lambda: len(gateway._audience) == 0)


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("MAX_URIS", "at most 1 resources can be subscribed to at once"),
        ("MAX_WATCHED", "server 'lib' has 1 subscriptions already"),
    ],
)
async def test_subscriptions(monkeypatch: pytest.MonkeyPatch, limit: str, said: str) -> None:
    monkeypatch.setattr(subscriptions, limit, 1)
    can = {"resources": {"subscribe": True}}
    offered = offers(resources=["lib://a", "lib://b"])
    lib = FakeUpstream("lib", {**offered, "resources/subscribe": {}}, capabilities=can)
    async with served(lib) as (gateway, url), web(url) as wire:
        await up(gateway)
        session = await wire.open()
        assert (await session.ask("resources/subscribe", {"uri": "lib://a"}))["result"] == {}
        refused = (await session.ask("resources/subscribe", {"uri": "lib://b"}))["error"]
        assert (refused["code"], refused["message"]) == (-32600, said)


async def test_isolated_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    alone = {"lib": {"isolation": "session"}}
    async with served(library(), entries=alone) as (gateway, url), web(url) as wire:
        await up(gateway)
        gateway.roster.servers["lib"].replicas[0].further._make = lambda era: library()
        first, second = await wire.open(), await wire.open()
        params = {"name": "lib__find"}
        assert "result" in await first.ask("tools/call", params)
        refused = (await second.ask("tools/call", params))["error"]
        assert refused["code"] == -31001
        assert refused["data"]["hint"] == "close some sessions, or set isolation: shared for it"
        await wire.http.delete(url, headers=first.headers)
        assert "result" in await second.ask("tools/call", params), "there is room"
