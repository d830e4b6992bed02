"""Real MCP servers to test against, each in a process of its own.

    async with everything_modern() as url: ...      over HTTP, any number at a time
    command = time_argv()                           over stdio, started by whoever tests it

scripts/peers.py fetches them. A server binds a port of its own choice and is known to be
ready when it says which; at the end its whole process group is killed.
"""

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from only1mcp.observe.tasks import Tasks
from scripts.peers import LEGACY_PYTHON, everything

STOP_S: Final = 10.0
"""For a process that is asked to end; it is killed afterwards."""
START_S: Final = 30.0
"""A Python server imports for about two seconds; a loaded machine takes longer."""
LISTENING: Final = re.compile(rb"running on (http://127\.0\.0\.1:\d+)")

STDIO: Final = (
    "import sys; sys.path.insert(0, {folder!r})\n"
    "from mcp_everything_server.server import mcp\n"
    "mcp.run(transport='stdio')"
)
"""The everything-server offers HTTP only; its object can do both."""
SSE: Final = (
    "import sys; sys.path.insert(0, {folder!r})\n"
    "from mcp_everything_server.server import mcp\n"
    "mcp.settings.port = 0; mcp.run(transport='sse')"
)
"""Nor the older HTTP transport, which its object has too."""


def everything_modern() -> AbstractAsyncContextManager[str]:
    """The URL of an everything-server that speaks both eras (mcp 2.3.0)."""
    return _everything(sys.executable, everything("mcp-2.3.0"))


def everything_legacy() -> AbstractAsyncContextManager[str]:
    """The URL of an everything-server that knows the handshake only (mcp 1.30.0)."""
    return _everything(_legacy_python(), everything("mcp-1.30.0"))


@asynccontextmanager
async def everything_sse() -> AsyncIterator[str]:
    """The URL of an everything-server of the older HTTP transport (mcp 1.30.0)."""
    folder = _fetched(everything("mcp-1.30.0"))
    argv = [_legacy_python(), "-c", SSE.format(folder=str(folder))]
    async with started(argv, folder, LISTENING) as base:
        yield f"{base}/sse"


def everything_modern_argv() -> list[str]:
    """The same as `everything_modern`, over stdio."""
    return [sys.executable, "-c", STDIO.format(folder=str(_fetched(everything("mcp-2.3.0"))))]


def everything_legacy_argv() -> list[str]:
    """The same as `everything_legacy`, over stdio."""
    return [_legacy_python(), "-c", STDIO.format(folder=str(_fetched(everything("mcp-1.30.0"))))]


def tasks_argv() -> list[str]:
    """The command of tests/peers/tasks.py."""
    return [str(_fetched(LEGACY_PYTHON)), str(Path(__file__).with_name("tasks.py"))]


def time_argv() -> list[str]:
    """mcp-server-time: tools get_current_time and convert_time. Legacy."""
    return [_legacy_python(), "-m", "mcp_server_time", "--local-timezone", "UTC"]


def git_argv(repository: Path) -> list[str]:
    """mcp-server-git for one repository: git_status, git_log and ten more. Legacy."""
    return [_legacy_python(), "-m", "mcp_server_git", "--repository", str(repository)]


@asynccontextmanager
async def started(
    argv: Sequence[str],
    cwd: Path,
    ready: re.Pattern[bytes],
    stop: signal.Signals = signal.SIGKILL,
) -> AsyncIterator[str]:
    """Run `argv`; yields group 1 of `ready` once stderr shows it, ends it with `stop`.

    Raises:
        AssertionError: it ended or stayed silent; the message holds what it wrote.
    """
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True
    )
    tasks = Tasks()
    try:
        found = await _wait_for(process, ready)
        tasks.start(_drain(process), f"stderr of {argv[0]}")
        yield found
    finally:
        await _end(process, stop)
        await tasks.close()


async def _end(process: Process, stop: signal.Signals) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
        os.killpg(process.pid, stop)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _wait_for(process: Process, ready: re.Pattern[bytes]) -> str:
    seen = b""
    assert process.stderr is not None
    try:
        async with asyncio.timeout(START_S):
            while line := await process.stderr.readline():
                seen += line
                if match := ready.search(seen):
                    return match[1].decode()
    except TimeoutError:
        pass
    raise AssertionError(f"the server did not start:\n{seen.decode(errors='replace')}")


async def _drain(process: Process) -> None:
    assert process.stderr is not None
    while await process.stderr.read(65_536):
        pass


@asynccontextmanager
async def _everything(python: str, folder: Path) -> AsyncIterator[str]:
    argv = [python, "-m", "mcp_everything_server.server", "--port", "0"]
    async with started(argv, _fetched(folder), LISTENING) as base:
        yield f"{base}/mcp"


def _legacy_python() -> str:
    return str(_fetched(LEGACY_PYTHON))


def _fetched(path: Path) -> Path:
    assert path.exists(), f"{path} is missing; run `python scripts/peers.py`, or `make test`"
    return path
