"""Reads the configuration again, on demand: all of it or nothing, one at a time.

    signal ──┐
    file ────┼──► read and check, in a thread ──► faults: said once, what was in force stays
    admin ───┘                               └──► apply ──► what it changes, said once

Requests that come while one is read are served by one more reading after it, all of them: the
file may have changed since.
Cost    one changed server among 500: 15 to 38 ms of CPU for JSON, as the machine is, of which
        the loop is held for 2 at once and for 5 when the lists are announced (make bench
        ARGS=reload); twice as much for YAML. One among 100, either way: make test
        ARGS="tests/test_gateway_reload.py -k cost -s".
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import time

from only1mcp.config.diff import SAME, Diff, diff
from only1mcp.config.faults import ConfigError, Fault
from only1mcp.config.load import Loaded
from only1mcp.config.model import Config
from only1mcp.observe.tasks import Tasks

log = logging.getLogger("only1mcp.config")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a reload ended: with faults, and nothing has changed, or with what has."""

    changes: Diff = SAME
    faults: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


class Reloads:
    """Reloads of one configuration."""

    def __init__(
        self,
        read: Callable[[], Loaded],
        apply: Callable[[Config], Diff],
        ended: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """`read` may take a second. Both raise ConfigError, `apply` before it changes anything.
        `ended` hears of each reload."""
        self._ended = ended
        self._read = read
        self._apply = apply
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Outcome] | None = None
        self._checking: asyncio.Task[Loaded | ConfigError] | None = None
        self._tasks = Tasks()
        self.applied = 0
        """How many were applied, be it that nothing had changed."""
        self.refused = 0
        """How many had faults."""
        self.applied_at = time()
        """When what is in force was read, in seconds since 1970."""
        self.last: Outcome | None = None
        """How the latest one ended; with faults: another configuration than the file's is in
        force."""

    async def reload(self) -> Outcome:
        """Read and apply what the file says now. Whoever asks may leave, it goes on."""
        if self._next is None:
            self._next = self._tasks.start(self._in_turn(), "reload")
        return await asyncio.shield(self._next)

    async def check(self, in_force: Config) -> Outcome:
        """How a reload would end, compared with what is in force; nothing changes."""
        if self._checking is None:
            self._checking = self._tasks.start(self._look(), "check")
        found = await asyncio.shield(self._checking)
        if isinstance(found, ConfigError):
            return Outcome(faults=found.faults)
        return Outcome(diff(in_force, found.config), warnings=found.warnings)

    async def close(self) -> None:
        """Apply no more."""
        await self._tasks.close()

    async def _look(self) -> Loaded | ConfigError:
        """What the file says; who asks from now on is for the next reading."""
        async with self._turn:
            self._checking = None
            try:
                return await asyncio.to_thread(self._read)
            except ConfigError as error:
                return error

    async def _in_turn(self) -> Outcome:
        async with self._turn:
            self._next = None
            before, self.last = self.last, await self._once()
            self._tell(before, self.last)
            self._ended(self.last)
            return self.last

    async def _once(self) -> Outcome:
        try:
            loaded = await asyncio.to_thread(self._read)
            outcome = Outcome(self._apply(loaded.config), warnings=loaded.warnings)
            self.applied += 1
            self.applied_at = time()
            return outcome
        except ConfigError as error:
            self.refused += 1
            return Outcome(faults=error.faults)

    def _tell(self, before: Outcome | None, now: Outcome) -> None:
        if now.faults:
            if before is None or before.faults != now.faults:
                for fault in now.faults:
                    log.log(logging.ERROR if fault.severity == "error" else logging.WARNING, fault)
                log.error("configuration refused, the former one stays in force until it is mended")
            return
        for warning in now.warnings:
            if before is None or warning not in before.warnings:
                log.warning("%s", warning)
        if now.changes.restart:
            log.warning(
                "configuration: %s: in force after a restart", ", ".join(now.changes.restart)
            )
        if str(now.changes):
            log.info("configuration reloaded: %s", now.changes)
        elif before is not None and before.faults:
            log.info("configuration reloaded: mended, as it is in force")
        elif not now.changes:
            log.info("configuration reloaded: nothing to change")
