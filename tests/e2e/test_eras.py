"""The era matrix through real gateways: every client, every server, every feature.

What is expected of a cell is said in scripts/eras.py; docs/eras.md shows it.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio

from fakes.era_clients import ANSWERS, Channel, Client, Events, Lines, Posts, connected
from fakes.gateway import Running, gateway
from fakes.library import TOOLS, UPDATED
from fakes.mirror import Asked
from fakes.whole import NEEDED, OWN_ERROR, QUESTIONS, Whole, whole_servers
from fakes.wire import MODERN, Json
from scripts.eras import CLIENTS, MOUNT, SERVERS, Cell, answer_of, cells

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

PROGRESS: Final = "notifications/progress"
LOG: Final = "notifications/message"


@dataclass
class World:
    """All that runs: the servers, a gateway over HTTP, and a stdio one for each such client."""

    servers: Mapping[str, Whole]
    running: Running
    http: httpx2.AsyncClient
    piped: Mapping[str, Client]

    @asynccontextmanager
    async def client(self, cell: Cell) -> AsyncIterator[Client]:
        """The client of a cell; over HTTP a new one, on stdio the one there is."""
        if cell.client.channel == "stdio":
            yield self.piped[cell.client.id]
            return
        running = self.running
        url = running.server(cell.server) if cell.place == MOUNT else running.mcp
        sse = cell.client.channel == "sse"
        channel: Channel = Events(self.http, f"{running.url}/sse") if sse else Posts(self.http, url)
        async with connected(cell.client.revision, channel) as client:
            yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("gateway")
    async with AsyncExitStack() as stack:
        servers, entries = await stack.enter_async_context(whole_servers(SERVERS))
        running = await stack.enter_async_context(gateway({"servers": entries}, folder))
        await running.ready(*SERVERS)
        patience = httpx2.Timeout(10, read=None)
        http = await stack.enter_async_context(
            httpx2.AsyncClient(trust_env=False, timeout=patience)
        )
        piped = {
            one.id: await stack.enter_async_context(on_pipes(one.revision, folder))
            for one in CLIENTS
            if one.channel == "stdio"
        }
        for client in piped.values():
            await up(client)
        for server in servers.values():  # else what it says goes nowhere
            await server.until(partial(server.is_heard, 1 + len(piped)))
        yield World(servers, running, http, piped)


@asynccontextmanager
async def on_pipes(revision: str, folder: Path) -> AsyncIterator[Client]:
    """A client with a gateway of its own as child."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "only1mcp", "stdio", "--config", str(folder / "only1mcp.json")),
        stdin=PIPE, stdout=PIPE, limit=1 << 24,
    )  # fmt: skip
    try:
        async with connected(revision, Lines(process)) as client:
            yield client
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def up(client: Client) -> None:
    """Wait until the gateway behind a client has all servers."""
    for id in SERVERS:
        answer = await client.ask("tools/call", {"name": f"{id}__echo", "arguments": {}})
        assert "result" in answer, answer


@dataclass
class Case:
    """A cell that is being tried."""

    cell: Cell
    client: Client
    server: Whole

    @property
    def answer(self) -> str | None:
        """What is expected instead of success."""
        return answer_of(self.cell.feature, self.cell.client, self.cell.server)

    def name(self, bare: str) -> str:
        """A name of the server, as the client knows it."""
        return bare if self.cell.place == MOUNT else f"{self.cell.server}__{bare}"

    async def call(self, tool: str, *, token: Any = None, **arguments: Any) -> Json:
        """The whole answer to a call."""
        params = {"name": self.name(tool), "arguments": arguments}
        return await self.client.ask("tools/call", params, token=token)

    async def text(self, tool: str, **arguments: Any) -> Any:
        """What a tool says, read as JSON."""
        answer = await self.call(tool, **arguments)
        (block,) = answer["result"]["content"]
        return json.loads(block["text"])

    @asynccontextmanager
    async def under_way(self, tool: str) -> AsyncIterator[tuple[int, Asked, "asyncio.Task[Json]"]]:
        """A call that the server has: its id, the server's side of it, and the client's."""
        before = len(self.server.calls())
        task = self.client.tasks.start(self.call(tool), "a call under way")
        asked = await self.server.next_call(before)
        try:
            yield self.client.last_id, asked, task
        finally:
            task.cancel()
            await asyncio.wait([task])


# --- the features ---


async def call(case: Case) -> None:
    """Arguments there, a result back."""
    assert await case.text("echo", a=[1, "é"]) == {"a": [1, "é"]}


async def progress(case: Case) -> None:
    """Under the client's own token."""
    case.client.heard.clear()
    assert "result" in await case.call("steps", token="mine")
    assert case.client.told(PROGRESS) == [
        {"progressToken": "mine", "progress": step} for step in (1, 2)
    ]


async def log(case: Case) -> None:
    """What the client asks for, not less and not more, whatever was asked for before."""
    for level, wanted in (("info", ["info", "warning", "error"]), ("error", ["error"])):
        await case.client.level(level)
        case.client.heard.clear()
        assert "result" in await case.call("chatty")
        assert [one["level"] for one in case.client.told(LOG)] == wanted


async def cancel(case: Case) -> None:
    """The server stops. Only over HTTP of a handshake revision has the answer to be ended."""
    async with case.under_way("wait") as (id, asked, task):
        await case.client.cancel(id)
        await case.server.until(asked.cancelled.is_set)
        if case.cell.client.channel == "http" and case.client.revision != MODERN:
            assert (await task)["error"]["code"] == -32800
        else:
            assert await case.text("echo") == {}
            assert not task.done()


async def changed(case: Case) -> None:
    """A new tool is announced and is there."""
    name, client = f"new-{case.cell.id}", case.client
    await client.hear(uri=case.server.uri)
    client.heard.clear()
    await case.server.grow(name)
    seen = 0
    while case.name(name) not in await names(client):
        seen = await client.another(TOOLS, seen)
    await client.another(TOOLS, 0)
    case.server.shrink(name)
    await client.hear_no_more(uri=case.server.uri)


async def names(client: Client) -> list[str]:
    """Of the tools there are."""
    return [tool["name"] for tool in (await client.ask("tools/list"))["result"]["tools"]]


async def updated(case: Case) -> None:
    """Of the resource that the client watches, and as long as it does."""
    client, server = case.client, case.server
    await server.until(lambda: not server.subscribed())
    await client.hear(uri=server.uri)
    await server.until(server.subscribed)
    client.heard.clear()
    await server.says(UPDATED, uri=server.uri)
    await client.another(UPDATED, 0)
    assert client.told(UPDATED)[0]["uri"] == server.uri
    await client.hear_no_more(uri=server.uri)
    await server.until(lambda: not server.subscribed())


async def question(case: Case, tool: str) -> None:
    """A question of the server in mid-call, or what is answered instead."""
    method, params = QUESTIONS[tool]
    case.client.asked.clear()
    answer = await case.call(tool)
    if case.answer == "not-declared":
        assert answer["error"]["code"] == -32021
        assert answer["error"]["data"] == {"requiredCapabilities": NEEDED[tool]}
    elif case.answer is not None:
        said = json.loads(answer["result"]["content"][0]["text"])
        assert said == {"refused": REFUSED[case.answer]}
    else:
        assert json.loads(answer["result"]["content"][0]["text"]) == ANSWERS[method]
        (asked,) = case.client.asked
        assert asked["method"] == method
        assert form_of(asked.get("params", {}), case.client.revision) == params
        return
    assert case.client.asked == []


def form_of(asked: Json, revision: str) -> Json:
    """Without the id that a URL has in 2025-11-25, and only there."""
    found = dict(asked)
    if found.get("mode") == "url" and revision != MODERN:
        assert found.pop("elicitationId")
    return found


REFUSED: Final[Mapping[str, Json]] = {
    "no-elicitation": {"code": -32601, "message": "the client does not take elicitation/create"},
    "no-url": {
        "code": -32602,
        "message": "the client does not take elicitation/create in mode url",
    },
    "nobodys": {
        "code": -32601,
        "message": "elicitation/create: 2 calls could have asked, so no client is asked; "
        "isolation and a token each keep clients apart, or call again when it is alone",
    },
}


async def amid(case: Case) -> None:
    """The same while another call of the client runs at this server."""
    async with case.under_way("wait") as (id, asked, _):
        await question(case, "elicit")
        await case.client.cancel(id)
        await case.server.until(asked.cancelled.is_set)


async def error(case: Case) -> None:
    """A server's own, untouched."""
    assert (await case.call("fail"))["error"] == OWN_ERROR


async def missing(case: Case) -> None:
    """Its code is another one since 2026-07-28."""
    uri = f"{case.server.uri}/row/7"
    found = (await case.client.ask("resources/read", {"uri": uri}))["error"]
    assert found["code"] == (-32602 if case.client.revision == MODERN else -32002)
    assert (found["message"], found["data"]) == ("no such row", {"uri": uri})


async def completion(case: Case) -> None:
    """By the server that has the prompt."""
    ref = {"type": "ref/prompt", "name": case.name("hello")}
    argument = {"name": "who", "value": "A"}
    answer = await case.client.ask("completion/complete", {"ref": ref, "argument": argument})
    assert answer["result"]["completion"] == {"values": ["Ada"], "hasMore": False}
    assert case.server.calls("completion/complete")[-1].json["ref"]["name"] == "hello"


FEATURE: Final[Mapping[str, Callable[[Case], Awaitable[None]]]] = {
    **{one.__name__: one for one in (call, progress, log, cancel, changed, updated, amid)},
    **{one.__name__: one for one in (error, missing, completion)},
    "form": lambda case: question(case, "elicit"),
    "url": lambda case: question(case, "visit"),
    "sampling": lambda case: question(case, "sample"),
    "roots": lambda case: question(case, "roots"),
}


@pytest.mark.parametrize("cell", cells(sdk=False), ids=lambda cell: cell.id)
async def test_cell(world: World, cell: Cell) -> None:
    async with world.client(cell) as client:
        await FEATURE[cell.feature](Case(cell, client, world.servers[cell.server]))
