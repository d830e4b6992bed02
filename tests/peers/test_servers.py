"""The peers alone, through the official client: what they offer without a gateway."""

import asyncio
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from peers import servers

MODERN, LEGACY = "2026-07-28", "2025-11-25"


async def offer(server: str | list[str]) -> tuple[str, set[str]]:
    """The revision and the tool names of a server, given as URL or command."""
    if isinstance(server, list):
        return await _offer(StdioServerParameters(command=server[0], args=server[1:]))
    return await _offer(server)


async def _offer(server: str | StdioServerParameters) -> tuple[str, set[str]]:
    async with asyncio.timeout(servers.START_S), Client(server) as client:
        tools = (await client.list_tools()).tools
        return client.protocol_version, {tool.name for tool in tools}


@pytest.mark.parametrize(
    ("start", "revision"),
    [(servers.everything_modern, MODERN), (servers.everything_legacy, LEGACY)],
)
async def test_everything_over_http(
    start: Callable[[], AbstractAsyncContextManager[str]], revision: str
) -> None:
    async with start() as url:
        spoken, tools = await offer(url)
    assert spoken == revision
    assert tools >= {"test_simple_text", "test_elicitation", "test_sampling"}


@pytest.mark.parametrize(
    ("command", "revision"),
    [(servers.everything_modern_argv, MODERN), (servers.everything_legacy_argv, LEGACY)],
)
async def test_everything_over_stdio(command: Callable[[], list[str]], revision: str) -> None:
    spoken, tools = await offer(command())
    assert spoken == revision
    assert tools >= {"test_simple_text", "test_elicitation", "test_sampling"}


async def test_time() -> None:
    assert await offer(servers.time_argv()) == (LEGACY, {"get_current_time", "convert_time"})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty git repository."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


async def test_git(repository: Path) -> None:
    spoken, tools = await offer(servers.git_argv(repository))
    assert spoken == LEGACY
    assert tools >= {"git_status", "git_log", "git_commit"}


async def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", "echo no licence >&2"]
    with pytest.raises(AssertionError, match="no licence"):
        async with servers.started(argv, tmp_path, servers.LISTENING):
            pass
