"""A gateway of a file behind a real listener, whose servers are scripted: nothing is ever started.

async with office(tmp_path, YAML) as desk:
    found = await desk.get("/servers")
    await desk.send("PATCH", "/servers/one", {"enabled": False}, match="*")
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx2

from fakes.edge import PATIENCE_S
from fakes.upstream import FakeUpstream, library
from only1mcp.admin.table import PREFIX
from only1mcp.cli.say import source_of
from only1mcp.gateway import Gateway, Live
from only1mcp.protocol.sse import Event, Parser
from only1mcp.upstream.replica import Replica

ADMIN: Final = "admin-token-1"
TEXT: Final = """\
# mine
server:
  admin_tokens: ["${ADMIN}"]
hot_reload: {enabled: false}
servers:
  - id: one  # first
    transport: {type: stdio, command: "true", env: {KEY: "${SECRET}"}}
  # the second
  - id: two
    transport: {type: http, url: "http://127.0.0.1:9/mcp", headers: {X: "Bearer ${SECRET}"}}
"""
SECRET: Final = "s3cr3t-value"
ENVIRON: Final = {"ADMIN": ADMIN, "SECRET": SECRET, "PATH": "/usr/bin:/bin"}


class Office:
    """The gateway, its file, and a client of its admin API who is an admin unless he says not."""

    def __init__(self, file: Path, gateway: Gateway, http: httpx2.AsyncClient) -> None:
        self.file = file
        self.gateway = gateway
        self.http = http
        self.fakes: dict[str, list[FakeUpstream]] = {}

    async def get(self, path: str, token: str | None = ADMIN, **headers: str) -> httpx2.Response:
        """A page."""
        return await self.http.get(PREFIX + path, headers=_headers(token, headers))

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        match: str | None = None,
        token: str | None = ADMIN,
    ) -> httpx2.Response:
        """An operation; `body` is sent as JSON."""
        headers = _headers(token, {})
        if match is not None:
            headers["If-Match"] = match
        content = None if body is None else json.dumps(body)
        if content is not None:
            headers["Content-Type"] = "application/json"
        url = PREFIX + path
        return await self.http.request(method, url, content=content, headers=headers)

    async def tag(self) -> str:
        """The ETag of the file."""
        return (await self.get("/config")).headers["etag"]

    def connection(self, live: Live, replica: Replica, era: str) -> FakeUpstream:
        """What the gateway gets in place of a connection."""
        made = library(live.id)
        self.fakes.setdefault(live.id, []).append(made)
        return made

    @contextlib.asynccontextmanager
    async def events(self, query: str = "", **headers: str) -> AsyncIterator["Stream"]:
        """Follow the events."""
        url = f"{PREFIX}/events{query}"
        async with self.http.stream("GET", url, headers=_headers(ADMIN, headers)) as response:
            assert response.status_code == 200
            yield Stream(response)


class Stream:
    """An event stream, event by event."""

    def __init__(self, response: httpx2.Response) -> None:
        self._bytes = response.aiter_bytes()
        self._parser = Parser(1 << 20)
        self._found: list[Event] = []

    async def next(self, kind: str) -> dict[str, Any]:
        """The next event of this kind; those before it are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while self._found:
                    event = self._found.pop(0)
                    if event.name == kind.encode():
                        found: dict[str, Any] = json.loads(event.data)
                        return found | {"id": event.id.decode()}
                self._found += self._parser.feed(await anext(self._bytes))

    async def end(self) -> None:
        """The gateway ends it."""
        async with asyncio.timeout(PATIENCE_S):
            async for _ in self._bytes:
                pass


@contextlib.asynccontextmanager
async def office(folder: Path, text: str = TEXT, name: str = "o.yaml") -> AsyncIterator[Office]:
    """One whose servers are up."""
    file = folder / name
    file.write_text(text)
    source = source_of(file, ENVIRON)
    assert source is not None
    gateway = Gateway(source.read().config, None, source)
    try:
        edge = await gateway.listen(0)
        async with httpx2.AsyncClient(base_url=edge.url, timeout=PATIENCE_S) as http:
            found = Office(file, gateway, http)
            gateway.roster._connection = found.connection  # type: ignore[method-assign]
            for live in gateway.roster.servers.values():
                live._make = found.connection
            gateway.start()
            await gateway.roster.settle([*gateway.roster.servers], PATIENCE_S)
            yield found
    finally:
        await gateway.close()


def _headers(token: str | None, more: dict[str, str]) -> dict[str, str]:
    found = {name.replace("_", "-"): value for name, value in more.items()}
    return found if token is None else {"Authorization": f"Bearer {token}", **found}
