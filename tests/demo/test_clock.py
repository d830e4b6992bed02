"""Clock: sessions, streams and tools, with bare hands and with the official client."""

import json
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import mcp_types
import pytest
from mcp import Client
from mcp_types.methods import parse_server_notification, validate_server_result

from fakes.demo_web import Reply, Web
from only1mcp.demo import clock as clock_module
from only1mcp.demo.clock import TOOLS, VERSIONS, Sessions
from only1mcp.demo.rpc import Fault


def request(method: str, id: Any = 1, **params: Any) -> dict[str, Any]:
    """A request as it goes over the wire."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def notification(method: str, **params: Any) -> dict[str, Any]:
    """A notification as it goes over the wire."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def hello(clock: Web, version: Any = VERSIONS[-1]) -> Reply:
    """What `initialize` is answered with."""
    info = {"name": "test", "version": "0"}
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": info}
    return clock.send(request("initialize", **params))


@pytest.fixture
def session(clock: Web) -> dict[str, str]:
    """The header of a new session."""
    headers = {"Mcp-Session-Id": hello(clock).headers["Mcp-Session-Id"]}
    assert clock.send(notification("notifications/initialized"), headers).status == 202
    return headers


def call(clock: Web, session: dict[str, str], name: str, **arguments: Any) -> Any:
    """The result of one tool that answers at once."""
    params = {"name": name, "arguments": arguments}
    reply = clock.send(request("tools/call", **params), session)
    assert reply.status == 200
    validate_server_result("tools/call", VERSIONS[-1], reply.json["result"])
    return reply.json["result"]


def said(result: Any) -> str:
    """The text of a tool result."""
    text = result["content"][0]["text"]
    assert isinstance(text, str)
    return text


def count(web: Web, session: dict[str, str], **params: Any) -> HTTPResponse:
    """The head of the answer to a countdown; request id 5."""
    return web.begin(request("tools/call", 5, name="countdown", **params), session)


def events(response: HTTPResponse) -> Iterator[Any]:
    """The messages of an event stream."""
    for block in response.read().decode().split("\n\n")[:-1]:
        event, data = block.split("\n")
        assert event == "event: message"
        yield json.loads(data.removeprefix("data: "))


@pytest.mark.parametrize(
    ("wanted", "agreed"),
    [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2025-03-26", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        (None, "2025-11-25"),
    ],
)
def test_the_handshake(clock: Web, wanted: Any, agreed: str) -> None:
    reply = hello(clock, wanted)
    assert reply.status == 200
    assert reply.json["result"]["protocolVersion"] == agreed
    assert len(reply.headers["Mcp-Session-Id"]) == 32
    validate_server_result("initialize", agreed, reply.json["result"])


def test_sessions_differ(clock: Web) -> None:
    assert len({hello(clock).headers["Mcp-Session-Id"] for _ in range(5)}) == 5


@pytest.mark.parametrize("version", VERSIONS)
def test_tools_are_listed(clock: Web, session: dict[str, str], version: str) -> None:
    headers = {**session, "MCP-Protocol-Version": version}
    reply = clock.send(request("tools/list"), headers)
    validate_server_result("tools/list", version, reply.json["result"])
    assert [tool["name"] for tool in reply.json["result"]["tools"]] == list(TOOLS)
    assert clock.send(request("ping", "x"), headers).json == {
        "jsonrpc": "2.0",
        "id": "x",
        "result": {},
    }


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Mcp-Session-Id": "unknown"}, 404),
        ({"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"}, 400),
    ],
)
def test_no_session(clock: Web, headers: dict[str, str], status: int) -> None:
    for message in (request("server/discover", 9), notification("notifications/initialized")):
        reply = clock.send(message, headers)
        assert (reply.status, reply.json["error"]["code"]) == (status, -32600)
        assert reply.json.get("id") == message.get("id")
        assert "Mcp-Session-Id" not in reply.headers


def test_a_revision_that_is_not_served(clock: Web, session: dict[str, str]) -> None:
    reply = clock.send(request("ping"), {**session, "MCP-Protocol-Version": "2026-07-28"})
    assert (reply.status, reply.json["error"]["code"]) == (400, -32600)


def test_delete_ends_the_session(clock: Web, session: dict[str, str]) -> None:
    assert clock.send(b"", session, method="DELETE").status == 200
    assert clock.send(request("ping"), session).status == 404
    assert clock.send(b"", session, method="DELETE").status == 404
    assert clock.send(b"", method="DELETE").status == 400


def test_there_is_no_stream_to_get(clock: Web, session: dict[str, str]) -> None:
    reply = clock.send(b"", {**session, "Accept": "text/event-stream"}, method="GET")
    assert (reply.status, reply.headers["Allow"]) == (405, "POST, DELETE")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", -32700),
        (b"", -32700),
        (b"[]", -32600),
        ([request("ping")], -32600),
        ({"jsonrpc": "2.0", "id": 1}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, -32602),
    ],
)
def test_what_is_no_message(clock: Web, session: dict[str, str], body: Any, code: int) -> None:
    reply = clock.send(body, session)
    assert (reply.status, reply.json["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (request("resources/list"), -32601),
        (request("tools/list", cursor=""), -32602),
        (request("tools/call"), -32602),
        (request("tools/call", name="tick"), -32602),
        (request("tools/call", name="countdown", arguments=[]), -32602),
    ],
)
def test_errors_of_requests_travel_with_200(
    clock: Web, session: dict[str, str], message: Any, code: int
) -> None:
    reply = clock.send(message, session)
    assert (reply.status, reply.json["id"], reply.json["error"]["code"]) == (200, 1, code)


@pytest.mark.parametrize(
    "message",
    [
        notification("notifications/initialized"),
        notification("notifications/cancelled"),
        notification("notifications/cancelled", requestId="nobody"),
        notification("notifications/cancelled", requestId=[]),
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "method": "initialize"},
    ],
)
def test_what_needs_no_answer_is_accepted(
    clock: Web, session: dict[str, str], message: Any
) -> None:
    reply = clock.send(message, session)
    assert (reply.status, reply.json) == (202, None)


def test_now(clock: Web, session: dict[str, str]) -> None:
    moment = call(clock, session, "now")["structuredContent"]
    assert moment["timezone"] == "UTC"
    assert moment["time"].endswith("+00:00")
    assert "Asia/Tokyo" in said(call(clock, session, "now", timezone="Asia/Tokyo"))


def test_convert_time(clock: Web, session: dict[str, str]) -> None:
    zones = {"from_timezone": "Europe/Berlin", "to_timezone": "Asia/Tokyo"}
    result = call(clock, session, "convert_time", time="2026-07-28T14:30", **zones)
    assert result["structuredContent"] == {
        "time": "2026-07-28T21:30:00+09:00",
        "weekday": "Tuesday",
        "timezone": "Asia/Tokyo",
    }
    utc = {"from_timezone": "UTC", "to_timezone": "UTC"}
    today = call(clock, session, "convert_time", time="08:05", **utc)["structuredContent"]
    assert today["time"].endswith("T08:05:00+00:00")


@pytest.mark.parametrize("zone", ["Europe/Berlinn", "", "../etc", "Europe", "\x00", "x" * 64])
def test_an_unknown_zone_is_explained(clock: Web, session: dict[str, str], zone: str) -> None:
    result = call(clock, session, "now", timezone=zone)
    assert result["isError"]
    assert said(result).startswith(f"unknown time zone {zone!r}; ")


def test_a_likely_zone_is_suggested(clock: Web, session: dict[str, str]) -> None:
    assert "did you mean Europe/Berlin" in said(
        call(clock, session, "now", timezone="Europe/Berln")
    )


@pytest.mark.parametrize(
    "time", ["", "noon", "25:00", "2026-02-30", "14:30+02:00", "9999-12-31T23:59"]
)
def test_an_unreadable_time_is_explained(clock: Web, session: dict[str, str], time: str) -> None:
    zones = {"from_timezone": "America/New_York", "to_timezone": "Asia/Tokyo"}
    result = call(clock, session, "convert_time", time=time, **zones)
    assert result["isError"]
    assert "is not like 14:30" in said(result)


@pytest.mark.parametrize(
    "arguments", [{"seconds": 61}, {"seconds": -1}, {"steps": 0}, {"steps": 1.5}, {"fast": 1}]
)
def test_a_bad_countdown_does_not_start(
    clock: Web, session: dict[str, str], arguments: Any
) -> None:
    assert call(clock, session, "countdown", **arguments)["isError"]


@pytest.mark.parametrize("token", ["t", 0, 7])
def test_a_countdown_reports_progress(clock: Web, session: dict[str, str], token: Any) -> None:
    meta = {"progressToken": token}
    response = count(clock, session, arguments={"seconds": 0, "steps": 3}, _meta=meta)
    assert response.headers["Content-Type"] == "text/event-stream"
    *progress, answer = events(response)
    assert [message["params"] for message in progress] == [
        {"progressToken": token, "progress": 1, "total": 3, "message": "2 to go"},
        {"progressToken": token, "progress": 2, "total": 3, "message": "1 to go"},
        {"progressToken": token, "progress": 3, "total": 3, "message": "lift-off"},
    ]
    for message in progress:
        parse_server_notification(message["method"], VERSIONS[-1], message["params"])
    assert answer["id"] == 5
    assert said(answer["result"]) == "Lift-off, 0 s and 3 steps later."


def test_without_a_token_there_is_only_the_answer(clock: Web, session: dict[str, str]) -> None:
    (answer,) = events(count(clock, session, arguments={"seconds": 0}))
    validate_server_result("tools/call", VERSIONS[-1], answer["result"])
    assert clock.send(request("ping"), session).status == 200


def test_a_cancelled_countdown_just_ends(clock: Web, session: dict[str, str]) -> None:
    slow = clock.another()
    response = count(slow, session, arguments={"seconds": 60, "steps": 1})
    for nobody in ("5", 6):
        clock.send(notification("notifications/cancelled", requestId=nobody), session)
    assert clock.send(request("ping"), session).status == 200
    clock.send(notification("notifications/cancelled", requestId=5, reason="enough"), session)
    assert response.read() == b""
    assert slow.send(request("ping"), session).status == 200
    slow.connection.close()


def test_the_end_of_a_session_cancels_its_countdowns(clock: Web, session: dict[str, str]) -> None:
    slow = clock.another()
    response = count(slow, session, arguments={"seconds": 60, "steps": 1})
    clock.send(b"", session, method="DELETE")
    assert response.read() == b""
    slow.connection.close()


def test_a_client_that_leaves_harms_nobody(clock: Web, session: dict[str, str]) -> None:
    leaver = clock.another()
    meta = {"progressToken": 1}
    count(leaver, session, arguments={"seconds": 1, "steps": 100}, _meta=meta).close()
    leaver.connection.close()
    assert clock.send(request("ping"), session).status == 200


def test_the_oldest_session_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "MAX_SESSIONS", 2)
    sessions = Sessions()
    first, second, third = (sessions.open() for _ in range(3))
    with pytest.raises(Fault):
        sessions.find(first)
    assert sessions.find(second) is not sessions.find(third)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_with_the_official_client(clock: Web, mode: str) -> None:
    reports: list[Any] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    async with Client(clock.url, mode=mode) as client:
        assert client.protocol_version == "2025-11-25"
        assert client.server_info and client.server_info.title == "Clock (demo)"
        assert [tool.name for tool in (await client.list_tools()).tools] == list(TOOLS)
        now = await client.call_tool("now", {"timezone": "UTC"})
        assert now.structured_content and now.structured_content["timezone"] == "UTC"
        zones = {"from_timezone": "UTC", "to_timezone": "Asia/Tokyo"}
        assert not (await client.call_tool("convert_time", {"time": "12:00", **zones})).is_error
        arguments = {"seconds": 0.1, "steps": 2}
        done = await client.call_tool("countdown", arguments, progress_callback=report)
        assert isinstance(done.content[0], mcp_types.TextContent)
        assert done.content[0].text == "Lift-off, 0.1 s and 2 steps later."
    assert reports == [(1, 2, "1 to go"), (2, 2, "lift-off")]
