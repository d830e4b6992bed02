"""2026-07-28 over HTTP against one real gateway: each request by itself, nothing remembered.

Source  MCP 2026-07-28 basic/transports/streamable-http, basic/index "_meta", server/discover.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from fakes.gateway import Running
from fakes.mirror import Mirror
from fakes.scripted import TOOLS, behind, scripted
from fakes.wire import (
    META,
    MODERN,
    Json,
    Web,
    call,
    error,
    headers_of,
    last,
    message,
    messages,
    meta,
    modern,
    web,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANCEL_S = 0.5
"""Within this time a client that hangs up must be known to the server."""
LEGACY_ONLY = ["initialize", "ping", "logging/setLevel", "resources/subscribe"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirrors() -> dict[str, Mirror]:
    return {
        "new": scripted("new", modern=True),
        "old": scripted("old", modern=False),
        "new-pipe": scripted("new-pipe", modern=True),
        "old-pipe": scripted("old-pipe", modern=False),
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    mirrors: dict[str, Mirror], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with behind(mirrors, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def wire(running: Running) -> AsyncIterator[Web]:
    async with web(running.mcp) as wire:
        yield wire


ALL = pytest.mark.parametrize("server", ["new", "old", "new-pipe", "old-pipe"])


# --- discover, and what an answer looks like ---


async def test_discover(wire: Web) -> None:
    response = await wire.modern("server/discover", id="d")
    assert response.status_code == 200
    found = last(response)
    assert found["id"] == "d"
    result = found["result"]
    assert result["supportedVersions"] == [MODERN]
    assert set(result["capabilities"]) >= {"tools", "prompts", "resources"}
    assert result["resultType"] == "complete"
    assert result["ttlMs"] >= 0
    assert result["cacheScope"] in ("private", "public")
    assert result["_meta"][META + "serverInfo"]["name"] == "only1mcp"


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("tools/list", "tools"),
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ],
)
async def test_lists_say_how_long_they_hold(wire: Web, method: str, kind: str) -> None:
    result = last(await wire.modern(method))["result"]
    assert isinstance(result[kind], list)
    assert result["resultType"] == "complete"
    assert isinstance(result["ttlMs"], int)
    assert result["cacheScope"] in ("private", "public")


@ALL
async def test_a_call_of_any_server_looks_modern(wire: Web, server: str) -> None:
    result = last(await wire.modern("tools/call", call(f"{server}__echo", a=1)))["result"]
    assert json.loads(result["content"][0]["text"]) == {"a": 1}
    if server.startswith("old"):
        assert result["resultType"] == "complete"


async def test_no_session_is_minted_or_echoed(wire: Web) -> None:
    for headers in ({}, {"Mcp-Session-Id": "stray"}, {"Last-Event-ID": "7"}):
        response = await wire.modern("tools/list", headers=headers)
        assert response.status_code == 200
        assert "mcp-session-id" not in response.headers


async def test_client_info_is_optional_and_may_be_given(wire: Web) -> None:
    assert (await wire.modern("tools/list")).status_code == 200
    info = {"name": "x", "version": "1"}
    assert (await wire.modern("tools/list", clientInfo=info)).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_there_is_only_post(wire: Web, method: str) -> None:
    headers = {"MCP-Protocol-Version": MODERN, "Accept": "text/event-stream"}
    response = await wire.http.request(method, wire.url, headers=headers)
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


async def test_one_server_alone(running: Running) -> None:
    async with web(running.server("new-pipe")) as wire:
        assert last(await wire.modern("server/discover"))["result"]["supportedVersions"] == [MODERN]
        names = [one["name"] for one in last(await wire.modern("tools/list"))["result"]["tools"]]
        assert names == list(TOOLS)
        assert (await wire.modern("tools/call", call("echo"))).status_code == 200


# --- the ladder ---


def without(*keys: str) -> Json:
    """A tools/list whose `_meta` lacks some keys."""
    kept = {key: value for key, value in meta().items() if key.removeprefix(META) not in keys}
    return message("tools/list", {"_meta": kept}, id="m")


@pytest.mark.parametrize(
    "body",
    [
        message("tools/list", id="m"),
        message("tools/list", {}, id="m"),
        message("tools/list", {"_meta": {}}, id="m"),
        message("tools/list", {"_meta": None}, id="m"),
        message("tools/list", {"_meta": []}, id="m"),
        without("protocolVersion"),
        without("clientCapabilities"),
        modern("tools/list", id="m", protocolVersion=20260728),
        modern("tools/list", id="m", clientCapabilities=[]),
        modern("tools/list", id="m", clientCapabilities=None),
        modern("tools/list", id="m", logLevel="loud"),
    ],
)
async def test_first_the_shape_of_meta(wire: Web, body: Json) -> None:
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "something/else"}
    response = await wire.post(body, headers)
    assert error(response) == (400, -32602)
    assert last(response)["id"] == "m"


MISMATCHES: list[tuple[str, dict[str, str]]] = [
    ("tools/list", {"MCP-Protocol-Version": ""}),
    ("tools/list", {"MCP-Protocol-Version": "2025-11-25"}),
    ("tools/list", {"MCP-Protocol-Version": "2099-01-01"}),
    ("tools/list", {"Mcp-Method": ""}),
    ("tools/list", {"Mcp-Method": "tools/call"}),
    ("tools/list", {"Mcp-Method": "Tools/List"}),
    ("tools/call", {"Mcp-Name": ""}),
    ("tools/call", {"Mcp-Name": "new__other"}),
    ("tools/call", {"Mcp-Name": "NEW__echo"}),
    ("tools/call", {"Mcp-Name": "=?base64?bm8=?="}),
    ("tools/call", {"Mcp-Name": "=?base64?!!?="}),
    ("prompts/get", {"Mcp-Name": "hello"}),
    ("resources/read", {"Mcp-Name": "new://other"}),
    ("no/such", {"Mcp-Method": "no/other"}),
]


@pytest.mark.parametrize(("method", "headers"), MISMATCHES)
async def test_then_headers_against_the_body(
    wire: Web, method: str, headers: dict[str, str]
) -> None:
    params = {"name": "new__echo", "uri": "new://r"}
    response = await wire.modern(method, params, id="h", headers=headers)
    assert error(response) == (400, -32020)
    assert last(response)["id"] == "h"


async def test_headers_that_come_twice_contradict_themselves(wire: Web) -> None:
    headers = [
        *(("Content-Type", "application/json"), ("Accept", "*/*")),
        *(("MCP-Protocol-Version", MODERN), ("Mcp-Method", "tools/list")),
        ("Mcp-Method", "tools/call"),
    ]
    content = json.dumps(modern("tools/list")).encode()
    response = await wire.http.post(wire.url, content=content, headers=headers)
    assert response.status_code == 400


async def test_then_the_version(wire: Web) -> None:
    wrong: dict[str, Any] = {"protocolVersion": "v999.0.0"}
    response = await wire.modern(
        "tools/list", id="v", headers={"MCP-Protocol-Version": "v999.0.0"}, **wrong
    )
    assert error(response) == (400, -32022)
    found = last(response)
    assert found["id"] == "v"
    assert found["error"]["data"]["requested"] == "v999.0.0"
    supported = set(found["error"]["data"]["supported"])
    discovered = last(await wire.modern("server/discover"))["result"]["supportedVersions"]
    assert supported <= set(discovered)
    mixed = await wire.modern("tools/list", **wrong)
    assert error(mixed) == (400, -32020), "the header says 2026-07-28"


@pytest.mark.parametrize("method", [*LEGACY_ONLY, "no/such", "tools", ""])
async def test_then_the_method(wire: Web, method: str) -> None:
    response = await wire.modern(method, {"level": "info"}, id="x")
    if method:
        assert error(response) == (404, -32601)
        assert last(response)["id"] == "x"
    else:
        assert error(response) == (400, -32600)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "new__nothing"}),
        ("prompts/get", {"name": "nobody__x"}),
        ("resources/read", {"uri": "nobody://x"}),
        ("tools/list", {"cursor": "made-up"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "x"}}),
    ],
)
async def test_then_the_params(wire: Web, method: str, params: Json) -> None:
    assert error(await wire.modern(method, params)) == (400, -32602)


@pytest.mark.parametrize("name", ["new__echo", "=?base64?x?=", "ä ö", " edge ", ""])
async def test_a_name_that_no_header_can_carry_is_encoded(wire: Web, name: str) -> None:
    encoded = f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    response = await wire.modern("tools/call", {"name": name}, headers={"Mcp-Name": encoded})
    if name == "new__echo":
        assert response.status_code == 200
    else:
        assert error(response) == (400, -32602), "no such tool, but the header agreed"


@ALL
async def test_a_servers_own_error_passes_with_its_status(wire: Web, server: str) -> None:
    response = await wire.modern("tools/call", call(f"{server}__needs"))
    assert error(response) == (400, -32021)
    assert last(response)["error"]["data"] == {"requiredCapabilities": {}}


# --- notifications and other posts ---


async def test_notifications_are_accepted(wire: Web) -> None:
    body = message("notifications/cancelled", {"requestId": 1})
    response = await wire.post(body, headers_of(body))
    assert response.status_code == 202
    assert response.content == b""
    unknown = await wire.post(body, {"MCP-Protocol-Version": "2099-01-01"})
    assert error(unknown) == (400, -32022)


async def test_responses_and_arrays_are_not(wire: Web) -> None:
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
    answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert error(await wire.post(answer, headers)) == (400, -32600)
    assert error(await wire.post([modern("tools/list")], headers)) == (400, -32600)


async def test_a_legacy_body_under_a_modern_header(wire: Web) -> None:
    body = message("initialize", {"protocolVersion": "2025-11-25", "capabilities": {}}, id=1)
    assert error(await wire.post(body, {"MCP-Protocol-Version": MODERN})) == (400, -32602)


# --- while a call runs ---


@ALL
async def test_who_hangs_up_cancels(wire: Web, mirrors: dict[str, Mirror], server: str) -> None:
    mirror = mirrors[server]
    before = len(mirror.calls())
    task = asyncio.get_running_loop().create_task(
        wire.modern("tools/call", call(f"{server}__wait"))
    )
    await mirror.until(lambda: len(mirror.calls()) > before)
    asked = mirror.calls()[-1]
    began = monotonic()
    task.cancel()
    await mirror.until(asked.cancelled.is_set)
    took = monotonic() - began
    print(f"cancelled at {server} after {took * 1000:.0f} ms")
    assert took < CANCEL_S


async def test_a_posted_cancellation_cancels_nobody(wire: Web, mirrors: dict[str, Mirror]) -> None:
    mirror = mirrors["new"]
    before = len(mirror.calls())
    task = asyncio.get_running_loop().create_task(
        wire.modern("tools/call", call("new__wait"), id=77)
    )
    await mirror.until(lambda: len(mirror.calls()) > before)
    body = message("notifications/cancelled", {"requestId": 77})
    assert (await wire.post(body, headers_of(body))).status_code == 202
    assert (await wire.modern("tools/call", call("new__echo"))).status_code == 200
    assert not mirror.calls()[before].cancelled.is_set()
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(
    ("level", "seen"),
    [(None, []), ("debug", ["debug", "warning", "error"]), ("warning", ["warning", "error"]),
     ("emergency", [])],
)  # fmt: skip
@pytest.mark.parametrize("server", ["new", "old"])
async def test_log_messages_only_when_asked_for(
    wire: Web, server: str, level: str | None, seen: list[str]
) -> None:
    asked: dict[str, Any] = {} if level is None else {"logLevel": level}
    response = await wire.modern("tools/call", call(f"{server}__chatty"), **asked)
    *logs, answer = messages(response)
    assert [one["params"]["level"] for one in logs] == seen
    assert "result" in answer
    if not seen:
        assert response.headers["content-type"] == "application/json"


@ALL
@pytest.mark.parametrize("token", [0, "0", "a b", 2**53 + 1])
async def test_progress_comes_on_the_stream_of_its_call(wire: Web, server: str, token: Any) -> None:
    body = modern("tools/call", call(f"{server}__steps"), id="p")
    body["params"]["_meta"]["progressToken"] = token
    response = await wire.post(body, headers_of(body))
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-accel-buffering"] == "no"
    assert "\nid:" not in response.text, "there is no resuming in this revision"
    *steps, answer = messages(response)
    assert [one["params"] for one in steps] == [
        {"progressToken": token, "progress": number} for number in (1, 2, 3)
    ]
    assert (answer["id"], "result" in answer) == ("p", True)


async def test_requests_do_not_wait_for_each_other(wire: Web, mirrors: dict[str, Mirror]) -> None:
    mirror = mirrors["new-pipe"]
    before = len(mirror.calls())
    slow = [
        asyncio.get_running_loop().create_task(wire.modern("tools/call", call("new-pipe__wait")))
        for _ in range(5)
    ]
    await mirror.until(lambda: len(mirror.calls()) == before + 5)
    assert (await wire.modern("tools/call", call("new-pipe__echo"))).status_code == 200
    for task in slow:
        task.cancel()
    await asyncio.wait(slow)


async def test_the_same_id_may_run_twice(wire: Web) -> None:
    found: list[httpx2.Response] = await asyncio.gather(
        *(wire.modern("tools/call", call("new__echo", n=n), id=1) for n in range(10))
    )
    said = [json.loads(last(one)["result"]["content"][0]["text"])["n"] for one in found]
    assert said == list(range(10))


# --- answers to questions ---


@pytest.mark.parametrize("given", [None, [], {"user_name": 12345}])
@pytest.mark.parametrize("server", ["old", "old-pipe"])
async def test_malformed_answers_are_refused_before_a_legacy_server(
    wire: Web, mirrors: dict[str, Mirror], server: str, given: Any
) -> None:
    params, before = call(f"{server}__echo"), len(mirrors[server].calls())
    params["inputResponses"] = given
    assert error(await wire.modern("tools/call", params)) == (400, -32602)
    assert len(mirrors[server].calls()) == before
