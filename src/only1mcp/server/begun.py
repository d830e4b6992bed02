"""A POST whose call is under way without a task: what it takes to answer it, or to go on in one.

answered ──► the result is the client's
go_on    ──► a task, as if it had had one from the beginning
cancel   ──► the same, and the task is cancelled: so the server hears of it, too

One that takes a task from the beginning can be cancelled before that has begun: `in_task`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.relay import under_way
from only1mcp.relay.request import Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server import reply
from only1mcp.server.caller import HttpCaller
from only1mcp.server.http import Exchange
from only1mcp.server.session import Session

Later = Callable[[Request | None], Coroutine[Any, Any, None]]
"""What a task does for the POST."""


class Begun(msgspec.Struct, eq=False):
    """One of them. `session` is that of a handshake client, and runs no other with this id."""

    exchange: Exchange
    caller: HttpCaller
    waiting: set[HttpCaller]
    id: Raw
    session: Session | None
    later: Later
    request: Request | None = None
    sent: under_way.UnderWay | None = None
    key: str | int = 0

    def begin(self, request: Request, snapshot: Snapshot) -> bool:
        """Whether the call is under way; else nothing was sent."""
        exchange, session = self.exchange, self.session
        sent = under_way.begin(request, snapshot, self)
        if sent is None:
            return False
        self.sent, self.request = sent, request
        if session is None:
            exchange.on_disconnect = sent.go_on  # the task cancels itself
        else:
            self.key = session.begin(self.id, self)
        exchange.hold(self)
        self.waiting.add(self.caller)
        return True

    def in_task(self, request: Request | None) -> Coroutine[Any, Any, None]:
        """Nothing was sent. From now on the session knows that it runs: what comes in the same
        turn of the loop may have the same id, or cancel it."""
        if self.session is not None:
            self.session.begin(self.id, self)
        return self.later(request)

    def answered(self, result: bytes) -> None:
        """It is over."""
        self._finish(message.result(self.id, result))

    def failed(self) -> None:
        """The same, by a fault of ours."""
        self._finish(reply.refusal(self.id, reply.FAILED))

    def _finish(self, body: bytes) -> None:
        self.waiting.discard(self.caller)
        if self.session is not None:
            self.session.end(self.key)
        exchange = self.exchange
        if exchange.streaming or exchange.closed:
            self.caller.finish(body, reply.OK)
        else:
            exchange.respond_json(body)
        exchange.release()

    def go_on(self) -> None:
        """It needs a task."""
        self.waiting.discard(self.caller)
        self.exchange.go_on(self.later(self.request))

    def cancel(self, why: str | None = None) -> None:
        """The client does not want it any more."""
        if self.sent is not None:
            self.sent.go_on()
        exchange = self.exchange
        asyncio.get_running_loop().call_soon(_cancel, exchange, why)


def _cancel(exchange: Exchange, why: str | None) -> None:
    if exchange.task is not None:  # it has begun by now
        exchange.task.cancel(why)
