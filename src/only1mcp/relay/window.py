"""The batching window: calls to one server and method wait a moment for others, and go together.

    first call ──► a window of its own, with its own clock
    more       ──► the same window, until it is full or its time is up
    flush      ──► one JSON-RPC array if the server takes such, else each call at once

A call whose client could be asked something in the middle of it is never part of an array: on
the stream of many calls nothing says whose question it is. Log messages of an array are lost for
the same reason.
"""

import asyncio
from typing import Final, Protocol, runtime_checkable

from only1mcp.config.cache import Batching
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import Draining, McpError
from only1mcp.protocol.methods import R2025_03_26
from only1mcp.upstream.base import Call, Callee, Greeting

ARRAYS: Final = R2025_03_26
"""The only revision with JSON-RPC arrays (its basic "Batching")."""


@runtime_checkable
class TakesArrays(Protocol):
    """A connection that can carry several calls in one message."""

    async def call_all(self, calls: list[Call]) -> list[bytes | McpError]:
        """The result of each, or its error, in order; never raises an McpError."""


class _Member:
    """One call in a window. Its outcome None: the window is over, go on alone."""

    __slots__ = ("call", "outcome")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.outcome: asyncio.Future[bytes | McpError | None]
        self.outcome = asyncio.get_running_loop().create_future()


class _Window:
    __slots__ = ("members", "timer")

    def __init__(self) -> None:
        self.members: list[_Member] = []
        self.timer: asyncio.TimerHandle | None = None


class Windows:
    """All open windows. `windows` counts those that were flushed, `gathered` the calls in them,
    `arrays` the windows that travelled as one message."""

    def __init__(self, settings: Batching) -> None:
        self.window_s = settings.window if settings.enabled else 0.0
        self._max_size = settings.max_size
        self._open: dict[tuple[int, str], _Window] = {}
        self._tasks = Tasks()
        self.windows = 0
        self.gathered = 0
        self.arrays = 0

    async def gather(self, callee: Callee, call: Call) -> bytes:
        """The result of `call`, sent with those that come within the window.

        Raises:
            McpError: as the call.
        """
        member = _Member(call)
        key = (id(callee), call.method)
        window = self._open.get(key)
        if window is None:
            window = self._open[key] = _Window()
            loop = asyncio.get_running_loop()
            window.timer = loop.call_later(self.window_s, self._flush, key, callee)
        window.members.append(member)
        if len(window.members) >= self._max_size:
            self._flush(key, callee)
        try:
            outcome = await member.outcome
        finally:
            if member in window.members:  # it left before the window was over
                window.members.remove(member)
        if isinstance(outcome, McpError):
            raise outcome
        return outcome if outcome is not None else await callee.call(call)

    async def close(self) -> None:
        """End what waits."""
        for key in list(self._open):
            window = self._open.pop(key)
            if window.timer is not None:
                window.timer.cancel()
            _settle(window.members, [Draining("gateway", "the gateway is stopping")])
        await self._tasks.close()

    def _flush(self, key: tuple[int, str], callee: Callee) -> None:
        window = self._open.pop(key)
        if window.timer is not None:
            window.timer.cancel()
        members, window.members = window.members, []
        if not members:
            return
        self.windows += 1
        self.gathered += len(members)
        together = [one for one in members if one.call.on_question is None]
        if len(together) > 1 and callee.greeting.revision == ARRAYS:
            connection = callee if isinstance(callee, TakesArrays) else None
            if connection is not None:
                self.arrays += 1
                self._tasks.start(self._send(connection, together), f"array {callee.server}")
                members = [one for one in members if one.call.on_question is not None]
        _settle(members, [None])

    async def _send(self, connection: TakesArrays, members: list[_Member]) -> None:
        """One message for all; it is given up when the last of them has left."""
        left = len(members)

        def gone(future: asyncio.Future[bytes | McpError | None]) -> None:
            nonlocal left
            left -= future.cancelled()
            if not left:
                sending.cancel()

        calls = [one.call for one in members]
        sending = self._tasks.start(connection.call_all(calls), "array")
        for one in members:
            one.outcome.add_done_callback(gone)
        await asyncio.wait([sending])
        if not sending.cancelled():
            outcomes = sending.result()
            for one, outcome in zip(members, outcomes, strict=True):
                _settle([one], [outcome])
        else:
            _settle(members, [Draining("gateway", "the gateway is stopping")])


def _settle(members: list[_Member], outcome: list[bytes | McpError | None]) -> None:
    for one in members:
        if not one.outcome.done():
            one.outcome.set_result(outcome[0])


class Gathered:
    """A connection whose calls go through a window."""

    __slots__ = ("_callee", "_windows", "greeting", "server")

    def __init__(self, callee: Callee, windows: Windows) -> None:
        self.server: str = callee.server
        self.greeting: Greeting = callee.greeting
        self._callee = callee
        self._windows = windows

    async def call(self, call: Call) -> bytes:
        """The result of `call`, a window later at most."""
        return await self._windows.gather(self._callee, call)
