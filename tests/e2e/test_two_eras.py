"""Servers that speak both eras: each client is served in its own, but for a process all share.

The rows of the table in docs/eras.md, with a server made with the official SDK: one of its tools
asks by a request of the server, one by an `input_required` result.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
import pytest_asyncio
from mcp import Client, MCPError
from mcp.types import ElicitResult, TextContent

from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.wire import web
from peers import servers

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

TOOLS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "request": ("test_elicitation", {"message": "who?"}),
    "input_required": ("test_input_required_result_elicitation", {}),
}
WORKS: Final = "Ann"
NOT_IN_THIS_ERA: Final = "no back-channel"
NO_RESULT: Final = "-32603"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A gateway with the same server in each way to speak to it."""
    argv = servers.everything_modern_argv()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(servers.everything_modern())
        entries = [
            http_server("web", url),
            stdio_server("shared", *argv),
            stdio_server("apart", *argv, isolation="session"),
            stdio_server("handshake", *argv, protocol="legacy"),
        ]
        folder = tmp_path_factory.mktemp("gateway")
        found = await stack.enter_async_context(gateway({"servers": entries}, folder))
        await found.ready("web", "shared", "apart", "handshake")
        yield found


async def answer(context: Any, params: Any) -> ElicitResult:
    """What the user of a client says."""
    return ElicitResult(action="accept", content={"name": "Ann", "response": "Ann"})


async def outcome(client: Client, name: str, arguments: dict[str, Any]) -> str:
    """What a tool says, or the error."""
    try:
        (block,) = (await client.call_tool(name, arguments)).content
    except MCPError as refused:
        return f"{refused.error.code} {refused.error.message}"
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize(
    ("server", "mode", "tool", "said"),
    [
        ("web", "legacy", "request", WORKS),
        ("web", "legacy", "input_required", NO_RESULT),
        ("web", "auto", "request", NOT_IN_THIS_ERA),
        ("web", "auto", "input_required", WORKS),
        ("apart", "legacy", "request", WORKS),
        ("apart", "legacy", "input_required", NO_RESULT),
        ("apart", "auto", "request", NOT_IN_THIS_ERA),
        ("apart", "auto", "input_required", WORKS),
        ("shared", "legacy", "request", NOT_IN_THIS_ERA),
        ("shared", "legacy", "input_required", WORKS),
        ("shared", "auto", "request", NOT_IN_THIS_ERA),
        ("shared", "auto", "input_required", WORKS),
        ("handshake", "legacy", "request", WORKS),
        ("handshake", "legacy", "input_required", NO_RESULT),
        ("handshake", "auto", "request", WORKS),
        ("handshake", "auto", "input_required", NO_RESULT),
    ],
)
async def test_a_tool_asks(running: Running, server: str, mode: Any, tool: str, said: str) -> None:
    name, arguments = TOOLS[tool]
    url = running.server(server)
    async with Client(url, mode=mode, elicitation_callback=answer) as client:
        assert said in await outcome(client, name, arguments)


async def test_the_state_of_a_server_tells_all_its_revisions(running: Running) -> None:
    async with (
        Client(running.server("web"), mode="legacy") as client,
        web(f"{running.url}/api/v1/admin/servers") as wire,
    ):
        await client.call_tool("test_simple_text", {})
        rows = (await wire.http.get(wire.url)).json()["servers"]
    revisions = {row["id"]: row["revisions"] for row in rows}
    assert revisions["web"] == ["2026-07-28", "2025-11-25"]
    assert revisions["shared"] == ["2026-07-28"]
    assert revisions["handshake"] == ["2025-11-25"]
