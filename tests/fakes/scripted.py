"""Scripted servers of both eras over both transports, and one gateway before them all."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.mirror import Asked, Mirror, Refused, over_stdio, tool
from fakes.mirror_http import over_http

TOOLS = ("echo", "wait", "steps", "chatty", "needs")


def scripted(name: str, *, modern: bool = False) -> Mirror:
    """A server with TOOLS: answers its arguments, waits to be cancelled, reports progress, logs,
    misses a capability."""
    mirror = Mirror(name, modern=modern)
    mirror.lists["tools"] = [tool(one) for one in TOOLS]
    mirror.lists["prompts"] = [{"name": "hello"}]
    mirror.lists["resources"] = [{"name": "r", "uri": f"{name}://r"}]
    mirror.lists["resourceTemplates"] = [{"name": "t", "uriTemplate": f"{name}://t/{{x}}"}]

    async def call(asked: Asked) -> bytes:
        await _meanwhile(asked)
        return mirror.text(json.dumps(asked.arguments))

    mirror.on("tools/call", call)
    return mirror


async def _meanwhile(asked: Asked) -> None:
    match asked.json["name"]:
        case "wait":
            await asked.hang()
        case "needs":
            raise Refused(b'{"code":-32021,"message":"no","data":{"requiredCapabilities":{}}}')
        case "steps":
            for step in (1, 2, 3):
                await asked.progress(step)
        case "chatty":
            for level in ("debug", "warning", "error"):
                await asked.notify("notifications/message", level=level, data=level)


@asynccontextmanager
async def behind(
    mirrors: Mapping[str, Mirror], folder: Path, **config: Any
) -> AsyncIterator[Running]:
    """A gateway whose servers are `mirrors`, all ready; names that end in `pipe` are on stdio."""
    async with AsyncExitStack() as stack:
        servers = []
        for name, mirror in mirrors.items():
            if name.endswith("pipe"):
                argv = await stack.enter_async_context(over_stdio(mirror))
                servers.append(stdio_server(name, *argv))
            else:
                url = await stack.enter_async_context(over_http(mirror))
                servers.append(http_server(name, url))
        running = await stack.enter_async_context(gateway({"servers": servers, **config}, folder))
        await running.ready(*mirrors)
        yield running
