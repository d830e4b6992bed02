"""The gateway as a server on two pipes: both eras, one line per message, nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Gate, gateway_of, library, offers, text
from only1mcp.gateway import Gateway
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.eras import LOG_LEVEL_KEY, VERSION_KEY, own_meta
from only1mcp.protocol.methods import LEGACY, NEWEST_LEGACY, R2025_03_26
from only1mcp.server import stdio
from only1mcp.server.stdio import StdioEdge
from only1mcp.upstream.base import Call

CALL = {"name": "lib__find"}
MODERN_CALL = CALL | {"_meta": own_meta({})}
LIMIT = 4096


class Pipes:
    """A client on the other side of the pipes."""

    def __init__(self, gateway: Gateway) -> None:
        self.lines = asyncio.StreamReader(limit=LIMIT)
        self.written = b""
        self.edge = StdioEdge(gateway.snapshot, self._write)
        self._gateway = gateway
        gateway._stdio = self.edge
        self.tasks = Tasks()
        self.serving = self.tasks.start(self.edge.serve(self.lines), "serve")

    def _write(self, data: bytes) -> None:
        assert data.count(b"\n") == 1, "one message, one line"
        assert data.endswith(b"\n")
        self.written += data

    @property
    def heard(self) -> list[Any]:
        """Every message so far."""
        return [json.loads(line) for line in self.written.splitlines()]

    def say(self, *messages: Any) -> None:
        """Write messages; bytes go out as they are."""
        for one in messages:
            line = one if isinstance(one, bytes) else json.dumps(one).encode()
            self.lines.feed_data(line + b"\n")

    async def answers(self, count: int) -> list[Any]:
        """The first `count` messages from the gateway."""
        await until(lambda: self.written.count(b"\n") >= count)
        return self.heard

    async def ask(self, method: str, params: Any = None, id: Any = 1) -> Any:
        """One request, the next message."""
        before = self.written.count(b"\n")
        self.say(request(method, params, id))
        return (await self.answers(before + 1))[before]

    async def initialize(self, revision: str = NEWEST_LEGACY, **capabilities: Any) -> Any:
        """Shake hands."""
        params = {"protocolVersion": revision, "capabilities": capabilities, "clientInfo": {}}
        found = await self.ask("initialize", params, "init")
        self.say(note("notifications/initialized"))
        return found["result"]

    async def end(self) -> None:
        """Close our end and wait for the gateway's."""
        self.lines.feed_eof()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self.serving])


def request(method: str, params: Any = None, id: Any = 1) -> dict[str, Any]:
    """A request."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}


def note(method: str, **params: Any) -> dict[str, Any]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


@pytest.fixture(autouse=True)
def announce_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the servers have come up is announced before a test begins."""
    monkeypatch.setattr("only1mcp.gateway.ANNOUNCE_S", 0)


@asynccontextmanager
async def pipes(*upstreams: FakeUpstream) -> AsyncIterator[Pipes]:
    """A conversation with a gateway of these servers, `lib` by default."""
    async with gateway_of(*(upstreams or (library(),))) as gateway:
        await until(lambda: gateway._announcing is None)
        one = Pipes(gateway)
        try:
            yield one
        finally:
            await one.tasks.close()


# --- eras, message by message ---


async def test_a_handshake_client() -> None:
    lines = b'{"content": [],\r\n "isError":\nfalse}'
    async with pipes(library(answers={"tools/call": lines})) as client:
        assert (await client.initialize("2025-06-18"))["protocolVersion"] == "2025-06-18"
        found = await client.ask("tools/call", CALL, "x")
    assert found == {"jsonrpc": "2.0", "id": "x", "result": {"content": [], "isError": False}}


async def test_a_client_without_handshake() -> None:
    async with pipes() as client:
        found = await client.ask("tools/call", MODERN_CALL, 5)
        found_out = await client.ask("server/discover", {"_meta": own_meta({})})
    assert found["id"] == 5
    assert found["result"]["resultType"] == "complete"
    assert found_out["result"]["supportedVersions"] == ["2026-07-28"]


async def test_both_eras_on_one_pipe() -> None:
    async with pipes() as client:
        await client.initialize()
        legacy = await client.ask("tools/list")
        modern = await client.ask("tools/list", {"_meta": own_meta({})})
    assert "resultType" not in legacy["result"]
    assert modern["result"]["resultType"] == "complete"


async def test_before_the_handshake_only_ping_is_answered_and_there_is_only_one() -> None:
    async with pipes() as client:
        assert (await client.ask("ping", id="p"))["result"] == {}
        early = await client.ask("tools/list")
        await client.initialize()
        again = await client.ask("initialize", {"protocolVersion": NEWEST_LEGACY})
    assert early["error"]["code"] == again["error"]["code"] == -32600
    assert "initialize" in early["error"]["message"]


@pytest.mark.parametrize(
    ("meta", "code"),
    [
        ({VERSION_KEY: "2026-07-28"}, -32602),
        (own_meta({}) | {VERSION_KEY: "2099-01-01"}, -32022),
        (own_meta({}) | {LOG_LEVEL_KEY: "loud"}, -32602),
    ],
)
async def test_a_request_that_describes_itself_wrongly_is_refused(meta: Any, code: int) -> None:
    async with pipes() as client:
        found = await client.ask("tools/list", {"_meta": meta}, "m")
    assert (found["id"], found["error"]["code"]) == ("m", code)


async def test_a_handshake_that_names_no_revision_can_be_repeated() -> None:
    async with pipes() as client:
        bad = await client.ask("initialize", {})
        assert bad["error"]["code"] == -32602
        assert (await client.initialize())["protocolVersion"] == NEWEST_LEGACY


# --- what is no message ---


@pytest.mark.parametrize(
    ("line", "code", "id"),
    [
        (b"hello", -32700, None),
        (b'{"jsonrpc":"2.0","id":3', -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"{}", -32600, None),
        (b'{"jsonrpc":"1.0","id":3,"method":"ping"}', -32600, 3),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b"[]", -32600, None),
        (b'{"jsonrpc":"2.0","id":4,"method":"tools/list","params":[1]}', -32602, 4),
    ],
)
async def test_what_is_no_message_is_refused_and_the_next_is_answered(
    line: bytes, code: int, id: Any
) -> None:
    async with pipes() as client:
        await client.initialize()
        client.say(line, request("ping", id="next"))
        _, refusal, ping = await client.answers(3)
    assert (refusal["error"]["code"], refusal.get("id")) == (code, id)
    assert ping["id"] == "next"


async def test_blank_lines_are_nothing() -> None:
    async with pipes() as client:
        client.say(b"", b"  \t", b"\r", request("ping"))
        assert len(await client.answers(1)) == 1


async def test_notifications_and_responses_are_not_answered() -> None:
    async with pipes() as client:
        client.say(
            note("notifications/zzz"),
            note("notifications/cancelled", requestId=True),
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":[1]}',
            {"jsonrpc": "2.0", "id": 1, "result": {}},
            request("ping"),
        )
        (only,) = await client.answers(1)
    assert only["result"] == {}


@pytest.mark.parametrize("length", [LIMIT, LIMIT + 1, 3 * LIMIT, 10 * LIMIT + 7])
@pytest.mark.parametrize("piece", [100, LIMIT, 1 << 20])
async def test_a_line_that_is_too_long_is_refused_once_and_skipped_whole(
    length: int, piece: int
) -> None:
    line = b'{"x":"' + b"y" * length + b'"}\n'
    async with pipes() as client:
        for start in range(0, len(line), piece):
            client.lines.feed_data(line[start : start + piece])
            await asyncio.sleep(0)
        client.say(request("ping", id="next"))
        refusal, ping = await client.answers(2)
    assert refusal["error"]["code"] == -32700
    assert "longer than" in refusal["error"]["message"]
    assert ping["id"] == "next"


async def test_a_line_that_never_ends_ends_the_conversation_with_one_refusal() -> None:
    async with pipes() as client:
        client.lines.feed_data(b"x" * (3 * LIMIT))
        await client.answers(1)
        await client.end()
        assert len(client.heard) == 1


# --- many at once ---


async def test_a_slow_call_holds_nobody_up() -> None:
    gate = Gate(text("slow"))
    async with pipes(library(answers={"tools/call": gate})) as client:
        await client.initialize()
        client.say(request("tools/call", CALL, "slow"), request("ping", id="fast"))
        assert (await client.answers(2))[1]["id"] == "fast"
        gate.open()
        assert (await client.answers(3))[2]["id"] == "slow"


@pytest.mark.parametrize("params", [CALL, MODERN_CALL])
async def test_an_id_in_use_is_refused_until_its_request_has_ended(params: Any) -> None:
    gate = Gate(text("done"))
    async with pipes(library(answers={"tools/call": gate})) as client:
        await client.initialize()
        client.say(request("tools/call", params, 7), request("tools/call", params, 7))
        refusal = (await client.answers(2))[1]
        assert (refusal["id"], refusal["error"]["code"]) == (7, -32600)
        gate.open()
        first = (await client.answers(3))[2]
        assert first["result"]["content"] == text("done")["content"]
        again = await client.ask("tools/call", params, 7)
    assert "result" in again


@pytest.mark.parametrize("params", [CALL, MODERN_CALL])
async def test_a_cancelled_request_is_cancelled_there_and_never_answered(params: Any) -> None:
    gate = Gate({})
    lib = library(answers={"tools/call": gate})
    async with pipes(lib) as client:
        await client.initialize()
        client.say(request("tools/call", params, 7))
        await gate.entered.wait()
        client.say(note("notifications/cancelled", requestId=7), request("ping", id="last"))
        await until(lambda: lib.cancelled == ["tools/call"])
        assert [one["id"] for one in await client.answers(2)] == ["init", "last"]
        lib.answers["tools/call"] = text("ok")
        assert "result" in await client.ask("tools/call", params, 7)  # the id is free again


async def test_only_so_many_requests_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MAX_RUNNING", 2)
    gate = Gate(text("ok"))
    lib = library(answers={"tools/call": gate})
    async with pipes(lib) as client:
        client.say(*(request("tools/call", MODERN_CALL, id) for id in range(5)))
        refused = await client.answers(3)
        assert {one["error"]["code"] for one in refused} == {-32600}
        assert len(lib.asked("tools/call")) == 2
        gate.open()
        assert {one["id"] for one in await client.answers(5)} == set(range(5))


# --- arrays ---


async def test_arrays_of_the_revision_that_has_them() -> None:
    async with pipes() as client:
        await client.initialize(R2025_03_26)
        client.say([request("ping", id="a"), note("notifications/zzz"), request("zzz", id="b")])
        _, (ping, unknown) = await client.answers(2)
    assert (ping["id"], ping["result"]) == ("a", {})
    assert (unknown["id"], unknown["error"]["code"]) == ("b", -32601)


async def test_a_cancelled_request_is_left_out_of_the_array() -> None:
    gate = Gate({})
    async with pipes(library(answers={"tools/call": gate})) as client:
        await client.initialize(R2025_03_26)
        client.say([request("tools/call", CALL, 1), request("ping", id=2)])
        await gate.entered.wait()
        client.say(note("notifications/cancelled", requestId=1))
        _, answers = await client.answers(2)
    assert [one["id"] for one in answers] == [2]


async def test_an_array_of_notifications_is_not_answered() -> None:
    async with pipes() as client:
        await client.initialize(R2025_03_26)
        client.say([note("notifications/zzz")], request("ping", id="next"))
        assert [one["id"] for one in await client.answers(2)] == ["init", "next"]


@pytest.mark.parametrize("revision", [None, *(one for one in LEGACY if one != R2025_03_26)])
async def test_others_have_no_arrays(revision: str | None) -> None:
    async with pipes() as client:
        if revision is not None:
            await client.initialize(revision)
        before = len(client.heard)
        client.say([request("ping")])
        refusal = (await client.answers(before + 1))[before]
    assert refusal["error"]["code"] == -32600


# --- what belongs to no request ---


async def test_notifications_of_a_call_come_before_its_answer() -> None:
    def noisy(call: Call) -> Any:
        assert call.on_notification is not None
        for level in ("debug", "error"):
            params = json.dumps({"level": level, "data": 1}).encode()
            call.on_notification("notifications/message", Raw(params))
        return text("ok")

    async with pipes(library(answers={"tools/call": noisy})) as client:
        silent = await client.ask("tools/call", MODERN_CALL, 1)
        params = CALL | {"_meta": own_meta({}) | {LOG_LEVEL_KEY: "warning"}}
        client.say(request("tools/call", params, 2))
        _, log, answer = await client.answers(3)
    assert silent["id"] == 1
    assert (log["method"], log["params"]["level"]) == ("notifications/message", "error")
    assert answer["id"] == 2


async def test_a_changed_list_is_announced_to_a_handshake_client() -> None:
    lib = FakeUpstream("lib", offers(tools=["a"]))
    async with pipes(lib) as client:
        await client.initialize()
        lib.answers |= offers(tools=["b"])
        client._gateway._from_server(
            client._gateway.roster.servers["lib"], "notifications/tools/list_changed", Raw()
        )
        _, changed = await client.answers(2)
    assert changed == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


# --- the end ---


async def test_requests_under_way_are_answered_after_the_input_has_ended() -> None:
    gate = Gate(text("late"))
    async with pipes(library(answers={"tools/call": gate})) as client:
        client.say(request("tools/call", MODERN_CALL, 1))
        client.lines.feed_eof()
        await gate.entered.wait()
        gate.open()
        assert (await client.answers(1))[0]["id"] == 1
        await until(client.serving.done)


async def test_what_takes_too_long_then_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LAST_ANSWERS_S", 0.01)
    gate = Gate({})
    lib = library(answers={"tools/call": gate})
    async with pipes(lib) as client:
        client.say(request("tools/call", MODERN_CALL, 1))
        await gate.entered.wait()
        await client.end()
        assert lib.cancelled == ["tools/call"]
        assert client.heard == []


async def test_the_last_line_needs_no_end() -> None:
    async with pipes() as client:
        client.lines.feed_data(json.dumps(request("ping")).encode())
        await client.end()
        assert client.heard[0]["result"] == {}
