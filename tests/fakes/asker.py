"""A scripted server that asks its clients when the test says so, and two clients of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from fakes.gateway import gateway, http_server, stdio_server
from fakes.mirror import Asked, Json, Mirror, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.wire import Session, message, web

TOKENS: Final = ("t-ann-123456", "t-bob-123456")
SECRET: Final = "the password of ann?"


class Asker(Mirror):
    """A server that asks when it is told to, on the channel of messages of no request."""

    def __init__(self) -> None:
        super().__init__("asker")
        self.lists["tools"] = [tool("work")]
        self.open: dict[str, asyncio.Event] = {}
        self.on("tools/call", self._work)

    async def _work(self, asked: Asked) -> bytes:
        name = asked.arguments["who"]
        await self.open.setdefault(name, asyncio.Event()).wait()
        return self.text(f"done for {name}")

    async def ask(self, id: str, **more: Any) -> Json:
        """Ask for a secret; what the gateway answered."""
        await self.put(id, **more)
        await self.until(lambda: bool(self.answers(id)))
        (answer,) = self.answers(id)
        return answer

    async def put(self, id: str, **more: Any) -> None:
        """Ask without waiting for the answer."""
        (tell,) = self.channels.values()
        params: Json = {"message": SECRET, "requestedSchema": {"type": "object", "properties": {}}}
        params |= more
        await tell(json.dumps(message("elicitation/create", params, id=id)).encode())

    async def ping(self) -> None:
        """Wait until the gateway has taken all that was said before."""
        (tell,) = self.channels.values()
        await tell(json.dumps(message("ping", id="seen")).encode())
        await self.until(lambda: bool(self.answers("seen")))

    def answers(self, id: str) -> list[Json]:
        """What came back for a question."""
        return [one for one in self.heard if one.get("id") == id]

    async def working(self, count: int) -> None:
        """Wait until so many calls have come."""
        await self.until(lambda: len(self.calls()) == count)


@asynccontextmanager
async def two_clients(
    server: Asker, transport: str, folder: Path, ann: Json, bob: Json
) -> AsyncIterator[tuple[Session, Session]]:
    """Sessions of two principals, with these capabilities, at a gateway with one server."""
    async with AsyncExitStack() as stack:
        if transport == "http":
            entry = http_server("asker", await stack.enter_async_context(over_http(server)))
        else:
            entry = stdio_server("asker", *await stack.enter_async_context(over_stdio(server)))
        config = {"server": {"auth": {"tokens": [*TOKENS]}}, "servers": [entry]}
        running = await stack.enter_async_context(gateway(config, folder))
        await running.ready("asker")
        await server.until(lambda: len(server.channels) == 1)
        sessions = []
        for token, able in zip(TOKENS, (ann, bob), strict=True):
            options = {"headers": {"Authorization": f"Bearer {token}"}}
            wire = await stack.enter_async_context(web(running.server("asker"), **options))
            sessions.append(await wire.open(**able))
        yield sessions[0], sessions[1]
