"""Lines to a file or a stream from a thread of its own: no disk and no pipe holds up the loop.

    write(line) ──► queue, bounded ──► thread ──► one system call for all that wait
       └─ full: dropped and counted; the log says how many once there is room again

The first line after a silence is written at once, those that come within GATHER_S of it together:
to wake the thread for each would take the loop more time than to make the line.
Cost  ~0.2 us for who writes a line.
"""

import io
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TextIO

MAX_QUEUED_BYTES: Final = 8 * 1024 * 1024
"""What waits for a disk or a terminal that stands still; more is dropped."""
GATHER_S: Final = 0.02
FLUSH_S: Final = 2.0
"""How long the end of a process waits for its last lines."""

_Work = str | Callable[[], object] | None


class Sink:
    """Where lines go: a stream that stays as it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it."""
        return self._stream.isatty()

    def put(self, text: str) -> None:
        """Write all of it, past the buffers of the stream where it has a descriptor.

        Raises: OSError, ValueError if it cannot be written.
        """
        try:
            descriptor = self._stream.fileno()
        except (io.UnsupportedOperation, AttributeError):
            self._stream.write(text)
            return
        _put(descriptor, text)

    def reopen(self) -> None:
        """A stream has no name to open again."""

    def close(self) -> None:
        """It belongs to somebody else."""


class File(Sink):
    """Where lines go: the end of a file, private to its owner.

    Whoever rotates it moves it away and asks for `reopen`. If that fails, lines go on into the
    old one. `also` are descriptors that follow it: what a library or a crash prints to stderr.
    """

    def __init__(self, path: Path, also: tuple[int, ...] = ()) -> None:
        """Raises: OSError, if it cannot be opened."""
        self.path = path
        self._also = also
        self._descriptor = _opened(path)

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it as it is written."""
        return False

    def put(self, text: str) -> None:
        """Append all of it."""
        _put(self._descriptor, text)

    def reopen(self) -> None:
        """Open what now has the name."""
        with suppress(OSError):
            fresh = _opened(self.path)
            os.close(self._descriptor)
            self._descriptor = fresh
            for descriptor in self._also:
                os.dup2(fresh, descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Writer:
    """The only writer of one sink. Any thread may `write`; nobody waits."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.dropped = 0
        """Lines that were not written: too many at once, or the sink failed."""
        self._told = 0  # of these, the ones the sink knows of
        self._queued = 0  # characters ever, counted by those who write
        self._written = 0  # characters ever, counted by the thread
        self._work: SimpleQueue[_Work] = SimpleQueue()
        self._hurry = threading.Event()  # somebody waits for what is queued
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Queue one line, without its end; dropped if too much waits already."""
        if self._queued - self._written > MAX_QUEUED_BYTES:
            self.dropped += 1
            return
        self._queued += len(line)
        self._work.put(line)

    def reopen(self) -> None:
        """Open the file anew, once what was said before is in the old one."""
        self._work.put(self.sink.reopen)

    def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Wait until all said so far is written, for so long at most; whether it is."""
        done = threading.Event()
        self._work.put(done.set)
        self._hurry.set()
        return done.wait(timeout_s)

    def close(self) -> None:
        """Write what waits, within FLUSH_S, and end."""
        self._work.put(None)
        self._hurry.set()
        self._thread.join(FLUSH_S)
        if not self._thread.is_alive():
            self.sink.close()

    def _run(self) -> None:
        while self._do(self._work.get()):
            self._hurry.wait(GATHER_S)

    def _do(self, work: _Work) -> bool:
        """Do this and all that waits behind it; False: that was the end."""
        self._hurry.clear()
        lines: list[str] = []
        try:
            while work is not None:
                if isinstance(work, str):
                    lines.append(work)
                else:
                    self._put(lines)
                    lines = []
                    work()
                work = self._work.get_nowait()
        except Empty:
            return True
        finally:
            self._put(lines)
        return False

    def _put(self, lines: list[str]) -> None:
        if not lines:
            return
        self._written += sum(map(len, lines))
        lost = self.dropped - self._told
        if lost:
            note = (
                f"({lost} log lines are missing here: they came faster than they could be written)"
            )
            lines = [*lines[:1], note, *lines[1:]]
        try:
            self.sink.put("\n".join((*lines, "")))
            self._told += lost
        except (OSError, ValueError):  # disk full, reader gone, closed
            self.dropped += len(lines) - bool(lost)


def _opened(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _put(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]
