"""A gateway started as a user starts it: `only1mcp run` in a process of its own."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

START_S = 20.0


class Running:
    """A live gateway process and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.log: list[str] = []
        self._new = asyncio.Event()

    @property
    def mcp(self) -> str:
        """The endpoint of all servers."""
        return f"{self.url}/mcp"

    def server(self, id: str) -> str:
        """The endpoint of one server."""
        return f"{self.url}/mcp/{id}"

    async def read(self) -> None:
        """Collect stderr until it ends."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.log.append(line.decode(errors="replace").rstrip())
            self._new.set()
        self._new.set()

    async def said(self, pattern: str, count: int = 1, timeout_s: float = START_S) -> list[str]:
        """Wait until `count` lines match; returns them."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(found := [line for line in self.log if re.search(pattern, line)]) < count:
                    self._new.clear()
                    await self._new.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"never said {pattern!r}:\n" + "\n".join(self.log)) from None

    async def ready(self, *ids: str) -> None:
        """Wait until these servers are up."""
        for id in ids:
            await self.said(rf"ready +{re.escape(id)} ")

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its end; returns the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        async with asyncio.timeout(START_S):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def gateway(
    config: Mapping[str, Any], folder: Path, *, env: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run `only1mcp run` with `config` on a free port; it is stopped at the end."""
    file = folder / "only1mcp.json"
    file.write_text(json.dumps(config))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "only1mcp", "run", "-c", str(file), "--port", "0",
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": str(folder), **(env or {})},
    )  # fmt: skip
    running = Running(process)
    reader = asyncio.get_running_loop().create_task(running.read())
    try:
        (line,) = (await running.said(r"listens on http"))[:1]
        found = re.search(r"(https?://\S+?)/mcp", line)
        assert found is not None
        running.url = found[1]
        yield running
    finally:
        if process.returncode is None:
            try:
                await running.stop()
            except TimeoutError:
                process.kill()
                await process.wait()
        await reader


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port where nobody listens: connections are refused, but a server may still take it."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def stdio_server(id: str, *argv: str, **more: Any) -> dict[str, Any]:
    """A server entry that starts `argv`."""
    return {
        "id": id,
        "transport": {"type": "stdio", "command": argv[0], "args": [*argv[1:]]},
        **more,
    }


def http_server(id: str, url: str, **more: Any) -> dict[str, Any]:
    """A server entry for a URL."""
    return {"id": id, "transport": {"type": "http", "url": url}, **more}
