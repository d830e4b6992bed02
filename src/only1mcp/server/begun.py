"""A POST whose call is under way without a task: what it takes to answer it, or to go on in one.

answered ──► the result is the client's
go_on    ──► a task, as if it had had one from the beginning
cancel   ──► the same, and the task is cancelled: so the server hears of it, too
"""

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.relay import under_way
from only1mcp.relay.request import Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.server.caller import HttpCaller
from only1mcp.server.http import Exchange
from only1mcp.server.session import Session

_OK: Final = HTTPStatus.OK.value  # a member of an enumeration is slow to get at
Later = Callable[[Request | None], Coroutine[Any, Any, None]]
"""What a task does for the POST."""


class Begun:
    """One of them. `session` is that of a handshake client."""

    __slots__ = ("_caller", "_exchange", "_id", "_key", "_later", "_request", "_session",
                 "_under_way", "_waiting")  # fmt: skip

    def __init__(self, exchange: Exchange, caller: HttpCaller, waiting: set[HttpCaller], id: Raw,
                 session: Session | None, later: Later) -> None:  # fmt: skip
        self._exchange = exchange
        self._caller = caller
        self._waiting = waiting
        self._id = id
        self._session = session
        self._later = later

    def begin(self, request: Request, snapshot: Snapshot) -> bool:
        """Whether the call is under way; else nothing was sent."""
        exchange, session = self._exchange, self._session
        if session is not None and session.busy and session.runs(self._id):
            return False
        sent = under_way.begin(request, snapshot, self)
        if sent is None:
            return False
        self._under_way, self._request = sent, request
        if session is None:
            exchange.on_disconnect = sent.go_on  # the task cancels itself
        else:
            self._key = session.goes_on(self._id, self)
        exchange.hold(self)
        self._waiting.add(self._caller)
        return True

    def answered(self, result: bytes) -> None:
        """It is over."""
        self._waiting.discard(self._caller)
        if self._session is not None:
            self._session.end(self._key)
        self._caller.finish(message.result(self._id, result), _OK)
        self._exchange.release()

    def go_on(self) -> None:
        """It needs a task."""
        self._waiting.discard(self._caller)
        self._exchange.go_on(self._later(self._request))

    def cancel(self, why: str | None = None) -> None:
        """The client does not want it any more."""
        self._under_way.go_on()
        exchange = self._exchange
        asyncio.get_running_loop().call_soon(_cancel, exchange, why)


def _cancel(exchange: Exchange, why: str | None) -> None:
    if exchange.task is not None:  # it has begun by now
        exchange.task.cancel(why)
