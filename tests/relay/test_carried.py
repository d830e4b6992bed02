"""A tool that works only as a task, called as if it were any other."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import PATIENCE_S, begin
from fakes.upstream import FakeUpstream, Gate, text, unheard
from only1mcp.protocol.errors import ServerLost, ServerTimeout, ServerUnavailable, UpstreamError
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.tasks import RELATED
from only1mcp.relay.carried import Carried
from only1mcp.upstream.base import Call

MADE = {"task": {"taskId": "x", "status": "working"}}
META = {RELATED: {"taskId": "x"}}


def server(result: Any = None, made: Any = MADE) -> FakeUpstream:
    """It makes a task, whose result is this."""
    answers = {"tools/call": made, "tasks/result": text("done") | {"_meta": META}}
    if result is not None:
        answers["tasks/result"] = result
    return FakeUpstream("s", answers | {"tasks/cancel": {}})


def call(**more: Any) -> Call:
    return Call("tools/call", {"name": as_raw("t")}, "t", max_s=20.0, **more)


async def test_the_result_is_that_of_the_tool() -> None:
    fake, asked = server(), call(mirrored=(("Mcp-Param-A", "1"),))
    assert json.loads(await Carried(fake).call(asked)) == text("done")
    assert fake.calls == [
        ("tools/call", {"name": "t", "task": {}}),
        ("tasks/result", {"taskId": "x"}),
    ]
    assert asked.params == {"name": as_raw("t")}  # another attempt begins as this one did
    second = fake.sent[1]
    assert (second.name, second.mirrored) == ("x", ())
    assert 19 < second.idle_s == second.max_s <= 20


async def test_a_server_that_answers_at_once_has_answered() -> None:
    fake = server(made=text("at once"))
    assert json.loads(await Carried(fake).call(call())) == text("at once")
    assert len(fake.calls) == 1


async def test_the_client_does_not_learn_of_the_task() -> None:
    heard: list[Any] = []

    async def ask(method: str, params: Raw, tell: Any) -> bytes:
        heard.append(json.loads(bytes(params)))
        return b"{}"

    async def result(call: Call) -> Any:
        assert call.on_notification is not None and call.on_question is not None
        call.on_notification("notifications/message", as_raw({"data": 1, "_meta": META}))
        await call.on_question("roots/list", as_raw({"_meta": META}), unheard)
        return text("done")

    fake = server(result)
    note = call(on_notification=lambda _, params: heard.append(json.loads(bytes(params))))
    note.on_question = ask
    await Carried(fake).call(note)
    assert heard == [{"data": 1}, {}]
    later = fake.sent[0].afterwards
    assert later is not None
    later("notifications/progress", as_raw({"progress": 1, "_meta": META}))
    assert heard[2:] == [{"progress": 1}]


async def test_who_leaves_cancels_the_task() -> None:
    gate = Gate({})
    fake = server(gate)
    running = begin(Carried(fake).call(call()))
    async with asyncio.timeout(PATIENCE_S):
        await gate.entered.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert fake.calls[-1] == ("tasks/cancel", {"taskId": "x"})


@pytest.mark.parametrize("fault", [ServerLost("s", "gone"), ServerUnavailable("s", "gone")])
async def test_a_server_that_is_lost_with_the_task_may_have_run_it(fault: Any) -> None:
    with pytest.raises(type(fault)) as caught:
        await Carried(server(fault)).call(call())
    assert caught.value.may_have_run
    assert caught.value.in_part


async def test_a_task_whose_time_is_up_is_cancelled() -> None:
    fake = server(ServerTimeout("s", "slow"))
    with pytest.raises(ServerTimeout):
        await Carried(fake).call(call())
    assert fake.calls[-1] == ("tasks/cancel", {"taskId": "x"})


async def test_the_servers_own_error_is_passed_on() -> None:
    with pytest.raises(UpstreamError):
        await Carried(server(UpstreamError(b"{}", -32603, "failed"))).call(call())
