"""The batching window: calls to one server and method wait a moment for others, and go together.

    first call ──► a window of its own, with its own clock
    more       ──► the same window, until it is full or its time is up
    flush      ──► each call at once; in one JSON-RPC array if the server takes such

A call in a window has no turn at its server yet, and its server no time on it: both begin with the
flush. Where there are fewer turns than calls, the array holds those that have one.
A call whose client could be asked something in the middle of it is never part of an array: on
the stream of many calls nothing says whose question it is.
The array itself: upstream/array.py.
"""

import asyncio
from time import perf_counter
from typing import Final

from only1mcp.config.cache import Batching
from only1mcp.protocol.errors import Draining
from only1mcp.protocol.methods import R2025_03_26
from only1mcp.upstream.array import Array
from only1mcp.upstream.base import Call, Callee
from only1mcp.upstream.turns import InTurn, Turns

ARRAYS: Final = R2025_03_26
"""The only revision with JSON-RPC arrays."""


class _Window:
    """`members` are the calls, each with what it waits for: True is to go, False to give up."""

    __slots__ = ("members", "timer")

    def __init__(self) -> None:
        self.members: dict[asyncio.Future[bool], Call] = {}
        self.timer: asyncio.TimerHandle | None = None


class Windows:
    """All open windows. `windows` counts those that were flushed, `gathered` the calls in them,
    `arrays` the messages that held several of them."""

    def __init__(self, settings: Batching) -> None:
        self.configure(settings)
        self._open: dict[tuple[int, str], _Window] = {}
        self.windows = 0
        self.gathered = 0
        self.arrays = 0

    def configure(self, settings: Batching) -> None:
        """Go by other settings; a window that is open stays so as long as it was to."""
        self.window_s = settings.window if settings.enabled else 0.0
        self._max_size = settings.max_size

    @property
    def waiting(self) -> int:
        """Calls in windows that are open."""
        return sum(len(one.members) for one in self._open.values())

    async def wait(self, callee: Callee, call: Call) -> None:
        """Until `call` may go to `callee`, with those that come within the window.

        Raises:
            Draining: it will not go any more.
        """
        loop = asyncio.get_running_loop()
        key = (id(callee), call.method)
        if (window := self._open.get(key)) is None:
            window = self._open[key] = _Window()
            window.timer = loop.call_later(self.window_s, self._flush, key, callee)
        over: asyncio.Future[bool] = loop.create_future()
        window.members[over] = call
        if len(window.members) >= self._max_size:
            self._flush(key, callee)
        try:
            goes = await over
        finally:
            window.members.pop(over, None)  # it left before the window was over
        if not goes:
            raise Draining("gateway", "the gateway is stopping", hint="connect again")

    def close(self) -> None:
        """End what waits; from now on nothing does."""
        self.window_s = 0.0
        for key in list(self._open):
            for over in self._take(key):
                over.set_result(False)

    def _take(self, key: tuple[int, str]) -> dict[asyncio.Future[bool], Call]:
        """The calls of a window that is over."""
        window = self._open.pop(key)
        if window.timer is not None:
            window.timer.cancel()
        members, window.members = window.members, {}
        return {over: call for over, call in members.items() if not over.done()}

    def _flush(self, key: tuple[int, str], callee: Callee) -> None:
        members = self._take(key)
        if not members:
            return
        self.windows += 1
        self.gathered += len(members)
        together = [call for call in members.values() if call.on_question is None]
        if len(together) > 1 and callee.greeting.revision == ARRAYS:
            array = Array(self._array_sent)
            for call in together:
                call.array = array
        for over in members:
            over.set_result(True)

    def _array_sent(self) -> None:
        self.arrays += 1


class Gathered(InTurn):
    """A connection whose first call goes through a window, and takes its turn after that."""

    __slots__ = ("_upstream", "_windows")

    def __init__(
        self, callee: Callee, turns: Turns, caller: str, upstream: Callee, windows: Windows
    ) -> None:
        """`upstream` is the connection behind `callee`: the calls to it are gathered."""
        super().__init__(callee, turns, caller)
        self._upstream = upstream
        self._windows: Windows | None = windows

    async def call(self, call: Call) -> bytes:
        """The result of `call`, a window later at most.

        Raises:
            Overloaded: it had no turn. Draining: it will not go any more.
        """
        windows, self._windows = self._windows, None
        if windows is not None:
            began = perf_counter()
            try:
                await windows.wait(self._upstream, call)
            finally:
                self.waited_s += perf_counter() - began
        return await super().call(call)
