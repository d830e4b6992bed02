"""Calls to a real child process: each answer finds its caller, whatever else is on the pipe."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from fakes.at_once import Waiting
from fakes.children import (
    call,
    details,
    heard,
    script,
    server_of,
    serving,
    text,
    until,
)
from only1mcp.config.servers import Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    Outcome,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.message import as_raw
from only1mcp.upstream import stdio
from only1mcp.upstream.base import Call
from only1mcp.upstream.warden import Warden

pytest_plugins = ["fakes.orphans"]
pytestmark = pytest.mark.usefixtures("no_orphans")

Note = tuple[str, Any]


class Notes(list[Note]):
    """A sink that remembers."""

    def take(self, method: str, params: Raw) -> None:
        self.append((method, message.any_value(params)))


# --- greeting ---


@pytest.mark.parametrize(
    ("options", "protocol", "revision"),
    [
        ((), "auto", "2025-11-25"),
        (("--modern",), "auto", "2026-07-28"),
        ((), "legacy", "2025-11-25"),
    ],
)
async def test_it_finds_the_era(options: tuple[str, ...], protocol: str, revision: str) -> None:
    async with serving(*options, protocol=protocol) as server:
        assert (server.greeting.revision, server.revision) == (revision, revision)
        assert server.greeting.server_info["name"] == "fake"
        assert server.pid is not None
        assert await text(server, "echo", text="hello") == "hello"


async def test_a_handshake_ends_with_initialized() -> None:
    async with serving() as server:
        assert [one["method"] for one in await heard(server)] == ["notifications/initialized"]


async def test_nothing_but_the_handshake_is_sent_to_a_server_that_never_answers(
    tmp_path: Path,
) -> None:
    log = tmp_path / "stdin"
    code = f"import sys; open({str(log)!r}, 'wb').write(sys.stdin.buffer.read())"
    warden = Warden()
    server = server_of(Stdio(command=sys.executable, args=("-c", code)), warden, start_s=0.5)
    with pytest.raises(ServerTimeout, match=r"python\S*\) sent nothing|took longer"):
        await server.connect()
    await warden.close()
    sent = [json.loads(line)["method"] for line in log.read_text().splitlines()]
    assert sent == ["initialize"]


async def test_a_call_before_connect_is_not_sent() -> None:
    server = server_of(script(), Warden())
    with pytest.raises(ServerUnavailable, match="server 'fake' is not connected"):
        await server.call(call("echo"))
    await server.notify("notifications/initialized")
    await server.close()


# --- answers ---


async def test_every_caller_gets_its_own_answer() -> None:
    async with serving() as server:
        numbers = [str(number) for number in range(200)]
        assert await asyncio.gather(*(text(server, "echo", text=n) for n in numbers)) == numbers


async def test_all_calls_of_one_turn_go_without_a_task() -> None:
    async with serving() as server:
        waiters = {str(number): Waiting() for number in range(20)}
        begun = {n: server.begin(call("echo", text=n), waiter) for n, waiter in waiters.items()}
        await until(lambda: all(waiter.heard for waiter in waiters.values()))
        for n, waiter in waiters.items():
            (answer,) = waiter.heard
            assert isinstance(answer, bytes)
            result = server.end(begun[n], answer)
            assert message.any_value(result or b"")["content"][0]["text"] == n


async def test_a_slow_call_holds_up_nobody() -> None:
    async with serving() as server:
        slow = asyncio.gather(text(server, "sleep", seconds=0.3))
        assert await text(server, "echo", text="quick") == "quick"
        assert not slow.done()
        assert (await slow)[0] == "awake"


async def test_params_arrive_as_they_were_written() -> None:
    odd = '{\n  "big": 123456789012345678901234567890,\r\n "\\u00e9": ["é\u2028"], "": null}'
    async with serving() as server:
        params = {"name": Raw(b'"echo"'), "arguments": Raw(odd.encode()), "unknown": Raw(b"1.50")}
        found = await server.call(Call("tools/call", params))
        got = message.any_value(found)["structuredContent"]
        assert got == {"name": "echo", "arguments": json.loads(odd), "unknown": 1.5}
        assert got["arguments"]["big"] == 123456789012345678901234567890


async def test_the_result_is_the_bytes_the_server_wrote() -> None:
    async with serving() as server:
        found = await server.call(call("big", bytes=3))
        assert found == b'{"content":[{"type":"text","text":"xxx"}]}'


async def test_a_large_answer_passes() -> None:
    async with serving() as server:
        assert len(await text(server, "big", bytes=3_000_000)) == 3_000_000


async def test_the_servers_own_error_passes_unchanged() -> None:
    own = {"code": -32099, "message": "no luck", "data": {"why": [1, None]}, "extra": True}
    async with serving() as server:
        with pytest.raises(UpstreamError, match="no luck") as caught:
            await server.call(call("failure", error=own))
        assert json.loads(caught.value.raw) == own
        assert caught.value.own_code == -32099


async def test_an_answer_in_pieces_is_put_together() -> None:
    async with serving() as server:
        assert await text(server, "pieces") == "in pieces ✓"


async def test_an_answer_that_is_not_utf_8_is_a_fault_of_the_server() -> None:
    async with serving() as server:
        with pytest.raises(ServerProtocolError, match="not UTF-8"):
            await server.call(call("invalid_text"))
        assert await text(server, "echo", text="still here") == "still here"


async def test_answers_may_come_in_a_batch() -> None:
    notes = Notes()
    async with serving(sink=notes.take) as server:
        assert await text(server, "batch") == "batched"
    assert notes == [("notifications/message", {"data": 1})]


# --- progress ---


async def test_progress_comes_back_under_the_clients_token() -> None:
    tokens: list[Any] = ["mine", 1, 1, 10**30]
    async with serving() as server:
        kept = [Notes() for _ in tokens]
        calls = [call("progress", count=3, meta={"progressToken": t, "x": [1]}) for t in tokens]
        for one, notes in zip(calls, kept, strict=True):
            one.on_notification = notes.take
        answers = await asyncio.gather(*map(server.call, calls))
        used = {message.any_value(one)["content"][0]["text"] for one in answers}
    assert len(used) == len(tokens)  # on the pipe each call has a token of its own
    for token, notes in zip(tokens, kept, strict=True):
        assert [method for method, _ in notes] == ["notifications/progress"] * 3
        assert [(body["progressToken"], body["progress"]) for _, body in notes] == [
            (token, 1),
            (token, 2),
            (token, 3),
        ]
        assert {body["message"] for _, body in notes} == {"on we go"}


async def test_progress_that_nobody_asked_for_is_dropped() -> None:
    async with serving() as server:
        one = call("progress", count=2)
        one.on_notification = Notes().take
        await server.call(one)
        assert server.late == 2


async def test_progress_restarts_the_idle_clock_but_not_the_hard_limit() -> None:
    async with serving() as server:
        alive = call("progress", count=6, pause=0.1, meta={"progressToken": 1})
        alive.idle_s = 0.4
        await server.call(alive)
        endless = call("progress", count=10_000, pause=0.02, meta={"progressToken": 1})
        endless.idle_s, endless.max_s = 0.4, 0.5
        with pytest.raises(ServerTimeout, match=r"took longer than 0\.5 s for tools/call"):
            await server.call(endless)


# --- deadlines and cancellation ---


async def test_a_call_ends_at_its_idle_limit_and_the_server_is_told() -> None:
    async with serving() as server:
        late = call("sleep", seconds=0.3)
        late.idle_s = 0.1
        with pytest.raises(ServerTimeout, match=r"server 'fake' sent nothing for 0\.1 s") as caught:
            await server.call(late)
        assert caught.value.data["outcome"] == Outcome.UNKNOWN
        told = (await heard(server))[-1]
        assert told["method"] == "notifications/cancelled"
        assert told["params"] == {
            "requestId": 2,
            "reason": "sent nothing for 0.1 s during tools/call",
        }
        await until(lambda: server.late == 1)
        assert await text(server, "echo", text="and on") == "and on"


async def test_cancelling_the_task_cancels_the_call_at_the_server() -> None:
    async with serving() as server:
        asking = asyncio.gather(server.call(call("sleep", seconds=0.2)))
        assert await text(server, "echo", text="x") == "x"  # 2; asking is 3
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        told = (await heard(server))[-1]
        assert (told["method"], told["params"]["requestId"]) == ("notifications/cancelled", 3)
        await until(lambda: server.late == 1)


# --- what else is on the pipe ---


async def test_noise_is_counted_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    async with serving("--noise", "3") as server:
        for _ in range(3):
            assert await text(server, "garbage", lines=40) == "after the noise"
        assert server.noise == 3 + 3 * 40
    about = [one for one in caplog.records if "not MCP" in one.getMessage()]
    assert len(about) == 1


async def test_a_hundred_lines_of_noise_in_a_row_end_it() -> None:
    async with serving() as server:
        with pytest.raises(ServerProtocolError, match="100 lines in a row that are not MCP"):
            await server.call(call("garbage", lines=100))
        assert "100 lines" in await server.wait_lost()


async def test_notifications_reach_the_sink() -> None:
    notes = Notes()
    async with serving(sink=notes.take) as server:
        await text(
            server, "notify", method="notifications/tools/list_changed", params={"_meta": {}}
        )
    assert notes == [("notifications/tools/list_changed", {"_meta": {}})]


async def test_a_sink_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def broken(method: str, params: Raw) -> None:
        raise RuntimeError("sink")

    async with serving(sink=broken) as server:
        assert await text(server, "notify", method="notifications/x", params={}) == "sent"
    assert [one.levelno for one in caplog.records if one.exc_info] == [logging.ERROR]


async def test_the_server_may_ping_and_is_refused_the_rest() -> None:
    async with serving() as server:
        await text(server, "ask", method="ping")
        await text(server, "ask", method="sampling/createMessage")
        pong, refusal = (await heard(server))[-2:]
    assert pong == {"jsonrpc": "2.0", "id": "ask-1", "result": {}}
    assert refusal["error"]["code"] == -32601


# --- a server that does not read ---


async def test_a_burst_is_no_sign_of_a_child_that_does_not_read() -> None:
    async with serving() as server:
        big = "x" * 200_000
        answers = await asyncio.gather(*(text(server, "echo", text=big) for _ in range(60)))
    assert {len(answer) for answer in answers} == {len(big)}


async def test_calls_fail_at_once_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "UNREAD_S", 0)
    tasks = Tasks()
    async with serving() as server:
        await text(server, "stop_reading")
        big = "x" * 65536
        calls = [tasks.start(server.call(call("echo", text=big)), "call") for _ in range(100)]
        await until(lambda: sum(one.done() for one in calls) > 75)
        refused = [one.exception() for one in calls if one.done()]
        waiting = [one for one in calls if not one.done()]
        assert len(waiting) < 25  # 1 MiB, what the pipe holds, and the one on the edge
        for fault in refused:
            assert isinstance(fault, ServerUnavailable)
            assert fault.message == "server 'fake' does not read its input"
            assert not fault.may_have_run
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in ends} == {ServerUnavailable}  # not one has left whole


async def test_one_large_request_passes_whatever_the_pipe_holds() -> None:
    async with serving() as server:
        assert len(await text(server, "echo", text="y" * 2_000_000)) == 2_000_000


# --- its surroundings ---


async def test_the_child_gets_the_harmless_environment_and_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", "hidden")
    monkeypatch.setenv("LC_TIME", "C")
    async with serving(env={"TOKEN": "for the child"}, cwd=str(tmp_path)) as server:
        found = await details(server, "env")
    assert found["cwd"] == str(tmp_path)
    assert found["env"]["TOKEN"] == "for the child"
    assert found["env"]["LC_TIME"] == "C"
    assert "GATEWAY_SECRET" not in found["env"]


async def test_params_stay_the_callers() -> None:
    async with serving() as server:
        one = call("progress", count=0, meta={"progressToken": "t"})
        await server.call(one)
        assert one.params is not None
        assert one.params["_meta"] == as_raw({"progressToken": "t"})
