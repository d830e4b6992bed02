"""Calls to HTTP servers through the front door, with a task of the gateway's and without one: the
client cannot tell, and in the end nothing is in flight."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from fakes.edge import begin
from fakes.gateway import Running, gateway, http_server
from fakes.mirror import Asked, Mirror, Refused, tool
from fakes.mirror_http import over_http
from fakes.scrape import Scrape, Scraper
from fakes.wire import Json, Session, Web, call, last, message, messages, web

OWN_ERROR: Final = {"code": -32602, "message": "no such row", "data": {"row": 7}}
IN_FLIGHT: Final = (
    "only1mcp_requests_in_flight",
    "only1mcp_server_calls_in_flight",
    "only1mcp_replica_calls_in_flight",
)
WITH_A_TASK: Final[Json] = {"cache": {"debug_headers": True}}
"""Every answer says how it came about, which takes one."""


class Held(Mirror):
    """Its tool `hold` answers when `go` is set, `wait` never, `fail` with an error, `steps` with
    progress before."""

    def __init__(self, era: str) -> None:
        super().__init__("peer", modern=era == "modern")
        self.go = asyncio.Event()
        self.lists["tools"] = [tool(name) for name in ("echo", "hold", "wait", "fail", "steps")]
        self.on("tools/call", self._call)

    async def _call(self, asked: Asked) -> bytes:
        match asked.json["name"]:
            case "hold":
                await self.go.wait()
            case "wait":
                await asked.hang()
            case "steps":
                await asked.progress(1)
            case "fail":
                error = b'{"code":-32602,"message":"no such row","data":{"row":7}}'
                raise Refused(error, 400 if self.modern else 200)
        return self.text("done")


class Scene:
    """A gateway before one server; its client is of the same era."""

    def __init__(self, era: str, running: Running, wire: Web, session: Session, peer: Held) -> None:
        self.era = era
        self.running = running
        self.wire = wire
        self.session = session
        self.peer = peer
        self.scraper = Scraper(f"{running.url}/metrics")

    async def ask(self, name: str, id: Any = 1, **meta: Any) -> httpx2.Response:
        """A call, over a connection to the server that is idle."""
        params = {**call(f"peer__{name}"), **({"_meta": meta} if meta else {})}
        if self.era == "legacy":
            return await self.session.post(message("tools/call", params, id=id))
        return await self.wire.modern("tools/call", call(f"peer__{name}"), id=id, **meta)

    async def asking(self, name: str, id: Any = 1) -> asyncio.Task[httpx2.Response]:
        """A call that the server has."""
        before = len(self.peer.calls())
        asking = begin(self.ask(name, id))
        await self.peer.until(lambda: len(self.peer.calls()) > before)
        return asking

    async def quiet(self) -> Scrape:
        """The numbers once nothing is in flight."""
        found = await self.scraper.until(
            lambda now: not any(now.sum(name) for name in IN_FLIGHT), "nothing in flight"
        )
        assert found.lines.keys() >= {(IN_FLIGHT[0], ())}
        return found


@asynccontextmanager
async def scene(era: str, folder: Path, more: Json) -> AsyncIterator[Scene]:
    """One whose server has been called once."""
    peer = Held(era)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(peer))
        entry = http_server("peer", url, timeouts={"call_idle": "1s"})
        config = {"servers": [entry], **more}
        running = await stack.enter_async_context(gateway(config, folder))
        await running.ready("peer")
        wire = await stack.enter_async_context(web(running.mcp))
        one = Scene(era, running, wire, await wire.open(), peer)
        assert "result" in last(await one.ask("echo"))
        yield one


BOTH_WAYS: Final = pytest.mark.parametrize("more", [{}, WITH_A_TASK], ids=["at once", "task"])
BOTH_ERAS: Final = pytest.mark.parametrize("era", ["legacy", "modern"])


@BOTH_WAYS
@BOTH_ERAS
async def test_what_a_client_gets_and_what_is_counted(era: str, more: Json, tmp_path: Path) -> None:
    async with scene(era, tmp_path, more) as one:
        for id in range(20):
            found = await one.ask("echo", id)
            assert (found.status_code, found.json()["id"]) == (200, id)
            assert found.json()["result"]["content"][0]["text"] == "done"
        failed = await one.ask("fail", "f")
        assert failed.status_code == (400 if era == "modern" else 200)
        assert failed.json() == {"jsonrpc": "2.0", "id": "f", "error": OWN_ERROR}
        token = {"progressToken": "mine"}
        if era == "legacy":
            told, answer = messages(await one.ask("steps", "s", **token))
            assert told["params"]["progressToken"] == "mine"
            assert answer["result"]["content"][0]["text"] == "done"
        late = last(await one.ask("wait", "w"))["error"]
        assert (late["code"], late["data"]["outcome"]) == (-31002, "unknown")
        numbers = await one.quiet()
    counted = {"method": "tools/call", "server": "peer"}
    steps = 1 if era == "legacy" else 0
    assert numbers.sum("only1mcp_requests_total", **counted, outcome="ok") == 21 + steps
    assert numbers.sum("only1mcp_requests_total", **counted, outcome="error") == 2
    for name, error, count in (("echo", "", 21), ("fail", "-32602", 1), ("wait", "-31002", 1)):
        labels = {"gen_ai_tool_name": name, "error_type": error}
        assert numbers.sum("mcp_server_operation_duration_seconds_count", **labels) == count


@BOTH_WAYS
async def test_a_client_that_cancels(more: Json, tmp_path: Path) -> None:
    async with scene("legacy", tmp_path, more) as one:
        asking = await one.asking("wait", "c")
        told = await one.session.post(message("notifications/cancelled", {"requestId": "c"}))
        assert told.status_code == 202
        found = await asking
        assert (found.status_code, found.json()["error"]["code"]) == (200, -32800)
        await asyncio.wait_for(one.peer.calls()[-1].cancelled.wait(), 5)
        numbers = await one.quiet()
        assert "result" in last(await one.ask("echo", "c"))
    assert numbers.sum("only1mcp_requests_total", outcome="cancelled") == 1


@BOTH_WAYS
async def test_a_client_that_hangs_up(more: Json, tmp_path: Path) -> None:
    async with scene("modern", tmp_path, more) as one:
        asking = await one.asking("wait")
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(one.peer.calls()[-1].cancelled.wait(), 5)
        numbers = await one.quiet()
        assert "result" in last(await one.ask("echo"))
    assert numbers.sum("only1mcp_requests_total", outcome="cancelled") == 1


@BOTH_WAYS
@BOTH_ERAS
async def test_a_gateway_that_is_told_to_stop(era: str, more: Json, tmp_path: Path) -> None:
    async with scene(era, tmp_path, more) as one:
        asking = await one.asking("hold")
        one.running.process.send_signal(signal.SIGTERM)
        await one.running.said("stopping")
        one.peer.go.set()
        assert last(await asking)["result"]["content"][0]["text"] == "done"
        assert await one.running.stop() == 0


@BOTH_WAYS
@BOTH_ERAS
async def test_and_cannot_wait(era: str, more: Json, tmp_path: Path) -> None:
    hurried = {**more, "server": {"drain_timeout": "200ms"}}
    async with scene(era, tmp_path, hurried) as one:
        asking = await one.asking("hold")
        one.running.process.send_signal(signal.SIGTERM)
        error = last(await asking)["error"]
        assert (error["code"], error["data"]["outcome"]) == (-31006, "unknown")
        assert await one.running.stop() == 0
