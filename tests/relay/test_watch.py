"""The relay with somebody watching: each request is told of once, whichever way it ends."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from fakes.edge import PATIENCE_S
from fakes.upstream import NOT_FOUND, Gate, gateway_of, library, request, served, text
from fakes.wire import last, web
from only1mcp.observe import access
from only1mcp.observe.access import Finished
from only1mcp.observe.watch import Recent, Watch
from only1mcp.protocol.errors import McpError
from only1mcp.relay.request import CLIENT_CANCELLED
from only1mcp.relay.watch import seen, watched

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def heard(method: str, params: Any, **more: Any) -> Finished:
    """What is told of one request; its error, if it has one, is the client's."""
    told: list[Finished] = []
    answers = more.pop("answers", None)
    async with gateway_of(library(answers=answers)) as gateway, asyncio.timeout(PATIENCE_S):
        with suppress(McpError):
            await watched(
                request(gateway, method, params, **more),
                gateway.snapshot(),
                Watch(tell=(told.append,)),
            )
    (one,) = told
    return one


async def test_a_call_that_went_well() -> None:
    params = {"name": "lib__find", "arguments": {"a": 1}, "_meta": {"traceparent": TRACE}}
    one = await heard("tools/call", params)
    assert (one.principal, one.session, one.method) == ("test", None, "tools/call")
    assert (one.name, one.server, one.outcome, one.code) == ("lib__find", "lib", "ok", None)
    assert (one.arguments, one.traceparent) == (b'{"a": 1}', TRACE)
    assert one.duration_s > 0


@pytest.mark.parametrize(
    ("method", "params", "name", "server"),
    [
        ("tools/list", {}, None, None),
        ("prompts/get", {"name": "lib__greet"}, "lib__greet", "lib"),
        ("resources/read", {"uri": "lib://a"}, "lib://a", "lib"),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "lib__greet"}, "argument": {}},
            "lib__greet",
            "lib",
        ),
    ],
)
async def test_what_it_is_about(
    method: str, params: Any, name: str | None, server: str | None
) -> None:
    one = await heard(method, params)
    assert (one.name, one.server, one.outcome) == (name, server, "ok")


async def test_on_the_mount_of_one_server_it_is_that_server() -> None:
    one = await heard("tools/call", {"name": "find"}, mount="lib")
    assert (one.name, one.server) == ("find", "lib")


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {"name": "lib__fnd"}, -32602),
        ("tools/call", {}, -32602),
        ("tools/call", {"name": 7, "_meta": {"traceparent": 7}}, -32602),
        ("completion/complete", {"ref": 7}, -32602),
        ("no/such", {}, -32601),
    ],
)
async def test_what_the_client_did_wrong(method: str, params: Any, code: int) -> None:
    one = await heard(method, params)
    assert (one.outcome, one.code, one.server) == ("error", code, None)


async def test_an_error_of_the_server_and_one_of_the_tool() -> None:
    call = {"name": "lib__find"}
    refused = await heard("tools/call", call, answers={"tools/call": NOT_FOUND})
    assert (refused.outcome, refused.code, refused.server) == ("error", -32601, "lib")
    failed = await heard("tools/call", call, answers={"tools/call": text("no") | {"isError": True}})
    assert (failed.outcome, failed.code) == ("tool_error", None)
    fine = text('say "isError"') | {"isError": False}
    assert (await heard("tools/call", call, answers={"tools/call": fine})).outcome == "ok"


@pytest.mark.parametrize(
    ("why", "outcome", "code"), [(CLIENT_CANCELLED, "cancelled", None), (None, "error", -31006)]
)
async def test_who_ended_a_call_is_told(why: str | None, outcome: str, code: int | None) -> None:
    told: list[Finished] = []
    gate = Gate(text("never"))
    async with (
        gateway_of(library(answers={"tools/call": gate})) as gateway,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        asked = request(gateway, "tools/call", {"name": "lib__find"})
        task = group.create_task(watched(asked, gateway.snapshot(), Watch(tell=(told.append,))))
        await gate.entered.wait()
        task.cancel(why)
    assert [(one.outcome, one.code) for one in told] == [(outcome, code)]


async def test_every_edge_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Finished] = []
    monkeypatch.setattr(access, "_current", [told.append])
    tokens = {"auth": {"tokens": ["t-ann", "t-bob"]}}
    async with served(library(), server=tokens) as (_, url):
        headers = {"Authorization": "Bearer t-bob"}
        async with web(url, headers=headers) as wire:
            response = await wire.modern("tools/call", {"name": "lib__find", "arguments": {}})
            session = await wire.open("2025-11-25")
            await session.ask("tools/list")
    assert last(response)["result"]["content"] == text("called")["content"]
    assert [(one.method, one.principal, one.server) for one in told] == [
        ("tools/call", "token-2", "lib"),
        ("tools/list", "token-2", None),
    ]
    assert told[0].session is None
    assert told[1].session
    assert "t-bob" not in json.dumps([str(one) for one in told])


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        ("tools/call", {"name": "lib__find"}, ("lib", "find", "ok", None)),
        ("resources/read", {"uri": "lib://a"}, ("lib", "lib://a", "ok", None)),
        ("tools/list", {}, (None, None, "ok", None)),
        ("tools/call", {"name": "lib__nothing"}, (None, None, "error", -32602)),
    ],
)
async def test_what_is_remembered_of_each(method: str, params: Any, expected: Any) -> None:
    told: list[tuple[str, float, Any]] = []
    async with gateway_of(library()) as gateway:
        asked = request(gateway, method, params)
        with suppress(McpError):
            await watched(
                asked, gateway.snapshot(), Watch(remember=lambda *said: told.append(said))
            )
    ((kind, at, said),) = told
    one = Recent(*said)
    assert (kind, one.number, one.method, one.principal) == (
        "request",
        asked.number,
        method,
        "test",
    )
    assert (one.server, one.name, one.outcome, one.code) == expected
    assert at > 1e9
    assert one.took_s > 0


async def test_what_was_looked_for_among_kept_answers_has_the_clients_name() -> None:
    """By then the request names it as its server does."""
    told: list[Finished] = []
    watch = Watch(tell=(told.append,))
    async with gateway_of(library("lib")) as gateway, asyncio.timeout(PATIENCE_S):
        asked = request(gateway, "prompts/get", {"name": "lib__greet"})
        assert seen(asked, gateway.snapshot(), watch) is None
        await watched(asked, gateway.snapshot(), watch)
        again = request(gateway, "prompts/get", {"name": "lib__greet"})
        assert seen(again, gateway.snapshot(), watch) is not None
    assert [one.name for one in told] == ["lib__greet", "lib__greet"]
