"""Which call a request of a server is about, on a channel that does not say.

    calls that wait      may all have led to it, also those whose client takes no questions
    calls given up       may have, too: the server need not have heard of it yet
    calls for a task     have led to what names that task, and nothing else has

It is put to the client of the only call that can have led to it, and refused otherwise, never
guessed: a question tells what somebody else asked for.
Bounds  MAX_GIVEN_UP calls, GIVEN_UP_S each; an answer that comes late ends it.
Units   seconds of the clock passed in.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Protocol, TypeVar

from msgspec import Raw

from only1mcp.protocol import message, tasks
from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.message import NO_RAW, Message
from only1mcp.protocol.methods import METHODS, QUESTIONS, Fate, Route, fate
from only1mcp.upstream.base import Call

GIVEN_UP_S: Final = 60.0
MAX_GIVEN_UP: Final = 10_000
_OWN: Final = frozenset(
    row.name for row in METHODS.values() if row.route in (Route.LOCAL, Route.LIST)
)
"""Calls that the gateway makes on nobody's behalf: what they lead to tells of nobody."""

_CURE: Final = "; isolation and a token each keep clients apart, or call again when it is alone"
"""It reaches who called, if the server tells of it."""


class Waiting(Protocol):
    """A call that waits for its answer."""

    call: Call
    questions: dict[bytes, asyncio.Task[None]]
    """Of the server, that wait for the client, by their ids as JSON text."""


One = TypeVar("One", bound=Waiting)


class GivenUp:
    """Calls whose answer nobody waits for, while the server may still be at work on them."""

    __slots__ = ("_calls", "_clock")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[bytes, tuple[float, str]] = {}  # by id: until when, whose

    def __len__(self) -> int:
        return len(self._calls)

    def note(self, id: bytes, call: Call) -> None:
        """Nobody waits any more for the call with this id, as JSON text."""
        if call.method in _OWN:
            return
        self._calls[id] = self._clock() + GIVEN_UP_S, call.who
        if len(self._calls) > MAX_GIVEN_UP:
            del self._calls[next(iter(self._calls))]

    def answered(self, id: bytes) -> None:
        """Its answer has come after all."""
        self._calls.pop(id, None)

    def apart_from(self, who: str) -> int:
        """How many of them are not known to be of this client."""
        now = self._clock()
        while self._calls and self._calls[first := next(iter(self._calls))][0] <= now:
            del self._calls[first]
        return sum(1 for _, whose in self._calls.values() if not who or whose != who)


def asker(request: Message, waiting: Iterable[One], given_up: GivenUp | None = None) -> One | str:
    """The call whose client is asked; or why there is none."""
    if fate(QUESTIONS, request.method) is not Fate.CALL:
        return "no client takes such a question"
    able = [one for one in waiting if one.call.method not in _OWN]
    if given_up is not None and (task := tasks.related(request.params)) is not None:
        able = [one for one in able if _waits_for(task, one.call)][:1]
        if not able:
            return "nobody waits for the result of its task, so no client is asked"
        given_up = None
    who = able[0].call.who if len(able) == 1 else ""
    count = len(able) + (given_up.apart_from(who) if given_up is not None else 0)
    if count != 1 or not able:
        return f"{count} calls could have asked, so no client is asked{_CURE if count else ''}"
    if able[0].call.on_question is None:
        return "the client of the call takes no questions"
    return able[0]


def _waits_for(task: str, call: Call) -> bool:
    """A task is its maker's, so whoever waits for its result may be asked about it."""
    return call.method == "tasks/result" and message.text((call.params or {}).get("taskId")) == task


def take_back(params: Raw, waiting: Iterable[Waiting]) -> None:
    """The server has cancelled one of its questions: nobody need answer it any more."""
    with suppress(InvalidParams):
        id = bytes(message.members(params).get("requestId", NO_RAW))
        for one in waiting:
            if (question := one.questions.get(id)) is not None:
                question.cancel()
