"""Whose a message on a shared channel is."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import begin, until
from only1mcp.protocol import message
from only1mcp.protocol.errors import ParseError, ServerLost, ServerProtocolError, ServerTimeout
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.subscription import ACKNOWLEDGED, LISTEN, TAG_KEY, UPDATED
from only1mcp.upstream.base import Call, NotificationSink
from only1mcp.upstream.mux import MAX_QUESTIONS, Mux
from only1mcp.upstream.pending import Pending


def overdue(why: str, hint: str) -> ServerTimeout:
    return ServerTimeout("s", why, hint=hint)


class Channel:
    """A mux, what it says, and what it hears that belongs to no call."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.heard: list[tuple[str, Any]] = []
        self.mux = Mux("s", self._say, self._hear, overdue)

    def _say(self, body: bytes) -> None:
        self.said.append(json.loads(body))

    def _hear(self, method: str, params: Raw) -> None:
        self.heard.append((method, message.any_value(params)))

    def take(self, body: Any) -> None:
        text = body if isinstance(body, bytes) else json.dumps({"jsonrpc": "2.0", **body}).encode()
        self.mux.take(message.decode(text), text)

    def call(self, method: str = "tools/call", **more: Any) -> Pending:
        return self.mux.begin(Call(method, **more))[0]


def log(level: str) -> dict[str, Any]:
    return {"method": "notifications/message", "params": {"level": level}}


async def never(method: str, params: Raw, tell: NotificationSink) -> bytes:
    await asyncio.Event().wait()
    return b""


async def test_ids_are_ours_and_answers_come_in_any_order() -> None:
    channel = Channel()
    (one, text), (two, _) = (channel.mux.begin(Call("ping")) for _ in range(2))
    assert json.loads(text) == {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    assert len(channel.mux) == 2
    channel.take({"id": 2, "result": 2})
    channel.take({"id": 1, "result": 1})
    assert [await channel.mux.answer(pending) for pending in (one, two)] == [b"1", b"2"]
    channel.take({"id": 1, "result": 1})
    assert (channel.mux.late, len(channel.mux)) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"id": 1},
        {"result": {}},
        b'{"method":"x"}',
        b'{"jsonrpc":"2.0","method":"x","params":{"a":"\xff"}}',
    ],
)
async def test_what_is_no_message(body: Any) -> None:
    with pytest.raises(ParseError):
        Channel().take(body)


async def test_an_answer_that_is_not_utf8_is_the_servers_fault() -> None:
    channel = Channel()
    pending = channel.call()
    channel.take(b'{"jsonrpc":"2.0","id":1,"result":"\xff"}')
    with pytest.raises(ServerProtocolError, match="not UTF-8"):
        await channel.mux.answer(pending)


async def test_a_log_message_is_that_of_the_only_call() -> None:
    channel = Channel()
    mine: list[str] = []
    channel.take(log("none"))
    channel.call(on_notification=lambda method, _: mine.append(method))
    channel.take(log("one"))
    channel.call()
    channel.take(log("two"))
    assert mine == ["notifications/message"]
    assert [params["level"] for _, params in channel.heard] == ["none", "two"]


async def test_progress_of_nobody_is_dropped() -> None:
    channel = Channel()
    channel.call()
    channel.take({"method": "notifications/progress", "params": {"progressToken": 1}})
    assert (channel.mux.late, channel.heard) == (1, [])


async def test_a_call_that_leaves_tells_the_server_and_ends_its_questions() -> None:
    channel = Channel()
    pending = channel.call(on_question=never)
    waiting = begin(channel.mux.answer(pending))
    channel.take({"id": "q", "method": "roots/list"})
    await asyncio.sleep(0)
    (question,) = pending.questions.values()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await until(question.cancelled)
    (said,) = channel.said
    assert (said["method"], said["params"]["requestId"]) == ("notifications/cancelled", 1)


async def test_a_question_that_comes_after_its_call_was_cancelled_is_not_the_next_ones() -> None:
    channel = Channel()
    waiting = begin(channel.mux.answer(channel.call(on_question=never, who="ann")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    heard: list[str] = []
    bob = channel.call(
        on_question=never, who="bob", on_notification=lambda method, _: heard.append(method)
    )
    channel.take({"id": "q", "method": "elicitation/create"})
    channel.take(log("of ann's, perhaps"))
    assert (bob.questions, heard) == ({}, [])
    assert "2 calls could have asked" in channel.said[-1]["error"]["message"]
    channel.take({"id": 1, "result": {}})
    channel.take({"id": "q", "method": "elicitation/create"})
    (question,) = bob.questions.values()
    question.cancel()
    await asyncio.wait([question])


async def test_a_handshake_is_never_cancelled() -> None:
    channel = Channel()
    waiting = begin(channel.mux.answer(channel.call("initialize")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert channel.said == []


async def test_the_longest_and_the_quietest_a_call_may_be() -> None:
    channel = Channel()
    quiet, long = channel.call(idle_s=0.01), channel.call(idle_s=9, max_s=0.01)
    with pytest.raises(ServerTimeout, match=r"sent nothing for 0\.01 s during tools/call"):
        await channel.mux.answer(quiet)
    with pytest.raises(ServerTimeout, match=r"took longer than 0\.01 s for tools/call"):
        await channel.mux.answer(long)
    assert len(channel.said) == 2


async def test_questions_are_bounded() -> None:
    channel = Channel()
    pending = channel.call(on_question=never)
    for number in range(MAX_QUESTIONS + 1):
        channel.take({"id": number, "method": "roots/list"})
    (said,) = channel.said
    assert (said["id"], said["error"]["code"]) == (MAX_QUESTIONS, -32601)
    questions = list(pending.questions.values())
    for question in questions:
        question.cancel()
    await asyncio.wait(questions)


async def test_the_end_gives_back_who_waits() -> None:
    channel = Channel()
    pending = channel.call(params={"name": as_raw("x")})
    assert channel.mux.end() == [pending]
    assert len(channel.mux) == 0


def frame(id: int, method: str, **params: Any) -> dict[str, Any]:
    return {"method": method, "params": {**params, "_meta": {TAG_KEY: id}}}


async def test_a_listen_hears_its_acknowledgement_and_the_server_wide_sink_the_rest() -> None:
    channel = Channel()
    acknowledged: list[str] = []
    channel.call(LISTEN, on_notification=lambda method, _: acknowledged.append(method))
    channel.take(frame(1, ACKNOWLEDGED, notifications={}))
    channel.take(frame(1, UPDATED, uri="a://b"))
    channel.take(frame(2, UPDATED, uri="a://b"))  # of a listen that has ended
    assert acknowledged == [ACKNOWLEDGED]
    assert [method for method, _ in channel.heard] == [UPDATED]
    assert channel.mux.late == 1


async def test_a_listen_is_no_call_that_logs() -> None:
    channel = Channel()
    heard: list[str] = []
    channel.call(LISTEN, on_notification=lambda method, _: heard.append("listen"))
    channel.take(log("info"))
    channel.call(on_notification=lambda method, _: heard.append("call"))
    channel.take(log("info"))
    assert heard == ["call"]
    assert len(channel.heard) == 1


async def test_a_server_hears_how_far_a_client_is_with_its_question() -> None:
    async def slow(method: str, params: Raw, tell: NotificationSink) -> bytes:
        tell("notifications/progress", as_raw({"progressToken": "t", "progress": 1}))
        return b"{}"

    channel = Channel()
    channel.call(on_question=slow)
    channel.take({"id": "q", "method": "roots/list"})
    await until(lambda: len(channel.said) == 2)
    said = {"method": "notifications/progress", "params": {"progressToken": "t", "progress": 1}}
    assert channel.said == [{"jsonrpc": "2.0", **said}, {"jsonrpc": "2.0", "id": "q", "result": {}}]


async def test_a_server_takes_its_question_back() -> None:
    channel = Channel()
    pending = channel.call(on_question=never)
    for id in ("one", "two"):
        channel.take({"id": id, "method": "roots/list"})
    await asyncio.sleep(0)
    one, two = pending.questions.values()
    channel.take({"method": "notifications/cancelled", "params": {"requestId": "one"}})
    await until(one.cancelled)
    assert (list(pending.questions), channel.said) == ([b'"two"'], [])
    two.cancel()
    await asyncio.wait([two])


async def test_a_server_ends_a_listen_with_a_cancellation_and_nothing_else() -> None:
    channel = Channel()
    listen, call = channel.call(LISTEN), channel.call()
    for id in (listen.id, call.id, 99, None):
        channel.take({"method": "notifications/cancelled", "params": {"requestId": id}})
    with pytest.raises(ServerLost, match="ended subscriptions/listen"):
        await channel.mux.answer(listen)
    assert not call.answer.done()
