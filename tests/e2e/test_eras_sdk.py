"""The columns of the era matrix that matter most, by the official client in both its modes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import pytest
import pytest_asyncio
from mcp import Client
from mcp.types import (
    CreateMessageResult,
    ElicitResult,
    TextContent,
    ToolListChangedNotification,
)

from fakes.gateway import Running, gateway
from fakes.whole import FORM, SAMPLE, Whole, whole_servers
from scripts.eras import SERVERS, Cell, cells

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

WAIT_S: Final = 20.0
AGAIN_S: Final = 0.5
"""The client opens the stream that it hears changes on when it likes, and does not say when."""

World = tuple[Mapping[str, Whole], Running]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        servers, entries = await stack.enter_async_context(whole_servers(SERVERS))
        folder = tmp_path_factory.mktemp("gateway")
        running = await stack.enter_async_context(gateway({"servers": entries}, folder))
        await running.ready(*SERVERS)
        for server in servers.values():  # else what it says goes nowhere
            await server.until(server.is_heard)
        yield servers, running


class User:
    """Who sits at the client: answers questions and hears of changes."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.changed = asyncio.Event()

    async def elicit(self, context: Any, params: Any) -> ElicitResult:
        """A form is filled in."""
        self.asked.append(params)
        return ElicitResult(action="accept", content={"name": "Ada"})

    async def sample(self, context: Any, params: Any) -> CreateMessageResult:
        """A model answers."""
        self.asked.append(params)
        content = TextContent(type="text", text="hello")
        return CreateMessageResult(role="assistant", content=content, model="m")

    async def hear(self, message: Any) -> None:
        """A notification."""
        if isinstance(message, ToolListChangedNotification):
            self.changed.set()


class Case:
    """A cell that is being tried."""

    def __init__(self, cell: Cell, client: Client, user: User, server: Whole) -> None:
        self.cell, self.client, self.user, self.server = cell, client, user, server

    async def text(self, tool: str, *, on_progress: Any = None, **arguments: Any) -> Any:
        """What a tool says, read as JSON."""
        name = f"{self.cell.server}__{tool}"
        found = await self.client.call_tool(name, arguments, progress_callback=on_progress)
        (block,) = found.content
        assert isinstance(block, TextContent)
        return json.loads(block.text)


async def call(case: Case) -> None:
    assert await case.text("echo", a=[1, "é"]) == {"a": [1, "é"]}


async def progress(case: Case) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    await case.text("steps", on_progress=on_progress)
    assert seen == [1, 2]


async def form(case: Case) -> None:
    said = await case.text("elicit")
    assert said == {"action": "accept", "content": {"name": "Ada"}}
    (asked,) = case.user.asked
    assert (asked.message, asked.requested_schema) == (FORM["message"], FORM["requestedSchema"])


async def sampling(case: Case) -> None:
    said = await case.text("sample")
    assert said["content"] == {"type": "text", "text": "hello"}
    (asked,) = case.user.asked
    assert asked.max_tokens == SAMPLE["maxTokens"]


async def changed(case: Case) -> None:
    name = f"new-{case.cell.id}"
    if case.cell.client.sdk == "auto":
        async with case.client.listen(tools_list_changed=True) as heard:
            await case.server.grow(name)
            while not await is_there(case, name):
                await anext(heard)
    else:
        await until_heard(case, name)
        assert await is_there(case, name)
    case.server.shrink(name)


async def is_there(case: Case, name: str) -> bool:
    tools = (await case.client.list_tools()).tools
    return f"{case.cell.server}__{name}" in [one.name for one in tools]


async def until_heard(case: Case, name: str) -> None:
    """Change the list until that is heard: the first times may have been too early."""
    more = [name]
    while not case.user.changed.is_set():
        await case.server.grow(more[-1])
        more.append(f"{name}-{len(more)}")
        with suppress(TimeoutError):
            async with asyncio.timeout(AGAIN_S):
                await case.user.changed.wait()
    for one in more[1:]:
        case.server.shrink(one)


FEATURE: Final[Mapping[str, Callable[[Case], Awaitable[None]]]] = {
    one.__name__: one for one in (call, progress, form, sampling, changed)
}


@pytest.mark.parametrize("cell", cells(sdk=True), ids=lambda cell: cell.id)
async def test_cell(world: World, cell: Cell) -> None:
    servers, running = world
    user = User()
    async with (
        asyncio.timeout(WAIT_S),
        Client(
            running.mcp,
            mode=cell.client.sdk,
            elicitation_callback=user.elicit,
            sampling_callback=user.sample,
            message_handler=user.hear,
        ) as client,
    ):
        assert client.protocol_version == cell.client.revision
        await FEATURE[cell.feature](Case(cell, client, user, servers[cell.server]))
