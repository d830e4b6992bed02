"""A StreamableHttp that keeps what it hears, connected to a scripted MCP server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Raw
from pydantic import SecretStr

from fakes.http_mcp import Mcp
from fakes.http_server import HttpServer
from only1mcp.config.servers import Http, Timeouts
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call
from only1mcp.upstream.streamable import StreamableHttp

Heard = list[tuple[str, Any]]


class Client(StreamableHttp):
    """An upstream that keeps what belongs to no call."""

    def __init__(self, url: str, protocol: str = "auto", **headers: str) -> None:
        self.heard: Heard = []
        self.told = asyncio.Event()
        secrets = {name: SecretStr(value) for name, value in headers.items()}
        transport = Http(url=url, headers=secrets)
        super().__init__("search", transport, Timeouts(start=5.0), protocol, self.hear)

    def hear(self, method: str, params: Raw) -> None:
        self.heard.append((method, json.loads(bytes(params)) if params else None))
        self.told.set()

    async def until_told(self) -> None:
        async with asyncio.timeout(5):
            await self.told.wait()
        self.told.clear()


@asynccontextmanager
async def connected(
    web: Mcp, protocol: str = "auto", **headers: str
) -> AsyncIterator[tuple[Client, HttpServer]]:
    async with web.serve() as server:
        client = Client(server.url, protocol, **headers)
        await client.connect()
        try:
            yield client, server
        finally:
            await client.close()


def tool_call(heard: Heard | None = None, **options: Any) -> Call:
    def keep(method: str, params: Raw) -> None:
        assert heard is not None
        heard.append((method, json.loads(bytes(params))))

    params = {"name": as_raw("echo"), "arguments": as_raw({"x": 1})}
    sink = keep if heard is not None else None
    return Call("tools/call", params, "echo", sink, **options)
