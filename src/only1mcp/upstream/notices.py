"""Tells a legacy server over HTTP which calls nobody waits for any more, few notices at a time.

    call given up ──► fewer than LANES on their way ──► POST ──► answered, or not: the next one
                  └─► else it waits; if too many do, the oldest is not told

A server that hangs takes no notice of a notice either, and each is one more connection to it that
waits: without a bound, a call that expires would cost the gateway two of them.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message

LANES: Final = 4
MAX_WAITING: Final = 256


class Notices:
    """Those of one connection."""

    def __init__(self, tasks: Tasks, deliver: Callable[[bytes], Coroutine[Any, Any, None]]) -> None:
        """`deliver` returns when the server has taken a message, or has had its time to."""
        self._tasks = tasks
        self._deliver = deliver
        self._waiting: deque[int] = deque(maxlen=MAX_WAITING)
        self._lanes = 0

    def cancel(self, id: int) -> None:
        """The call with this id has been given up."""
        self._waiting.append(id)
        if self._lanes < LANES:
            self._lanes += 1
            self._tasks.start(self._tell(), "notices of calls given up")

    async def _tell(self) -> None:
        try:
            while self._waiting:
                params = b'{"requestId":%d}' % self._waiting.popleft()
                await self._deliver(message.notification("notifications/cancelled", params))
        finally:
            self._lanes -= 1
