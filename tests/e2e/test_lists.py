"""A list that changes at its server: a client that asks sees it, whatever the server announces."""

import asyncio
from pathlib import Path

import pytest

from fakes.gateway import gateway, http_server, stdio_server
from fakes.library import TOOLS
from fakes.mirror import Mirror, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.wire import Session, web

pytestmark = pytest.mark.timeout(60)

SOON_S = 30.0
"""A list that nobody announces is kept for five seconds; a loaded machine takes longer."""


async def listed(session: Session) -> list[str]:
    """The names of the tools as a client gets them."""
    answer = await session.ask("tools/list")
    return [one["name"] for one in answer["result"]["tools"]]


async def test_a_tool_that_no_server_announces_is_listed_soon_and_others_hear_of_it(
    tmp_path: Path,
) -> None:
    web_server = Mirror("http", tools={"listChanged": False})
    pipe_server = Mirror("pipe", tools={})
    async with over_http(web_server) as url, over_stdio(pipe_server) as argv:
        config = {"servers": [http_server("http", url), stdio_server("pipe", *argv)]}
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("http", "pipe")
            asking, waiting = await wire.open(), await wire.open()
            assert await listed(asking) == []
            async with waiting.listen() as stream:
                web_server.lists["tools"] = [tool("new")]
                pipe_server.lists["tools"] = [tool("newer")]
                async with asyncio.timeout(SOON_S):
                    while await listed(asking) != ["http__new", "pipe__newer"]:  # noqa: ASYNC110 - unannounced
                        await asyncio.sleep(0.2)
                assert (await anext(stream))["method"] == TOOLS
