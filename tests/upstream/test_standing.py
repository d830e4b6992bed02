"""What calls say of a replica: counted on every path, judged once."""

import asyncio
from typing import Any

import pytest

from fakes.clock import Clock
from fakes.upstream import FakeUpstream, Gate
from only1mcp.config.servers import Http, Instance, Server
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.breaker import State
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    McpError,
    ServerBusy,
    ServerLost,
    ServerRefused,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.upstream.base import Call
from only1mcp.upstream.standing import Counted, Standing

URL = Http(url="http://127.0.0.1:1/mcp")
CALL = Call("tools/call")
OWN = UpstreamError(b"{}", -32000, "the server says no", 500)


class Seen(Standing):
    """A standing that counts its changes."""

    def __init__(self, **settings: Any) -> None:
        self.changes = 0
        self.time = Clock()
        reach = {} if "replicas" in settings else {"transport": URL}
        config = Server.model_validate({"id": "one", **reach, **settings})
        super().__init__(config, "first", 1, self.time)

    def changed(self) -> None:
        self.changes += 1

    async def ask(self, answer: Any) -> bytes:
        """One call that is answered so."""
        return await Counted(self, FakeUpstream("one", {"tools/call": answer})).call(CALL)


async def test_a_call_is_counted_while_it_runs() -> None:
    one, gate, tasks = Seen(), Gate({}), Tasks()
    running = tasks.start(one.ask(gate), "call")
    await gate.entered.wait()
    assert one.in_flight == 1
    one.time.now += 2
    gate.open()
    assert await running == b"{}"
    assert (one.in_flight, one.latency_s, one.used_at) == (0, 2.0, one.time.now)
    assert one.health.heard_at == one.time.now


@pytest.mark.parametrize(
    ("answer", "failures"),
    [
        (ServerUnavailable("one", "refused"), 1),
        (ServerTimeout("one", "silent"), 1),
        (ServerLost("one", "cut"), 1),
        (ServerBusy("one", "503"), 1),
        (ServerRefused("one", "401"), 0),
        (AnswerTooLarge("one", "huge"), 0),
        (OWN, 0),
        ({"content": [], "isError": True}, 0),
    ],
)
async def test_what_speaks_against_a_replica(answer: Any, failures: int) -> None:
    one = Seen()
    if isinstance(answer, McpError):
        with pytest.raises(type(answer)):
            await one.ask(answer)
    else:
        await one.ask(answer)
    assert (one.breaker.failures, one.in_flight, one.changes) == (failures, 0, 0)


async def test_a_client_that_leaves_says_nothing() -> None:
    one, gate, tasks = Seen(), Gate({}), Tasks()
    running = tasks.start(one.ask(gate), "call")
    await gate.entered.wait()
    running.cancel()
    await asyncio.wait([running])
    assert (one.in_flight, one.breaker.failures, one.latency_s) == (0, 0, 0.0)


async def test_enough_failures_open_the_breaker_once(caplog: pytest.LogCaptureFixture) -> None:
    one = Seen()
    for _ in range(7):
        with pytest.raises(ServerLost):
            await one.ask(ServerLost("one", "cut"))
    assert (one.breaker.state, one.changes, one.open_since) == (State.OPEN, 1, one.time.now)
    assert caplog.messages == [
        "server one is left alone: 5 failures in a row, the last: cut",
    ]


async def test_a_call_from_before_the_opening_is_not_judged() -> None:
    one, gate, tasks = Seen(), Gate({}), Tasks()
    late = tasks.start(one.ask(gate), "call")
    await gate.entered.wait()
    one.breaker._open("for the test", one.time.now)
    gate.open()
    await late
    assert one.breaker.state is State.OPEN


async def test_retry_after_pauses_and_is_no_failure() -> None:
    one = Seen()
    with pytest.raises(ServerBusy):
        await one.ask(ServerBusy("one", "429", retry_after_ms=7000))
    assert (one.breaker.failures, one.breaker.paused_until) == (0, one.time.now + 7)
    assert (one.changes, one.open_since is None) == (1, False)


async def test_an_error_of_its_own_with_retry_after_pauses_it_too() -> None:
    one = Seen()
    busy = UpstreamError(b"{}", -32000, "busy", 429, retry_after_ms=7000)
    with pytest.raises(UpstreamError):
        await one.ask(busy)
    assert one.breaker.paused_until == one.time.now + 7
    assert (one.changes, one.open_since is None, one.health.heard_at) == (1, False, one.time.now)


async def test_an_error_names_the_replica_if_there_are_several() -> None:
    several = Seen(replicas=[Instance(transport=URL)])
    fault = ServerLost("one", "cut")
    with pytest.raises(ServerLost):
        await several.ask(fault)
    assert fault.data["replica"] == "first"
    assert several.name == "one at first"
    lone = ServerLost("one", "cut")
    with pytest.raises(ServerLost):
        await Seen().ask(lone)
    assert "replica" not in lone.data


async def test_connected_anew_nothing_is_held_against_it() -> None:
    one = Seen()
    one.breaker._open("for the test", one.time.now)
    one.health.failed("silent", one.time.now)
    one.renew()
    assert (one.breaker.state, one.health.status, one.open_since) == ("closed", "healthy", None)
