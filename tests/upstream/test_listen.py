"""The GET stream: opened again with back-off, resumed where it broke, given up when refused."""

import asyncio
from collections.abc import Callable

import pytest

from only1mcp.protocol.errors import (
    AnswerTooLarge,
    McpError,
    ParseError,
    ServerLost,
    ServerUnavailable,
)
from only1mcp.protocol.message import Message
from only1mcp.protocol.sse import Event, Parser
from only1mcp.upstream import listen
from only1mcp.upstream.connection import Exchange, Response
from only1mcp.upstream.listen import Stream, follow

STREAM = Response(200, {}, b"", True)
REFUSED = Response(405, {}, b"", False)
Step = Response | McpError | Callable[[Exchange], Response]


class Pool:
    """Answers from a list; remembers the heads."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.heads: list[bytes] = []

    async def request(self, exchange: Exchange, head: bytes) -> Response:
        self.heads.append(head)
        step = self.steps.pop(0)
        if isinstance(step, McpError):
            raise step
        return step(exchange) if callable(step) else step


def brings(*chunks: bytes) -> Callable[[Exchange], Response]:
    def step(exchange: Exchange) -> Response:
        if exchange.events is None:
            exchange.events = Parser(1000)
        for chunk in chunks:
            for event in exchange.events.feed(chunk):
                assert not exchange.on_event(event)
        return STREAM

    return step


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses taken, without taking them."""
    taken: list[float] = []

    async def note(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    monkeypatch.setattr(listen, "_jitter", lambda: 1.0)
    return taken


class Rig:
    """A followed stream and what it brought."""

    def __init__(self, *steps: Step) -> None:
        self.pool = Pool(*steps)
        self.messages: list[Message] = []
        self.unreachable: list[str] = []

    async def run(self) -> Response:
        stream = Stream(self.messages.append)
        pool, told = self.pool, self.unreachable.append
        return await follow(pool, lambda last_id: b"GET " + last_id, stream, told)  # type: ignore[arg-type]


async def test_a_server_without_the_stream_is_left_alone(pauses: list[float]) -> None:
    rig = Rig(REFUSED)
    assert await rig.run() is REFUSED
    assert pauses == []


async def test_messages_are_passed_on_and_all_else_is_skipped(pauses: list[float]) -> None:
    rig = Rig(
        brings(
            b"id: 1\ndata:\n\n",
            b'data: {"jsonrpc":"2.0","method":"a"}\n\n',
            b"data: {oops\n\n",
            b'event: ping\ndata: {"jsonrpc":"2.0","method":"b"}\n\n',
            b'data: {"jsonrpc":"2.0","method":"c","id":1}\n\n',
        ),
        REFUSED,
    )
    await rig.run()
    assert [found.method for found in rig.messages] == ["a", "c"]


async def test_a_broken_stream_goes_on_after_the_last_event(pauses: list[float]) -> None:
    lost = ServerLost("s", "gone")
    rig = Rig(brings(b"id: 7\ndata: {}\n\n"), lost, brings(b"id: 8\ndata: {}\n\n"), REFUSED)
    await rig.run()
    assert rig.pool.heads == [b"GET ", b"GET 7", b"GET 7", b"GET 8"]


async def test_the_pause_doubles_until_something_is_heard(pauses: list[float]) -> None:
    steps: list[Step] = [STREAM, ServerLost("s", ""), *[ServerUnavailable("s", "no")] * 6]
    rig = Rig(*steps, brings(b"data: {}\n\n"), STREAM, REFUSED)
    await rig.run()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60, 1]
    assert rig.unreachable == ["no"] * 6


async def test_the_servers_own_pause_is_kept_but_not_below_the_shortest(
    pauses: list[float],
) -> None:
    again = ServerUnavailable("s", "no")
    rig = Rig(brings(b"retry: 500\n\n"), brings(b"retry: 0\n\n"), STREAM, again, REFUSED)
    await rig.run()
    assert pauses == [0.5, listen.SHORTEST_PAUSE_S, listen.SHORTEST_PAUSE_S, 8]


@pytest.mark.parametrize("status", [409, 429, 500, 503])
async def test_some_refusals_are_for_now_only(pauses: list[float], status: int) -> None:
    rig = Rig(Response(status, {}, b"", False), AnswerTooLarge("s", "big"), REFUSED)
    assert await rig.run() is REFUSED
    assert len(pauses) == 2


def test_jitter_spreads_a_fifth_to_both_sides() -> None:
    assert all(0.8 <= listen._jitter() <= 1.2 for _ in range(100))


def test_what_an_event_carries() -> None:
    assert listen.messages_in(Event(b"")) == []
    assert listen.messages_in(Event(b"{}", b"other")) == []
    batch = Event(b'[{"method":"x"}, {"method":"y"}]', b"message")
    assert [found.method for found in listen.messages_in(batch)] == ["x", "y"]
    for data in (b"{oops", b"[oops", b"7"):
        with pytest.raises(ParseError):
            listen.messages_in(Event(data))
