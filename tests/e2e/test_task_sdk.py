"""Tasks of 2025-11-25 with a real server: the SDK's own, which asks in the middle of its task."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.gateway import gateway, stdio_server
from fakes.wire import Json, Web, message, web
from fakes.worker import RELATED, STATUS
from peers.servers import tasks_argv

pytestmark = pytest.mark.timeout(90)

SAID = [{"type": "text", "text": "answered decline"}]


@asynccontextmanager
async def front(folder: Path) -> AsyncIterator[Web]:
    """A client of a gateway before that server."""
    async with gateway({"servers": [stdio_server("sdk", *tasks_argv())]}, folder) as running:
        await running.ready("sdk")
        async with web(running.mcp) as wire:
            yield wire


async def test_a_session_follows_its_task(tmp_path: Path) -> None:
    async with front(tmp_path) as wire:
        session = await wire.open(elicitation={"form": {}})
        async with session.listen() as stream:
            params: Json = {
                "name": "sdk__confirm", "task": {"ttl": 60_000}, "_meta": {"progressToken": "mine"},
            }  # fmt: skip
            made = await session.ask("tools/call", params)
            id = made["result"]["task"]["taskId"]
            assert id.startswith("sdk.")
            asking = message("tasks/result", {"taskId": id}, id=5)
            async with session.calling(asking) as calling:
                while not (question := await calling.next()):
                    assert question is not None, "the stream ended without a question"
                assert question["params"]["_meta"][RELATED] == {"taskId": id}
                result = {"action": "decline", "_meta": {RELATED: {"taskId": id}}}
                await session.post({"jsonrpc": "2.0", "id": question["id"], "result": result})
                found = (await calling.rest())[-1]["result"]
            assert found["content"] == SAID
            assert found["_meta"][RELATED] == {"taskId": id}
            heard: dict[str, Any] = {}
            while not heard.keys() >= {STATUS, "notifications/progress"}:
                one = await anext(stream)
                heard[one["method"]] = one.get("params")
            assert heard[STATUS]["taskId"] == id
            assert heard["notifications/progress"]["progressToken"] == "mine"


async def test_an_older_client_calls_it_as_any_tool(tmp_path: Path) -> None:
    async with front(tmp_path) as wire:
        session = await wire.open("2025-06-18", elicitation={})
        asking = message("tools/call", {"name": "sdk__confirm"}, id=5)
        async with session.calling(asking) as calling:
            while not (question := await calling.next()):
                assert question is not None, "the stream ended without a question"
            result = {"action": "decline"}
            await session.post({"jsonrpc": "2.0", "id": question["id"], "result": result})
            found = (await calling.rest())[-1]["result"]
        assert found["content"] == SAID
        assert RELATED not in found.get("_meta", {})


async def test_so_does_a_modern_client(tmp_path: Path) -> None:
    able: Json = {"clientCapabilities": {"elicitation": {}}}
    async with front(tmp_path) as wire:
        params: Json = {"name": "sdk__confirm"}
        asked = (await wire.modern("tools/call", params, **able)).json()["result"]
        ((key, question),) = asked["inputRequests"].items()
        assert question["params"]["message"] == "Sure?"
        params["inputResponses"] = {key: {"action": "decline"}}
        params["requestState"] = asked["requestState"]
        found = (await wire.modern("tools/call", params, **able)).json()["result"]
        assert (found["resultType"], found["content"]) == ("complete", SAID)
