"""Handshake clients over HTTP, 2025-03-26 to 2025-11-25, against one real gateway.

Source  MCP 2025-03-26, 2025-06-18, 2025-11-25: basic/lifecycle, basic/transports, basic/utilities.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.mirror import Asked, Mirror, over_http, over_stdio, text, tool
from fakes.wire import LEGACY, Json, Session, Web, error, last, message, modern, web

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVISIONS = ["2025-03-26", "2025-06-18", "2025-11-25"]
INITIALIZE = message(
    "initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {}}, id=0
)
PING = message("ping", id=1)


def scripted(name: str) -> Mirror:
    """A legacy server with one tool of each kind that these tests need."""
    mirror = Mirror(name)
    mirror.lists["tools"] = [tool(name) for name in ("echo", "wait", "steps", "chatty")]
    mirror.lists["prompts"] = [{"name": "hello"}]
    mirror.lists["resources"] = [{"name": "r", "uri": f"{name}://r"}]
    mirror.lists["resourceTemplates"] = [{"name": "t", "uriTemplate": f"{name}://t/{{x}}"}]

    async def call(asked: Asked) -> bytes:
        match asked.json["name"]:
            case "wait":
                return await asked.hang()
            case "steps":
                for step in (1, 2, 3):
                    await asked.progress(step)
            case "chatty":
                for level in ("debug", "error"):
                    await asked.notify("notifications/message", level=level, data=level)
        return text(json.dumps(asked.arguments))

    mirror.on("tools/call", call)
    return mirror


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirrors() -> dict[str, Mirror]:
    return {"web": scripted("web"), "pipe": scripted("pipe")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    mirrors: dict[str, Mirror], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(mirrors["web"]))
        argv = await stack.enter_async_context(over_stdio(mirrors["pipe"]))
        config = {"servers": [http_server("web", url), stdio_server("pipe", *argv)]}
        folder = tmp_path_factory.mktemp("gateway")
        running = await stack.enter_async_context(gateway(config, folder))
        await running.ready("web", "pipe")
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def wire(running: Running) -> AsyncIterator[Web]:
    async with web(running.mcp) as wire:
        yield wire


@pytest_asyncio.fixture(loop_scope="module")
async def session(wire: Web) -> Session:
    return await wire.open()


def call(name: str, id: Any = 1, *, token: Any = None, **arguments: Any) -> Json:
    """A tools/call."""
    params: Json = {"name": name, "arguments": arguments}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return message("tools/call", params, id=id)


# --- the handshake ---


@pytest.mark.parametrize("revision", REVISIONS)
async def test_each_revision_is_spoken(wire: Web, revision: str) -> None:
    session = await wire.open(revision)
    assert session.result["protocolVersion"] == revision
    assert session.result["serverInfo"]["name"] == "only1mcp"
    assert session.result["capabilities"]["tools"] == {"listChanged": True}
    found = await session.ask("tools/list")
    assert {"web__echo", "pipe__echo"} <= {tool["name"] for tool in found["result"]["tools"]}


@pytest.mark.parametrize("revision", ["1999-01-01", "2026-07-28", "2099-01-01", ""])
async def test_an_unknown_revision_is_answered_with_our_newest(wire: Web, revision: str) -> None:
    session = await wire.open(revision)
    assert session.result["protocolVersion"] == LEGACY


async def test_initialize_that_names_no_revision_is_refused(wire: Web) -> None:
    response = await wire.post(message("initialize", {}, id="i"))
    assert error(response) == (400, -32602)
    assert last(response)["id"] == "i"
    assert "mcp-session-id" not in response.headers


async def test_session_ids_are_long_visible_and_different(wire: Web) -> None:
    ids = {(await wire.open()).id for _ in range(3)}
    assert len(ids) == 3
    assert all(len(id) >= 32 and all("!" <= char <= "~" for char in id) for id in ids)


async def test_a_session_is_initialized_once(session: Session) -> None:
    response = await session.post(INITIALIZE)
    assert response.status_code == 200
    assert response.headers["mcp-session-id"] != session.id, "initialize always opens a new one"


async def test_capabilities_of_one_server_are_its_own(running: Running) -> None:
    async with web(running.server("web")) as wire:
        session = await wire.open()
        assert set(session.result["capabilities"]) == {
            *("tools", "prompts", "resources", "completions", "logging"),
        }
        names = [tool["name"] for tool in (await session.ask("tools/list"))["result"]["tools"]]
        assert names == ["echo", "wait", "steps", "chatty"]


# --- sessions and status codes ---


@pytest.mark.parametrize(
    "body",
    [
        message("notifications/initialized"),
        message("notifications/made/up", {"x": 1}),
        {"jsonrpc": "2.0", "id": 5, "result": {}},
        {"jsonrpc": "2.0", "id": "x", "error": {"code": -1, "message": "no"}},
    ],
)
async def test_what_needs_no_answer_is_accepted(session: Session, body: Json) -> None:
    response = await session.post(body)
    assert response.status_code == 202
    assert response.content == b""


@pytest.mark.parametrize("body", [PING, message("notifications/initialized"), call("web__echo")])
async def test_without_a_session_there_is_only_initialize(wire: Web, body: Json) -> None:
    response = await wire.post(body)
    assert error(response) == (400, -32600)
    assert last(response).get("id") == body.get("id")


async def test_an_unknown_session_is_not_found(wire: Web) -> None:
    response = await wire.post(PING, {"Mcp-Session-Id": "made-up"})
    assert error(response) == (404, -32600)


async def test_delete_ends_the_session(wire: Web, session: Session) -> None:
    headers = session.headers
    assert (await wire.http.delete(wire.url, headers=headers)).status_code == 200
    assert (await session.post(PING)).status_code == 404
    assert (await wire.http.delete(wire.url, headers=headers)).status_code == 404
    assert (await wire.http.get(wire.url, headers=headers)).status_code == 404


async def test_delete_and_get_need_a_session(wire: Web) -> None:
    assert (await wire.http.delete(wire.url)).status_code == 400
    assert (await wire.http.get(wire.url)).status_code == 400


async def test_a_session_belongs_to_its_mount(running: Running, session: Session) -> None:
    async with web(running.server("web")) as other:
        assert (await other.post(PING, session.headers)).status_code == 404
        theirs = await other.open()
    assert (await session.web.post(PING, theirs.headers)).status_code == 404
    assert (await session.post(PING)).status_code == 200


async def test_an_unknown_mount_is_not_found(running: Running) -> None:
    async with web(running.server("nobody")) as wire:
        response = await wire.post(INITIALIZE)
    assert error(response) == (404, -32600)
    assert "web" in last(response)["error"]["data"]["hint"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_other_methods_are_not_allowed(wire: Web, method: str) -> None:
    response = await wire.http.request(method, wire.url)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "POST", "DELETE"}


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 406),
        ("text/event-stream", 406),
        ("text/html", 406),
        ("*/*", 200),
        ("application/*, text/*", 200),
        ("text/event-stream;q=0.5 , application/json; charset=utf-8", 200),
    ],
)
async def test_accept(session: Session, accept: str, status: int) -> None:
    assert (await session.post(PING, {"Accept": accept})).status_code == status


async def test_get_needs_accept_of_a_stream(wire: Web, session: Session) -> None:
    headers = {**session.headers, "Accept": "application/json"}
    assert (await wire.http.get(wire.url, headers=headers)).status_code == 406


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("text/plain", 415),
        ("application/jsonx", 415),
        ("", 415),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON", 200),
    ],
)
async def test_content_type(session: Session, kind: str, status: int) -> None:
    assert (await session.post(PING, {"Content-Type": kind})).status_code == status


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("", 200),  # the session's own is meant
        ("2025-03-26", 200),
        ("2024-11-05", 200),
        ("2025-11-25", 200),
        ("1999-01-01", 400),
        ("nonsense", 400),
    ],
)
async def test_the_version_header(session: Session, version: str, status: int) -> None:
    response = await session.post(PING, {"MCP-Protocol-Version": version})
    assert response.status_code == status


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"\xef\xbb\xbf{}", -32700),
        (b"[" * 65 + b"]" * 65, -32700),
        (b"[" * 100_000, -32700),
        (b"{}", -32600),
        (b"1", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
    ],
)
async def test_what_is_no_message(session: Session, body: bytes, code: int) -> None:
    assert error(await session.post(body)) == (400, code)


# --- ids ---


@pytest.mark.parametrize(
    "id", ["0", "-1", "7", str(2**53 + 1), str(2**63), '""', '"0"', '"é 😀"', '"\\u00e9\\n"', "1e2"]
)
@pytest.mark.parametrize("server", ["web", "pipe"])
async def test_ids_come_back_as_they_were_written(session: Session, id: str, server: str) -> None:
    body = b'{"jsonrpc":"2.0","id":%b,"method":"tools/call","params":{"name":"%b__echo"}}'
    response = await session.post(body % (id.encode(), server.encode()))
    if id == "1e2":
        assert error(response) == (400, -32600), "a number with exponent is no integer"
    else:
        assert b'"id":' + id.encode() in response.content


async def test_a_batch_is_for_2025_03_26_only(wire: Web) -> None:
    items = [PING, message("tools/list", id="two"), message("notifications/initialized")]
    old = await wire.open("2025-03-26")
    response = await old.post(items)
    assert response.status_code == 200
    assert [one["id"] for one in response.json()] == [1, "two"]
    assert (await old.post(items[2:])).status_code == 202
    assert error(await old.post([])) == (400, -32600)
    newer = await wire.open("2025-06-18")
    assert error(await newer.post(items)) == (400, -32600)
    assert error(await wire.post(items)) == (400, -32600)


async def test_a_batch_whose_calls_report_progress_becomes_a_stream(wire: Web) -> None:
    session = await wire.open("2025-03-26")
    response = await session.post([call("pipe__steps", 1, token="t"), call("web__echo", 2)])
    assert response.headers["content-type"] == "text/event-stream"
    assert response.text.count('"progressToken":"t"') == 3
    assert '"id":1' in response.text
    assert '"id":2' in response.text


# --- calls under way ---


async def under_way(session: Session, mirror: Mirror, body: Json) -> asyncio.Task[Any]:
    """Send a call and wait until the server has it."""
    before = len(mirror.calls())
    task = asyncio.get_running_loop().create_task(session.post(body))
    await mirror.until(lambda: len(mirror.calls()) > before)
    return task


def cancelled(id: Any) -> Json:
    """The client's word that it no longer wants the answer."""
    return message("notifications/cancelled", {"requestId": id, "reason": "enough"})


@pytest.mark.parametrize("server", ["web", "pipe"])
async def test_an_id_in_flight_is_not_used_twice(
    session: Session, mirrors: dict[str, Mirror], server: str
) -> None:
    first = await under_way(session, mirrors[server], call(f"{server}__wait", 7))
    assert last(await session.post(message("ping", id="7")))["result"] == {}, "another type"
    second = await session.post(message("ping", id=7))
    assert last(second)["error"]["code"] == -32600
    assert last(second)["id"] == 7
    await session.post(cancelled(7))
    await first
    assert last(await session.post(message("ping", id=7)))["result"] == {}


@pytest.mark.parametrize("server", ["web", "pipe"])
async def test_cancelled_reaches_the_server(
    session: Session, mirrors: dict[str, Mirror], server: str
) -> None:
    mirror = mirrors[server]
    task = await under_way(session, mirror, call(f"{server}__wait", "mine"))
    asked = mirror.calls()[-1]
    assert (await session.post(cancelled("mine"))).status_code == 202
    await mirror.until(asked.cancelled.is_set)
    assert last(await task)["error"]["code"] == -32800
    assert last(await task)["id"] == "mine"


async def test_nobody_cancels_the_call_of_another(wire: Web, mirrors: dict[str, Mirror]) -> None:
    mine, theirs = await wire.open(), await wire.open()
    task = await under_way(mine, mirrors["pipe"], call("pipe__wait", 7))
    asked = mirrors["pipe"].calls()[-1]
    await theirs.post(cancelled(7))
    await mine.post(cancelled("7"))
    assert (await mine.ask("ping", id=8))["result"] == {}
    assert not asked.cancelled.is_set()
    await mine.post(cancelled(7))
    await task


@pytest.mark.parametrize("server", ["web", "pipe"])
async def test_leaving_is_not_cancelling(
    running: Running, mirrors: dict[str, Mirror], server: str
) -> None:
    mirror = mirrors[server]
    async with web(running.mcp) as wire:
        session = await wire.open()
        task = await under_way(session, mirror, call(f"{server}__wait", 1))
        asked = mirror.calls()[-1]
        task.cancel()
        await asyncio.wait([task])
    async with web(running.mcp) as wire:
        assert (await (await wire.open()).ask("tools/call", {"name": f"{server}__echo"}))["result"]
        assert not asked.cancelled.is_set()
        await wire.post(cancelled(1), session.headers)
        await mirror.until(asked.cancelled.is_set)


@pytest.mark.parametrize("server", ["web", "pipe"])
@pytest.mark.parametrize("token", [0, "0", "abc", 2**53 + 1])
async def test_progress_comes_with_the_clients_own_token(
    session: Session, server: str, token: Any
) -> None:
    response = await session.post(call(f"{server}__steps", 1, token=token))
    assert response.headers["content-type"] == "text/event-stream"
    lines = [json.loads(line[6:]) for line in response.text.splitlines() if line[:5] == "data:"]
    steps, answer = lines[:-1], lines[-1]
    assert [step["params"] for step in steps] == [
        {"progressToken": token, "progress": number} for number in (1, 2, 3)
    ]
    assert answer["id"] == 1


# --- what else a session can ask ---


async def test_ping(session: Session) -> None:
    assert await session.ask("ping", id="p") == {"jsonrpc": "2.0", "id": "p", "result": {}}


async def test_log_levels(session: Session, mirrors: dict[str, Mirror]) -> None:
    assert (await session.ask("logging/setLevel", {"level": "error"}))["result"] == {}
    told = [mirrors[name].calls("logging/setLevel")[-1].json for name in ("web", "pipe")]
    assert [set(one) for one in told] == [{"level"}, {"level"}]
    response = await session.post(call("web__chatty"))
    assert '"error"' in response.text
    assert '"debug"' not in response.text
    wrong = await session.ask("logging/setLevel", {"level": "loud"})
    assert wrong["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("ref", "server", "seen"),
    [
        ({"type": "ref/prompt", "name": "web__hello"}, "web", {"name": "hello"}),
        ({"type": "ref/prompt", "name": "pipe__hello"}, "pipe", {"name": "hello"}),
        ({"type": "ref/resource", "uri": "pipe://t/{x}"}, "pipe", {"uri": "pipe://t/{x}"}),
    ],
)
async def test_completion_goes_to_the_owner(
    session: Session, mirrors: dict[str, Mirror], ref: Json, server: str, seen: Json
) -> None:
    mirrors[server].result = b'{"completion":{"values":["a"],"hasMore":false}}'
    argument = {"name": "x", "value": "a"}
    answer = await session.ask("completion/complete", {"ref": ref, "argument": argument})
    assert answer["result"]["completion"]["values"] == ["a"]
    asked = mirrors[server].calls("completion/complete")[-1].json
    assert asked == {"ref": {**ref, **seen}, "argument": argument}


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("tools/call", {"name": "web__nothing"}, -32602),
        ("tools/call", {"name": "echo"}, -32602),
        ("tools/call", {}, -32602),
        ("tools/call", {"name": 7}, -32602),
        ("prompts/get", {"name": "nobody__hello"}, -32602),
        ("resources/read", {"uri": "nobody://x"}, -32002),
        ("completion/complete", {"ref": {"type": "ref/other"}}, -32602),
        ("tools/list", {"cursor": "made-up"}, -32602),
        ("tools/list", {"cursor": 7}, -32602),
        ("server/discover", {}, -32601),
        ("tools/destroy", {}, -32601),
    ],
)
async def test_errors_say_what_is_wrong(
    session: Session, method: str, params: Json, code: int
) -> None:
    answer = await session.ask(method, params, id="e")
    assert answer["error"]["code"] == code
    assert answer["id"] == "e"


async def test_params_that_are_no_object(session: Session) -> None:
    answer = last(await session.post(message("tools/list", [1], id=1)))
    assert answer["error"]["code"] == -32602


async def test_a_modern_request_needs_no_session_beside_it(wire: Web, session: Session) -> None:
    body = modern("tools/list")
    response = await wire.post(
        body, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
    )
    assert response.status_code == 200
    assert last(response)["result"]["resultType"] == "complete"
    assert (await session.ask("ping"))["result"] == {}
