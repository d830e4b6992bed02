"""More calls than a server, a caller or the gateway may have: who waits, who is refused, who is
served all the same; and what is sent once more when a server fails. One real gateway per test.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.mirror import Asked, Mirror, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.wire import WAIT_S, Json, Web, last, web

pytestmark = pytest.mark.timeout(90)

TOKENS = ("first-token-0123456789", "other-token-0123456789")


class Slow(Mirror):
    """A server whose tool `work` ends only when the test says so; `done` it all at the end."""

    def __init__(self, name: str, *, modern: bool = True) -> None:
        super().__init__(name, modern=modern)
        self.lists["tools"] = [tool("work"), tool("quick")]
        self.lists["resources"] = [{"name": "r", "uri": f"{name}://r"}]
        self.done = asyncio.Event()
        self.on("tools/call", self._call)

    async def _call(self, asked: Asked) -> bytes:
        if asked.json["name"] == "work":
            async with asyncio.timeout(WAIT_S):
                await self.done.wait()
        return self.text("done")

    @property
    def worked(self) -> list[Any]:
        """The `who` of every call of `work`, in the order they came."""
        return [one.arguments.get("who") for one in self.calls() if one.json["name"] == "work"]


@asynccontextmanager
async def before(
    folder: Path, *servers: tuple[Slow, Json], edge: Json | None = None, pipe: bool = False
) -> AsyncIterator[Running]:
    """A gateway before these servers, each with more settings of its entry; `edge` is `server`."""
    async with AsyncExitStack() as stack:
        entries = []
        for slow, more in servers:
            if pipe:
                argv = await stack.enter_async_context(over_stdio(slow))
                entries.append(stdio_server(slow.name, *argv, **more))
            else:
                url = await stack.enter_async_context(over_http(slow))
                entries.append(http_server(slow.name, url, **more))
        running = await stack.enter_async_context(
            gateway({"server": edge or {}, "servers": entries}, folder)
        )
        await running.ready(*(slow.name for slow, _ in servers))
        try:
            yield running
        finally:
            for slow, _ in servers:
                slow.done.set()


def limited(**concurrency: Any) -> Json:
    """Settings of a server that runs one call at once."""
    return {"concurrency": {"max_in_flight": 1, **concurrency}}


def work(name: str = "busy", who: Any = None, tool: str = "work") -> Json:
    """The params of one call."""
    return {"name": f"{name}__{tool}", "arguments": {"who": who}}


def calling(wire: Web, params: Json, token: str = "") -> "asyncio.Task[httpx2.Response]":
    """A modern tools/call under way."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return asyncio.get_running_loop().create_task(
        wire.modern("tools/call", params, headers=headers)
    )


async def first_refused(calls: list["asyncio.Task[httpx2.Response]"]) -> httpx2.Response:
    """The answer to the one of `calls` that ends first; it is taken out of the list."""
    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=WAIT_S)
    (call,) = done
    calls.remove(call)
    return await call


async def test_a_hung_server_is_alone_with_that(tmp_path: Path) -> None:
    busy, other = Slow("busy"), Slow("other")
    settings = {"concurrency": {"max_in_flight": 2, "queue": 1}}
    async with before(tmp_path, (busy, settings), (other, {})) as running, web(running.mcp) as wire:
        stuck = [calling(wire, work()) for _ in range(4)]
        refused = await first_refused(stuck)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert last(refused)["error"] == {
            "code": -31005,
            "message": "server 'busy' is full: 2 in flight, 1 waiting (concurrency.queue)",
            "data": {
                "server": "busy",
                "outcome": "not_sent",
                "retryAfterMs": 1000,
                "hint": "the call did not reach it; repeat it in 1 s or later",
            },
        }
        for number in range(40):
            answer = await calling(wire, work("other", number, "quick"))
            assert last(answer)["result"]["content"][0]["text"] == "done"
        names = [one["name"] for one in last(await wire.modern("tools/list"))["result"]["tools"]]
        assert "busy__work" in names
        assert len(busy.worked) == 2
        assert not any(call.done() for call in stuck)
        busy.done.set()
        for call in stuck:
            assert last(await call)["result"]["content"][0]["text"] == "done"
    assert len(busy.worked) == 3
    assert len(other.calls()) == 40


async def test_equal_requests_take_one_turn_of_the_server_and_a_place_each_in_the_gateway(
    tmp_path: Path,
) -> None:
    busy = Slow("busy")

    async def read(asked: Asked) -> bytes:
        async with asyncio.timeout(WAIT_S):
            await busy.done.wait()
        return b'{"contents":[],"resultType":"complete"}'

    busy.on("resources/read", read)
    edge = {"limits": {"max_in_flight": 3}}
    async with (
        before(tmp_path, (busy, limited(queue=0)), edge=edge) as running,
        web(running.mcp) as wire,
    ):
        start = asyncio.get_running_loop().create_task
        reads = [start(wire.modern("resources/read", {"uri": "busy://r"})) for _ in range(4)]
        refused = last(await first_refused(reads))["error"]
        assert refused["code"] == -31005
        assert refused["message"] == "3 requests are under way (server.limits.max_in_flight)"
        assert not any(read.done() for read in reads)
        busy.done.set()
        assert [last(await read)["result"]["contents"] for read in reads] == [[], [], []]
    assert len(busy.calls("resources/read")) == 1


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_who_waited_too_long_has_not_run(tmp_path: Path, era: str) -> None:
    busy = Slow("busy", modern=era == "modern")
    async with (
        before(tmp_path, (busy, limited(queue_timeout="200ms"))) as running,
        web(running.mcp) as wire,
    ):
        session = await wire.open()
        stuck = calling(wire, work(who="first"))
        await busy.until(lambda: len(busy.worked) == 1)
        found = await session.ask("tools/call", work(who="late"), id="x")
        assert found["id"] == "x"
        assert found["error"]["code"] == -31005
        assert "none ended within 0.2 s" in found["error"]["message"]
        assert found["error"]["data"]["outcome"] == "not_sent"
        busy.done.set()
        assert (await stuck).status_code == 200
    assert busy.worked == ["first"]


async def test_one_caller_cannot_keep_another_out(tmp_path: Path) -> None:
    busy = Slow("busy")
    edge = {"auth": {"tokens": list(TOKENS)}}
    async with (
        before(tmp_path, (busy, limited(queue=4, queue_timeout="30s")), edge=edge) as running,
        web(running.mcp) as wire,
    ):
        many = [calling(wire, work(who="many"), TOKENS[0]) for _ in range(6)]
        assert (await first_refused(many)).status_code == 503  # one runs, four wait
        few = calling(wire, work(who="few"), TOKENS[1])
        assert (await first_refused(many)).status_code == 503  # and makes room
        busy.done.set()
        assert (await few).status_code == 200
        assert [(await one).status_code for one in many] == [200] * 4
    assert busy.worked == ["many", "many", "few", "many", "many"]


async def test_a_client_that_hangs_up_while_it_waits_is_forgotten(tmp_path: Path) -> None:
    busy = Slow("busy")
    async with (
        before(tmp_path, (busy, limited(queue=1, queue_timeout="30s"))) as running,
        web(running.mcp) as wire,
    ):
        stuck = calling(wire, work(who="first"))
        await busy.until(lambda: len(busy.worked) == 1)
        async with web(running.mcp) as leaver:
            leaving = [calling(leaver, work(who="left")) for _ in range(2)]
            assert (await first_refused(leaving)).status_code == 503  # so the other one waits
            leaving[0].cancel()
            await asyncio.wait(leaving)
        for _ in range(3):  # once the gateway has answered, it has seen the end of the other one
            await wire.modern("server/discover")
        waiting = [calling(wire, work(who="next")) for _ in range(2)]
        assert (await first_refused(waiting)).status_code == 503
        busy.done.set()
        assert [(await one).status_code for one in (stuck, *waiting)] == [200, 200]
    assert busy.worked == ["first", "next"]


async def test_a_caller_has_a_limit_of_its_own(tmp_path: Path) -> None:
    busy = Slow("busy")
    edge = {"auth": {"tokens": list(TOKENS)}, "limits": {"per_caller": 2}}
    async with before(tmp_path, (busy, {}), edge=edge) as running, web(running.mcp) as wire:
        stuck = [calling(wire, work(), TOKENS[0]) for _ in range(2)]
        await busy.until(lambda: len(busy.worked) == 2)
        refused = await calling(wire, work(), TOKENS[0])
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "server.limits.per_caller" in last(refused)["error"]["message"]
        assert (await calling(wire, work(tool="quick"), TOKENS[1])).status_code == 200
        busy.done.set()
        await asyncio.gather(*stuck)
        assert (await calling(wire, work(), TOKENS[0])).status_code == 200


# --- once more ---


@pytest.mark.parametrize("patterns", [[], ["work"]])
async def test_a_lost_call_is_repeated_only_where_the_operator_says_so(
    tmp_path: Path, patterns: list[str]
) -> None:
    busy = Slow("busy", modern=False)
    entry = {"retry": {"idempotent_tools": patterns}}
    async with (
        before(tmp_path, (busy, entry), pipe=True) as running,
        web(running.mcp) as wire,
    ):
        lost = calling(wire, work(who="once"))
        await busy.until(lambda: len(busy.worked) == 1)
        busy.hang_up()
        if patterns:
            await busy.until(lambda: len(busy.worked) == 2)
            busy.done.set()
            assert last(await lost)["result"]["content"][0]["text"] == "done"
        else:
            fault = last(await lost)["error"]
            assert (fault["code"], fault["data"]["outcome"]) == (-31003, "unknown")
        busy.done.set()
        again = await calling(wire, work(who="after"))  # waits while the child is started again
        assert last(again)["result"]["content"][0]["text"] == "done"
    assert busy.worked == ["once", *["once"] * len(patterns), "after"]


async def test_a_lost_read_is_repeated(tmp_path: Path) -> None:
    busy = Slow("busy", modern=False)
    reads = 0

    async def read(asked: Asked) -> bytes:
        nonlocal reads
        reads += 1
        if reads == 1:
            busy.hang_up()
        return b'{"contents":[]}'

    busy.on("resources/read", read)
    async with before(tmp_path, (busy, {}), pipe=True) as running, web(running.mcp) as wire:
        found = last(await wire.modern("resources/read", {"uri": "busy://r"}))
        assert found["result"]["contents"] == []
    assert reads == 2
