"""Reference counts per server and URI, and what the servers are told of them."""

import asyncio
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import PATIENCE_S
from fakes.upstream import FakeUpstream, Gate, attach
from only1mcp.config.servers import Server, Stdio
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    InvalidRequest,
    MethodNotFound,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.subscription import (
    ACKNOWLEDGED,
    LISTEN,
    MAX_URIS,
    SUBSCRIBE,
    UNSUBSCRIBE,
    UPDATED,
)
from only1mcp.relay import listening, subscriptions
from only1mcp.relay.subscriptions import Place, Subscriptions
from only1mcp.upstream.base import Call, Greeting
from only1mcp.upstream.replica import Replica
from only1mcp.upstream.roster import Live

A, B = Place("lib", "lib://a"), Place("lib", "lib://b")


class Desk:
    """Subscriptions over one server that is up."""

    def __init__(self, upstream: FakeUpstream) -> None:
        self.upstream = upstream
        self.told: list[tuple[str, Any]] = []
        self.live = Live(server("lib"), _never, _quietly)
        attach(self.live, upstream)
        self.held = Subscriptions({"lib": self.live}, self._tell)

    def _tell(
        self, live: Live, method: str, params: Raw, place: str = "", who: str | None = None
    ) -> None:
        self.told.append((method, message.any_value(params)))

    def said(self) -> list[tuple[str, str]]:
        """What the server was told: method and URI."""
        return [(method, params["uri"]) for method, params in self.upstream.calls]

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        async with asyncio.timeout(PATIENCE_S):
            while self.held._tasks._tasks:
                await asyncio.wait(self.held._tasks._tasks)


def server(id: str) -> Server:
    return Server(id=id, transport=Stdio(command="never-started"))


def _never(live: Live, replica: Replica, era: str) -> FakeUpstream:
    raise AssertionError("nobody connects here")


async def _quietly(upstream: object) -> None:
    """Nobody needs to hear of a greeting."""


def legacy(**answers: Any) -> Desk:
    return Desk(FakeUpstream("lib", {SUBSCRIBE: {}, UNSUBSCRIBE: {}} | answers))


def modern(agreed: list[str] | None = None) -> Desk:
    """A server that agrees to everything, or to these URIs only."""

    async def listen(call: Call) -> None:
        assert call.params is not None and call.on_notification is not None
        wanted: Any = call.params["notifications"]
        if agreed is not None:
            wanted = {"resourceSubscriptions": agreed}
        call.on_notification(ACKNOWLEDGED, as_raw({"notifications": wanted}))
        await asyncio.Event().wait()

    return Desk(FakeUpstream("lib", {LISTEN: listen}, modern=True))


async def test_the_server_sees_the_first_and_the_last() -> None:
    desk = legacy()
    for owner in ("one", "two", "one"):
        await desk.held.subscribe(owner, A)
    await desk.held.unsubscribe("one", A)
    await desk.held.unsubscribe("nobody", A)
    assert desk.said() == [(SUBSCRIBE, A.uri)]
    await desk.held.unsubscribe("two", A)
    assert desk.said() == [(SUBSCRIBE, A.uri), (UNSUBSCRIBE, A.uri)]
    await desk.held.subscribe("one", A)
    assert desk.said()[2:] == [(SUBSCRIBE, A.uri)]


async def test_who_hears_of_what() -> None:
    desk = legacy()
    await desk.held.subscribe("one", A)
    await desk.held.subscribe("two", B)
    assert desk.held.owners("lib", A.uri) == desk.held.owners("lib", A.uri + "/part") == {"one"}
    assert desk.held.owners("lib", "lib://c") == set()
    desk.held.end("one")
    assert desk.held.owners("lib", A.uri) == set()


async def test_an_owner_that_ends_takes_its_subscriptions_along() -> None:
    desk = legacy()
    for place in (A, B):
        await desk.held.subscribe("one", place)
    await desk.held.subscribe("two", B)
    desk.held.end("one")
    await desk.settled()
    assert desk.said()[2:] == [(UNSUBSCRIBE, A.uri)]


async def test_a_refusal_is_passed_on_and_nothing_is_kept() -> None:
    desk = legacy(**{SUBSCRIBE: UpstreamError(b"{}", -32601, "no")})
    with pytest.raises(UpstreamError):
        await desk.held.subscribe("one", A)
    await desk.settled()
    assert desk.held.owners("lib", A.uri) == set()
    assert desk.said() == [(SUBSCRIBE, A.uri)]
    assert desk.held._watched == {"lib": {}}


async def test_without_a_server_there_is_no_subscription() -> None:
    desk = legacy()
    attach(desk.live, None)
    with pytest.raises(ServerUnavailable):
        await desk.held.subscribe("one", A)


async def test_a_client_that_gives_up_leaves_nothing_behind() -> None:
    gate = Gate({})
    desk = legacy(**{SUBSCRIBE: gate})
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        task = group.create_task(desk.held.subscribe("one", A))
        await gate.entered.wait()
        task.cancel()
        await asyncio.sleep(0)
        gate.open()
    await desk.settled()
    assert desk.said() == [(SUBSCRIBE, A.uri), (UNSUBSCRIBE, A.uri)]
    assert desk.held._watched == {"lib": {}}


async def test_many_are_granted_as_far_as_the_server_goes_in_time() -> None:
    gate = Gate({})
    desk = legacy(**{SUBSCRIBE: lambda call: gate(call) if call.name == B.uri else {}})
    async with asyncio.timeout(PATIENCE_S):
        assert await desk.held.subscribe_all("one", [A, B], 0.01) == [A]
        gate.open()
        await desk.settled()
    assert desk.held.owners("lib", B.uri) == set()
    assert desk.said()[-1] == (UNSUBSCRIBE, B.uri)


async def test_a_modern_server_is_asked_for_all_at_once() -> None:
    desk = modern()
    places = [Place("lib", f"lib://{number}") for number in range(50)]
    assert await desk.held.subscribe_all("one", places, PATIENCE_S) == places
    (listen,) = desk.upstream.asked(LISTEN)
    assert listen["notifications"] == {"resourceSubscriptions": [place.uri for place in places]}
    await desk.held.unsubscribe("one", places[0])
    assert len(desk.upstream.asked(LISTEN)[1]["notifications"]["resourceSubscriptions"]) == 49
    await desk.held.close()


async def test_what_a_modern_server_does_not_agree_to_is_refused() -> None:
    desk = modern([A.uri])
    await desk.held.subscribe("one", A)
    with pytest.raises(MethodNotFound, match="announces no updates"):
        await desk.held.subscribe("one", B)
    await desk.held.close()


@pytest.mark.parametrize("connect", ["anew", "session"])
async def test_a_server_that_forgot_is_told_again(connect: str) -> None:
    desk = legacy()
    await desk.held.joined(desk.live)
    await desk.held.subscribe("one", A)
    desk.held.changed(desk.live)  # as before
    await desk.settled()
    assert desk.told == []
    if connect == "anew":
        desk.upstream = FakeUpstream("lib", desk.upstream.answers)
        attach(desk.live, desk.upstream)
        await desk.held.joined(desk.live)
    else:
        desk.upstream.greeting = Greeting("2025-11-25", modern=False)
        desk.held.changed(desk.live)
    await desk.settled()
    assert desk.said()[-1] == (SUBSCRIBE, A.uri)
    assert desk.told == [(UPDATED, {"uri": A.uri})]  # it may have changed meanwhile


async def test_a_modern_server_that_comes_back_is_listened_to_again() -> None:
    desk = modern()
    await desk.held.joined(desk.live)
    await desk.held.subscribe("one", A)
    again = modern().upstream
    attach(desk.live, again)
    await desk.held.joined(desk.live)
    await desk.settled()
    (listen,) = again.asked(LISTEN)
    assert listen["notifications"] == {"resourceSubscriptions": [A.uri]}
    await desk.held.close()


async def test_a_modern_server_that_is_too_slow_to_agree_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "FIRST_PAUSE_S", 0.001)
    desk = modern()
    desk.upstream.greeting.capabilities["tools"] = {"listChanged": True}
    heard = desk.upstream.answers[LISTEN]
    desk.upstream.answers[LISTEN] = ServerTimeout("lib", "not today")
    await desk.held.joined(desk.live)
    desk.upstream.answers[LISTEN] = heard
    async with asyncio.timeout(PATIENCE_S):
        while not desk.told:  # noqa: ASYNC110 - the retry says so
            await asyncio.sleep(0)
    assert desk.told == [("notifications/tools/list_changed", {})]
    await desk.held.close()


async def test_an_owner_has_a_bound() -> None:
    desk = legacy()
    many = [Place("lib", f"lib://{number}") for number in range(MAX_URIS)]
    assert len(await desk.held.subscribe_all("one", many, PATIENCE_S)) == MAX_URIS
    with pytest.raises(InvalidRequest, match=str(MAX_URIS)):
        await desk.held.subscribe("one", A)
    await desk.held.subscribe("two", A)


async def test_a_server_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "MAX_WATCHED", 1)
    desk = legacy()
    await desk.held.subscribe("one", A)
    with pytest.raises(InvalidRequest, match="server 'lib' has 1"):
        await desk.held.subscribe("one", B)
