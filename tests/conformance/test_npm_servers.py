"""Four npm servers behind one gateway, started as a person starts it, asked as a client asks.

Run by `make conformance`, which fetches Node.js and the servers.
"""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import TextContent, TextResourceContents

from peers.servers import started
from scripts.conformance.node import NODE, package

pytestmark = pytest.mark.conformance

ENDPOINT = re.compile(rb"(http://127\.0\.0\.1:\d+)/mcp\b")
UP_S = 30.0
"""Bound on the start of all four: each is a Node.js process of its own."""
POLL_S = 0.1
"""Between two looks at the list: the gateway is another process, there is no event to await."""

ONE_TOOL_OF_EACH = {
    "memory__read_graph",
    "files__read_text_file",
    "everything__echo",
    "thinking__sequentialthinking",
}
ARCHITECTURE = "demo://resource/static/document/architecture.md"
MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])


def npm_server(id: str, name: str, *arguments: str, **env: str) -> dict[str, Any]:
    """The configuration entry of one npm server."""
    command = {"command": str(NODE / "node"), "args": [str(package(name)), *arguments]}
    return {"id": id, "transport": {"type": "stdio", **command, "env": env}}


def configuration(folder: Path) -> Path:
    """A configuration file with the four servers; what they keep is kept in `folder`."""
    servers = [
        npm_server("memory", "server-memory", MEMORY_FILE_PATH=str(folder / "memory.jsonl")),
        npm_server("files", "server-filesystem", str(folder)),
        npm_server("everything", "server-everything", "stdio"),
        npm_server("thinking", "server-sequential-thinking"),
    ]
    file = folder / "only1mcp.json"
    file.write_text(json.dumps({"servers": servers}))
    return file


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[str]:
    """The address of a gateway in front of the four servers, all of them up."""
    only1mcp = Path(sys.executable).parent / "only1mcp"
    argv = [str(only1mcp), "run", "-c", str(configuration(folder)), "--port", "0"]
    async with started(argv, folder, ENDPOINT, stop=signal.SIGTERM) as base:
        async with asyncio.timeout(UP_S), Client(f"{base}/mcp", cache=None) as client:
            while not await tool_names(client) >= ONE_TOOL_OF_EACH:  # noqa: ASYNC110 (see POLL_S)
                await asyncio.sleep(POLL_S)
        yield base


async def tool_names(client: Client) -> set[str]:
    """The names of all tools, every page of them."""
    page = await client.list_tools()
    names = {tool.name for tool in page.tools}
    while page.next_cursor:
        page = await client.list_tools(cursor=page.next_cursor)
        names |= {tool.name for tool in page.tools}
    return names


async def said(client: Client, tool: str, **arguments: Any) -> str:
    """The text that `tool` answers with."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def read(client: Client, uri: str) -> str:
    """The text of a resource."""
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert str(content.uri) == uri
    return content.text


@MODES
async def test_all_servers_through_one_endpoint(tmp_path: Path, mode: Any) -> None:
    (tmp_path / "note.txt").write_text("kept in a file")
    async with gateway(tmp_path) as base, Client(f"{base}/mcp", mode=mode) as client:
        names = await tool_names(client)
        assert {name.partition("__")[0] for name in names} == {
            "memory",
            "files",
            "everything",
            "thinking",
        }

        gateway_entity = {"name": "gateway", "entityType": "program", "observations": ["is one"]}
        await said(client, "memory__create_entities", entities=[gateway_entity])
        graph = json.loads(await said(client, "memory__read_graph"))
        assert graph["entities"] == [gateway_entity]

        note = str(tmp_path / "note.txt")
        assert await said(client, "files__read_text_file", path=note) == "kept in a file"
        assert await said(client, "everything__echo", message="hello") == "Echo: hello"
        thought = {"thought": "one", "thoughtNumber": 1, "totalThoughts": 1}
        answer = await said(
            client, "thinking__sequentialthinking", **thought, nextThoughtNeeded=False
        )
        assert json.loads(answer)["thoughtNumber"] == 1

        assert ARCHITECTURE in {str(item.uri) for item in (await client.list_resources()).resources}
        assert "# " in await read(client, ARCHITECTURE)
        assert await read(client, "demo://resource/dynamic/text/7")
        prompt = await client.get_prompt("everything__simple-prompt")
        assert prompt.messages


@MODES
async def test_one_server_through_its_own_endpoint(tmp_path: Path, mode: Any) -> None:
    async with (
        gateway(tmp_path) as base,
        Client(f"{base}/mcp/everything", mode=mode) as everything,
        Client(f"{base}/mcp/files", mode=mode) as files,
    ):
        assert await tool_names(everything) >= {"echo", "get-sum", "get-tiny-image"}
        assert await said(everything, "echo", message="hello") == "Echo: hello"
        assert "# " in await read(everything, ARCHITECTURE)
        assert (await everything.get_prompt("simple-prompt")).messages

        assert "echo" not in await tool_names(files)
        assert str(tmp_path) in await said(files, "list_allowed_directories")
