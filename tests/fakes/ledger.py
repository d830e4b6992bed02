"""Servers that write down what they do, and a gateway before them: see fakes/ledger_server.py."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil

from fakes import ledger_server
from fakes.edge import until
from fakes.gateway import Running, gateway, stdio_server
from fakes.wire import Json, Web, last, web

PATIENCE_S: Final = 20.0
QUICK: Final[Json] = {"interval": 1, "timeout": 0.5}
"""health_check of a server whose trouble shall be seen soon."""


class Ledger:
    """A file of all that was done."""

    def __init__(self, folder: Path, name: str = "ledger") -> None:
        self.file = folder / name
        self.mute = folder / f"{name}.mute"
        self.argv = (sys.executable, ledger_server.__file__, str(self.file))

    def runs(self) -> dict[str, int]:
        """How often each key was done."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return dict(Counter(line.split(" ")[0] for line in lines))

    def server(self, id: str = "one", *options: str, **more: Any) -> Json:
        """The entry of a program that writes here."""
        return stdio_server(id, *self.argv, *options, **more)

    async def has(self, key: str) -> None:
        """Wait until something was done."""
        await until(lambda: key in self.runs())


class Front:
    """A gateway, a client of it, and what it says of its servers."""

    def __init__(self, running: Running, wire: Web) -> None:
        self.running = running
        self.wire = wire

    async def call(self, tool: str, server: str = "one", **arguments: Any) -> Json:
        """The answer to one tools/call of a modern client."""
        params = {"name": f"{server}__{tool}", "arguments": arguments}
        return last(await self.wire.modern("tools/call", params))

    def calling(self, tool: str, server: str = "one", **arguments: Any) -> "asyncio.Task[Json]":
        """The same, under way."""
        return asyncio.get_running_loop().create_task(self.call(tool, server, **arguments))

    async def row(self, server: str = "one") -> Json:
        """What is said of one server."""
        found = await self.wire.http.get(f"{self.running.url}/api/v1/admin/servers")
        return next(row for row in found.json()["servers"] if row["id"] == server)

    async def readyz(self) -> int:
        """The status of the page that says whether it is ready."""
        return (await self.wire.http.get(f"{self.running.url}/readyz")).status_code

    async def shows(self, server: str = "one", **wanted: Any) -> Json:
        """Wait until the row of a server has these values; the row."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                row = await self.row(server)
                if all(row[name] == value for name, value in wanted.items()):
                    return row
                await asyncio.sleep(0.02)

    async def process(self, server: str = "one") -> psutil.Process:
        """The process of a program."""
        return psutil.Process((await self.row(server))["pid"])

    async def another(self, than: psutil.Process, server: str = "one") -> Json:
        """Wait until a server is up again, with another process than this one; its row."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                row = await self.row(server)
                if row["state"] == "ready" and row["pid"] not in (None, than.pid):
                    return row
                await asyncio.sleep(0.02)

    async def works_on(self, count: int, server: str = "one") -> None:
        """Wait until so many calls are in flight at a server."""
        await self.replicas(lambda all: sum(one["in_flight"] for one in all) == count, server)

    async def replicas(self, so: Callable[[list[Json]], bool], server: str = "one") -> None:
        """Wait until it is so with the replicas of a server."""

        async def look() -> bool:
            return so((await self.row(server))["replicas"])

        await eventually(look)

    async def works(self, server: str = "one") -> None:
        """Wait until a call of `add` succeeds."""

        async def look() -> bool:
            return "result" in await self.call("add", server)

        await eventually(look)


@asynccontextmanager
async def front(
    folder: Path, *servers: Json, ready: bool = True, **more: Any
) -> AsyncIterator[Front]:
    """A gateway before these servers."""
    async with gateway({"servers": servers, **more}, folder) as running, web(running.mcp) as wire:
        wire.http.timeout = httpx2.Timeout(PATIENCE_S)
        if ready:
            await running.ready(*(server["id"] for server in servers))
        yield Front(running, wire)


async def eventually(look: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not await look():  # noqa: ASYNC110 - another process has no event for us
            await asyncio.sleep(0.02)


def resume(process: psutil.Process) -> None:
    """Let a stopped process go on, so that it can end."""
    try:
        process.send_signal(signal.SIGCONT)
    except psutil.NoSuchProcess:
        return


def fault(answer: Json) -> tuple[int, str]:
    """The code of an error, and whether the call may have run."""
    error = answer["error"]
    return error["code"], error["data"]["outcome"]
