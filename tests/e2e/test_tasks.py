"""Tasks of both eras, and methods of extensions, through the front door.

Four servers that all hand out the same task id: what a client gets names its server on /mcp, and
is the server's own on /mcp/{server}.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from fakes.gateway import Running, gateway, http_server
from fakes.mirror import Asked, Mirror
from fakes.mirror_http import over_http
from fakes.mirrors import entry
from fakes.wire import Json, Session, Web, web
from fakes.worker import ASK, EXTENSION, RELATED, STATUS, Worker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

LEGACY, MODERN = ("legacy-http", "legacy-stdio"), ("modern-http", "modern-stdio")
TOKENS = ("t-ann", "t-bob")
DECLARED: Json = {"clientCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers() -> Mapping[str, Worker]:
    return {id: Worker(id) for id in (*LEGACY, *MODERN)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    workers: Mapping[str, Worker], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        servers = [await entry(stack, id, one) for id, one in workers.items()]
        plain = Mirror("plain", modern=True, tools={}, extensions={"x/skills": {"deep": True}})
        plain.on("skills/get", _skill)
        servers.append(http_server("plain", await stack.enter_async_context(over_http(plain))))
        settings = {"auth": {"tokens": [*TOKENS]}}
        folder = tmp_path_factory.mktemp("gateway")
        config = {"server": settings, "servers": servers}
        running = await stack.enter_async_context(gateway(config, folder))
        await running.ready(*workers, "plain")
        yield running


async def _skill(asked: Asked) -> bytes:
    named = asked.headers.get("mcp-name")
    return json.dumps(
        {"resultType": "complete", "params": asked.json["n"], "named": named}
    ).encode()


def client(url: str, token: str = TOKENS[0]) -> Any:
    return web(url, headers={"Authorization": f"Bearer {token}"})


async def result(response: httpx2.Response) -> Json:
    body: Json = response.json()
    assert "result" in body, body
    found: Json = body["result"]
    return found


def about(id: str) -> dict[str, str]:
    return {"Mcp-Name": id}


async def task(wire: Web, method: str, id: str, **params: Any) -> httpx2.Response:
    """A request about a task by a modern client that knows the extension."""
    params = {"taskId": id, **params}
    return await wire.modern(method, params, headers=about(id), **DECLARED)


# --- 2026-07-28 ---


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
@pytest.mark.parametrize("server", MODERN)
async def test_a_task_of_the_extension(
    running: Running, workers: Mapping[str, Worker], server: str, mounted: bool
) -> None:
    worker, url = workers[server], running.server(server) if mounted else running.mcp
    id = "t.1" if mounted else f"{server}.t.1"
    async with client(url) as wire:
        found = await result(await wire.modern("server/discover"))
        assert found["capabilities"]["extensions"][EXTENSION] == {}
        name = "work" if mounted else f"{server}__work"
        made = await result(await wire.modern("tools/call", {"name": name}, **DECLARED))
        assert (made["resultType"], made["taskId"], made["x"]) == ("task", id, 10**30)
        got = await result(await task(wire, "tasks/get", id))
        assert (got["taskId"], got["result"]) == (id, {"taskId": "t.1"})
        more: Json
        for method, more in (("tasks/update", {"inputResponses": {"k": {}}}), ("tasks/cancel", {})):
            assert await result(await task(wire, method, id, **more)) == {"resultType": "complete"}
            (*_, asked) = worker.calls(method)
            assert asked.json["taskId"] == "t.1"
            assert asked.json.get("inputResponses") == more.get("inputResponses")
            if server == "modern-http":
                assert asked.headers["mcp-name"] == "t.1"


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_who_has_not_declared_the_extension_is_told_so(running: Running, method: str) -> None:
    async with client(running.mcp) as wire:
        response = await wire.modern(method, {"taskId": "x.y"}, headers=about("x.y"))
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (400, -32021)
        assert error["data"] == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest.mark.parametrize("id", ["modern-http.none", "nobody.t.1", "t.1", "legacy-http.t.1", "."])
async def test_a_task_that_nobody_knows(running: Running, id: str) -> None:
    async with client(running.mcp) as wire:
        response = await task(wire, "tasks/get", id)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)


async def test_the_header_names_the_task(running: Running) -> None:
    async with client(running.mcp) as wire:
        params = {"taskId": "modern-http.t.1"}
        response = await wire.modern("tasks/get", params, headers=about("other"), **DECLARED)
        assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
async def test_what_the_extension_has_no_more(running: Running, method: str) -> None:
    async with client(running.mcp) as wire:
        response = await wire.modern(method, {"taskId": "modern-http.t.1"}, **DECLARED)
        assert (response.status_code, response.json()["error"]["code"]) == (404, -32601)


async def test_a_task_is_its_makers_alone(running: Running) -> None:
    async with client(running.mcp) as ann, client(running.mcp, TOKENS[1]) as bob:
        name = {"name": "modern-http__work"}
        made = await result(await ann.modern("tools/call", name, **DECLARED))
        refused = await task(bob, "tasks/get", made["taskId"])
        assert refused.json()["error"]["code"] == -32602
        assert (await result(await task(ann, "tasks/get", made["taskId"])))["status"] == "working"


# --- 2025-11-25 ---


async def make(session: Session, server: str, mounted: bool = False) -> str:
    name = "work" if mounted else f"{server}__work"
    made = await session.ask("tools/call", {"name": name, "task": {"ttl": 1000}})
    id: str = made["result"]["task"]["taskId"]
    return id


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
@pytest.mark.parametrize("server", LEGACY)
async def test_a_task_of_2025(
    running: Running, workers: Mapping[str, Worker], server: str, mounted: bool
) -> None:
    async with client(running.server(server) if mounted else running.mcp) as wire:
        session = await wire.open()
        assert session.result["capabilities"]["tasks"]["requests"] == {"tools": {"call": {}}}
        id = await make(session, server, mounted)
        assert id == ("t.1" if mounted else f"{server}.t.1")
        (*_, asked) = workers[server].calls()
        assert asked.json["task"] == {"ttl": 1000}
        for method in ("tasks/get", "tasks/cancel"):
            assert (await session.ask(method, {"taskId": id}))["result"]["taskId"] == id
        found = await session.ask("tasks/result", {"taskId": id})
        assert found["result"] == {"content": [], "_meta": {RELATED: {"taskId": id}}}
        (*_, asked) = workers[server].calls("tasks/result")
        assert asked.json["taskId"] == "t.1"
        async with session.listen() as stream:
            await workers[server].announce(STATUS, taskId="t.1", status="completed")
            assert await anext(stream) == {
                "jsonrpc": "2.0", "method": STATUS, "params": {"taskId": id, "status": "completed"},
            }  # fmt: skip


async def test_the_list_of_all_holds_what_is_ones_own(running: Running) -> None:
    async with client(running.mcp) as ann, client(running.mcp, TOKENS[1]) as bob:
        mine, theirs = await ann.open(), await bob.open()
        assert await make(theirs, "legacy-stdio") == "legacy-stdio.t.1"
        assert await make(mine, "legacy-http") == "legacy-http.t.1"
        found = (await mine.ask("tasks/list"))["result"]["tasks"]
        assert [one["taskId"] for one in found] == ["legacy-http.t.1"]
        refused = await mine.ask("tasks/get", {"taskId": "legacy-stdio.t.1"})
        assert refused["error"]["code"] == -32602


async def test_a_server_asks_while_its_task_is_waited_for(
    running: Running, workers: Mapping[str, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = workers["legacy-http"]

    async def asking(asked: Asked) -> bytes:
        params = {**ASK, "_meta": {RELATED: {"taskId": "t.1"}}}
        body = {"jsonrpc": "2.0", "id": 77, "method": "elicitation/create", "params": params}
        await asked.tell(json.dumps(body).encode())
        await worker.until(lambda: any(one.get("id") == 77 for one in worker.heard))
        return b'{"content":[]}'

    monkeypatch.setattr(worker, "_result", asking)
    async with client(running.mcp) as wire:
        session = await wire.open(elicitation={"form": {}})
        id = await make(session, "legacy-http")
        waiting = {"jsonrpc": "2.0", "id": 5, "method": "tasks/result", "params": {"taskId": id}}
        async with session.calling(waiting) as stream:
            while not (question := await stream.next()):
                assert question is not None, "the stream ended without a question"
            assert question["params"]["_meta"] == {RELATED: {"taskId": id}}
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}
            assert (await session.post(answer)).status_code == 202
            (found,) = await stream.rest()
            assert found["result"] == {"content": []}


# --- across ---


async def test_a_wish_for_a_task_of_the_other_era_is_no_wish(
    running: Running, workers: Mapping[str, Worker]
) -> None:
    async with client(running.mcp) as wire:
        params = {"name": "legacy-http__work", "task": {"ttl": 1}}
        found = await result(await wire.modern("tools/call", params, **DECLARED))
        assert found["content"] == []
        assert "task" not in workers["legacy-http"].calls()[-1].json


@pytest.mark.parametrize("mounted", [False, True], ids=["all", "mount"])
async def test_a_method_of_an_extension(running: Running, mounted: bool) -> None:
    async with client(running.server("plain") if mounted else running.mcp) as wire:
        found = await result(await wire.modern("server/discover"))
        assert found["capabilities"]["extensions"]["x/skills"] == {"deep": True}
        response = await wire.modern("skills/get", {"n": 10**30}, headers=about("a b"))
        assert await result(response) == {
            "resultType": "complete", "params": 10**30, "named": "a b",
        }  # fmt: skip
        refused = await wire.modern("skills/none")
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, -32601)


async def test_a_method_of_no_extension(running: Running) -> None:
    async with client(running.server("modern-http")) as wire:
        refused = await wire.modern("skills/get", {"n": 1})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, -32601)
        session = await wire.open()
        assert (await session.ask("skills/get"))["error"]["code"] == -32601


async def test_where_two_servers_have_extensions_each_offers_and_serves_its_own(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as stack:
        servers = []
        for id in ("one", "two"):
            server = Mirror(id, modern=True, tools={}, extensions={f"x/{id}": {}})
            server.on("skills/get", _skill)
            servers.append(http_server(id, await stack.enter_async_context(over_http(server))))
        running = await stack.enter_async_context(gateway({"servers": servers}, tmp_path))
        await running.ready("one", "two")
        wire = await stack.enter_async_context(web(running.mcp))
        assert (
            "extensions" not in (await result(await wire.modern("server/discover")))["capabilities"]
        )
        refused = await wire.modern("skills/get", {"n": 1})
        assert refused.json()["error"]["data"] == {
            "hint": "servers with extensions: one, two; ask one at its own path"
        }
        wire = await stack.enter_async_context(web(running.server("two")))
        found = await result(await wire.modern("server/discover"))
        assert found["capabilities"]["extensions"] == {"x/two": {}}
        assert (await result(await wire.modern("skills/get", {"n": 1})))["params"] == 1


async def beside(stack: AsyncExitStack, folder: Path, *workers: Worker, **more: Any) -> Session:
    """A session at a gateway with these servers, each with `more`."""
    servers = []
    for one in workers:
        url = await stack.enter_async_context(over_http(one))
        servers.append(http_server(one.name, url, **more))
    config = {"servers": servers, "server": {"limits": {"max_in_flight": 1}}}
    running = await stack.enter_async_context(gateway(config, folder))
    await running.ready(*(one.name for one in workers))
    return await (await stack.enter_async_context(web(running.mcp))).open()


async def test_the_list_of_all_asks_all_at_once_and_counts_as_one_request(tmp_path: Path) -> None:
    one, two = Worker("legacy-1"), Worker("legacy-2")

    async def after_the_other(asked: Asked) -> bytes:
        for worker in (one, two):
            await worker.listed()
        refused.append(await session.ask("tasks/list", id=f"second-{len(refused)}"))
        return b'{"tasks":[]}'

    for worker in (one, two):
        worker.on("tasks/list", after_the_other)
    refused: list[Json] = []
    async with AsyncExitStack() as stack:
        session = await beside(stack, tmp_path, one, two)
        assert (await session.ask("tasks/list"))["result"] == {"tasks": []}
    assert [answer["error"]["code"] for answer in refused] == [-31005, -31005]


async def test_a_server_that_hangs_costs_the_list_of_all_its_time_for_lists(tmp_path: Path) -> None:
    hanging, well = Worker("legacy-1"), Worker("legacy-2")

    async def hang(asked: Asked) -> bytes:
        await asked.hang()
        return b"{}"

    hanging.on("tasks/list", hang)
    async with AsyncExitStack() as stack:
        session = await beside(stack, tmp_path, hanging, well, timeouts={"list": "4s"})
        found = (await session.ask("tasks/list"))["result"]["tasks"]
        assert [one["taskId"] for one in found] == ["legacy-2.t.1", "legacy-2.t.2"]
        (asked,) = hanging.calls("tasks/list")
        await hanging.until(asked.cancelled.is_set)
