"""The gateway's hold on its warden: one small process that ends the children if we cannot.

A gateway killed with -9 runs no code of its own any more. The warden (reaper.py) sees the
pipe between the two close, then ends every registered process group and its descendants.
"""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from only1mcp.observe.tasks import Tasks
from only1mcp.upstream import reaper
from only1mcp.upstream.spawn import spawn

log = logging.getLogger("only1mcp.warden")

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 60.0
"""The pause before a dead warden is started again doubles from one to the other."""
CLOSE_S: Final = 3 * reaper.GRACE_S + 1.0


class Warden:
    """Keeps one warden process running and tells it the leaders of our process groups."""

    def __init__(self) -> None:
        self._leaders: dict[int, bytes] = {}  # pid -> what a new warden must be told
        self._process: _Process | None = None
        self._tasks = Tasks()
        self._pause_s = FIRST_PAUSE_S
        self._closing = False
        self.in_haste = False
        """Nobody waits any more for children to end by themselves."""

    @property
    def pid(self) -> int | None:
        """The warden's process id, None while there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it unless it runs. Servers work without a warden, so failure is only logged."""
        if self._process is not None or self._closing:
            return
        try:
            self._process = _Process(self._died)
        except OSError as error:
            log.warning("no warden: children may outlive a killed gateway: %s", error)
            return
        for line in self._leaders.values():
            self._process.tell(line)

    def add(self, pid: int) -> None:
        """From now on `pid`, its process group and its descendants end with the gateway."""
        self._leaders[pid] = b"+%d\n" % pid
        self._tell(self._leaders[pid])

    def let_go(self, pid: int) -> None:
        """We have closed the input of `pid`: it must see that, so the warden closes its own."""
        if pid in self._leaders:
            self._leaders[pid] = b"=%d\n" % pid
            self._tell(self._leaders[pid])

    def remove(self, pid: int) -> None:
        """Forget `pid`: all of it has ended."""
        if self._leaders.pop(pid, None):
            self._tell(b"-%d\n" % pid)

    def _tell(self, line: bytes) -> None:
        if self._process is not None:
            self._process.tell(line)

    def hurry(self) -> None:
        """Kill what is registered, now."""
        self.in_haste = True
        for pid in self._leaders:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)

    async def close(self) -> None:
        """Let it end what is still registered, then itself. Bounded; never raises."""
        self._closing = True
        await self._tasks.close()
        if self._process is not None:
            await self._process.close()

    def _died(self) -> None:
        self._process = None
        if not self._closing:
            log.warning("the warden died; a new one starts in %.1f s", self._pause_s)
            self._tasks.start(self._restart(), "restart warden")

    async def _restart(self) -> None:
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self.start()


class _Process:
    """One run of the warden, which reads our pipe.

    Our end of it is close-on-exec: a child that held it would keep the warden waiting.
    """

    def __init__(self, died: Callable[[], None]) -> None:
        self._died = died
        self._ended = asyncio.Event()
        theirs, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        argv = [sys.executable, "-I", "-S", reaper.__file__]
        null = subprocess.DEVNULL
        try:
            self._process = spawn(argv, (theirs, null, null), self._on_exit, cwd="/")
        except OSError:
            self._close_pipe()
            raise
        finally:
            os.close(theirs)

    @property
    def pid(self) -> int:
        return self._process.pid

    def _on_exit(self, code: int) -> None:
        self._ended.set()
        self._close_pipe()
        self._died()

    def _close_pipe(self) -> None:
        if self._pipe != -1:
            os.close(self._pipe)
            self._pipe = -1

    def tell(self, line: bytes) -> None:
        """Write `line`: short, so it is written whole, or there is nobody who reads."""
        with suppress(OSError):
            os.write(self._pipe, line)

    async def close(self) -> None:
        """Close the pipe, which is its order to finish."""
        self._close_pipe()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._ended.wait()
        except TimeoutError:
            log.warning("the warden did not end; killing it")
            self._process.kill()
