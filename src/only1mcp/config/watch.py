"""Watches a configuration file: says when its content has changed and has come to rest.

    something happens in its directory ──► look: another file? ──quiet for a while──► read it
                                        ──► other content ──► act, at most once per MIN_S

What happened is never believed, only looked at: editors rename over the file or write it in
pieces, Kubernetes swaps a symbolic link, others delete it and make it anew. All of that is some
event in the directory of the file, or of a link on the way to it. A look without any event comes
every LOOK_S, for file systems that send none.
Units   seconds of the clock passed in.
"""

import asyncio
import hashlib
import logging
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from threading import Event
from typing import Final

from watchfiles import awatch

from only1mcp.config.load import Loaded

log = logging.getLogger("only1mcp.config")

MIN_S: Final = 2.0
"""From the end of one application to the next. A file that is never left alone is read about
as often."""
LOOK_S: Final = 5.0
EMPTY: Final = hashlib.sha256().hexdigest()
"""The content of a file without any."""
_GATHER_MS: Final = 100
_MAX_LINKS: Final = 16

Stamp = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration in force has come from."""

    file: Path
    read: Callable[[], Loaded]
    """Reads it again. Raises ConfigError."""
    content: str
    """Of the file, as it was read first."""
    check: Callable[[str], Loaded]
    """As `read`, if this were the text of the file."""


class Pace:
    """When to act on changes: after a quiet while, not put off without end, not too often."""

    def __init__(self) -> None:
        self._first = self._last = inf
        self._acted = -inf

    def changed(self, now: float) -> None:
        """The file is not what it was."""
        self._first, self._last = min(self._first, now), now

    def due(self, debounce_s: float) -> float:
        """When to read it; inf while there is nothing new."""
        rested = min(self._last + debounce_s, self._first + max(MIN_S, debounce_s))
        return max(rested, self._acted + MIN_S)

    def read(self) -> None:
        """It has been read."""
        self._first = self._last = inf

    def acted(self, now: float) -> None:
        """What was read has been applied, or tried."""
        self._acted = now


class Watch:
    """Looks after one file: `run` acts, `hear` tells it when to look."""

    def __init__(
        self,
        file: Path,
        known: str,
        debounce_s: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`known` is the `content` that is in force already."""
        self._file = file
        self._known = known
        self._debounce_s = debounce_s
        self._clock = clock
        self._stamp: Stamp = ()
        self._pace = Pace()
        self._stirred = asyncio.Event()
        self._stirred.set()

    async def hear(self, events: AsyncIterator[object] | None = None) -> None:
        """Look after each event, until cancelled."""
        async for _ in events or happenings(self._file):
            self._stirred.set()

    async def run(self, act: Callable[[], Awaitable[object]]) -> None:
        """Call `act` after each change of the content, until cancelled."""
        while True:
            await self._wait()
            now = self._clock()
            if (stamp := stamp_of(self._file)) != self._stamp:
                self._stamp = stamp
                self._pace.changed(now)
            if now >= self._pace.due(self._debounce_s()):
                self._pace.read()
                if (found := content(self._file)) != self._known:
                    self._known = found
                    await act()
                    self._pace.acted(self._clock())

    async def _wait(self) -> None:
        """Until there is something to look at."""
        wait_s = min(self._pace.due(self._debounce_s()) - self._clock(), LOOK_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait_s, 0)):
                await self._stirred.wait()
        self._stirred.clear()


def content(file: Path) -> str:
    """Stands for what is in the file, or for why it cannot be read. A pipe is let alone: what is
    read from it is taken from whoever reads it next."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return "not a file"
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        return str(error.strerror)


def stamp_of(file: Path) -> Stamp:
    """Another one as soon as the file may be another; cheap."""
    try:
        found = file.stat()
    except OSError as error:
        return (error.errno,)
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode


def folders(file: Path) -> dict[Path, int]:
    """The directories in which a change can be one of the file, and what tells each from
    another of the same name: those of the file and of each link that leads to it."""
    found: dict[Path, int] = {}
    for _ in range(_MAX_LINKS):
        for folder in (file.parent, file.parent.resolve()):
            with suppress(OSError):
                found[folder] = folder.stat().st_ino
        if not file.is_symlink():
            break
        file = file.parent / file.readlink()
    return found


async def happenings(file: Path) -> AsyncIterator[object]:
    """Something about every event in the directories of `file`."""
    complained = False
    while True:
        try:
            async for event in _until_moved(file):
                yield event
        except (OSError, RuntimeError) as error:
            if not complained:
                complained = True
                log.warning("%s: looked at every %g s only: %s", file, LOOK_S, error)
            await asyncio.sleep(LOOK_S)
        yield file


async def _until_moved(file: Path) -> AsyncIterator[object]:
    """The events, until other directories are those of `file`."""
    watched, over = folders(file), Event()
    try:
        async for event in awatch(
            *watched, watch_filter=None, debounce=_GATHER_MS, step=_GATHER_MS, recursive=False,
            stop_event=over, rust_timeout=int(LOOK_S * 1000), yield_on_timeout=True,
        ):  # fmt: skip
            yield event
            if folders(file) != watched:
                break
    finally:
        over.set()
