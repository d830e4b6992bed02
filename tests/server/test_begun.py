"""POSTs whose calls need no task, over a real socket: however they end, nobody waits for ever."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from fakes.at_once import Direct, direct, owed
from fakes.edge import Client, begin, until
from fakes.upstream import Gate, served, text
from fakes.wire import (
    Session,
    Web,
    call,
    headers_of,
    last,
    message,
    messages,
    modern,
    post_headers,
    web,
)
from only1mcp.gateway import Gateway
from only1mcp.protocol.errors import ServerLost, UpstreamError
from only1mcp.protocol.message import as_raw
from only1mcp.relay import under_way
from only1mcp.server.caller import KEEP_ALIVE_S
from only1mcp.server.connection import Connection

FIND = call("lib__find")
PLAIN = json.dumps(text("found")).encode()
OWN_ERROR = UpstreamError(b'{"code":-32602,"message":"no such row"}', -32602, "no such row")


class Scene:
    """A gateway of one server, and the clients of both eras that call it."""

    def __init__(self, gateway: Gateway, wire: Web, session: Session, lib: Direct) -> None:
        self.gateway = gateway
        self.wire = wire
        self.session = session
        self.lib = lib

    @property
    def left(self) -> int:
        """All that calls under way owe, at every station."""
        edge, streamable = self.gateway.edge, self.gateway._streamable
        assert edge is not None
        running = sum(len(one._running) for one in streamable._sessions)
        counts = edge.requests_in_flight, len(streamable._waiting), running
        return sum((*owed(self.gateway), *counts))

    async def asked(self, era: str, id: Any = 1) -> asyncio.Task[httpx2.Response]:
        """A call that the server has, without a task."""
        before = len(self.lib.waiting)
        if era == "modern":
            asking = begin(self.wire.modern("tools/call", FIND, id=id))
        else:
            asking = begin(self.session.post(message("tools/call", FIND, id=id)))
        await until(lambda: len(self.lib.waiting) > before)
        edge = self.gateway.edge
        assert edge is not None
        assert edge.shared is not None
        assert not any(one.task for one in edge.shared.running)
        return asking

    async def ended(self) -> None:
        """Nothing is left."""
        await until(lambda: self.left == 0)


@asynccontextmanager
async def scene(era: str = "legacy") -> AsyncIterator[Scene]:
    """One whose server is of this era."""
    lib = direct(modern=era == "modern")
    async with served(lib) as (gateway, url), web(url) as wire:
        one = Scene(gateway, wire, await wire.open(), lib)
        yield one
        await one.ended()


ERAS = pytest.mark.parametrize("era", ["legacy", "modern"])


@ERAS
async def test_the_answer_is_the_clients(era: str) -> None:
    async with scene(era) as one:
        asking = await one.asked(era, id=7)
        assert one.left > 0
        one.lib.answer(PLAIN)
        assert one.left == 0, "in that moment"
        response = await asking
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {"jsonrpc": "2.0", "id": 7, "result": text("found")}


@ERAS
async def test_an_error_has_the_status_of_its_era(era: str) -> None:
    async with scene(era) as one:
        asking = await one.asked(era)
        one.lib.answer(OWN_ERROR)
        response = await asking
    assert response.status_code == (400 if era == "modern" else 200)
    assert response.json()["error"] == {"code": -32602, "message": "no such row"}


@ERAS
async def test_a_lost_server_is_told(era: str) -> None:
    async with scene(era) as one:
        asking = await one.asked(era)
        one.lib.drop(ServerLost("lib", "gone"))
        assert last(await asking)["error"]["data"]["outcome"] == "unknown"


@ERAS
async def test_a_fault_of_ours_is_an_error_of_ours(
    era: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("a bug")

    async with scene(era) as one:
        asking = await one.asked(era)
        monkeypatch.setattr(under_way, "as_it_is", broken)
        one.lib.answer(PLAIN)
        response = await asking
    assert (response.status_code, last(response)["error"]["code"]) == (200, -32603)


# --- what comes before the answer ---


@ERAS
async def test_what_the_server_tells_makes_the_answer_a_stream(era: str) -> None:
    async with scene(era) as one:
        asking = await one.asked(era)
        notify = one.lib.sent[-1].on_notification
        assert notify is not None
        notify("notifications/progress", as_raw({"progress": 1}))
        one.lib.answer(PLAIN)
        told, answer = messages(await asking)
    assert (told["method"], answer["result"]) == ("notifications/progress", text("found"))


@ERAS
@pytest.mark.parametrize("ends", [PLAIN, OWN_ERROR])
async def test_and_so_does_silence(era: str, ends: Any) -> None:
    async with scene(era) as one:
        asking = await one.asked(era)
        later = asyncio.get_running_loop().time() + KEEP_ALIVE_S
        one.gateway._streamable.sweep(later)
        one.lib.answer(ends)
        response = await asking
    assert response.headers["content-type"].startswith("text/event-stream")
    assert last(response)["id"] == 1


# --- the client does not want it any more ---


async def test_a_client_that_cancels() -> None:
    async with scene() as one:
        asking = await one.asked("legacy", id="a")
        for _ in range(2):
            told = await one.session.post(message("notifications/cancelled", {"requestId": "a"}))
            assert told.status_code == 202
        assert last(await asking)["error"]["code"] == -32800
    assert one.lib.cancelled == ["tools/call"]


async def test_a_cancellation_of_another_request_is_nothing() -> None:
    async with scene() as one:
        asking = await one.asked("legacy", id="a")
        await one.session.post(message("notifications/cancelled", {"requestId": "b"}))
        one.lib.answer(PLAIN)
        assert last(await asking)["result"] == text("found")
    assert one.lib.cancelled == []


async def test_a_client_that_ends_its_session() -> None:
    async with scene() as one:
        asking = await one.asked("legacy")
        assert (await one.wire.http.delete(one.wire.url, headers=one.session.headers)).is_success
        assert last(await asking)["error"]["code"] == -32800
    assert one.lib.cancelled == ["tools/call"]


async def test_a_modern_client_that_hangs_up_cancels() -> None:
    async with scene("modern") as one:
        asking = await one.asked("modern")
        asking.cancel()
        await until(lambda: one.lib.cancelled == ["tools/call"])
        one.lib.answer(PLAIN)  # too late


async def test_a_legacy_client_that_hangs_up_has_not_cancelled() -> None:
    async with scene() as one:
        asking = await one.asked("legacy")
        edge = one.gateway.edge
        assert edge is not None
        connections = edge.connections
        asking.cancel()
        await until(lambda: edge.connections < connections)
        assert one.left > 0
        one.lib.answer(PLAIN)
        assert one.left == 0
    assert one.lib.cancelled == []


async def test_an_id_that_is_still_in_use_is_refused() -> None:
    async with scene() as one:
        asking = await one.asked("legacy", id=5)
        again = await one.session.post(message("tools/call", FIND, id=5))
        assert (again.status_code, last(again)["error"]["code"]) == (400, -32600)
        one.lib.answer(PLAIN)
        assert last(await asking)["result"] == text("found")
        asking = await one.asked("legacy", id=5)  # and now it is free
        one.lib.answer(PLAIN)
        assert last(await asking)["result"] == text("found")


async def test_an_id_that_is_no_number_of_any_library_is_refused_before_anything_is_sent() -> None:
    async with scene() as one:
        body = b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":{"name":"lib__find"}}'
        response = await one.session.post(body % (b"9" * 5000))
        assert response.status_code == 400
        assert one.lib.waiting == []


# --- in one turn of the loop ---


@asynccontextmanager
async def at_once(one: Scene, *bodies: Any) -> AsyncIterator[list[Client]]:
    """Their clients, each on a connection of its own: the gateway reads them all in one turn."""
    edge = one.gateway.edge
    assert edge is not None
    assert edge.shared is not None
    connections = edge.shared.connections
    others = len(connections)
    clients: list[Client] = []
    theirs: list[Connection] = []
    for _ in bodies:
        before = set(connections)
        clients.append(Client(*await asyncio.open_connection("127.0.0.1", edge.port)))
        await until(lambda: len(connections) == others + len(clients))
        theirs += connections - before
    for connection, body in zip(theirs, bodies, strict=True):
        connection.data_received(post(body, one.session.headers))
    yield clients
    for client in clients:
        await client.close()


async def test_of_two_requests_with_one_id_the_first_is_answered() -> None:
    """Though it takes a task, and the second would not."""
    async with scene() as one:
        both = message("ping", id=5), message("tools/call", FIND, id=5)
        async with at_once(one, *both) as (first, second):
            answer, refusal = await first.answer(), await second.answer()
    assert (answer.status, json.loads(answer.body)["result"]) == (200, {})
    assert (refusal.status, json.loads(refusal.body)["error"]["code"]) == (400, -32600)
    assert one.lib.waiting == []


async def test_what_is_cancelled_at_once_is() -> None:
    """Though its task has not begun."""
    async with scene() as one:
        one.lib.full = True
        one.lib.answers["tools/call"] = Gate(PLAIN)
        cancelled = message("notifications/cancelled", {"requestId": 5})
        async with at_once(one, message("tools/call", FIND, id=5), cancelled) as (client, other):
            assert json.loads((await client.answer()).body)["error"]["code"] == -32800
            assert (await other.answer()).status == 202


async def test_what_runs_when_its_session_ends_at_once_is_cancelled() -> None:
    async with scene() as one:
        one.lib.full = True
        one.lib.answers["tools/call"] = Gate(PLAIN)
        async with at_once(one, message("tools/call", FIND, id=5)) as (client,):
            (session,) = one.gateway._sessions
            one.gateway._sessions.close(session)
            assert json.loads((await client.answer()).body)["error"]["code"] == -32800


# --- one connection, and the end of all ---


async def test_requests_that_come_together_are_answered_in_their_order() -> None:
    async with scene("modern") as one:
        edge = one.gateway.edge
        assert edge is not None
        client = Client(*await asyncio.open_connection("127.0.0.1", edge.port))
        await client.send(b"".join(raw(id) for id in (1, 2, 3)))
        for id in (1, 2, 3):
            await until(lambda: len(one.lib.waiting) == 1)
            one.lib.answer(PLAIN if id != 2 else OWN_ERROR)
            assert json.loads((await client.answer()).body)["id"] == id
        await client.close()


def raw(id: int) -> bytes:
    """A modern call as bytes."""
    body = modern("tools/call", FIND, id=id)
    return post(body, headers_of(body))


def post(body: Any, more: dict[str, str]) -> bytes:
    """A POST as bytes."""
    data = json.dumps(body).encode()
    headers = {"Host": "127.0.0.1", **post_headers(more)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"POST /mcp HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (
        *(lines.encode(), len(data), data),
    )


@ERAS
async def test_a_gateway_that_drains_waits_for_the_answer(era: str) -> None:
    async with scene(era) as one:
        asking = await one.asked(era)
        edge = one.gateway.edge
        assert edge is not None
        edge.stop_accepting()
        assert edge.requests_in_flight == 1
        one.lib.answer(PLAIN)
        response = await asking
    assert (last(response)["result"], response.headers["connection"]) == (text("found"), "close")


@ERAS
async def test_a_gateway_that_stops_says_that_it_may_have_run(era: str) -> None:
    async with scene(era) as one:
        asking = await one.asked(era)
        edge = one.gateway.edge
        assert edge is not None
        edge.hurry()
        error = last(await asking)["error"]
    assert (error["code"], error["data"]["outcome"]) == (-31006, "unknown")
    assert one.lib.cancelled == ["tools/call"]


@ERAS
async def test_an_edge_that_closes_answers_first(era: str) -> None:
    async with scene(era) as one:
        asking = await one.asked(era)
        edge = one.gateway.edge
        assert edge is not None
        await edge.close()
        assert last(await asking)["error"]["code"] == -31006
