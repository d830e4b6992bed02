"""The older HTTP transport: one stream per client, a POST for each of its messages."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.edge import PATIENCE_S, Answer, Client, client, until
from fakes.upstream import FakeUpstream, Gate, gateway_of, library, text, unheard
from only1mcp.gateway import Gateway
from only1mcp.protocol import message
from only1mcp.server import sse as module
from only1mcp.server.caller import KEEP_ALIVE_S
from only1mcp.server.http import Edge
from only1mcp.upstream.base import Call

TYPED = "Content-Type: application/json\r\n"


def initialize(revision: str = "2024-11-05", **capabilities: Any) -> dict[str, Any]:
    params = {"protocolVersion": revision, "capabilities": capabilities, "clientInfo": {}}
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


def request(method: str, id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


async def post(wire: Client, path: str, body: Any, headers: str = TYPED) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(data)}\r\n"
    return await wire.ask(head.encode() + b"\r\n" + data)


class Talk:
    """One open stream, and a second connection to post on."""

    def __init__(self, stream: Client, posts: Client) -> None:
        self.stream = stream
        self.posts = posts
        self.place = ""

    async def open(self, headers: str = "") -> None:
        await self.stream.send(f"GET /sse HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())
        status, found = await self.stream.head()
        assert (status, found["content-type"]) == (200, "text/event-stream")
        name, data = (await self.stream.chunk()).rstrip().split(b"\n")
        assert name == b"event: endpoint"
        self.place = data.removeprefix(b"data: ").decode()

    async def post(self, body: Any, **more: Any) -> Answer:
        return await post(self.posts, self.place, body, **more)

    async def next(self) -> Any:
        """The next message on the stream."""
        name, data = (await self.stream.chunk()).rstrip().split(b"\n")
        assert name == b"event: message"
        return json.loads(data.removeprefix(b"data: "))

    async def ask(self, body: Any) -> Any:
        answer = await self.post(body)
        assert (answer.status, answer.body) == (202, b"")
        return await self.next()


@asynccontextmanager
async def talking(edge: Edge, first: Any = None) -> AsyncIterator[Talk]:
    async with client(edge) as stream, client(edge) as posts:
        talk = Talk(stream, posts)
        await talk.open()
        if first is not None:
            await talk.ask(first)
        yield talk


@asynccontextmanager
async def serving(*upstreams: FakeUpstream, **more: Any) -> AsyncIterator[tuple[Gateway, Edge]]:
    async with gateway_of(*upstreams, **more) as gateway:
        yield gateway, await gateway.listen(0)


@pytest.mark.parametrize("revision", ["2024-11-05", "2025-11-25"])
async def test_the_revision_is_negotiated_as_ever(revision: str) -> None:
    async with serving(library()) as (_, edge), talking(edge) as talk:
        found = (await talk.ask(initialize(revision)))["result"]
        assert found["protocolVersion"] == revision
        listed = await talk.ask(request("tools/list"))
        assert [one["name"] for one in listed["result"]["tools"]] == ["lib__find"]
        called = await talk.ask(request("tools/call", "x", name="lib__find"))
        assert (called["id"], called["result"]) == ("x", text("called"))


async def test_before_initialize_there_is_ping_only() -> None:
    async with serving() as (_, edge), talking(edge) as talk:
        assert (await talk.ask(request("ping")))["result"] == {}
        assert (await talk.ask(request("tools/list")))["error"]["message"] == (
            "send initialize first"
        )
        assert (await talk.ask([request("ping")]))["error"]["code"] == -32600
        assert (await talk.ask({**initialize(), "params": {}}))["error"]["code"] == -32602
        note = await talk.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert note.status == 202
        assert "result" in await talk.ask(initialize())
        assert "already" in (await talk.ask(initialize()))["error"]["message"]


async def test_arrays_are_for_the_revision_that_has_them() -> None:
    pings = [request("ping", 1), request("ping", 2)]
    async with serving() as (_, edge):
        async with talking(edge, initialize("2025-03-26")) as talk:
            assert (await talk.ask(pings))["id"] == 1
            assert (await talk.next())["id"] == 2
        async with talking(edge, initialize()) as talk:
            assert (await talk.ask(pings))["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/sse", 405), ("DELETE", "/sse", 405), ("GET", "/messages", 405)],
)
async def test_methods(method: str, path: str, status: int) -> None:
    async with serving() as (_, edge), client(edge) as wire:
        answer = await wire.ask(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert answer.status == status
        assert answer.headers["allow"] == ("GET" if path == "/sse" else "POST")


async def test_posts_that_are_refused() -> None:
    async with serving() as (_, edge), talking(edge) as talk:
        assert (await talk.post(request("ping"), headers="")).status == 415
        assert (await talk.post(b"{")).status == 400
        for place in ("/messages", "/messages?session=", "/messages?session=unknown"):
            answer = await post(talk.posts, place, request("ping"))
            assert answer.status == 404
            assert b"open /sse again" in answer.body
        await talk.posts.send(b"GET /sse HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n")
        assert (await talk.posts.answer()).status == 406
        stranger = f"{TYPED}Origin: https://evil.example\r\n"
        assert (await talk.post(request("ping"), headers=stranger)).status == 403


async def test_a_stream_is_of_the_principal_who_opened_it() -> None:
    server = {"auth": {"tokens": ["one", "two"]}}
    async with (
        serving(server=server) as (_, edge),
        client(edge) as stream,
        client(edge) as posts,
    ):
        talk = Talk(stream, posts)
        await talk.open("Authorization: Bearer one\r\n")
        for token, status in (("one", 202), ("two", 404), ("three", 401)):
            headers = f"{TYPED}Authorization: Bearer {token}\r\n"
            assert (await talk.post(request("ping"), headers=headers)).status == status


async def test_what_belongs_to_a_call_comes_on_the_stream_before_its_answer() -> None:
    async def speak(call: Call) -> Any:
        assert call.on_notification is not None
        assert call.on_question is not None
        call.on_notification("notifications/progress", message.as_raw({"progressToken": 1}))
        return await call.on_question("roots/list", message.as_raw({}), unheard)

    lib = library(answers={"tools/call": speak})
    async with serving(lib) as (_, edge), talking(edge, initialize(roots={})) as talk:
        assert (await talk.ask(request("tools/call", name="lib__find")))["method"] == (
            "notifications/progress"
        )
        question = await talk.next()
        assert question["method"] == "roots/list"
        answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}
        assert (await talk.ask(answer))["result"] == {"roots": []}


async def test_a_cancelled_call_is_not_answered() -> None:
    gate = Gate(text("late"))
    lib = library(answers={"tools/call": gate})
    async with serving(lib) as (_, edge), talking(edge, initialize()) as talk:
        await talk.post(request("tools/call", 5, name="lib__find"))
        await gate.entered.wait()
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
        await talk.post(cancel)
        assert (await talk.ask(request("ping", 6)))["id"] == 6
        assert lib.cancelled == ["tools/call"]


async def test_with_the_stream_the_session_ends_and_its_calls() -> None:
    gate = Gate(text("late"))
    lib = library(answers={"tools/call": gate})
    async with serving(lib) as (gateway, edge):
        async with talking(edge, initialize()) as talk:
            await talk.post(request("tools/call", name="lib__find"))
            await gate.entered.wait()
            assert (len(gateway._sse), len(gateway._sessions)) == (1, 1)
        await until(lambda: lib.cancelled == ["tools/call"])
        assert (len(gateway._sse), len(gateway._sessions)) == (0, 0)
        async with client(edge) as wire:
            assert (await post(wire, talk.place, request("ping"))).status == 404


async def test_a_session_that_is_closed_ends_its_stream() -> None:
    async with serving() as (gateway, edge), talking(edge, initialize()) as talk:
        (session,) = gateway._sessions
        gateway._sessions.close(session)
        assert await talk.stream.chunk() == b""
        assert len(gateway._sse) == 0


async def test_quiet_streams_are_kept_and_idle_ones_ended() -> None:
    async with (
        serving() as (gateway, edge),
        talking(edge) as idle,
        talking(edge, initialize()) as talk,
    ):
        now = asyncio.get_running_loop().time()
        gateway._sse.sweep(now + KEEP_ALIVE_S + 1)
        assert await talk.stream.chunk() == b":\n\n"
        gateway._sse.sweep(now + module.HANDSHAKE_S + 1)
        assert await idle.stream.chunk() == b""
        assert len(gateway._sse) == 1


async def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STREAMS", 1)
    monkeypatch.setattr(module, "MAX_RUNNING", 1)
    gate = Gate(text("done"))
    lib = library(answers={"tools/call": gate})
    async with serving(lib) as (_, edge), talking(edge, initialize()) as talk:
        answer = await talk.posts.ask(b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.status == 503
        await talk.post(request("tools/call", name="lib__find"))
        await gate.entered.wait()
        assert (await talk.post(request("ping", 2))).status == 429
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await talk.post(note)).status == 202
        gate.open()
        assert (await talk.next())["result"] == text("done")


async def test_draining_waits_for_calls_and_the_end_answers_them() -> None:
    gate = Gate(text("late"))
    lib = library(answers={"tools/call": gate})
    async with serving(lib) as (gateway, edge), talking(edge, initialize()) as talk:
        await talk.post(request("tools/call", 9, name="lib__find"))
        await gate.entered.wait()
        assert edge.requests_in_flight == 1
        async with asyncio.timeout(PATIENCE_S):
            await gateway.close()
        found = await talk.next()
        assert (found["id"], found["error"]["message"]) == (9, "the gateway is stopping")
        assert await talk.stream.chunk() == b""


async def test_what_changes_is_told_to_these_clients_too() -> None:
    lib = library()
    async with serving(lib) as (gateway, edge), talking(edge, initialize()) as talk:
        lib.answers["tools/list"] = {"tools": []}
        gateway._from_server(
            gateway.roster.servers["lib"], "notifications/tools/list_changed", message.as_raw({})
        )
        assert (await talk.next())["method"] == "notifications/tools/list_changed"
