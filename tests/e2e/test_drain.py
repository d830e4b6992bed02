"""The gateway is told to stop, or stands still for a while: nobody is lost, nobody is left.

Faults 35 and 39; test_processes.py has what a kill leaves behind.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx2
import psutil

from fakes import stdio_server as scripted_child
from fakes.children import wait_gone
from fakes.edge import begin
from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.mirror import Mirror, held, over_stdio
from fakes.mirror_http import over_http
from fakes.wire import Json, Web, call, last, web

CHILD: Final = (sys.executable, scripted_child.__file__)
CALLS, STREAMS, LISTENS = 50, 20, 5
STANDS_S: Final = 4.0
GONE_S: Final = 10.0
"""The aim is 2 s at the second signal."""


def pids_below(running: Running) -> list[int]:
    """All that the gateway has started."""
    return [one.pid for one in psutil.Process(running.process.pid).children(recursive=True)]


class Crowd:
    """Many clients of one gateway, of every kind."""

    def __init__(self, running: Running, go: asyncio.Event) -> None:
        self.running = running
        self.go = go
        self.calls: list[asyncio.Task[Any]] = []
        self.streams: list[asyncio.Task[list[Json]]] = []
        self.listens: list[asyncio.Task[list[Json]]] = []

    async def come(self, stack: AsyncExitStack, wire: Web, mirror: Mirror) -> None:
        """All of them."""
        for number in range(STREAMS):
            session = await wire.open()
            stream = await stack.enter_async_context(session.listen())
            self.streams.append(begin(rest(stream)))
            if number % 2:
                asked = session.ask("tools/call", call("slow__hold"), id=number)
                self.calls.append(begin(asked))
        for number in range(LISTENS):
            listen = wire.listening({"toolsListChanged": True}, id=number)
            frames = await stack.enter_async_context(listen)
            await anext(frames)  # it is acknowledged
            self.listens.append(begin(rest(frames)))
        while len(self.calls) < CALLS:
            self.calls.append(begin(wire.modern("tools/call", call("slow__hold"))))
        await mirror.until(lambda: len(mirror.calls()) == CALLS)

    async def answers(self) -> list[Json]:
        """Of the calls."""
        found = await asyncio.gather(*self.calls)
        return [one if isinstance(one, dict) else last(one) for one in found]

    async def told(self) -> None:
        """Every listen has come to its end, with its result."""
        ends = [frames[-1] for frames in await asyncio.gather(*self.listens)]
        assert [one["id"] for one in ends] == list(range(LISTENS))
        assert {one["result"]["resultType"] for one in ends} == {"complete"}

    async def left(self) -> None:
        """The gateway has ended, and with it every stream."""
        async with asyncio.timeout(GONE_S):
            assert await self.running.process.wait() == 0
        assert len(await asyncio.gather(*self.streams)) == STREAMS


async def rest(frames: AsyncIterator[Json]) -> list[Json]:
    """All further messages of a stream."""
    found = []
    with suppress(httpx2.ReadError):
        async for one in frames:
            found.append(one)
    return found


@asynccontextmanager
async def crowded(folder: Path, **server: Any) -> AsyncIterator[tuple[Crowd, list[int]]]:
    """A gateway with everybody at work, and all it has started."""
    mirror, go = held("slow")
    limits = httpx2.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        argv = await stack.enter_async_context(over_stdio(mirror))
        entries = [stdio_server("slow", *argv), stdio_server("hung", *CHILD, "--stubborn")]
        log = {"access": {"enabled": True, "file": "access.log"}}
        config = {"servers": entries, "server": server, "logging": log}
        running = await stack.enter_async_context(gateway(config, folder))
        wire = await stack.enter_async_context(web(running.mcp, limits=limits))
        await running.ready("slow", "hung")
        crowd = Crowd(running, go)
        await crowd.come(stack, wire, mirror)
        yield crowd, pids_below(running)
        go.set()


async def ready_status(running: Running) -> int:
    """Of /readyz, over a new connection."""
    async with web(running.url) as wire:
        return (await wire.http.get(f"{running.url}/readyz")).status_code


def ends(folder: Path) -> set[tuple[str, int | None]]:
    """How the calls ended, says the access log."""
    lines = map(json.loads, (folder / "access.log").read_text().splitlines())
    calls = [one for one in lines if one["method"] == "tools/call"]
    assert len(calls) == CALLS
    return {(one["outcome"], one.get("code")) for one in calls}


# --- fault 35 ---


async def test_calls_finish_and_streams_come_to_their_end(tmp_path: Path) -> None:
    async with crowded(tmp_path, drain_delay="5s") as (crowd, pids):
        running = crowd.running
        running.process.send_signal(signal.SIGTERM)
        await running.said("stopping")
        assert await ready_status(running) == 503
        async with web(running.mcp) as late:
            assert (await late.modern("tools/list")).status_code == 200, "taken for a while yet"
        await crowd.told()
        assert not any(one.done() for one in crowd.calls)
        crowd.go.set()
        texts = {one["result"]["content"][0]["text"] for one in await crowd.answers()}
        assert texts == {"done"}
        await crowd.left()
        assert await asyncio.to_thread(wait_gone, pids) == []
        assert ends(tmp_path) == {("ok", None)}


async def test_calls_that_do_not_finish_are_answered(tmp_path: Path) -> None:
    async with crowded(tmp_path, drain_timeout="500ms") as (crowd, pids):
        running = crowd.running
        hung = next(one for one in pids if "--stubborn" in psutil.Process(one).cmdline())
        psutil.Process(hung).suspend()
        began = monotonic()
        running.process.send_signal(signal.SIGTERM)
        answers = await crowd.answers()
        assert {one["error"]["code"] for one in answers} == {-31006}
        assert {one["error"]["data"]["outcome"] for one in answers} == {"unknown"}
        await crowd.told()
        await crowd.left()
        print(f"SIGTERM, drain 0.5 s, a child that is stopped: {monotonic() - began:.1f} s")
        assert await asyncio.to_thread(wait_gone, pids) == []
        assert ends(tmp_path) == {("error", -31006)}


async def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    async with crowded(tmp_path, drain_delay="60s") as (crowd, pids):
        running = crowd.running
        running.process.send_signal(signal.SIGTERM)
        await running.said("stopping")
        began = monotonic()
        running.process.send_signal(signal.SIGINT)
        answers = await crowd.answers()
        assert {one["error"]["code"] for one in answers} == {-31006}
        await crowd.left()
        print(f"a second signal: gone after {monotonic() - began:.1f} s")
        assert await asyncio.to_thread(wait_gone, pids) == []
        assert ends(tmp_path) == {("error", -31006)}


async def test_a_reload_while_it_stops_changes_nothing(tmp_path: Path) -> None:
    config = {"servers": [stdio_server("one", *CHILD)], "server": {"drain_delay": "5s"}}
    async with gateway(config, tmp_path) as running:
        await running.ready("one")
        running.process.send_signal(signal.SIGTERM)
        await running.said("stopping")
        async with web(running.url) as wire:
            found = await wire.http.post(f"{running.url}/api/v1/admin/config/reload")
        assert found.status_code == 503
        running.process.send_signal(signal.SIGHUP)
        assert await running.stop() == 0
        assert not [one for one in running.log if "configuration re" in one]


# --- fault 39 ---


async def test_a_gateway_that_stood_still_goes_on(tmp_path: Path) -> None:
    """Stopped for longer than any deadline, as a laptop that sleeps or a machine that is moved."""
    short = {
        "timeouts": {"call_idle": "2s"},
        "health_check": {"interval": "1s", "timeout": "500ms"},
    }
    (pipe, go_pipe), (new, go_new) = held("pipe"), held("new", modern=True)
    async with over_stdio(pipe) as argv, over_http(new) as url:
        entries = [stdio_server("pipe", *argv, **short), http_server("new", url, **short)]
        async with gateway({"servers": entries}, tmp_path) as running:
            await running.ready("pipe", "new")
            await stand_still(running, (pipe, new), (go_pipe, go_new))
        assert (pipe.runs, new.runs) == (1, 1), "nobody was started again"


async def stand_still(
    running: Running, mirrors: tuple[Mirror, ...], going: tuple[asyncio.Event, ...]
) -> None:
    """Every kind of client waits for every kind of server, and gets its answer afterwards."""
    async with web(running.mcp) as wire, web(running.url) as pages:
        session = await wire.open()
        asking: list[asyncio.Task[Any]] = []
        for mirror in mirrors:
            params = call(f"{mirror.name}__hold")
            asking.append(begin(wire.modern("tools/call", params)))
            asking.append(begin(session.ask("tools/call", params, id=mirror.name)))
            await mirror.until(lambda mirror=mirror: len(mirror.calls()) == 2)  # type: ignore[misc]
        running.process.send_signal(signal.SIGSTOP)
        for go in going:
            go.set()
        await asyncio.sleep(STANDS_S)
        running.process.send_signal(signal.SIGCONT)
        for one in await asyncio.gather(*asking):
            found = one if isinstance(one, dict) else last(one)
            assert found["result"]["content"][0]["text"] == "done"
        assert "tools" in (await session.ask("tools/list", id="after"))["result"]
        rows = (await pages.http.get(f"{running.url}/api/v1/admin/servers")).json()["servers"]
        assert {(row["state"], row["restarts"]) for row in rows} == {("ready", 0)}
