"""The endpoint over HTTP: which era, which mount, what is refused, and how an answer may come."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.edge import until
from fakes.upstream import FakeUpstream, Gate, gateway_of, library, served, text
from fakes.wire import LEGACY, MODERN, Web, error, last, message, messages, modern, web
from only1mcp.gateway import Gateway
from only1mcp.protocol.message import as_raw
from only1mcp.server import streamable
from only1mcp.server.caller import KEEP_ALIVE_S
from only1mcp.server.events import COMMENT, event
from only1mcp.upstream.base import Call

CALL = {"name": "lib__find"}


@asynccontextmanager
async def client(
    *upstreams: FakeUpstream, mount: str = "", **more: Any
) -> AsyncIterator[tuple[Gateway, Web]]:
    """A client of a gateway of these servers, `lib` by default."""
    async with (
        served(*(upstreams or (library(),)), **more) as (gateway, url),
        web(url + mount) as wire,
    ):
        yield gateway, wire


def noisy(call: Call) -> Any:
    """A tool that reports progress before it answers."""
    assert call.on_notification is not None
    call.on_notification("notifications/progress", as_raw({"progress": 1, "message": "a\nb"}))
    return text("done")


def test_an_event_is_one_line_of_data() -> None:
    assert event(b'{"a":\r\n1}') == b'event: message\ndata: {"a":  1}\n\n'


# --- which era, which mount ---


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (modern("tools/list"), {"Mcp-Method": "tools/list", "MCP-Protocol-Version": MODERN}, None),
        (modern("tools/list"), {"Mcp-Method": "tools/list"}, -32020),  # modern by its body
        (message("tools/list", {}, id=1), {"MCP-Protocol-Version": MODERN}, -32602),
        (message("tools/list", {}, id=1), {"MCP-Protocol-Version": "1999-01-01"}, -32602),
        (message("tools/list", {}, id=1), {"MCP-Protocol-Version": LEGACY}, -32600),
        (message("tools/list", {}, id=1), {}, -32600),  # legacy, and no session
    ],
)
async def test_the_era_is_told_by_the_body_then_by_the_header(
    body: Any, headers: Any, code: int | None
) -> None:
    async with client() as (_, wire):
        response = await wire.post(body, headers)
    assert last(response).get("error", {}).get("code") == code
    assert response.status_code == (200 if code is None else 400)


@pytest.mark.parametrize(
    ("mount", "names"),
    [("", ["one__find", "two__find"]), ("/", ["one__find", "two__find"]), ("/two", ["find"])],
)
async def test_a_mount_shows_its_server_only(mount: str, names: list[str]) -> None:
    async with client(library("one"), library("two"), mount=mount) as (_, wire):
        found = last(await wire.modern("tools/list"))
        session = await wire.open()
        legacy = await session.ask("tools/list")
    for answer in (found, legacy):
        assert [tool["name"] for tool in answer["result"]["tools"]] == names


@pytest.mark.parametrize("mount", ["/zzz", "/one/two", "/%6fne", "/ONE"])
async def test_a_mount_that_is_none_is_not_found_and_those_there_are_are_named(mount: str) -> None:
    async with client(library("one"), library("two"), mount=mount) as (_, wire):
        response = await wire.modern("tools/list")
    assert error(response) == (404, -32600)
    assert last(response)["error"]["data"] == {"hint": "servers: one, two"}


async def test_a_gateway_without_servers_says_so() -> None:
    async with gateway_of() as gateway:
        edge = await gateway.listen(0)
        async with web(f"{edge.url}/mcp/zzz") as wire:
            response = await wire.modern("tools/list")
    assert last(response)["error"]["data"] == {"hint": "servers: none"}


@pytest.mark.parametrize(
    ("method", "version", "allow"),
    [
        ("PUT", "", "GET, POST, DELETE"),
        ("PATCH", LEGACY, "GET, POST, DELETE"),
        ("GET", MODERN, "POST"),
        ("DELETE", MODERN, "POST"),
    ],
)
async def test_other_methods_are_told_which_are_allowed(
    method: str, version: str, allow: str
) -> None:
    async with client() as (_, wire):
        headers = {"MCP-Protocol-Version": version} if version else {}
        response = await wire.http.request(method, wire.url, headers=headers)
    assert error(response) == (405, -32600)
    assert response.headers["allow"] == allow


@pytest.mark.parametrize(
    ("headers", "status"), [({"Content-Type": "text/plain"}, 415), ({"Accept": "text/html"}, 406)]
)
async def test_a_post_that_does_not_say_what_it_is(headers: dict[str, str], status: int) -> None:
    async with client() as (_, wire):
        assert error(await wire.modern("tools/list", headers=headers)) == (status, -32600)


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b'{"jsonrpc":"2.0","id":8}', -32600), (b'{"id":8,"method":"ping"}', -32600)],
)
async def test_a_body_that_is_no_message(body: bytes, code: int) -> None:
    async with client() as (_, wire):
        response = await wire.post(body)
    assert error(response) == (400, code)
    assert last(response).get("id") == (8 if b"8" in body else None)


# --- answers ---


async def test_an_answer_is_json_when_nothing_comes_before_it() -> None:
    async with client() as (_, wire):
        response = await wire.modern("tools/call", CALL, id="a")
        unknown = await wire.modern("tools/call", {"name": "zzz"})
    assert response.headers["content-type"] == "application/json"
    assert last(response)["id"] == "a"
    assert error(unknown) == (400, -32602)


async def test_a_notification_makes_it_a_stream_that_ends_with_the_answer() -> None:
    async with client(library(answers={"tools/call": noisy})) as (_, wire):
        response = await wire.modern("tools/call", CALL)
        session = await wire.open()
        legacy = await session.post(message("tools/call", CALL, id=2))
    for found, id in ((response, 1), (legacy, 2)):
        assert found.headers["content-type"].startswith("text/event-stream")
        progress, answer = messages(found)
        assert progress["params"] == {"progress": 1, "message": "a\nb"}
        assert (answer["id"], answer["result"]["content"]) == (id, text("done")["content"])


async def test_an_error_after_a_notification_comes_on_the_stream() -> None:
    def failing(call: Call) -> Any:
        noisy(call)
        raise RuntimeError("boom")

    async with client(library(answers={"tools/call": failing})) as (_, wire):
        response = await wire.modern("tools/call", CALL)
    assert response.status_code == 200
    assert last(response)["error"]["code"] == -32603


@pytest.mark.parametrize("legacy", [False, True])
async def test_who_waits_in_silence_gets_comments(legacy: bool) -> None:
    gate = Gate(text("late"))
    async with client(library(answers={"tools/call": gate})) as (gateway, wire):
        session = await wire.open("2025-06-18")
        async with asyncio.TaskGroup() as group:
            body = message("tools/call", CALL, id=1)
            post = session.post(body) if legacy else wire.modern("tools/call", CALL)
            asking = group.create_task(post)
            await gate.entered.wait()
            (caller,) = gateway._streamable._waiting
            began = caller.last_sent
            gateway._streamable.sweep(began + KEEP_ALIVE_S - 0.1)
            assert not caller._exchange.streaming  # not yet
            for _ in range(2):
                gateway._streamable.sweep(caller.last_sent + KEEP_ALIVE_S)
            gate.open()
        assert not gateway._streamable._waiting
    assert asking.result().text.count(": keep-alive\n") == 2
    assert last(asking.result())["result"]["content"] == text("late")["content"]


async def test_accepted_is_what_needs_no_answer() -> None:
    async with client() as (_, wire):
        note = message("notifications/zzz", {})
        response = await wire.post(note, {"MCP-Protocol-Version": MODERN})
        session = await wire.open()
        others = [
            await session.post(note),
            await session.post({"jsonrpc": "2.0", "id": 1, "result": {}}),
            await session.post(message("notifications/cancelled", {"requestId": True})),
            await session.post(message("notifications/cancelled", [1])),
        ]
    assert [(one.status_code, one.content) for one in (response, *others)] == [(202, b"")] * 5


# --- leaving and stopping ---


async def test_a_modern_client_that_hangs_up_cancels_its_call() -> None:
    gate = Gate({})
    lib = library(answers={"tools/call": gate})
    async with client(lib) as (gateway, wire):
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(wire.modern("tools/call", CALL))
            await gate.entered.wait()
            asking.cancel()
        await until(lambda: lib.cancelled == ["tools/call"])
        await until(lambda: not gateway._streamable._waiting)


async def test_a_handshake_client_that_hangs_up_does_not() -> None:
    gate = Gate({})
    lib = library(answers={"tools/call": gate})
    async with client(lib) as (gateway, wire):
        session = await wire.open()
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(session.post(message("tools/call", CALL, id=1)))
            await gate.entered.wait()
            asking.cancel()
        edge = gateway.edge
        assert edge is not None
        await until(lambda: edge.connections == 0)
        assert lib.cancelled == []
        gate.open()
        await until(lambda: not gateway._streamable._waiting)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["modern", "legacy", "array"])
async def test_what_still_runs_when_the_gateway_stops_is_told_so(
    kind: str, streaming: bool
) -> None:
    gate = Gate({})

    def held(call: Call) -> Any:
        if streaming:
            noisy(call)
        return gate(call)

    async with client(library(answers={"tools/call": held})) as (gateway, wire):
        body = message("tools/call", CALL, id=1)
        async with asyncio.TaskGroup() as group:
            if kind == "modern":
                asking = group.create_task(wire.modern("tools/call", CALL))
            else:
                session = await wire.open("2025-03-26")
                posted = [body] if kind == "array" else body
                asking = group.create_task(session.post(posted))
            await gate.entered.wait()
            assert gateway.edge is not None
            await gateway.edge.close()
    found: Any = last(asking.result())
    answer = found[0] if kind == "array" and not streaming else found
    assert (answer["id"], answer["error"]["code"]) == (1, -31006)
    assert answer["error"]["data"]["outcome"] == "unknown"


def test_comments_are_no_events() -> None:
    assert re.fullmatch(rb":[^\n]*\n", COMMENT)
    assert json.loads(streamable._cancelled(as_raw(1)))["error"]["code"] == -32800
