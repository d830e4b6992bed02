"""Log levels: each legacy client sets its own, a shared server knows only one.

A server is set to the most verbose level any client wants; each client's edge leaves out
what that client did not ask for. A modern client says with each call what it wants: a legacy
server that was set to less is told before the call. Each server is told one thing after the
other, and what it has not taken it is told again with the next call.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final
from weakref import WeakKeyDictionary

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.eras import LOG_LEVELS
from only1mcp.protocol.errors import McpError, UpstreamError
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
        self._telling: WeakKeyDictionary[Upstream, tuple[int, asyncio.Task[None]]]
        self._telling = WeakKeyDictionary()  # the last, while it is under way
        self._tasks = Tasks()

    async def changed(self) -> None:
        """A client set its level: tell every server that logs."""
        level = min(self._wanted(), default=None)
        if level is None:
            return
        telling = [
            self._tell(upstream, level)
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
            await asyncio.wait([self._tell(upstream, level)])

    async def called(self, upstream: Upstream, level: str) -> None:
        """A modern client wants log messages of this level with a call it is about to make."""
        wanted = LOG_LEVELS.index(level)
        if not _logs(upstream):
            return
        if (under_way := self._telling.get(upstream)) is not None:
            told, task = under_way
            if told <= wanted:
                await asyncio.wait([task])
                return
        else:
            greeting, told = self._told.get(upstream, (None, 0))
            if greeting is upstream.greeting and told <= wanted:
                return
        await asyncio.wait([self._tell(upstream, wanted)])

    async def close(self) -> None:
        """Stop telling."""
        await self._tasks.close()

    def _tell(self, upstream: Upstream, level: int) -> asyncio.Task[None]:
        """Have it told, after what it is being told; that a caller leaves does not end it."""
        before = self._telling.get(upstream)
        if before is not None and before[0] == level:
            return before[1]
        former = None if before is None else before[1]
        telling = self._set(upstream, level, former)
        task = self._tasks.start(telling, f"log level {upstream.server}")
        self._telling[upstream] = level, task
        return task

    async def _set(self, upstream: Upstream, level: int, former: asyncio.Task[None] | None) -> None:
        if former is not None:
            await asyncio.wait([former])
        greeting = upstream.greeting
        params = {"level": as_raw(LOG_LEVELS[level])}
        call = Call("logging/setLevel", params, idle_s=PATIENCE_S, max_s=PATIENCE_S)
        try:
            await upstream.call(call)
            self._told[upstream] = greeting, level
        except McpError as error:
            if isinstance(error, UpstreamError):  # it said no, and would again
                self._told[upstream] = greeting, level
            log.warning("server %s: logging/setLevel: %s", upstream.server, error.message)
        finally:
            _, last = self._telling[upstream]
            if last is asyncio.current_task():
                del self._telling[upstream]


def _logs(upstream: Upstream) -> bool:
    return not upstream.greeting.modern and "logging" in upstream.greeting.capabilities
