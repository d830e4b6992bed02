"""Tasks of the extension told of while they run: `taskIds` of subscriptions/listen.

Three servers that all hand out the same task id; a client hears of its own tasks alone, under the
ids that it was given.
Source  SEP-2663 "Task Status Notifications".
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp_types import SubscriptionsAcknowledgedNotification

from fakes.gateway import Running, gateway
from fakes.mirror_http import over_http
from fakes.mirrors import entry
from fakes.teller import ACK, TAG
from fakes.wire import Json, Web, web
from fakes.worker import EXTENSION, NEWS, Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

SHARED = ("modern-http", "modern-stdio")
APART = "modern-apart"
ANN, BOB = "t-ann", "t-bob"
DECLARED: Json = {"clientCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> Mapping[str, Worker]:
    return {id: Worker(id) for id in (*SHARED, APART)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    workers: Mapping[str, Worker], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        apart = {APART: {"isolation": "principal"}}
        servers = [await entry(stack, id, one, **apart.get(id, {})) for id, one in workers.items()]
        config = {"server": {"auth": {"tokens": [ANN, BOB]}}, "servers": servers}
        folder = tmp_path_factory.mktemp("gateway")
        running = await stack.enter_async_context(gateway(config, folder))
        await running.ready(*workers)
        yield running


@pytest.fixture(autouse=True)
def anew(workers: Mapping[str, Worker]) -> None:
    for one in workers.values():
        one.status, one.forgets = "working", False


def client(url: str, token: str = ANN) -> Any:
    return web(url, headers={"Authorization": f"Bearer {token}"})


async def make(wire: Web, server: str, mounted: bool = False) -> str:
    """The id of a new task, as this client is told it."""
    name = "work" if mounted else f"{server}__work"
    found = (await wire.modern("tools/call", {"name": name}, **DECLARED)).json()
    id: str = found["result"]["taskId"]
    return id


def listening(
    wire: Web, *ids: str, id: Any = 1
) -> AbstractAsyncContextManager[AsyncIterator[Json]]:
    """A listen for tasks."""
    return wire.listening({"taskIds": [*ids]}, id=id, **DECLARED)


async def acknowledged(frames: AsyncIterator[Json]) -> Json:
    """What the first frame of a listen agrees to."""
    first = await anext(frames)
    assert first["method"] == ACK
    SubscriptionsAcknowledgedNotification.model_validate(first)
    found: Json = first["params"]["notifications"]
    return found


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
@pytest.mark.parametrize("server", [*SHARED, APART])
async def test_a_client_hears_of_its_task(
    running: Running, workers: Mapping[str, Worker], server: str, mounted: bool
) -> None:
    worker = workers[server]
    async with client(running.server(server) if mounted else running.mcp) as wire:
        id = await make(wire, server, mounted)
        async with listening(wire, id, id="my id") as frames:
            assert await acknowledged(frames) == {"taskIds": [id]}
            await worker.until(lambda: worker.heard_by("t.1"))
            for status in ("input_required", "completed"):
                await worker.says(status)
                found = await anext(frames)
                assert found["method"] == NEWS
                assert found["params"] == {
                    "taskId": id, "status": status, "result": {"taskId": "t.1"},
                    "_meta": {TAG: "my id"},
                }  # fmt: skip
        await worker.until(lambda: not worker.listens)


async def test_one_listen_serves_all_clients_of_a_connection(
    running: Running, workers: Mapping[str, Worker]
) -> None:
    worker = workers["modern-http"]
    async with client(running.mcp) as all, client(running.server("modern-http")) as mount:
        ids = await make(all, "modern-http"), await make(mount, "modern-http", mounted=True)
        async with listening(all, ids[0], id=7) as one, listening(mount, ids[1], id="7") as two:
            assert await acknowledged(one) == {"taskIds": [ids[0]]}
            assert await acknowledged(two) == {"taskIds": [ids[1]]}
            await worker.until(lambda: worker.heard_by("t.1"))
            await worker.says("completed")
            told = [(await anext(frames))["params"] for frames in (one, two)]
        assert [(each["taskId"], each["_meta"]) for each in told] == [
            ("modern-http.t.1", {TAG: 7}),
            ("t.1", {TAG: "7"}),
        ]


async def test_the_task_of_another_principal_is_nobodys(
    running: Running, workers: Mapping[str, Worker]
) -> None:
    worker = workers["modern-http"]
    async with client(running.mcp) as ann, client(running.mcp, BOB) as bob:
        id = await make(ann, "modern-http")
        async with listening(ann, id) as mine, listening(bob, id, id=2) as theirs:
            assert await acknowledged(mine) == {"taskIds": [id]}
            assert await acknowledged(theirs) == {}
            await worker.says("completed")
            assert (await anext(mine))["params"]["status"] == "completed"
        async with listening(bob, id, id=3) as theirs:  # and nothing has piled up for him
            assert await acknowledged(theirs) == {}


@pytest.mark.parametrize(
    "id", ["modern-http.none", "nobody.t.1", "t.1", "", ".", "modern-http.", "modern-http@0.t.1"]
)
async def test_an_id_that_is_none_is_not_acknowledged(
    running: Running, workers: Mapping[str, Worker], id: str
) -> None:
    async with client(running.mcp) as wire:
        good = await make(wire, "modern-http")
        async with listening(wire, id, good) as frames:
            assert await acknowledged(frames) == {"taskIds": [good]}


async def test_only_what_the_server_acknowledges_is(
    running: Running, workers: Mapping[str, Worker]
) -> None:
    worker = workers["modern-stdio"]
    async with client(running.mcp) as wire:
        id = await make(wire, "modern-stdio")
        worker.forgets = True
        async with listening(wire, id) as frames:
            assert await acknowledged(frames) == {}
        await worker.until(lambda: not worker.listens)


async def test_news_of_another_task_reach_nobody(
    running: Running, workers: Mapping[str, Worker]
) -> None:
    worker = workers["modern-http"]
    async with client(running.mcp) as wire:
        id = await make(wire, "modern-http")
        async with listening(wire, id) as frames:
            await acknowledged(frames)
            await worker.until(lambda: worker.heard_by("t.1"))
            await worker.says("failed", id="t.2")
            await worker.says("completed")
            assert (await anext(frames))["params"]["taskId"] == id


async def test_who_has_not_declared_the_extension_is_told_so(running: Running) -> None:
    async with client(running.mcp) as wire:
        wanted = {"notifications": {"taskIds": ["x"]}}
        response = await wire.modern("subscriptions/listen", wanted)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, -32021)
        assert error["data"] == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest.mark.parametrize("ids", ["t.1", [1], ["x"] * 1001])
async def test_ids_that_are_none_are_refused(running: Running, ids: Any) -> None:
    async with client(running.mcp) as wire:
        wanted = {"notifications": {"taskIds": ids}}
        response = await wire.modern("subscriptions/listen", wanted, **DECLARED)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize("server", SHARED)
async def test_a_listen_that_breaks_is_opened_again_and_the_task_asked_for(
    running: Running, workers: Mapping[str, Worker], server: str
) -> None:
    worker = workers[server]
    async with client(running.mcp) as wire:
        id = await make(wire, server)
        async with listening(wire, id) as frames:
            await acknowledged(frames)
            await worker.until(lambda: worker.heard_by("t.1"))
            worker.status = "completed"
            worker.break_listens()
            found = await anext(frames)  # what it would have said meanwhile
            assert (found["method"], found["params"]["status"]) == (NEWS, "completed")
            assert found["params"]["taskId"] == id
            assert "resultType" not in found["params"]


async def test_a_server_that_dies_with_its_tasks_ends_the_listens_for_them(
    running: Running, workers: Mapping[str, Worker]
) -> None:
    worker = workers["modern-stdio"]
    async with client(running.mcp) as wire:
        id = await make(wire, "modern-stdio")
        async with listening(wire, id, id=9) as frames:
            await acknowledged(frames)
            await worker.until(lambda: worker.heard_by("t.1"))
            worker.forgets = True
            worker.break_listens()
            worker.hang_up()
            last = await anext(frames)
            assert (last["id"], last["result"]["_meta"]) == (9, {TAG: 9})
        worker.forgets = False
        id = await make(wire, "modern-stdio")
        async with listening(wire, id) as frames:  # the next one finds the new process
            assert await acknowledged(frames) == {"taskIds": [id]}


async def test_the_replica_that_has_the_task_tells_of_it(tmp_path: Path) -> None:
    twins = Worker("modern-1"), Worker("modern-2")
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(over_http(one)) for one in twins]
        replicas = [{"transport": {"type": "http", "url": url}} for url in urls]
        config = {"servers": [{"id": "many", "replicas": replicas}]}
        running = await stack.enter_async_context(gateway(config, tmp_path))
        await running.ready("many")
        for mounted in (False, True):
            url = running.server("many") if mounted else running.mcp
            wire = await stack.enter_async_context(web(url))
            ids = {await make(wire, "many", mounted) for _ in range(6)}
            assert len(ids) == 2  # one of each, told apart by the replica
            async with listening(wire, *ids) as frames:
                assert set((await acknowledged(frames))["taskIds"]) == ids
                told = set()
                for one in twins:
                    await one.until(lambda one=one: one.heard_by("t.1"))  # type: ignore[misc]
                    await one.says("completed")
                    told.add((await anext(frames))["params"]["taskId"])
                assert told == ids
