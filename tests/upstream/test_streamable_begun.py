"""Calls over HTTP without a task: sent at once, ended at once, or gone on with as any other."""

import asyncio
import json
from typing import Any

import pytest

from fakes.edge import begin, until
from fakes.http_mcp import Mcp, note, result
from fakes.http_server import Request, Wire
from fakes.http_upstream import Client, Heard, connected, tool_call
from only1mcp.protocol.errors import (
    InvalidParams,
    McpError,
    ServerLost,
    ServerTimeout,
    UpstreamError,
)
from only1mcp.protocol.message import as_raw
from only1mcp.upstream import running
from only1mcp.upstream.base import Call


class Asking:
    """Who waits for one call; the rest of it is a task, if it takes one."""

    def __init__(self, client: Client, call: Call) -> None:
        self.client = client
        self.results: list[bytes] = []
        self.task: asyncio.Task[bytes] | None = None
        self._answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.begun = client.begin(call, self)

    def done(self) -> bool:
        return self._answer.done()

    def set_result(self, answer: Any, /) -> None:
        if self.task is None:
            found = self.client.end(self.begun, answer)  # type: ignore[arg-type]
            if found is not None:
                self.results.append(found)
                return
            self.go_on()
        self._answer.set_result(answer)

    def set_exception(self, fault: Exception, /) -> None:
        self.go_on()
        self._answer.set_exception(fault)

    def go_on(self) -> None:
        if self.task is None:
            assert self.begun is not None
            rest = self.client.rest(self.begun, self._answer)
            self.task = asyncio.get_running_loop().create_task(rest)

    async def over(self) -> Any:
        """Its result, or its error; then the connection knows nothing of it."""
        await until(lambda: bool(self.results) or self.task is not None)
        assert self.begun is not None
        try:
            found = self.results[0] if self.task is None else await self.task
            return json.loads(found)
        except McpError as error:
            return error
        finally:
            assert not self.client.busy
            ended = self.begun
            assert (ended.waiter, ended.task, ended.connection) == (None, None, None)


ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


@ERAS
async def test_a_plain_result_takes_no_task(era: str) -> None:
    async with connected(Mcp(era)) as (client, server):
        connections = server.connections
        for _ in range(3):
            one = Asking(client, tool_call())
            assert (await one.over())["arguments"] == {"x": 1}
            assert one.task is None
        assert server.connections <= connections + 1  # the GET stream may come meanwhile


@ERAS
async def test_nor_does_one_that_ends_a_stream(era: str) -> None:
    async def call(request: Request, wire: Wire) -> None:
        await wire.stream()
        await wire.event(note("notifications/message", level="error", data=1))
        await wire.event(result(request, {"content": []}))
        await wire.end()

    web = Mcp(era)
    heard: Heard = []
    web.on["POST tools/call"] = call
    async with connected(web) as (client, _):
        one = Asking(client, tool_call(heard))
        assert await one.over() == {"content": []}
        assert one.task is None
    assert [method for method, _ in heard] == ["notifications/message"]


@pytest.mark.parametrize(
    ("era", "found"),
    [
        ("legacy", {"task": {"taskId": "1"}}),
        ("modern", {"resultType": "task", "taskId": "1"}),
        ("modern", {"resultType": "input_required", "requestState": "s"}),
    ],
)
async def test_what_is_handed_out_or_asked_is_looked_at_in_a_task(era: str, found: Any) -> None:
    async def call(request: Request, wire: Wire) -> None:
        await wire.result(request, found)

    web = Mcp(era)
    web.on["POST tools/call"] = call
    async with connected(web) as (client, _):
        one = Asking(client, tool_call())
        assert await one.over() == found
        assert one.task is not None


@ERAS
@pytest.mark.parametrize("status", [200, 400])
async def test_an_error_of_the_server_keeps_its_status(era: str, status: int) -> None:
    async def call(request: Request, wire: Wire) -> None:
        error = {"code": -32602, "message": "no"}
        await wire.json({"jsonrpc": "2.0", "id": request.json["id"], "error": error}, status)

    web = Mcp(era)
    web.on["POST tools/call"] = call
    async with connected(web) as (client, _):
        error = await Asking(client, tool_call()).over()
    assert isinstance(error, UpstreamError)
    assert (error.own_code, error.status) == (-32602, status)


async def test_a_session_that_is_gone_is_renewed_and_the_call_repeated() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, server):
        web.forget()
        one = Asking(client, tool_call())
        other = begin(client.call(tool_call()))
        await other
        assert (await one.over())["name"] == "echo"
        assert web.sessions == 2
        repeated = [r for r in server.requests if r.says == "POST tools/call"]
        assert {r.headers["mcp-session-id"] for r in repeated} == {"session-1", "session-2"}


async def test_during_a_new_handshake_nothing_is_sent_at_once() -> None:
    web, asked, go = Mcp("legacy"), asyncio.Event(), asyncio.Event()
    async with connected(web) as (client, server):
        discover = web.discover

        async def slow(request: Request, wire: Wire) -> None:
            asked.set()
            await go.wait()
            await discover(request, wire)

        web.on["POST server/discover"] = slow
        web.forget()
        first = begin(client.call(tool_call()))
        await asked.wait()
        before = len(server.requests), len(client._running)
        sent = Asking(client, tool_call()).begun is not None
        after = len(server.requests), len(client._running)
        go.set()
        await first
    assert (sent, after) == (False, before)


async def test_a_stream_that_breaks_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FIRST_PAUSE_S", 0.001)
    asked: list[Request] = []

    async def call(request: Request, wire: Wire) -> None:
        asked.append(request)
        await wire.stream(b"id: e0\nretry: 10\ndata: \n\n")
        wire.close()

    async def get(request: Request, wire: Wire) -> None:
        if request.headers.get("last-event-id") is None:
            await wire.answer(405)
            return
        await wire.stream()
        await wire.event(result(asked[0], {"done": True}), id="e1")
        await wire.end()

    web = Mcp("legacy")
    web.on.update({"POST tools/call": call, "GET": get})
    async with connected(web) as (client, _):
        assert await Asking(client, tool_call()).over() == {"done": True}
    assert len(asked) == 1


@ERAS
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_that_is_gone_is_a_lost_call(era: str, how: str) -> None:
    async def call(request: Request, wire: Wire) -> None:
        getattr(wire, how)()

    web = Mcp(era)
    web.on["POST tools/call"] = call
    async with connected(web) as (client, _):
        error = await Asking(client, tool_call()).over()
    assert isinstance(error, ServerLost)


async def hang(request: Request, wire: Wire) -> None:
    """No answer."""
    await wire.gone()


@ERAS
async def test_a_deadline_passes(era: str) -> None:
    web = Mcp(era)
    web.on["POST tools/call"] = hang
    async with connected(web) as (client, server):
        error = await Asking(client, tool_call(idle_s=0.03)).over()
        assert isinstance(error, ServerTimeout)
        assert error.may_have_run
        if era == "legacy":
            await server.until(lambda: "POST notifications/cancelled" in server.said())


async def test_a_deadline_that_passes_in_the_turn_of_the_answer_is_kept_no_longer() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, _):
        one = Asking(client, tool_call())
        assert one.begun is not None
        one.begun.expire()
        assert one.task is not None
        error = await one.over()
        assert isinstance(error, ServerTimeout)


@ERAS
async def test_a_call_that_is_cancelled_is_cancelled_at_the_server(era: str) -> None:
    web = Mcp(era)
    web.on["POST tools/call"] = hang
    async with connected(web) as (client, server):
        one = Asking(client, tool_call())
        await server.until(lambda: "POST tools/call" in server.said())
        closed = server.closed
        one.go_on()
        assert one.task is not None
        await asyncio.sleep(0)
        one.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await one.over()
        await server.until(lambda: server.closed > closed)
        if era == "legacy":
            await server.until(lambda: "POST notifications/cancelled" in server.said())


async def test_a_connection_that_ends_ends_its_calls() -> None:
    web = Mcp("legacy")
    web.on["POST tools/call"] = hang
    async with connected(web) as (client, server):
        one = Asking(client, tool_call())
        await server.until(lambda: "POST tools/call" in server.said())
        closing = begin(client.close())
        assert isinstance(await one.over(), ServerLost)
        await closing


async def test_without_an_idle_connection_nothing_is_sent_and_nothing_kept() -> None:
    web = Mcp("legacy")
    async with connected(web) as (client, server):
        server.drop_all()
        await until(lambda: not client._pool._idle)
        sent = len(server.requests)
        assert Asking(client, tool_call()).begun is None
        assert (client.busy, len(server.requests)) == (False, sent)


async def test_a_call_that_cannot_be_written_keeps_nothing() -> None:
    async with connected(Mcp("legacy")) as (client, _):
        with pytest.raises(InvalidParams):
            Asking(client, Call("tools/call", {"_meta": as_raw("progressToken")}, "echo"))
        assert not client.busy
