"""Whose a question of a server is: the only call that can have led to it, or nobody's."""

import asyncio
from dataclasses import dataclass, field

import pytest
from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.tasks import RELATED
from only1mcp.upstream import askers
from only1mcp.upstream.askers import GIVEN_UP_S, GivenUp, asker
from only1mcp.upstream.base import Call, NotificationSink


@dataclass
class One:
    call: Call
    questions: dict[bytes, asyncio.Task[None]] = field(default_factory=dict)


async def answer(method: str, params: Raw, tell: NotificationSink) -> bytes:
    return b"{}"


def asked(who: str = "ann", method: str = "tools/call") -> One:
    return One(Call(method, on_question=answer, who=who))


def deaf(method: str = "tools/call") -> One:
    """A call whose client takes no questions."""
    return One(Call(method, who="bob"))


def said(calls: int) -> str:
    """Why no client is asked, and what would mend it."""
    cure = "isolation and a token each keep clients apart, or call again when it is alone"
    return f"{calls} calls could have asked, so no client is asked; {cure}"


ASK = message.decode(b'{"jsonrpc":"2.0","id":1,"method":"roots/list"}')


@pytest.mark.parametrize("method", ["tasks/get", "x/y", "ping"])
def test_what_no_client_takes_is_put_to_none(method: str) -> None:
    request = message.decode(b'{"jsonrpc":"2.0","id":1,"method":"%b"}' % method.encode())
    assert asker(request, [asked()]) == "no client takes such a question"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_only_call_is_asked() -> None:
    ann = asked()
    own = [deaf(method) for method in ("initialize", "ping", "tools/list", "subscriptions/listen")]
    assert asker(ASK, [*own, ann], GivenUp(Clock())) is ann


@pytest.mark.parametrize("method", ["tools/call", "completion/complete", "tasks/get", "x/own"])
def test_a_call_whose_client_takes_no_questions_may_have_led_to_it(method: str) -> None:
    assert asker(ASK, [deaf(method), asked()]) == said(2)
    assert asker(ASK, [deaf(method)]) == "the client of the call takes no questions"


def test_so_may_a_call_that_was_given_up_until_its_late_answer() -> None:
    ann, given_up = asked("ann"), GivenUp(Clock())
    given_up.note(b"1", Call("tools/call", who="bob"))
    given_up.note(b"2", Call("tools/list", who=""))
    assert asker(ASK, [ann], given_up) == said(2)
    assert asker(ASK, [], given_up) == said(1)
    given_up.answered(b"1")
    assert asker(ASK, [ann], given_up) is ann


def test_or_for_so_long() -> None:
    clock, ann = Clock(), asked()
    given_up = GivenUp(clock)
    given_up.note(b"1", Call("tools/call", who="bob"))
    clock.now = GIVEN_UP_S - 1
    assert isinstance(asker(ASK, [ann], given_up), str)
    clock.now = GIVEN_UP_S
    assert asker(ASK, [ann], given_up) is ann
    assert len(given_up) == 0


def test_a_client_is_asked_about_what_it_gave_up_itself() -> None:
    ann, nobody, given_up = asked("ann"), asked(""), GivenUp(Clock())
    given_up.note(b"1", Call("tools/call", who="ann"))
    assert asker(ASK, [ann], given_up) is ann
    given_up.note(b"2", Call("tools/call"))
    given_up.answered(b"1")
    assert isinstance(asker(ASK, [nobody], given_up), str), "two without a name may be two"


def test_what_was_given_up_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askers, "MAX_GIVEN_UP", 2)
    given_up = GivenUp(Clock())
    for id in (b"1", b"2", b"3"):
        given_up.note(id, Call("tools/call", who="bob"))
    assert len(given_up) == 2


def test_a_question_of_a_task_is_for_who_waits_for_its_result() -> None:
    params = {"_meta": {RELATED: {"taskId": "t"}}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": params}
    request, given_up = message.decode(message.encode(body)), GivenUp(Clock())
    given_up.note(b"1", Call("tools/call", who="bob"))
    for other in (asked(), result_of("u"), result_of("t", method="tasks/get")):
        refused = asker(request, [other], given_up)
        assert refused == "nobody waits for the result of its task, so no client is asked"
    waiting = result_of("t")
    assert asker(request, [asked(), waiting, result_of("u")], given_up) is waiting


def result_of(task: str, method: str = "tasks/result") -> One:
    return One(Call(method, {"taskId": as_raw(task)}, on_question=answer, who="ann"))
