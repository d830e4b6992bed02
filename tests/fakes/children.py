"""StdioServers around the scripted server, and what the tests ask of them again and again."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from msgspec import Raw

from fakes import stdio_server
from only1mcp.config.servers import Stdio, Timeouts
from only1mcp.protocol import message
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call, NotificationSink
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.warden import Warden

PATIENCE_S = 10.0
"""The longest a test waits for something that comes at once."""


def ignore(method: str, params: Raw) -> None:
    """A sink for notifications that nobody looks at."""


def script(*options: str, **more: Any) -> Stdio:
    """How to start the scripted server."""
    return Stdio(command=sys.executable, args=(stdio_server.__file__, *options), **more)


def server_of(
    transport: Stdio,
    warden: Warden,
    *,
    protocol: str = "legacy",
    start_s: float = PATIENCE_S,
    sink: NotificationSink = ignore,
) -> StdioServer:
    """A server named "fake", not connected yet."""
    timeouts = Timeouts(start=start_s)
    return StdioServer("fake", transport, timeouts, protocol, sink, warden)


@asynccontextmanager
async def serving(
    *options: str, protocol: str = "legacy", sink: NotificationSink = ignore, **more: Any
) -> AsyncIterator[StdioServer]:
    """The scripted server with these options, connected; nothing of it is left behind."""
    warden = Warden()
    server = server_of(script(*options, **more), warden, protocol=protocol, sink=sink)
    try:
        await server.connect()
        yield server
    finally:
        await server.close()
        await warden.close()


def call(tool: str, *, meta: Any = None, **arguments: Any) -> Call:
    """A tools/call of `tool`."""
    params = {"name": as_raw(tool), "arguments": as_raw(arguments)}
    if meta is not None:
        params["_meta"] = meta if isinstance(meta, Raw) else as_raw(meta)
    return Call("tools/call", params, idle_s=PATIENCE_S, max_s=2 * PATIENCE_S)


async def text(server: StdioServer, tool: str, **arguments: Any) -> str:
    """Call `tool`; the text of its result."""
    found = message.any_value(await server.call(call(tool, **arguments)))
    return str(found["content"][0]["text"])


async def details(server: StdioServer, tool: str, **arguments: Any) -> Any:
    """Call `tool`; the structured part of its result."""
    return message.any_value(await server.call(call(tool, **arguments)))["structuredContent"]


async def heard(server: StdioServer) -> list[dict[str, Any]]:
    """What the scripted server has received, apart from requests."""
    found: list[dict[str, Any]] = (await details(server, "heard"))["heard"]
    return found


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (conditions of other processes have no event)
            await asyncio.sleep(0.005)


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def descendants() -> list[psutil.Process]:
    """What the test process has started and is still alive."""
    return [one for one in psutil.Process().children(recursive=True) if lives(one.pid)]


def wait_gone(pids: list[int]) -> list[int]:
    """Wait until none of `pids` lives; those that do not end."""
    limit = time.monotonic() + PATIENCE_S
    while (left := [pid for pid in pids if lives(pid)]) and time.monotonic() < limit:
        time.sleep(0.01)
    return left


def executable(path: Path, text: str, mode: int = 0o755) -> str:
    """Write a script and return its name."""
    path.write_text(text)
    path.chmod(mode)
    return str(path)
