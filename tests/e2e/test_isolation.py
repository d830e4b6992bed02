"""Isolation beside what belongs to no call: lists and subscriptions stay shared, tasks do not."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from fakes.edge import until
from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.library import UPDATED, Library
from fakes.mirror import Asked, Mirror, Tell, notification, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.upstream import FakeUpstream, offers, served
from fakes.wire import Json, Session, web
from only1mcp.upstream import connections
from only1mcp.upstream.base import Call

pytestmark = pytest.mark.timeout(60)


def library() -> Library:
    """A server with a resource and a tool."""
    found = Library("legacy")
    found.lists["tools"] = [tool("echo")]
    return found


async def ask(session: Session, method: str, **params: object) -> None:
    """Ask what is answered with a result."""
    answer = await session.ask(method, dict(params))
    assert "result" in answer, answer


async def update(heard: AsyncIterator[Json]) -> Json:
    """The next update; the news of the start may still be under way when the stream opens."""
    while (one := await anext(heard))["method"] != UPDATED:
        assert one["method"].endswith("/list_changed"), one
    return one


async def test_calls_go_apart_lists_and_subscriptions_do_not(tmp_path: Path) -> None:
    server = library()
    async with over_http(server) as url:
        config = {"servers": [http_server("legacy", url, isolation="session")]}
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("legacy")
            for session in (await wire.open(), await wire.open()):
                await ask(session, "resources/subscribe", uri=server.uri)
                await ask(session, "tools/call", name="legacy__echo")

    def sessions(method: str) -> list[str]:
        return [one.headers["mcp-session-id"] for one in server.calls(method)]

    (shared,) = set(sessions("tools/list"))
    assert sessions("resources/subscribe") == [shared], "the first of many subscribes for all"
    mine, theirs = sessions("tools/call")
    assert len({shared, mine, theirs}) == 3


async def test_an_update_is_heard_by_all_who_watch_whichever_process_says_it(
    tmp_path: Path,
) -> None:
    server = library()
    async with over_stdio(server) as argv:
        config = {"servers": [stdio_server("legacy", *argv, isolation="session")]}
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("legacy")
            mine, theirs = await wire.open(), await wire.open()
            for session in (mine, theirs):
                await ask(session, "resources/subscribe", uri=server.uri)
            await ask(mine, "tools/call", name="legacy__echo")
            async with mine.listen() as stream, theirs.listen() as other:
                assert len(server.channels) == 2, "the shared process, and one of `mine`"
                for place, tell in enumerate(server.channels.values()):
                    uri = f"{server.uri}/row/{place}"
                    await tell(notification(UPDATED, {"uri": uri}))
                    for heard in (stream, other):
                        assert (await update(heard))["params"] == {"uri": uri}


# --- tasks ---

STATUS = "notifications/tasks/status"
TOKENS = ("t-ann-123456", "t-bob-123456")


ABLE: Any = {"tools": {}, "tasks": {"requests": {"tools": {"call": {}}}}}


class Counter(Mirror):
    """A server each process of which counts its tasks from 1."""

    def __init__(self) -> None:
        super().__init__("counter", tools={}, tasks={"requests": {"tools": {"call": {}}}})
        self.lists["tools"] = [tool("work")]
        self.on("tools/call", self._work)
        self.on("tasks/get", self._get)
        self.processes: list[Tell] = []

    async def _work(self, asked: Asked) -> bytes:
        self.processes.append(asked.tell)
        return json.dumps({"task": {"taskId": "1", "status": "working"}}).encode()

    async def _get(self, asked: Asked) -> bytes:
        return json.dumps({"taskId": asked.json["taskId"], "status": "working"}).encode()


async def sessions(stack: AsyncExitStack, running: Running) -> list[Session]:
    """One of each principal."""
    found = []
    for token in TOKENS:
        options: Any = {"headers": {"Authorization": f"Bearer {token}"}}
        found.append(await (await stack.enter_async_context(web(running.mcp, **options))).open())
    return found


async def test_two_processes_may_hand_out_the_same_task_id(tmp_path: Path) -> None:
    server = Counter()
    async with AsyncExitStack() as stack:
        argv = await stack.enter_async_context(over_stdio(server))
        entry = stdio_server("counter", *argv, isolation="principal")
        config = {"server": {"auth": {"tokens": [*TOKENS]}}, "servers": [entry]}
        running = await stack.enter_async_context(gateway(config, tmp_path))
        await running.ready("counter")
        clients = await sessions(stack, running)
        for one in clients:
            await ask(one, "tools/call", name="counter__work", task={})
        streams = [await stack.enter_async_context(one.listen()) for one in clients]
        for tell, said in zip(server.processes, ("of ann", "of bob"), strict=True):
            await tell(notification(STATUS, {"taskId": "1", "status": said}))
        for one, stream, said in zip(clients, streams, ("of ann", "of bob"), strict=True):
            heard = {"taskId": "counter.1", "status": said}
            assert (await anext(stream))["params"] == heard
            await ask(one, "tasks/get", taskId="counter.1")


async def test_a_task_that_the_gateway_has_forgotten_is_nobodys(tmp_path: Path) -> None:
    server = Counter()
    async with AsyncExitStack() as stack:
        argv = await stack.enter_async_context(over_stdio(server))
        entry = stdio_server("counter", *argv)
        config = {"server": {"auth": {"tokens": [*TOKENS]}}, "servers": [entry]}
        async with gateway(config, tmp_path) as running, AsyncExitStack() as clients:
            await running.ready("counter")
            ann, _ = await sessions(clients, running)
            await ask(ann, "tools/call", name="counter__work", task={})
        running = await stack.enter_async_context(gateway(config, tmp_path))
        await running.ready("counter")
        for one in await sessions(stack, running):
            refused = await one.ask("tasks/get", {"taskId": "counter.1"})
            assert refused["error"]["code"] == -32602
    assert server.calls("tasks/get") == []


async def test_a_process_with_a_task_under_way_is_not_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    task = {"taskId": "1", "status": "working"}
    lists = offers(tools=["work", "rest"])
    made: list[FakeUpstream] = []

    def make(era: str) -> FakeUpstream:
        answers = {"tools/call": answer, "tasks/get": lambda call: task}
        made.append(FakeUpstream("s", answers, capabilities=ABLE))
        return made[-1]

    def answer(call: Call) -> Any:
        return {"task": task} if "task" in (call.params or {}) else {"content": []}

    shared = FakeUpstream("s", lists, capabilities=ABLE)
    async with (
        served(shared, entries={"s": {"isolation": "session"}}) as (gateway, url),
        web(url) as wire,
    ):
        gateway.roster.servers["s"].replicas[0].further._make = make
        mine, theirs = await wire.open(), await wire.open()
        await ask(mine, "tools/call", name="s__work", task={})
        await ask(theirs, "tools/call", name="s__rest")
        monkeypatch.setattr(connections, "IDLE_S", -1)
        working, resting = made
        await until(lambda: resting.closed > 0)
        assert not working.closed
        task["status"] = "completed"
        await ask(mine, "tasks/get", taskId="s.1")
        await until(lambda: working.closed > 0)
