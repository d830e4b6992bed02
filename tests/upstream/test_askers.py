"""Whose a question of a server is: the only call that can have led to it, or nobody's."""

import asyncio
from dataclasses import dataclass, field

import pytest
from msgspec import Raw

from only1mcp.upstream import askers
from only1mcp.upstream.askers import GIVEN_UP_S, GivenUp, asker
from only1mcp.upstream.base import Call


@dataclass
class One:
    call: Call
    questions: dict[bytes, asyncio.Task[None]] = field(default_factory=dict)


async def answer(method: str, params: Raw) -> bytes:
    return b"{}"


def asked(who: str = "ann", method: str = "tools/call") -> One:
    return One(Call(method, on_question=answer, who=who))


def deaf(method: str = "tools/call") -> One:
    """A call whose client takes no questions."""
    return One(Call(method, who="bob"))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_only_call_is_asked() -> None:
    ann = asked()
    own = [deaf(method) for method in ("initialize", "ping", "tools/list", "subscriptions/listen")]
    assert asker([*own, ann], GivenUp(Clock())) is ann


@pytest.mark.parametrize("method", ["tools/call", "completion/complete", "tasks/get", "x/own"])
def test_a_call_whose_client_takes_no_questions_may_have_led_to_it(method: str) -> None:
    assert asker([deaf(method), asked()]) == "2 calls could have asked, so no client is asked"
    assert asker([deaf(method)]) == "the client of the call takes no questions"


def test_so_may_a_call_that_was_given_up_until_its_late_answer() -> None:
    ann, given_up = asked("ann"), GivenUp(Clock())
    given_up.note(b"1", Call("tools/call", who="bob"))
    given_up.note(b"2", Call("tools/list", who=""))
    assert asker([ann], given_up) == "2 calls could have asked, so no client is asked"
    assert asker([], given_up) == "1 calls could have asked, so no client is asked"
    given_up.answered(b"1")
    assert asker([ann], given_up) is ann


def test_or_for_so_long() -> None:
    clock, ann = Clock(), asked()
    given_up = GivenUp(clock)
    given_up.note(b"1", Call("tools/call", who="bob"))
    clock.now = GIVEN_UP_S - 1
    assert isinstance(asker([ann], given_up), str)
    clock.now = GIVEN_UP_S
    assert asker([ann], given_up) is ann
    assert len(given_up) == 0


def test_a_client_is_asked_about_what_it_gave_up_itself() -> None:
    ann, nobody, given_up = asked("ann"), asked(""), GivenUp(Clock())
    given_up.note(b"1", Call("tools/call", who="ann"))
    assert asker([ann], given_up) is ann
    given_up.note(b"2", Call("tools/call"))
    given_up.answered(b"1")
    assert isinstance(asker([nobody], given_up), str), "two without a name may be two"


def test_what_was_given_up_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askers, "MAX_GIVEN_UP", 2)
    given_up = GivenUp(Clock())
    for id in (b"1", b"2", b"3"):
        given_up.note(id, Call("tools/call", who="bob"))
    assert len(given_up) == 2
