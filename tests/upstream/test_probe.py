"""Which era a server speaks, told by its answers. Each test is a transcript."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from fakes.upstream import FakeUpstream
from only1mcp.protocol.errors import (
    ServerLost,
    ServerProtocolError,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.upstream import probe
from only1mcp.upstream.base import Call

DISCOVERED = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "instructions": "be kind",
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "m"}},
}
INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"prompts": {}},
    "serverInfo": {"name": "l"},
}


def error(code: int, **data: Any) -> UpstreamError:
    raw = {"code": code, "message": f"error {code}", **({"data": data} if data else {})}
    return UpstreamError(json.dumps(raw).encode(), code, f"error {code}", 400)


async def test_a_server_that_answers_discover_is_modern() -> None:
    server = FakeUpstream(answers={"server/discover": DISCOVERED})
    greeting = await probe.greet(server, "auto", 5)
    assert (greeting.revision, greeting.modern) == ("2026-07-28", True)
    assert greeting.server_info == {"name": "m"}
    assert greeting.instructions == "be kind"
    assert server.notified == []
    meta = server.calls[0][1]["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {}


@pytest.mark.parametrize(
    "answer",
    [
        error(-32601),
        error(-32600),
        error(-32022, supported=["2025-11-25"]),
        {"supportedVersions": ["2025-11-25"], "capabilities": {}},
        {"supportedVersions": []},
        {"unexpected": True},
        ServerProtocolError("fake", "text/html"),
    ],
)
async def test_any_other_answer_leads_to_the_handshake(answer: Any) -> None:
    server = FakeUpstream(answers={"server/discover": answer, "initialize": INITIALIZED})
    greeting = await probe.greet(server, "auto", 5)
    assert (greeting.revision, greeting.modern) == ("2025-06-18", False)
    assert [method for method, _ in server.calls] == ["server/discover", "initialize"]
    assert server.notified == [("notifications/initialized", {})]
    assert server.revision == "2025-06-18"


@pytest.mark.parametrize(
    "fault", [ServerUnavailable("fake", "refused"), ServerLost("fake", "gone")]
)
async def test_a_server_that_cannot_be_reached_is_no_verdict(fault: Exception) -> None:
    server = FakeUpstream(answers={"server/discover": fault, "initialize": INITIALIZED})
    with pytest.raises(type(fault)):
        await probe.greet(server, "auto", 5)


def silent_until(event: asyncio.Event, answer: Any) -> Callable[[Call], Any]:
    async def wait(call: Call) -> Any:
        await event.wait()
        return answer

    return wait


async def test_silence_is_followed_by_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SILENCE_S", 0.01)
    never = asyncio.Event()
    server = FakeUpstream(
        answers={"server/discover": silent_until(never, DISCOVERED), "initialize": INITIALIZED}
    )
    greeting = await probe.greet(server, "auto", 5)
    assert not greeting.modern
    assert server.cancelled == ["server/discover"]


async def test_a_slow_modern_server_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "SILENCE_S", 0.01)
    up = asyncio.Event()

    def refuse(call: Call) -> Any:
        up.set()
        return error(-32022, supported=["2026-07-28"])

    server = FakeUpstream(
        answers={"server/discover": silent_until(up, DISCOVERED), "initialize": refuse}
    )
    greeting = await probe.greet(server, "auto", 5)
    assert greeting.modern
    assert server.revision == "2026-07-28"


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "silent"])
async def test_the_whole_start_has_one_deadline(
    monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    now = 100.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    monkeypatch.setattr(probe, "SILENCE_S", 0.0)

    def later(call: Call) -> Any:
        nonlocal now
        now += 3
        return error(-32601) if refused else silent_until(asyncio.Event(), DISCOVERED)(call)

    server = FakeUpstream(answers={"server/discover": later, "initialize": INITIALIZED})
    await probe.greet(server, "auto", 5)
    assert [(call.method, call.max_s) for call in server.sent] == [
        ("server/discover", 5),
        ("initialize", 2),
    ]


async def test_legacy_by_configuration_asks_nothing_else() -> None:
    server = FakeUpstream(answers={"initialize": INITIALIZED})
    await probe.greet(server, "legacy", 5)
    assert [method for method, _ in server.calls] == ["initialize"]


async def test_modern_by_configuration_does_not_fall_back() -> None:
    server = FakeUpstream(answers={"server/discover": error(-32601), "initialize": INITIALIZED})
    with pytest.raises(ServerProtocolError, match="does not speak 2026-07-28") as caught:
        await probe.greet(server, "modern", 5)
    assert "protocol: auto" in caught.value.data["hint"]


async def test_an_unknown_handshake_revision_is_refused() -> None:
    server = FakeUpstream(answers={"initialize": {"protocolVersion": "1999-01-01"}})
    with pytest.raises(ServerProtocolError, match="1999-01-01"):
        await probe.greet(server, "auto", 5)


async def test_a_refused_handshake_says_what_the_server_said() -> None:
    server = FakeUpstream(answers={"initialize": error(-32603)})
    with pytest.raises(ServerProtocolError, match="refused the handshake: error -32603"):
        await probe.greet(server, "auto", 5)
