"""What a handshake session asks over HTTP: calls and their ids, cancelling, lists, errors.

Source  MCP 2025-03-26, 2025-06-18, 2025-11-25: basic/lifecycle, basic/transports, basic/utilities.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fakes.gateway import Running
from fakes.mirror import Mirror
from fakes.scripted import behind, scripted
from fakes.wire import LEGACY, Json, Session, Web, error, last, message, messages, modern, web

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVISIONS = ["2025-03-26", "2025-06-18", "2025-11-25"]
INITIALIZE = message(
    "initialize", {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {}}, id=0
)
PING = message("ping", id=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirrors() -> dict[str, Mirror]:
    return {"web": scripted("web"), "pipe": scripted("pipe")}


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


@pytest_asyncio.fixture(loop_scope="module")
async def session(wire: Web) -> Session:
    return await wire.open()


def call(name: str, id: Any = 1, *, token: Any = None, **arguments: Any) -> Json:
    """A tools/call."""
    params: Json = {"name": name, "arguments": arguments}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return message("tools/call", params, id=id)


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
    *steps, answer = messages(response)
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
