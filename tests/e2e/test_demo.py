"""The first minute of a new user: demo servers behind one endpoint, the official client."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest
from mcp import Client
from mcp.types import TextContent

from fakes.demo import demo_http
from fakes.gateway import Running, gateway, http_server, stdio_server

NOTES = stdio_server("notes", sys.executable, "-m", "only1mcp.demo.notes")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with demo_http("clock") as clock, demo_http("text") as text:
        config = {"servers": [NOTES, http_server("clock", clock), http_server("text", text)]}
        async with gateway(config, tmp_path) as running:
            await running.ready("notes", "clock", "text")
            yield running


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_all_servers_through_one_endpoint(
    running: Running, mode: Literal["legacy", "auto"]
) -> None:
    async with Client(running.mcp, mode=mode) as client:
        assert client.server_info is not None
        assert client.server_info.name == "only1mcp"
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"notes__add_note", "clock__now", "text__word_count"} <= names

        added = await client.call_tool("notes__add_note", {"title": "t", "text": "hello"})
        assert not added.is_error
        counted = await client.call_tool("text__word_count", {"text": "one two three"})
        (block,) = counted.content
        assert isinstance(block, TextContent)
        assert "3" in block.text
        assert (await client.list_prompts()).prompts
        resources = (await client.list_resources()).resources
        note = next(one for one in resources if str(one.uri).startswith("note://"))
        assert (await client.read_resource(str(note.uri))).contents
        assert (await client.list_resource_templates()).resource_templates


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_slow_task_reports_progress(
    running: Running, mode: Literal["legacy", "auto"]
) -> None:
    seen: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with Client(running.mcp, mode=mode) as client:
        arguments = {"seconds": 0.3, "steps": 3}
        result = await client.call_tool("clock__countdown", arguments, progress_callback=progress)
    assert not result.is_error
    assert len(seen) >= 3
    assert seen == sorted(seen)


async def test_one_server_alone_has_its_own_names(running: Running) -> None:
    async with Client(running.server("text")) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "word_count" in names
        assert not (await client.call_tool("word_count", {"text": "x"})).is_error
