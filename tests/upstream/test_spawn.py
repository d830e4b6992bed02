"""A process starts with the pipes it is given and nothing else, and its end is told once."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fakes.children import PATIENCE_S
from only1mcp.upstream.spawn import spawn

pytest_plugins = ["fakes.orphans"]
pytestmark = pytest.mark.usefixtures("no_orphans")

NULL = subprocess.DEVNULL
Break = Callable[[pytest.MonkeyPatch], None]


def no_pidfd(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on other systems than Linux."""
    monkeypatch.delattr(os, "pidfd_open")


def old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux before 5.3."""

    def refuse(*arguments: Any) -> int:
        raise OSError("function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)


async def exit_of(*argv: str) -> int:
    """The return code of `argv`."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    spawn(argv, (NULL, NULL, NULL), ended.set_result)
    async with asyncio.timeout(PATIENCE_S):
        return await ended


@pytest.mark.parametrize("system", [lambda monkeypatch: None, no_pidfd, old_kernel])
async def test_the_end_is_told(system: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    system(monkeypatch)
    assert await exit_of(sys.executable, "-I", "-S", "-c", "raise SystemExit(7)") == 7
    kill = "import os; os.kill(os.getpid(), 9)"
    assert await exit_of(sys.executable, "-I", "-S", "-c", kill) == -signal.SIGKILL
    ends = await asyncio.gather(*(exit_of("true") for _ in range(5)))
    assert list(ends) == [0] * 5


async def test_it_inherits_its_pipes_and_nothing_else() -> None:
    reading, writing = os.pipe()
    stray = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(stray, True)
    code = "import os; print(sorted(os.listdir('/proc/self/fd')), os.getsid(0) == os.getpid())"
    ended = asyncio.Event()
    argv = [sys.executable, "-I", "-S", "-c", code]
    spawn(argv, (NULL, writing, NULL), lambda code: ended.set(), cwd="/", env={})
    await ended.wait()
    said = os.read(reading, 1000).decode()
    for fd in (reading, writing, stray):
        os.close(fd)
    assert said == "['0', '1', '2', '3'] True\n"  # 3 is the listing itself


async def test_a_command_that_cannot_run_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        spawn(["/no/such/command"], (NULL, NULL, NULL), print)
    with pytest.raises(ValueError, match="null byte"):
        spawn(["true", "a\0b"], (NULL, NULL, NULL), print)
