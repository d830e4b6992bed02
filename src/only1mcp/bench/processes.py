"""Programs under measurement: started on a core of their own, their CPU time and memory, ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import psutil

PATIENCE_S: Final = 60.0
END_S: Final = 10.0
_LOOK_S: Final = 0.01
_CPU_OF_PROCESS: Final = 2
"""With the complement of a process id shifted left by 3, its clock: what clock_getcpuclockid(3)
gives on Linux."""


class NotStarted(Exception):
    """A program did not come up, with the end of what it said."""


class Cores(NamedTuple):
    """Which core is for whom."""

    gateway: int
    load: int
    server: int


def cores() -> Cores:
    """One core for the gateway alone; load and stub server have one each if there are three."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(0, 0, 0)
    have = sorted(os.sched_getaffinity(0))
    return Cores(have[0], have[1 % len(have)], have[2 if len(have) > 2 else 1 % len(have)])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started in here runs on one core (on Linux; elsewhere nobody can say so)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Program:
    """One running program. What it says goes to a file that can be searched."""

    def __init__(
        self,
        command: Sequence[str],
        core: int,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        with on_core(core):
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def said(self) -> str:
        """Everything it has written so far."""
        return os.pread(self._said.fileno(), 1 << 24, 0).decode(errors="replace")

    def wait_for(self, wanted: Any, patience_s: float = PATIENCE_S) -> Any:
        """Wait until `wanted(said)` is true; that value.

        Raises:
            NotStarted: it has ended, or its time is up.
        """
        end = time.perf_counter() + patience_s
        while not (found := wanted(self.said())):
            gone = self.process.poll()
            if gone is not None or time.perf_counter() > end:
                why = "says nothing more" if gone is None else f"ended with {gone}"
                args = self.process.args
                shown = " ".join(map(str, args)) if isinstance(args, list | tuple) else str(args)
                raise NotStarted(f"{shown[:200]} {why}:\n{self.said()[-2000:]}")
            time.sleep(_LOOK_S)
        return found

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants."""
        try:
            own = psutil.Process(self.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def cpu_s(self) -> float:
        """User and system seconds of all of them so far."""
        return sum(cpu_s(process) for process in self.family())

    def own_cpu_s(self) -> float:
        """User and system seconds of the process alone; on Linux not in ticks of 10 ms."""
        try:
            return time.clock_gettime(~self.pid << 3 | _CPU_OF_PROCESS)
        except OSError:
            return sum(cpu_s(process) for process in self.family()[:1])

    def memory_bytes(self) -> int:
        """Resident memory of all of them; pages they share count once for each."""
        return sum(process.memory_info().rss for process in self.family())

    def own_memory_bytes(self) -> int:
        """Resident memory of the process alone."""
        return sum(process.memory_info().rss for process in self.family()[:1])

    def end(self) -> None:
        """Ask it to end, then insist; its descendants too."""
        family = self.family()
        if self.process.stdin is not None:
            self.process.stdin.close()
        for process in family[:1]:
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, END_S)
        self.process.wait()
        self._said.close()


def cpu_s(process: psutil.Process) -> float:
    """User and system seconds of one process; 0 if it is gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM leaves this block as Ctrl-C does: what was started is ended. Main thread only."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """End it in any case."""
    try:
        yield program
    finally:
        program.end()
