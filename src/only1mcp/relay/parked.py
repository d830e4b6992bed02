"""A call to a legacy server that goes on while its modern client comes and goes.

begun ──► the server asks ──► rest: the client has been asked, others have the turn
              ▲                  │
              └── resume ◄── awake, take_turn: the client is back with answers
"""

import asyncio
import itertools
from typing import Any, Final, Protocol

from msgspec import Raw

from only1mcp.protocol import message, questions
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import Params
from only1mcp.upstream.base import NotificationSink
from only1mcp.upstream.turns import InTurn

GATHER_S: Final = 0.005
"""After a question, how long to wait for more that a server asks at the same time."""


class Asked(Protocol):
    """The client of a call, as far as questions go; part of relay.request.Caller."""

    principal: str

    @property
    def capabilities(self) -> dict[str, Any]:
        """What the client declared, in the words of its era."""

    def notify(self, method: str, params: Raw) -> None:
        """See relay/request.py."""

    async def ask(self, method: str, params: bytes, told: NotificationSink | None = None) -> bytes:
        """See relay/request.py."""


class Question:
    """One request of a server that waits for its answer."""

    __slots__ = ("answer", "wanted")

    def __init__(self, method: str, params: Params) -> None:
        self.wanted: dict[str, Any] = {"method": method}
        if params:
            self.wanted["params"] = params
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


class Parked:
    """A call to a legacy server that goes on while its modern client comes and goes."""

    def __init__(self, id: int, callee: InTurn, who: str, caller: Asked) -> None:
        self.id = id
        self.server = callee.server
        self.who = who
        self.caller: Asked | None = caller  # None while nobody waits for the result
        self.open: dict[str, Question] = {}
        self.expires_at = float("inf")
        self.running: asyncio.Task[bytes | McpError]
        self._callee = callee
        self._capabilities = caller.capabilities
        self._keys = itertools.count(1)
        self._turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def run(self, task: "asyncio.Task[bytes | McpError]") -> None:
        """`task` is the call at the server."""
        self.running = task
        task.add_done_callback(lambda _: self._wake())

    async def asked(self, method: str, params: Raw, _: NotificationSink) -> bytes:
        """The server asks: wait until the client has answered; it cannot tell how far it is.

        Raises:
            MethodNotFound, InvalidParams: this client cannot be asked that.
        """
        members = message.members(params)
        questions.check(method, members, self._capabilities)
        question = Question(method, questions.to_modern(method, members))
        key = f"{method.partition('/')[0]}-{next(self._keys)}"
        self.open[key] = question
        self._wake()
        try:
            return await question.answer
        finally:
            self.open.pop(key, None)

    def notify(self, method: str, params: Raw) -> None:
        """Pass on a notification while the client listens; in between it is lost."""
        if self.caller is not None:
            self.caller.notify(method, params)

    async def turn(self) -> None:
        """Wait until the call is over or the server asks."""
        await self._turn
        if not self.running.done():
            await asyncio.wait([self.running], timeout=GATHER_S)

    @property
    def waited_s(self) -> float:
        """How long it has waited for turns, in all its rounds."""
        return self._callee.waited_s

    def rest(self, until: float) -> None:
        """The client has been asked; nobody waits until it comes back."""
        self.caller = None
        self.expires_at = until
        self._callee.rest()

    def awake(self, caller: Asked) -> None:
        """The client is back; from now on nobody else is."""
        self.caller = caller
        self.expires_at = float("inf")

    async def take_turn(self) -> None:
        """Wait until the server may go on with it.

        Raises:
            Overloaded: there was no turn.
        """
        if not self.running.done():
            await self._callee.resume()
        if self.running.done():
            self._callee.rest()

    def resume(self, answers: Params) -> None:
        """Hand the answers on. Unknown keys are ignored, missing ones asked again."""
        for key in self.open.keys() & answers.keys():
            question = self.open.pop(key)
            if not question.answer.done():
                question.answer.set_result(bytes(answers[key]))
        self._turn = asyncio.get_running_loop().create_future()
        if self.open or self.running.done():
            self._wake()

    def end(self) -> None:
        """Nobody wants the result any more: cancel what still runs."""
        if not self.running.done():
            self.running.cancel()

    def _wake(self) -> None:
        if not self._turn.done():
            self._turn.set_result(None)
