"""One listen held at a modern server: switched without a gap, opened again after a loss."""

import asyncio
from collections.abc import AsyncIterator
from math import inf
from typing import Any

import pytest
import pytest_asyncio

from fakes.edge import PATIENCE_S
from fakes.upstream import FakeUpstream
from only1mcp.protocol.errors import McpError, ServerTimeout, UpstreamError
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.subscription import ACKNOWLEDGED, FLAGS, Filter
from only1mcp.relay import listening
from only1mcp.relay.listening import Listening, declared
from only1mcp.upstream.base import Call

TOOLS = "notifications/tools/list_changed"
CAN = {"tools": {"listChanged": True}, "prompts": {"listChanged": False}, "resources": {}}


class Speaker(FakeUpstream):
    """A modern server whose listens end when the test says so."""

    def __init__(self, capabilities: dict[str, Any] | None = None) -> None:
        super().__init__("talks", modern=True, capabilities=capabilities or CAN)
        self.ends: list[asyncio.Future[McpError | None]] = []
        self.mute = False
        self.answers["subscriptions/listen"] = self._listen
        self.opened = asyncio.Condition()

    async def _listen(self, call: Call) -> dict[str, str]:
        end: asyncio.Future[McpError | None] = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        assert call.params is not None and call.on_notification is not None
        if not self.mute:
            body = {"notifications": call.params["notifications"]}
            call.on_notification(ACKNOWLEDGED, as_raw(body))
        async with self.opened:
            self.opened.notify_all()
        if (fault := await end) is not None:
            raise fault
        return {"resultType": "complete"}

    async def until(self, count: int) -> None:
        """Wait for so many listens."""
        async with asyncio.timeout(PATIENCE_S), self.opened:
            await self.opened.wait_for(lambda: len(self.ends) >= count)

    @property
    def filters(self) -> list[Any]:
        """Of all listens so far."""
        return [params["notifications"] for params in self.asked("subscriptions/listen")]


class Ears:
    """A listening and what it hears."""

    def __init__(self, server: Speaker) -> None:
        self.uris: tuple[str, ...] = ()
        self.heard: list[Filter] = []
        self._news = asyncio.Event()
        self.server = server
        methods = declared(server.greeting.capabilities)

        async def connect() -> Speaker:
            return server

        def wanted() -> Filter:
            return Filter(methods, self.uris)

        self.listening = Listening("talks", connect, wanted, self._again)

    def _again(self, agreed: Filter) -> None:
        self.heard.append(agreed)
        self._news.set()

    async def until(self, count: int) -> None:
        """Wait until so much was heard."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def server() -> Speaker:
    return Speaker()


@pytest_asyncio.fixture
async def ears(server: Speaker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ears]:
    monkeypatch.setattr(listening, "FIRST_PAUSE_S", 0.001)
    ears = Ears(server)
    yield ears
    await ears.listening.close()


def test_what_is_declared_is_listened_to() -> None:
    assert declared(CAN) == {TOOLS}
    assert declared(
        {kind: {"listChanged": True} for kind in ("tools", "prompts", "resources")}
    ) == {*FLAGS.values()}
    assert declared({"tools": {"listChanged": 1}, "prompts": True}) == frozenset()


async def test_one_stream_serves_until_more_is_wanted(server: Speaker, ears: Ears) -> None:
    assert await ears.listening.cover() == Filter(frozenset({TOOLS}))
    await ears.listening.cover()
    ears.uris = ("a://b",)
    found = await asyncio.gather(*(ears.listening.cover() for _ in range(3)))
    assert found == [Filter(frozenset({TOOLS}), ("a://b",))] * 3
    changed = {"toolsListChanged": True}
    assert server.filters == [changed, changed | {"resourceSubscriptions": ["a://b"]}]
    await asyncio.sleep(0)
    assert server.cancelled == ["subscriptions/listen"]
    (first, second) = server.sent
    assert first.idle_s == second.max_s == inf


async def test_where_nothing_is_wanted_there_is_no_stream(ears: Ears) -> None:
    silent = Ears(Speaker({"tools": {}}))
    assert await silent.listening.cover() == Filter()
    silent.uris = ("a://b",)
    await silent.listening.cover()
    silent.uris = ()
    assert await silent.listening.cover() == Filter()
    await asyncio.sleep(0)
    assert (len(silent.server.ends), len(silent.server.cancelled)) == (1, 1)
    await silent.listening.close()


async def test_a_refusal_is_the_servers_own_and_the_former_stream_stays(
    server: Speaker, ears: Ears
) -> None:
    await ears.listening.cover()
    refusal = UpstreamError(b"{}", -32601, "no such thing")
    server.answers["subscriptions/listen"] = refusal
    ears.uris = ("a://b",)
    with pytest.raises(UpstreamError):
        await ears.listening.cover()
    ears.uris = ()
    assert await ears.listening.cover() == Filter(frozenset({TOOLS}))
    assert server.cancelled == []


async def test_a_server_that_does_not_acknowledge_is_not_waited_for(
    server: Speaker, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "ACK_S", 0.01)
    server.mute = True
    with pytest.raises(ServerTimeout, match="did not acknowledge"):
        await ears.listening.cover()
    await asyncio.sleep(0)
    assert server.cancelled == ["subscriptions/listen"]


async def test_insisting_ends_with_a_stream(
    server: Speaker, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "ACK_S", 0.01)
    server.mute = True
    for _ in range(2):  # twice is once
        ears.listening.insist()
    await server.until(2)
    server.mute = False
    await ears.until(1)
    assert ears.heard == [Filter(frozenset({TOOLS}))]  # it may have changed meanwhile


async def test_a_server_that_ends_it_at_once_has_not_acknowledged(
    server: Speaker, ears: Ears
) -> None:
    server.answers["subscriptions/listen"] = {"resultType": "complete"}
    with pytest.raises(ServerTimeout, match="at once"):
        await ears.listening.cover()


@pytest.mark.parametrize("fault", [None, ServerTimeout("talks", "broken")])
async def test_a_stream_that_is_lost_is_opened_again_and_all_may_have_changed(
    server: Speaker, ears: Ears, fault: McpError | None
) -> None:
    ears.uris = ("a://b",)
    await ears.listening.cover()
    server.ends[0].set_result(fault)
    await ears.until(1)
    assert ears.heard == [Filter(frozenset({TOOLS}), ("a://b",))]


async def test_a_server_that_no_longer_takes_it_is_left_alone(
    server: Speaker, ears: Ears, caplog: pytest.LogCaptureFixture
) -> None:
    await ears.listening.cover()
    server.answers["subscriptions/listen"] = UpstreamError(b"{}", -32601, "gone")
    server.ends[0].set_result(None)
    async with asyncio.timeout(PATIENCE_S):
        while ears.listening._tasks._tasks:
            await asyncio.wait(ears.listening._tasks._tasks)
    assert "gone" in caplog.text
    assert len(server.calls) == 2
    assert ears.heard == [Filter()]
