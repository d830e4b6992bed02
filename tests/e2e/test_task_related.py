"""What belongs to a task of 2025-11-25, on its way between a legacy client and its server.

Progress after the answer, log messages, questions and their answers, results: on /mcp under the id
that names the server, on /mcp/{server} under the server's own.
Source  MCP 2025-11-25 basic/utilities/tasks.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fakes.gateway import Running, gateway
from fakes.mirror import WAIT_S, Asked
from fakes.mirrors import entry
from fakes.wire import Json, Session, web
from fakes.worker import ASK, RELATED, STATUS, Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

SERVERS = ("legacy-http", "legacy-stdio")
ANN, BOB = "t-ann", "t-bob"
OWN = {RELATED: {"taskId": "t.1"}}
PROGRESS, LOG = "notifications/progress", "notifications/message"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> Mapping[str, Worker]:
    return {id: Worker(id) for id in SERVERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    workers: Mapping[str, Worker], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        servers = [await entry(stack, id, one) for id, one in workers.items()]
        config = {"server": {"auth": {"tokens": [ANN, BOB]}}, "servers": servers}
        folder = tmp_path_factory.mktemp("gateway")
        running = await stack.enter_async_context(gateway(config, folder))
        await running.ready(*SERVERS)
        for one in workers.values():
            await one.until(lambda one=one: bool(one.channels))  # type: ignore[misc]
        yield running


def client(url: str, token: str = ANN) -> Any:
    return web(url, headers={"Authorization": f"Bearer {token}"})


async def make(session: Session, server: str, mounted: bool, token: Any = None) -> str:
    """The id of a new task; `token` is that of its progress."""
    name = "work" if mounted else f"{server}__work"
    params: Json = {"name": name, "task": {"ttl": 1000}}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    made = await session.ask("tools/call", params)
    id: str = made["result"]["task"]["taskId"]
    return id


async def until(stream: AsyncIterator[Json], method: str) -> Json:
    """The params of the next notification of this kind."""
    while (found := await anext(stream))["method"] != method:
        assert found["method"].endswith("list_changed"), found
    params: Json = found["params"]
    return params


async def announce(worker: Worker, method: str, **params: Any) -> None:
    """Say something outside any call, with the newest token if it is progress."""
    if method == PROGRESS:
        params["progressToken"] = worker.calls()[-1].json["_meta"]["progressToken"]
    await worker.announce(method, **params)


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("token", [7, "7"])
async def test_progress_goes_on_after_the_answer(
    running: Running, workers: Mapping[str, Worker], server: str, mounted: bool, token: Any
) -> None:
    worker = workers[server]
    async with client(running.server(server) if mounted else running.mcp) as wire:
        session, other = await wire.open(), await wire.open()
        async with session.listen() as stream, other.listen() as silence:
            id = await make(session, server, mounted, token)
            for done in (1, 2):
                await announce(worker, PROGRESS, progress=done, _meta=OWN)
                found = await until(stream, PROGRESS)
                assert found == {
                    "progressToken": token, "progress": done, "_meta": {RELATED: {"taskId": id}},
                }  # fmt: skip
                assert type(found["progressToken"]) is type(token)
            await worker.announce(PROGRESS, progressToken=10**6, progress=3)  # of no call
            await worker.announce(PROGRESS, progressToken="x", progress=3)
            await worker.announce(STATUS, taskId="t.1", status="completed")
            assert (await until(stream, STATUS))["taskId"] == id
            for one in (session, other):
                await wire.http.delete(wire.url, headers=one.headers)
            assert [one async for one in silence if "list_changed" not in one["method"]] == []


async def test_progress_for_a_client_that_has_gone_reaches_nobody(
    running: Running, workers: Mapping[str, Worker]
) -> None:
    worker = workers["legacy-http"]
    async with client(running.mcp) as wire:
        gone, stays = await wire.open(), await wire.open()
        await make(gone, "legacy-http", False, 1)
        await wire.http.delete(wire.url, headers=gone.headers)
        async with stays.listen() as stream:
            await announce(worker, PROGRESS, progress=1)
            id = await make(stays, "legacy-http", False)
            await worker.announce(STATUS, taskId="t.1", status="working")
            assert (await until(stream, STATUS))["taskId"] == id


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
@pytest.mark.parametrize("server", SERVERS)
async def test_what_the_server_says_while_a_result_is_waited_for(
    running: Running, workers: Mapping[str, Worker], server: str, mounted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    worker = workers[server]

    async def telling(asked: Asked) -> bytes:
        await asked.notify(LOG, level="info", data="l", _meta=OWN)
        question = {"jsonrpc": "2.0", "id": 77, "method": "elicitation/create"}
        await asked.tell(json.dumps({**question, "params": {**ASK, "_meta": OWN}}).encode())
        await worker.until(lambda: any(one.get("id") == 77 for one in worker.heard))
        return json.dumps({"content": [], "_meta": OWN}).encode()

    monkeypatch.setattr(worker, "_result", telling)
    worker.heard.clear()
    async with client(running.server(server) if mounted else running.mcp) as wire:
        session = await wire.open(elicitation={"form": {}})
        id = await make(session, server, mounted)
        shown = {RELATED: {"taskId": id}}
        waiting = {"jsonrpc": "2.0", "id": 5, "method": "tasks/result", "params": {"taskId": id}}
        async with session.calling(waiting) as stream:
            said = [one async for one in _until_asked(stream)]
            assert [one["params"]["_meta"] for one in said] == [shown, shown]
            reply = {"action": "decline", "_meta": shown}
            answer = {"jsonrpc": "2.0", "id": said[-1]["id"], "result": reply}
            assert (await session.post(answer)).status_code == 202
            (found,) = await stream.rest()
            assert found["result"]["_meta"] == shown
        (answered,) = [one for one in worker.heard if one.get("id") == 77]
        assert answered["result"] == {"action": "decline", "_meta": OWN}


async def _until_asked(stream: Any) -> AsyncIterator[Json]:
    async with asyncio.timeout(WAIT_S):
        while (one := await stream.next()) is not None:
            if one:
                yield one
            if one.get("method") == "elicitation/create":
                return


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
@pytest.mark.parametrize("server", SERVERS)
async def test_what_a_server_says_of_a_task_before_its_answer_comes_after_it(
    server: str, mounted: bool, tmp_path: Path
) -> None:
    worker = Worker(server)

    async def hasty(asked: Asked) -> bytes:
        await asked.notify(STATUS, taskId="t.1", status="completed")
        return json.dumps({"task": {"taskId": "t.1", "status": "working"}}).encode()

    worker.on("tools/call", hasty)
    async with AsyncExitStack() as stack:
        config = {"servers": [await entry(stack, server, worker)]}
        running = await stack.enter_async_context(gateway(config, tmp_path))
        await running.ready(server)
        url = running.server(server) if mounted else running.mcp
        session = await (await stack.enter_async_context(web(url))).open()
        stream = await stack.enter_async_context(session.listen())
        id = await make(session, server, mounted)
        assert await until(stream, STATUS) == {"taskId": id, "status": "completed"}


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
async def test_a_request_may_belong_to_ones_own_task_alone(
    running: Running, workers: Mapping[str, Worker], mounted: bool
) -> None:
    worker, url = workers["legacy-http"], running.mcp
    url = running.server("legacy-http") if mounted else url
    async with client(url) as ann, client(url, BOB) as bob:
        mine, theirs = await ann.open(), await bob.open()
        id = await make(mine, "legacy-http", mounted)
        params = {
            "name": "work" if mounted else "legacy-http__work",
            "_meta": {RELATED: {"taskId": id}},
        }
        assert "result" in await mine.ask("tools/call", params)
        assert worker.calls()[-1].json["_meta"] == OWN
        refused = await theirs.ask("tools/call", params)
        assert (refused["error"]["code"], "unknown task" in refused["error"]["message"]) == (
            -32602, True,
        )  # fmt: skip
