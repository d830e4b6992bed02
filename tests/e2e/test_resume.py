"""Streams that break and go on: a real gateway, real sockets, raw clients and the official one.

Source  MCP 2025-11-25 basic/transports "Resumability and Redelivery"; SEP-1699 (polling).
"""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import ClientMessageMetadata
from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, TextContent

from fakes.gateway import Running, gateway, http_server
from fakes.http_server import HttpServer, Request
from fakes.http_server import Wire as ServerWire
from fakes.mirror import Asked, Mirror, tool
from fakes.mirror_http import over_http
from fakes.wire import WAIT_S, Session, Web, error, message, web
from only1mcp.observe.tasks import Tasks

pytestmark = pytest.mark.asyncio(loop_scope="module")

FLOOD = 1500
MOST = 1000  # events that are kept for a session
HALF = 2 * 1024 * 1024  # of the bytes


class Slow(Mirror):
    """Each call reports progress 0 at once, says what it is told, and ends when it is told."""

    def __init__(self) -> None:
        super().__init__("slow")
        self.lists["tools"] = [tool("work")]
        self.on("tools/call", self.work)
        self.under_way: dict[str, tuple[Asked, asyncio.Event]] = {}

    async def work(self, asked: Asked) -> bytes:
        """The call that is named in its arguments."""
        name, end = asked.arguments["name"], asyncio.Event()
        self.under_way[name] = asked, end
        if "_meta" in asked.json:
            await asked.progress(0)
        await self.changed()
        async with asyncio.timeout(WAIT_S):
            await end.wait()
        return self.text(f"{name} is done")

    async def begun(self, name: str) -> Asked:
        """The call, once it is here."""
        await self.until(lambda: name in self.under_way)
        return self.under_way[name][0]

    def end(self, name: str) -> None:
        """Answer it."""
        self.under_way[name][1].set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slow() -> Slow:
    return Slow()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(slow: Slow, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    async with (
        over_http(slow) as url,
        gateway({"servers": [http_server("slow", url)]}, folder) as running,
    ):
        await running.ready("slow")
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def wire(running: Running) -> AsyncIterator[Web]:
    async with web(running.server("slow")) as wire:
        yield wire


def work(name: str, id: Any = 1, *, silent: bool = False) -> Any:
    """A call that reports progress, or not."""
    params: Any = {"name": "work", "arguments": {"name": name}}
    if not silent:
        params["_meta"] = {"progressToken": name}
    return message("tools/call", params, id=id)


def progress(found: Any) -> Any:
    """What a notification says."""
    return found["params"]["progress"]


class Pipe:
    """The way of a client to the gateway, which can be cut at any time."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self.carried = 0
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks = Tasks()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy one connection, both ways, until one of its ends closes."""
        self.carried += 1
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends |= {writer, back}
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.start(self._copy(source, sink), "pipe")

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()

    def cut(self) -> None:
        """Reset every connection, at both of its ends."""
        for end in self._ends:
            if not end.is_closing():
                raw = end.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.transport.abort()
        self._ends.clear()

    async def close(self) -> None:
        """Nothing is carried any more."""
        self.cut()
        await self._tasks.close()


@asynccontextmanager
async def pipe_to(running: Running, path: str) -> AsyncIterator[Pipe]:
    """A pipe to the gateway."""
    pipe = Pipe(int(running.url.rpartition(":")[2]))
    server = await asyncio.start_server(pipe.take, "127.0.0.1", 0)
    pipe.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
    try:
        yield pipe
    finally:
        server.close()
        await pipe.close()


# --- raw clients ---


async def test_the_connection_is_reset_in_mid_call_and_nothing_is_lost(
    running: Running, slow: Slow, wire: Web
) -> None:
    session = await wire.open()
    async with pipe_to(running, "/mcp/slow") as pipe, web(pipe.url) as far:
        away = Session(far, session.id, session.result)
        async with away.calling(work("cut")) as stream:
            asked = await slow.begun("cut")
            assert await stream.next() == {}
            assert progress(await stream.next()) == 0
            pipe.cut()
    await asked.progress(1)
    assert not asked.cancelled.is_set()
    async with session.resuming(stream.last_id) as again:
        assert progress(await again.next()) == 1
        await asked.progress(2)
        assert progress(await again.next()) == 2
        slow.end("cut")
        (answer,) = await again.rest()
    assert (answer["id"], answer["result"]["content"][0]["text"]) == (1, "cut is done")


async def test_a_silent_call_can_be_come_back_to(slow: Slow, wire: Web) -> None:
    session = await wire.open()
    async with session.calling(work("silent", silent=True)) as stream:
        asked = await slow.begun("silent")
        assert await stream.next() == {}  # after a second, with nothing to say
    slow.end("silent")
    async with session.resuming(stream.last_id) as again:
        (answer,) = await again.rest()
    assert answer["result"]["content"][0]["text"] == "silent is done"
    assert not asked.cancelled.is_set()


async def test_two_broken_streams_of_one_session_go_on_side_by_side(slow: Slow, wire: Web) -> None:
    session, ids = await wire.open(), {}
    for id, name in enumerate(("left", "right")):
        async with session.calling(work(name, id)) as stream:
            assert await stream.next() == {}
            ids[name] = stream.last_id
    async with session.resuming(ids["right"]) as right, session.resuming(ids["left"]) as left:
        for name, stream in {"left": left, "right": right}.items():
            assert (await stream.next() or {})["params"]["progressToken"] == name
            slow.end(name)
            (answer,) = await stream.rest()
            assert answer["result"]["content"][0]["text"] == f"{name} is done"


async def test_a_flood_leaves_the_newest_and_the_answer(slow: Slow, wire: Web) -> None:
    session = await wire.open()
    async with session.calling(work("flood")) as stream:
        asked = await slow.begun("flood")
        assert await stream.next() == {}
    for n in range(1, FLOOD + 1):
        await asked.progress(n)
    slow.end("flood")
    async with session.resuming(stream.last_id) as again:
        await again.rest()  # to the end: now all of it has come
    async with session.resuming(stream.last_id) as again:
        *kept, answer = await again.rest()
    assert [progress(one) for one in kept] == list(range(FLOOD + 2 - MOST, FLOOD + 1))
    assert answer["result"]["content"][0]["text"] == "flood is done"


async def test_a_stream_whose_answer_is_pushed_out_has_expired(slow: Slow, wire: Web) -> None:
    session = await wire.open()
    async with session.calling(work("early")) as stream:
        assert await stream.next() == {}
    await slow.begun("early")
    slow.end("early")
    async with session.resuming(stream.last_id) as again:
        assert (await again.rest())[-1]["id"] == 1
    for name in ("a", "b"):
        async with session.calling(work(name)) as other:
            asked = await slow.begun(name)
            await asked.notify("notifications/message", level="info", data="x" * HALF)
            slow.end(name)
            assert len(await other.rest()) == 3
    headers = {**session.headers, "Accept": "text/event-stream", "Last-Event-ID": stream.last_id}
    assert error(await wire.http.get(wire.url, headers=headers)) == (400, -32600)


async def test_what_belongs_to_no_request_is_all_there_or_refused(slow: Slow, wire: Web) -> None:
    session = await wire.open()
    await session.ask("logging/setLevel", {"level": "debug"})
    async with session.resuming() as stream:
        assert await stream.next() == {}
    for n in range(FLOOD):
        await slow.announce("notifications/message", level="info", data=n)
    async with session.resuming() as anew:
        await slow.announce("notifications/message", level="info", data="the last")
        while "the last" not in str(found := await anew.next()):
            assert found is not None, "the stream ended"
    headers = {**session.headers, "Accept": "text/event-stream", "Last-Event-ID": stream.last_id}
    assert error(await wire.http.get(wire.url, headers=headers)) == (400, -32600)


async def test_a_server_that_wants_to_be_polled_has_its_client_poll_us(tmp_path: Path) -> None:
    asked: list[Any] = []
    polled = asyncio.Event()

    async def script(request: Request, wire: ServerWire) -> None:
        method = request.json.get("method") if request.body else ""
        if method == "initialize":
            about = {"protocolVersion": "2025-11-25", "serverInfo": {"name": "p", "version": "1"}}
            await wire.result(request, {**about, "capabilities": {"tools": {}}})
        elif method == "tools/list":
            await wire.result(request, {"tools": [tool("long")]})
        elif method == "tools/call":
            asked.append(request.json["id"])
            await wire.stream(b"id: u1\nretry: 60\ndata: \n\n")
            await wire.end()
        elif request.headers.get("last-event-id") == "u1":
            await polled.wait()
            await wire.stream()
            await wire.event({"jsonrpc": "2.0", "id": asked[0], "result": {"content": []}}, "u2")
            await wire.end()
        else:
            await wire.answer(202 if method else 405)

    async with (
        HttpServer(script) as server,
        gateway({"servers": [http_server("polls", server.url)]}, tmp_path) as running,
        web(running.server("polls")) as wire,
    ):
        await running.ready("polls")
        session = await wire.open()
        async with session.calling(message("tools/call", {"name": "long"}, id="x")) as stream:
            assert await stream.rest() == []
            assert stream.retry_s == 0.06
        async with session.resuming(stream.last_id) as again:
            polled.set()
            (answer,) = await again.rest()
        assert (answer["id"], answer["result"]["content"]) == ("x", [])
        older = await wire.open("2025-06-18")  # waits, and knows nothing of it
        assert (await older.ask("tools/call", {"name": "long"}, id="y"))["id"] == "y"


# --- the official client ---


@asynccontextmanager
async def official(url: str) -> AsyncIterator[ClientSession]:
    """A session of the official client, as of 2025-11-25."""
    async with (
        streamable_http_client(url) as streams,
        ClientSession(*streams[:2]) as session,
    ):
        await session.initialize()
        yield session


def request(name: str) -> CallToolRequest:
    """A call as the client sends it."""
    params = CallToolRequestParams(name="work", arguments={"name": name})
    return CallToolRequest(params=params)


def said(result: CallToolResult) -> str:
    """The text of a result."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_official_client_survives_a_cut(running: Running, slow: Slow) -> None:
    async with pipe_to(running, "/mcp/slow") as pipe, official(pipe.url) as session:
        heard: list[float] = []
        first = asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)
            first.set()

        async with asyncio.TaskGroup() as group:
            calling = group.create_task(
                session.call_tool("work", {"name": "sdk"}, progress_callback=hear)
            )
            asked = await slow.begun("sdk")
            async with asyncio.timeout(WAIT_S):
                await first.wait()
            pipe.cut()
            await asked.progress(1)
            slow.end("sdk")
        assert said(calling.result()) == "sdk is done"
        assert heard == [0, 1]
        assert [one.arguments["name"] for one in slow.calls()].count("sdk") == 1


async def test_the_official_client_resumes_by_its_token(running: Running, slow: Slow) -> None:
    tokens: asyncio.Queue[str] = asyncio.Queue()
    async with official(running.server("slow")) as session:
        async with asyncio.TaskGroup() as group:
            kept = ClientMessageMetadata(on_resumption_token_update=tokens.put)
            calling = group.create_task(
                session.send_request(request("token"), CallToolResult, metadata=kept)
            )
            await slow.begun("token")
            async with asyncio.timeout(WAIT_S):
                token = await tokens.get()
            calling.cancel()
        slow.end("token")
        again = ClientMessageMetadata(resumption_token=token)
        found = await session.send_request(request("unused"), CallToolResult, metadata=again)
    assert said(found) == "token is done"
    assert "unused" not in slow.under_way
    assert json.dumps(slow.heard).count("notifications/cancelled") == 0
