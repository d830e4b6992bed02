"""Tools that work only as tasks of 2025-11-25, for clients that ask for none: they are called as
tasks and their results waited for.

Source  MCP 2025-11-25 basic/utilities/tasks "Tool-Level Negotiation".
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.edge import begin
from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.mirror import Asked, Refused, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.wire import Json, Web, message, web
from fakes.worker import ASK, RELATED, Worker

pytestmark = pytest.mark.timeout(60)

TRANSPORTS = ("http", "stdio")
DONE = [{"type": "text", "text": "done"}]
OWN = {RELATED: {"taskId": "t.1"}}


class Slow(Worker):
    """Its tool `long` is refused unless it is asked for as a task; `go` ends that."""

    def __init__(self) -> None:
        super().__init__("legacy")
        self.lists["tools"] = [tool("long", execution={"taskSupport": "required"})]
        self.go = asyncio.Event()
        self.go.set()
        self.asks = False

    async def _call(self, asked: Asked) -> bytes:
        if "task" not in asked.json:
            raise Refused(b'{"code":-32601,"message":"only as a task"}')
        return await super()._call(asked)

    async def _result(self, asked: Asked) -> bytes:
        await self.go.wait()
        if self.asks:
            await self._ask(asked)
        return json.dumps({"content": DONE, "_meta": OWN}).encode()

    async def _ask(self, asked: Asked) -> None:
        if (meta := self.calls()[-1].json.get("_meta")) is not None:
            token = meta["progressToken"]
            await asked.notify("notifications/progress", progressToken=token, progress=1, _meta=OWN)
        question = {"jsonrpc": "2.0", "id": 77, "method": "elicitation/create"}
        await asked.tell(json.dumps({**question, "params": {**ASK, "_meta": OWN}}).encode())
        await self.until(lambda: any(one.get("id") == 77 for one in self.heard))


@asynccontextmanager
async def slow(transport: str, folder: Path) -> AsyncIterator[tuple[Slow, Web, Running]]:
    """Such a server behind a gateway, and a client."""
    server = Slow()
    async with AsyncExitStack() as stack:
        if transport == "http":
            entry = http_server("slow", await stack.enter_async_context(over_http(server)))
        else:
            entry = stdio_server("slow", *await stack.enter_async_context(over_stdio(server)))
        running = await stack.enter_async_context(gateway({"servers": [entry]}, folder))
        await running.ready("slow")
        yield server, await stack.enter_async_context(web(running.mcp)), running


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_client_can_use_it(transport: str, tmp_path: Path) -> None:
    async with slow(transport, tmp_path) as (server, wire, _):
        for revision in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"):
            session = await wire.open(revision)
            listed = (await session.ask("tools/list"))["result"]["tools"]
            assert [one["name"] for one in listed] == ["slow__long"]
            found = await session.ask("tools/call", {"name": "slow__long"})
            assert found["result"] == {"content": DONE}
        listed = (await wire.modern("tools/list")).json()["result"]["tools"]
        assert [one["name"] for one in listed] == ["slow__long"]
        found = (await wire.modern("tools/call", {"name": "slow__long"})).json()["result"]
        assert (found["resultType"], found["content"]) == ("complete", DONE)
        assert RELATED not in found.get("_meta", {})
        made = await session.ask("tools/call", {"name": "slow__long", "task": {"ttl": 7}})
        assert made["result"]["task"]["taskId"] == "slow.t.1"  # who asks for a task has it
        assert server.calls()[-1].json["task"] == {"ttl": 7}
        assert len(server.calls("tasks/result")) == 5


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_its_progress_and_questions_reach_the_client(transport: str, tmp_path: Path) -> None:
    async with slow(transport, tmp_path) as (server, wire, _):
        server.asks = True
        session = await wire.open("2025-06-18", elicitation={})
        params: Json = {"name": "slow__long", "_meta": {"progressToken": "mine"}}
        async with session.calling(message("tools/call", params, id=5)) as stream:
            said: list[Any] = []
            while not said or said[-1]["method"] != "elicitation/create":
                one = await stream.next()
                assert one is not None, said
                said += [one] if one else []
            assert said[0]["params"] == {"progressToken": "mine", "progress": 1}
            assert "_meta" not in said[1]["params"]
            result = {"action": "decline"}
            await session.post({"jsonrpc": "2.0", "id": said[1]["id"], "result": result})
            (found,) = await stream.rest()
            assert found["result"] == {"content": DONE}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_modern_client_answers_its_questions(transport: str, tmp_path: Path) -> None:
    able: Json = {"clientCapabilities": {"elicitation": {}}}
    async with slow(transport, tmp_path) as (server, wire, _):
        server.asks = True
        params: Json = {"name": "slow__long"}
        asked = (await wire.modern("tools/call", params, **able)).json()["result"]
        ((key, question),) = asked["inputRequests"].items()
        assert question["params"]["message"] == ASK["message"]
        params["inputResponses"] = {key: {"action": "decline"}}
        params["requestState"] = asked["requestState"]
        found = (await wire.modern("tools/call", params, **able)).json()["result"]
        assert found["content"] == DONE
        assert len(server.calls()) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_goes_away_cancels_the_task(transport: str, tmp_path: Path) -> None:
    async with slow(transport, tmp_path) as (server, wire, _):
        server.go.clear()
        session = await wire.open()
        asking = begin(session.ask("tools/call", {"name": "slow__long"}, id=9))
        await server.until(lambda: bool(server.calls("tasks/result")))
        await session.post(message("notifications/cancelled", {"requestId": 9}))
        await server.until(lambda: bool(server.calls("tasks/cancel")))
        assert (await asking)["error"]["code"] == -32800
        modern = begin(wire.modern("tools/call", {"name": "slow__long"}))
        await server.until(lambda: len(server.calls("tasks/result")) == 2)
        modern.cancel()
        await server.until(lambda: len(server.calls("tasks/cancel")) == 2)
        assert {one.json["taskId"] for one in server.calls("tasks/cancel")} == {"t.1"}


async def test_a_server_that_dies_with_the_task_is_not_given_it_twice(tmp_path: Path) -> None:
    async with slow("stdio", tmp_path) as (server, wire, running):
        server.go.clear()
        session = await wire.open()
        asking = begin(session.ask("tools/call", {"name": "slow__long"}))
        await server.until(lambda: bool(server.calls("tasks/result")))
        server.hang_up()
        error = (await asking)["error"]
        assert (error["data"]["server"], error["data"]["outcome"]) == ("slow", "unknown")
        await running.said("ready +slow ", count=2)
        assert len(server.calls()) == 1
