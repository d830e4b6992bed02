"""Against a server made with the official SDK, in both eras, answering in JSON and in streams."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from msgspec import Raw

from only1mcp.config.servers import Http, Timeouts
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.errors import UpstreamError
from only1mcp.protocol.message import Params, as_raw
from only1mcp.upstream.base import Call
from only1mcp.upstream.connection import Exchange
from only1mcp.upstream.streamable import StreamableHttp

HANGING: dict[str, tuple[asyncio.Event, asyncio.Event]] = {}
"""Call -> (it has begun, it was cancelled)."""


def make_server() -> MCPServer:
    """Tools that answer at once, tell of their progress, hang, or change what is offered."""
    server = MCPServer("peer")

    @server.tool()
    def add(a: int, b: int) -> int:
        return a + b

    @server.tool()
    async def count(to: int, ctx: Context) -> str:
        for n in range(to):
            await ctx.report_progress(n, to, f"step {n}")
        return "done"

    @server.tool()
    async def hang(name: str) -> str:
        begun, cancelled = HANGING[name]
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    @server.tool()
    async def grow(ctx: Context) -> str:
        await ctx.session.send_tool_list_changed()
        return "grown"

    @server.resource("note://{name}")
    def note(name: str) -> str:
        return f"a note about {name}"

    return server


class Web(uvicorn.Server):
    """Leaves the signals to pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(*, json_response: bool) -> AsyncIterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        app = make_server().streamable_http_app(json_response=json_response)
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        web, tasks = Web(config), Tasks()
        task = tasks.start(web.serve(sockets=[listener]), "web")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            web.should_exit = True
            await asyncio.wait([task], timeout=5)
            await tasks.close()


class Peer(StreamableHttp):
    """An upstream to the peer that fills in what the relay would."""

    def __init__(self, url: str, protocol: str) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        super().__init__("peer", Http(url=url), Timeouts(start=10.0), protocol, self._hear)

    def _hear(self, method: str, params: Raw) -> None:
        self.heard.put_nowait(method)

    def params(self, meta: dict[str, Any], **members: Any) -> Params:
        if self.greeting.modern:
            meta = {**own_meta({}), **meta}
        return {**{name: as_raw(value) for name, value in members.items()}, "_meta": as_raw(meta)}

    async def tool(self, name: str, arguments: Any, sink: Any = None, **meta: Any) -> Any:
        params = self.params(meta, name=name, arguments=arguments)
        return json.loads(await self.call(Call("tools/call", params, name, sink)))


@pytest.fixture(params=[True, False], ids=["json", "stream"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with serving(json_response=request.param) as url:
        yield url


@pytest.fixture(params=["legacy", "auto"])
async def peer(request: pytest.FixtureRequest, url: str) -> AsyncIterator[Peer]:
    peer = Peer(url, request.param)
    async with asyncio.timeout(10):
        await peer.connect()
    yield peer
    async with asyncio.timeout(5):
        await peer.close()


async def test_the_era_is_found_and_tools_are_listed_and_called(peer: Peer) -> None:
    assert peer.greeting.modern == (peer._protocol != "legacy")
    assert peer.greeting.server_info["name"] == "peer"
    found = json.loads(await peer.call(Call("tools/list", peer.params({}))))
    assert {tool["name"] for tool in found["tools"]} == {"add", "count", "hang", "grow"}
    sums = await asyncio.gather(*[peer.tool("add", {"a": n, "b": 1}) for n in range(20)])
    assert [answer["structuredContent"]["result"] for answer in sums] == list(range(1, 21))


async def test_a_resource_whose_name_needs_the_sentinel_is_read(peer: Peer) -> None:
    uri = "note://gr%C3%BCn"
    found = json.loads(await peer.call(Call("resources/read", peer.params({}, uri=uri), uri)))
    assert "a note about" in found["contents"][0]["text"]
    with pytest.raises(UpstreamError):
        await peer.call(Call("resources/read", peer.params({}, uri="grün:x"), "grün:x"))


async def test_progress_comes_back_under_the_callers_token(peer: Peer) -> None:
    heard: list[dict[str, Any]] = []

    def sink(method: str, params: Raw) -> None:
        assert method == "notifications/progress"
        heard.append(json.loads(bytes(params)))

    answer = await peer.tool("count", {"to": 3}, sink, progressToken="mine")
    assert answer["content"][0]["text"] == "done"
    if heard:  # a server that answers in JSON has no way to tell of progress
        assert [params["progress"] for params in heard] == [0, 1, 2]
        assert {params["progressToken"] for params in heard} == {"mine"}


async def test_an_unknown_method_is_the_servers_own_error(peer: Peer) -> None:
    with pytest.raises(UpstreamError) as caught:
        await peer.call(Call("no/such", peer.params({})))
    assert caught.value.own_code == -32601
    assert caught.value.status == (404 if peer.greeting.modern else 200)


async def test_a_cancelled_call_is_cancelled_in_the_server(
    peer: Peer, url: str, request: pytest.FixtureRequest
) -> None:
    if peer.greeting.modern and "json" in request.node.callspec.id:
        pytest.skip("the SDK does not look for a closed connection when it answers in JSON")
    name = f"{peer._protocol} {url}"
    begun, cancelled = HANGING.setdefault(name, (asyncio.Event(), asyncio.Event()))
    task = Tasks().start(peer.tool("hang", {"name": name}), "call")
    async with asyncio.timeout(5):
        await begun.wait()
        task.cancel()
        await cancelled.wait()
    assert task.cancelled()


async def test_a_change_outside_a_call_is_heard(peer: Peer) -> None:
    if peer.greeting.modern:
        pytest.skip("a modern server tells of changes only to those who listen")
    answer = await peer.tool("grow", {})
    assert answer["content"][0]["text"] == "grown"
    async with asyncio.timeout(5):
        assert await peer.heard.get() == "notifications/tools/list_changed"


async def test_a_session_that_ended_is_renewed(peer: Peer) -> None:
    if peer.greeting.modern:
        pytest.skip("a modern server has no sessions")
    await peer._control.request(Exchange(), peer._heads.delete)
    assert (await peer.tool("add", {"a": 1, "b": 2}))["structuredContent"] == {"result": 3}
