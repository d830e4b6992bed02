"""Log levels: each legacy client sets its own, a shared server knows only one.

A server is set to the most verbose level any client wants; each client's edge leaves out
what that client did not ask for. A modern client says with each call what it wants: a legacy
server that was set to less is told before the call.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final
from weakref import WeakKeyDictionary

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.eras import LOG_LEVELS
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call, Greeting, Upstream
from only1mcp.upstream.roster import Roster

log = logging.getLogger("only1mcp.levels")

PATIENCE_S: Final = 2.0
"""How long `logging/setLevel` waits for the servers before it is answered."""


class LogLevels:
    """What the servers have been asked to log."""

    def __init__(self, roster: Roster, wanted: Callable[[], Iterable[int]]) -> None:
        """`wanted` gives the level of every client that set one, as indexes in LOG_LEVELS."""
        self._roster = roster
        self._wanted = wanted
        self._told: WeakKeyDictionary[Upstream, tuple[Greeting, int]] = WeakKeyDictionary()
        self._tasks = Tasks()

    async def changed(self) -> None:
        """A client set its level: tell every server that logs."""
        level = min(self._wanted(), default=None)
        if level is None:
            return
        telling = [
            self._tasks.start(self._tell(upstream, level), f"log level {live.id}")
            for live in self._roster.servers.values()
            for upstream in live.connections()
            if _logs(upstream)
        ]
        if telling:
            await asyncio.wait(telling, timeout=PATIENCE_S)

    async def greeted(self, upstream: Upstream) -> None:
        """A new connection: its server does not know the level yet."""
        level = min(self._wanted(), default=None)
        if level is not None and _logs(upstream):
            await self._tell(upstream, level)

    async def called(self, upstream: Upstream, level: str) -> None:
        """A modern client wants log messages of this level with a call it is about to make."""
        wanted = LOG_LEVELS.index(level)
        greeting, told = self._told.get(upstream, (None, 0))
        if _logs(upstream) and (greeting is not upstream.greeting or told > wanted):
            await self._tell(upstream, wanted)

    async def close(self) -> None:
        """Stop telling."""
        await self._tasks.close()

    async def _tell(self, upstream: Upstream, level: int) -> None:
        self._told[upstream] = upstream.greeting, level
        params = {"level": as_raw(LOG_LEVELS[level])}
        call = Call("logging/setLevel", params, idle_s=PATIENCE_S, max_s=PATIENCE_S)
        try:
            await upstream.call(call)
        except McpError as error:
            log.warning("server %s: logging/setLevel: %s", upstream.server, error.message)


def _logs(upstream: Upstream) -> bool:
    return not upstream.greeting.modern and "logging" in upstream.greeting.capabilities
