"""Handshake clients over HTTP, 2025-03-26 to 2025-11-25, against one real gateway.

Source  MCP 2025-03-26, 2025-06-18, 2025-11-25: basic/lifecycle, basic/transports, basic/utilities.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fakes.gateway import Running
from fakes.mirror import Mirror
from fakes.scripted import TOOLS, behind, scripted
from fakes.wire import LEGACY, Json, Session, Web, error, last, message, web

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
        assert names == list(TOOLS)


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
