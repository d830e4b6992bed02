"""Handshake clients over HTTP: their sessions, their streams, their arrays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Gate, library, offers, served, text
from fakes.wire import LEGACY, Session, Web, error, last, message, messages, web
from only1mcp.gateway import Gateway
from only1mcp.protocol import message as protocol
from only1mcp.protocol.message import as_raw
from only1mcp.server import session as sessions
from only1mcp.server.caller import KEEP_ALIVE_S
from only1mcp.upstream.base import Call

CALL = {"name": "lib__find"}
EVENTS = {"Accept": "text/event-stream"}
TOKENS = {"auth": {"tokens": ["t-ann", "t-bob"]}}


@pytest.fixture(autouse=True)
def announce_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the servers have come up is announced before a test begins."""
    monkeypatch.setattr("only1mcp.gateway.ANNOUNCE_S", 0)


@asynccontextmanager
async def client(*upstreams: FakeUpstream, **more: Any) -> AsyncIterator[tuple[Gateway, Web]]:
    """A client of a gateway of these servers, `lib` by default."""
    async with served(*(upstreams or (library(),)), **more) as (gateway, url), web(url) as wire:
        await until(lambda: gateway._announcing is None)
        yield gateway, wire


def handshake(revision: Any = LEGACY) -> Any:
    """An initialize."""
    return message("initialize", {"protocolVersion": revision, "capabilities": {}}, id="i")


def ours(gateway: Gateway, session: Session) -> sessions.Session:
    """The gateway's side of a session."""
    return gateway._sessions._sessions[session.id]


# --- the handshake ---


async def test_the_handshake_opens_a_session() -> None:
    async with client() as (gateway, wire):
        response = await wire.post(handshake("2025-06-18"))
        (session,) = gateway._sessions
    assert response.headers["mcp-session-id"] == session.id
    assert last(response)["id"] == "i"
    assert last(response)["result"]["protocolVersion"] == "2025-06-18"
    assert (session.revision, session.principal, session.mount) == ("2025-06-18", "anonymous", None)


async def test_a_handshake_that_names_no_revision_opens_none() -> None:
    async with client() as (gateway, wire):
        assert error(await wire.post(handshake(5))) == (400, -32602)
        assert len(gateway._sessions) == 0


async def test_a_full_gateway_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 1)
    async with client() as (_, wire):
        session = await wire.open()
        async with listening(session):
            response = await wire.post(handshake())
    assert error(response) == (503, -32600)
    assert "try again later" in last(response)["error"]["message"]


async def test_the_handshake_of_a_mount_waits_for_its_server() -> None:
    late = FakeUpstream("late", offers(prompts=["p"]), capabilities={"prompts": {}})
    late.hold = asyncio.Event()
    async with (
        served(late, settled=False) as (_, url),
        web(f"{url}/late") as wire,
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(wire.post(handshake()))
        await until(lambda: late.connects == 1)
        late.hold.set()
        assert set(last(await asking)["result"]["capabilities"]) == {"prompts"}


# --- whose it is ---


async def test_a_session_is_nobody_elses() -> None:
    async with served(library(), server=TOKENS) as (_, url):
        ann, bob = ({"headers": {"Authorization": f"Bearer t-{name}"}} for name in ("ann", "bob"))
        async with web(url, **ann) as hers, web(url, **bob) as his, web(f"{url}/lib", **ann) as lib:
            session = await hers.open()
            ping = message("ping", id=1)
            assert (await hers.post(ping, session.headers)).status_code == 200
            assert error(await his.post(ping, session.headers)) == (404, -32600)
            assert error(await lib.post(ping, session.headers)) == (404, -32600)
            gone = await his.http.delete(url, headers=session.headers)
            assert error(gone) == (404, -32600)
            assert (await hers.post(ping, session.headers)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Mcp-Session-Id": ""}, 400, -32600),
        ({"Mcp-Session-Id": "guessed"}, 404, -32600),
        ({"MCP-Protocol-Version": ""}, 200, None),
        ({"MCP-Protocol-Version": "2024-11-05"}, 200, None),  # any we serve will do
    ],
)
async def test_the_headers_of_a_session(headers: Any, status: int, code: int | None) -> None:
    async with client() as (_, wire):
        session = await wire.open()
        response = await session.post(message("ping", id=1), headers)
    assert response.status_code == status
    assert last(response).get("error", {}).get("code") == code


async def test_delete_ends_it() -> None:
    async with client() as (gateway, wire):
        session = await wire.open()
        assert (await wire.http.delete(wire.url, headers=session.headers)).status_code == 200
        assert error(await session.post(message("ping", id=1))) == (404, -32600)
        assert error(await wire.http.delete(wire.url)) == (400, -32600)
        assert len(gateway._sessions) == 0


async def test_what_runs_when_it_is_deleted_is_answered_as_cancelled() -> None:
    gate = Gate({})
    lib = library(answers={"tools/call": gate})
    async with client(lib) as (_, wire):
        session = await wire.open()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(session.post(message("tools/call", CALL, id=1)))
            await gate.entered.wait()
            await wire.http.delete(wire.url, headers=session.headers)
    assert (last(asking.result())["id"], error(asking.result())) == (1, (200, -32800))
    assert lib.cancelled == ["tools/call"]


async def test_the_sweep_forgets_idle_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    async with client() as (gateway, wire):
        session = await wire.open()
        ours(gateway, session).last_used -= sessions.IDLE_S + 1
        gateway._streamable.sweep(0)
        assert error(await session.post(message("ping", id=1))) == (404, -32600)


# --- its stream ---


@asynccontextmanager
async def listening(session: Session) -> AsyncIterator[httpx2.Response]:
    """The session's GET stream, open."""
    headers = session.headers | EVENTS
    async with session.web.http.stream("GET", session.web.url, headers=headers) as response:
        yield response


async def read(response: httpx2.Response, end: str) -> str:
    """The next text of a stream, as far as that."""
    found = ""
    chunks = response.aiter_text()
    async with asyncio.timeout(PATIENCE_S):
        while not found.endswith(end):
            found += await anext(chunks)
    return found


async def test_the_stream_begins_at_once_and_takes_messages() -> None:
    async with client() as (gateway, wire):
        session = await wire.open()
        async with listening(session) as response:
            assert response.status_code == 200
            assert response.headers["content-type"] == "text/event-stream"
            outlet = ours(gateway, session).outlet
            assert outlet is not None
            outlet(protocol.notification("notifications/tools/list_changed"))
            said = await read(response, "}\n\n")
    tag = said.partition("id: ")[2].partition("-")[0]
    assert said == (
        f"event: message\nid: {tag}-0-1\ndata: \n\nid: {tag}-0-2\nevent: message\n"
        'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n'
    )


async def test_a_silent_stream_is_kept_alive_and_its_session_too() -> None:
    async with client() as (gateway, wire):
        session = await wire.open()
        async with listening(session) as response:
            (stream,) = gateway._streamable._waiting
            ours(gateway, session).last_used = -sessions.IDLE_S
            gateway._streamable.sweep(stream.last_sent + KEEP_ALIVE_S - 0.1)
            gateway._streamable.sweep(stream.last_sent + KEEP_ALIVE_S)
            assert (await read(response, ": keep-alive\n")).count("\n\n") == 1
            assert len(gateway._sessions) == 1


async def test_a_stream_that_has_gone_makes_room_for_another() -> None:
    async with client() as (gateway, wire):
        session = await wire.open()
        async with listening(session):
            again = await wire.http.get(wire.url, headers=session.headers | EVENTS)
            assert error(again) == (409, -32600)
            before = ours(gateway, session).last_used = 0
        await until(lambda: ours(gateway, session).end_stream is None)
        assert not gateway._streamable._waiting
        assert ours(gateway, session).last_used > before  # idle from now on, not since long
        async with listening(session) as response:
            assert response.status_code == 200


async def test_delete_ends_the_stream() -> None:
    async with client() as (gateway, wire):
        session = await wire.open()
        async with listening(session) as response:
            await wire.http.delete(wire.url, headers=session.headers)
            async with asyncio.timeout(PATIENCE_S):
                assert [line async for line in response.aiter_lines() if "{" in line] == []
        assert not gateway._streamable._waiting


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Accept": "application/json"}, 406, -32600),
        ({"Mcp-Session-Id": "guessed"}, 404, -32600),
        ({"MCP-Protocol-Version": "1999-01-01"}, 400, -32022),
    ],
)
async def test_a_stream_that_is_refused(headers: dict[str, str], status: int, code: int) -> None:
    async with client() as (_, wire):
        session = await wire.open()
        response = await wire.http.get(wire.url, headers=session.headers | EVENTS | headers)
        assert error(response) == (status, code)
        no_session = await wire.http.get(wire.url, headers=EVENTS)
        assert error(no_session) == (400, -32600)


# --- arrays ---


def noisy(call: Call) -> Any:
    """A tool that reports progress before it answers."""
    assert call.on_notification is not None
    call.on_notification("notifications/progress", as_raw({"progress": 1}))
    return text("done")


async def test_an_array_is_answered_with_an_array() -> None:
    async with client() as (_, wire):
        session = await wire.open("2025-03-26")
        items = [message("ping", id="a"), message("notifications/zzz"), message("zzz", id="b")]
        response = await session.post(items)
        none = await session.post([message("notifications/zzz")])
    ping, unknown = response.json()
    assert (ping["id"], ping["result"]) == ("a", {})
    assert (unknown["id"], unknown["error"]["code"]) == ("b", -32601)
    assert (none.status_code, none.content) == (202, b"")


async def test_notifications_of_an_array_make_it_a_stream() -> None:
    async with client(library(answers={"tools/call": noisy})) as (_, wire):
        session = await wire.open("2025-03-26")
        response = await session.post([message("ping", id=1), message("tools/call", CALL, id=2)])
    progress, ping, call = messages(response)
    assert progress["method"] == "notifications/progress"
    assert (ping["id"], call["id"]) == (1, 2)


async def test_a_cancelled_request_has_its_place_in_the_array() -> None:
    gate = Gate({})
    async with client(library(answers={"tools/call": gate})) as (_, wire):
        session = await wire.open("2025-03-26")
        async with asyncio.TaskGroup() as group:
            items = [message("tools/call", CALL, id=1), message("ping", id=2)]
            asking = group.create_task(session.post(items))
            await gate.entered.wait()
            await session.post(message("notifications/cancelled", {"requestId": 1}))
    cancelled, ping = asking.result().json()
    assert (cancelled["id"], cancelled["error"]["code"]) == (1, -32800)
    assert (ping["id"], ping["result"]) == (2, {})


async def test_arrays_of_others_are_refused() -> None:
    async with client() as (_, wire):
        session = await wire.open()
        array = [message("ping", id=1)]
        assert error(await session.post(array)) == (400, -32600)
        assert error(await wire.post(array)) == (400, -32600)
        assert error(await wire.post(array, {"Mcp-Session-Id": "guessed"})) == (404, -32600)


@pytest.mark.parametrize("ends", ["the former stream", "the session", "nothing"])
async def test_a_client_that_reconnects_may_be_heard_before_it_has_left(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience_s = 0.2 if ends == "nothing" else PATIENCE_S
    monkeypatch.setattr("only1mcp.server.streamable.LEFT_S", patience_s)
    async with client() as (gateway, wire):
        session = await wire.open()
        former = session.listen()
        await former.__aenter__()
        headers = {**session.headers, **EVENTS}
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(
                wire.http.send(
                    wire.http.build_request("GET", wire.url, headers=headers), stream=True
                )
            )
            assert gateway.edge is not None
            edge = gateway.edge
            await until(lambda: edge.requests_in_flight == 1)
            if ends == "the former stream":
                await former.__aexit__(None, None, None)
            elif ends == "the session":
                await wire.http.delete(wire.url, headers=session.headers)
        answer = asking.result()
        expected = {"the former stream": 200, "the session": 404, "nothing": 409}
        assert answer.status_code == expected[ends]
        await answer.aclose()
        if ends != "the former stream":
            await former.__aexit__(None, None, None)
