"""What is taken on, what waits, and what is sent once more."""

import asyncio
from time import perf_counter
from typing import Any

import pytest

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Gate, Heard, ask, gateway_of, library, request, text, tool
from only1mcp.config.model import Listener
from only1mcp.gateway import Gateway, State
from only1mcp.policy import restart
from only1mcp.policy.limit import Bound
from only1mcp.protocol.errors import (
    CircuitOpen,
    McpError,
    OverLimit,
    Overloaded,
    ServerBusy,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.methods import NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.relay import admission
from only1mcp.relay.call import relay
from only1mcp.upstream.base import Call

FIND = ("tools/call", {"name": "lib__find"})
READ = ("resources/read", {"uri": "lib://a"})


def failing(*faults: Exception, method: str = "tools/call") -> FakeUpstream:
    """A library whose first answers to `method` are these faults."""
    left = list(faults)
    usual = library().answers[method]

    def answer(call: Call) -> Any:
        return left.pop(0) if left else usual

    return library(answers={method: answer})


async def outcome(fake: FakeUpstream, what: tuple[str, Any], **retry: Any) -> Any:
    """What one request gets, an error as its class; and how often the server was asked."""
    async with gateway_of(fake, entries={"lib": {"retry": retry}}) as gateway:
        try:
            await ask(gateway, *what)
            ended: Any = "answered"
        except McpError as error:
            ended = type(error)
    return ended, len(fake.asked(what[0]))


# --- once more ---


@pytest.mark.parametrize(
    ("fault", "tool", "read"),
    [
        (ServerUnavailable("lib", "refused"), ("answered", 2), ("answered", 2)),
        (ServerLost("lib", "eof"), (ServerLost, 1), ("answered", 2)),
        (ServerTimeout("lib", "hung"), (ServerTimeout, 1), ("answered", 2)),
        (ServerBusy("lib", "429", retry_after_ms=1), (ServerBusy, 1), ("answered", 2)),
        (ServerBusy("lib", "503"), (ServerBusy, 1), (ServerBusy, 1)),
        (ServerProtocolError("lib", "?"), (ServerProtocolError, 1), (ServerProtocolError, 1)),
        (CircuitOpen("lib", "open"), (CircuitOpen, 1), (CircuitOpen, 1)),
        (UpstreamError(b"{}", -1, "own"), (UpstreamError, 1), (UpstreamError, 1)),
    ],
)
async def test_the_matrix(fault: Exception, tool: Any, read: Any) -> None:
    assert await outcome(failing(fault), FIND) == tool
    assert await outcome(failing(fault, method="resources/read"), READ) == read


async def test_a_tool_named_idempotent_is_repeated_and_another_is_not() -> None:
    lost = ServerLost("lib", "eof")
    assert await outcome(failing(lost), FIND, idempotent_tools=["fi*"]) == ("answered", 2)
    assert await outcome(failing(lost), FIND, idempotent_tools=["lib__*"]) == (ServerLost, 1)


async def test_what_a_server_says_of_its_tool_does_not_count() -> None:
    fake = failing(ServerLost("lib", "eof"))
    fake.answers["tools/list"] = {
        "tools": [tool("find", annotations={"idempotentHint": True, "readOnlyHint": True})]
    }
    assert await outcome(fake, FIND) == (ServerLost, 1)


async def test_once_more_is_once() -> None:
    gone = [ServerUnavailable("lib", "refused")] * 3
    assert await outcome(failing(*gone), FIND) == (ServerUnavailable, 2)


async def test_what_may_have_run_is_not_made_unsent_by_a_second_try() -> None:
    gone = [ServerLost("lib", "eof"), ServerUnavailable("lib", "refused")]
    assert await outcome(failing(*gone), FIND, idempotent_tools=["find"]) == (ServerLost, 2)


async def test_without_a_budget_nothing_is_repeated() -> None:
    gone = ServerUnavailable("lib", "refused")
    assert await outcome(failing(gone), FIND, budget=0) == (ServerUnavailable, 1)


async def test_in_an_outage_the_budget_is_three() -> None:
    fake = library(answers={"tools/call": ServerUnavailable("lib", "refused")})
    patient = {"circuit_breaker": {"failure_threshold": 1000}}
    async with gateway_of(fake, entries={"lib": patient}) as gateway:
        for _ in range(10):
            with pytest.raises(ServerUnavailable):
                await ask(gateway, *FIND)
    assert len(fake.asked("tools/call")) == 13


@pytest.mark.parametrize(
    ("timeouts", "after_ms"),
    [({"call_idle": 5}, 5000), ({"call_idle": 60, "call_max": 3}, 3000)],
)
async def test_a_server_that_wants_too_much_time_is_not_waited_for(
    timeouts: dict[str, float], after_ms: int
) -> None:
    fake = failing(ServerBusy("lib", "429", retry_after_ms=after_ms), method="resources/read")
    async with gateway_of(fake, entries={"lib": {"timeouts": timeouts}}) as gateway:
        with pytest.raises(ServerBusy):
            await ask(gateway, *READ)
    assert len(fake.asked("resources/read")) == 1


async def test_both_attempts_share_the_time_of_a_call() -> None:
    fake = failing(ServerBusy("lib", "429", retry_after_ms=50), method="resources/read")
    async with gateway_of(fake) as gateway:
        await ask(gateway, *READ)
    first, second = [call.max_s for call in fake.sent if call.method == "resources/read"]
    assert first == 600
    assert 600 - PATIENCE_S < second <= 599.95


async def test_a_call_waits_for_a_server_that_is_started_again() -> None:
    lib = library()
    async with gateway_of(lib) as gateway:
        lib.lose("exit code 1")
        await until(lambda: gateway.roster.servers["lib"].upstream is None)
        assert (await ask(gateway, *FIND))["content"] == text("called")["content"]
    assert lib.connects == 2


async def test_it_does_not_wait_for_one_that_will_take_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(restart, "FIRST_PAUSE_S", 60.0)
    lib = library()
    async with gateway_of(lib) as gateway:
        live = gateway.roster.servers["lib"]
        lib.lose("exit code 1")
        await until(lambda: live.replicas[0].state is State.WAITING)
        with pytest.raises(ServerUnavailable, match="exit code 1"):
            await ask(gateway, *FIND)
        assert not await live.returns(admission.RETURN_S)


async def test_a_retry_with_requestState_is_the_clients_to_repeat() -> None:
    fake = failing(ServerUnavailable("lib", "refused"))
    fake.greeting = library(modern=True).greeting
    state = {"requestState": "made up", **FIND[1]}
    async with gateway_of(fake) as gateway:
        with pytest.raises(McpError, match="requestState"):
            await ask(gateway, "tools/call", state, revision=NEWEST_MODERN)
    assert fake.asked("tools/call") == []


# --- turns ---


def hung(id: str = "lib") -> tuple[FakeUpstream, Gate]:
    """A library whose tool waits until the gate is opened."""
    gate = Gate(text("called"))
    return library(id, {"tools/call": gate}), gate


def tight(**settings: Any) -> dict[str, Any]:
    """The entry of a server that runs one call at once."""
    return {"lib": {"concurrency": {"max_in_flight": 1, **settings}}}


def started(gateway: Gateway, *what: Any, **more: Any) -> "asyncio.Task[Any]":
    """A request under way."""
    return asyncio.get_running_loop().create_task(ask(gateway, *what, **more))


async def test_what_does_not_fit_waits_and_is_answered() -> None:
    lib, gate = hung()
    async with gateway_of(lib, entries=tight()) as gateway:
        calls = [started(gateway, *FIND) for _ in range(5)]
        turns = gateway.roster.servers["lib"].turns
        await until(lambda: turns.waiting == 4)
        assert len(lib.asked("tools/call")) == 1
        gate.open()
        assert len(await asyncio.gather(*calls)) == 5
        assert (turns.in_flight, turns.waiting) == (0, 0)


@pytest.mark.parametrize("revision", [NEWEST_LEGACY, NEWEST_MODERN])
async def test_the_wait_for_a_turn_is_no_time_of_the_server(revision: str) -> None:
    lib, gate = hung()
    async with gateway_of(lib, entries=tight()) as gateway, asyncio.TaskGroup() as group:
        group.create_task(ask(gateway, *FIND))
        await until(gate.entered.is_set)
        second, began = request(gateway, *FIND, revision=revision), perf_counter()
        waits = group.create_task(relay(second, gateway.snapshot()))
        await until(lambda: gateway.roster.servers["lib"].turns.waiting == 1)
        gate.open()
        await waits
        took_s = perf_counter() - began
    assert min(second.waited_s, second.upstream_s) > 0
    assert second.waited_s + second.upstream_s <= took_s


@pytest.mark.parametrize("settings", [{"queue": 0}, {"queue_timeout": 0.01}])
async def test_what_cannot_wait_is_refused_and_not_repeated(settings: dict[str, Any]) -> None:
    lib, gate = hung()
    async with gateway_of(lib, entries=tight(**settings)) as gateway:
        first = started(gateway, *FIND)
        await until(gate.entered.is_set)
        with pytest.raises(Overloaded):
            await ask(gateway, *FIND)
        gate.open()
        await first
    assert len(lib.asked("tools/call")) == 1


async def test_a_hung_server_holds_up_nobody_elses_calls() -> None:
    lib, gate = hung()
    other = library("other")
    async with gateway_of(lib, other, entries=tight(queue=1)) as gateway:
        stuck = [started(gateway, *FIND) for _ in range(2)]
        await until(lambda: gateway.roster.servers["lib"].turns.waiting == 1)
        for _ in range(50):
            await ask(gateway, "tools/call", {"name": "other__find"})
        assert not any(call.done() for call in stuck)
        gate.open()
        await asyncio.gather(*stuck)


@pytest.mark.parametrize("modern", [True, False])
async def test_a_client_that_leaves_frees_its_place(modern: bool) -> None:
    lib, gate = hung()
    more = {"revision": NEWEST_MODERN} if modern else {}
    async with gateway_of(lib, entries=tight()) as gateway:
        calls = [started(gateway, *FIND, **more) for _ in range(3)]
        live = gateway.roster.servers["lib"]
        await until(lambda: live.turns.waiting == 2)
        calls[1].cancel()
        await until(lambda: live.turns.waiting == 1)
        calls[0].cancel()
        await until(lambda: len(lib.asked("tools/call")) == 2)
        gate.open()
        await calls[2]
        assert (live.turns.in_flight, live.turns.waiting) == (0, 0)
        assert gateway.snapshot().gate.inside == 0


@pytest.mark.parametrize(
    "fault", [ServerLost("lib", "x"), UpstreamError(b"{}", 1, "x"), RuntimeError("x")]
)
async def test_a_call_that_fails_frees_its_place(fault: Exception) -> None:
    lib = library(answers={"tools/call": fault})
    async with gateway_of(lib) as gateway:
        with pytest.raises(type(fault)):
            await ask(gateway, *FIND)
        assert gateway.roster.servers["lib"].turns.in_flight == 0
        assert gateway.snapshot().gate.inside == 0


async def test_lists_and_greetings_of_the_gateway_need_no_turn() -> None:
    lib, gate = hung()
    async with gateway_of(lib, entries=tight(queue=0)) as gateway:
        stuck = started(gateway, *FIND)
        await until(gate.entered.is_set)
        lib.answers["tools/list"] = {"tools": [tool("find"), tool("new")]}
        gateway._listings.changed(gateway.roster.servers["lib"])
        await until(lambda: len(lib.asked("tools/list")) == 2)
        assert [one["name"] for one in (await ask(gateway, "tools/list"))["tools"]] == [
            "lib__find",
            "lib__new",
        ]
        gate.open()
        await stuck


async def test_a_question_to_a_client_keeps_nobody_from_the_server() -> None:
    """A legacy client thinks; the modern server that asked has nothing to do meanwhile."""
    thinking, answered = asyncio.Event(), asyncio.Event()
    question = {"method": "elicitation/create", "params": {"message": "?", "requestedSchema": {}}}
    asks = {"resultType": "input_required", "inputRequests": {"q": question}}

    def answer(call: Call) -> Any:
        return text("done") if "inputResponses" in (call.params or {}) else asks

    class Thinker(Heard):
        def __init__(self) -> None:
            super().__init__()
            self.capabilities = {"elicitation": {}}

        async def ask(self, method: str, params: bytes, told: Any = None) -> bytes:
            thinking.set()
            await answered.wait()
            return b'{"action":"accept","content":{}}'

    lib = library(answers={"tools/call": answer}, modern=True)
    async with gateway_of(lib, entries=tight(queue=0)) as gateway:
        slow = started(gateway, *FIND, caller=Thinker())
        await asyncio.wait_for(thinking.wait(), PATIENCE_S)
        assert gateway.roster.servers["lib"].turns.in_flight == 0
        await ask(gateway, *READ)
        answered.set()
        assert (await slow)["content"][0]["text"] == "done"


# --- the gate ---


def named(principal: str) -> Heard:
    """A caller with a token."""
    caller = Heard()
    caller.principal = principal
    return caller


async def test_one_caller_has_a_limit_of_its_own() -> None:
    lib, gate = hung()
    limits = Listener.model_validate({"limits": {"per_caller": 2}})
    async with gateway_of(lib, server=limits) as gateway:
        calls = [started(gateway, *FIND, caller=named("token-1")) for _ in range(2)]
        await until(lambda: len(lib.asked("tools/call")) == 2)
        with pytest.raises(OverLimit, match=r"2 requests of yours .*server.limits.per_caller"):
            await ask(gateway, *FIND, caller=named("token-1"))
        await ask(gateway, "tools/list", caller=named("token-1"))  # the gateway's own answer
        other = started(gateway, *FIND, caller=named("token-2"))
        gate.open()
        await asyncio.gather(*calls, other)
        await ask(gateway, *FIND, caller=named("token-1"))
        assert gateway.snapshot().gate.refused == {Bound.GATEWAY: 0, Bound.CALLER: 1}


async def test_all_together_have_one_too_and_without_names_only_that() -> None:
    lib, gate = hung()
    limits = Listener.model_validate({"limits": {"per_caller": 1, "max_in_flight": 3}})
    async with gateway_of(lib, server=limits) as gateway:
        calls = [started(gateway, *FIND, caller=named("anonymous")) for _ in range(3)]
        await until(lambda: len(lib.asked("tools/call")) == 3)
        with pytest.raises(Overloaded, match=r"3 requests are under way") as refused:
            await ask(gateway, *FIND, caller=named("token-1"))
        assert type(refused.value) is Overloaded
        assert isinstance(refused.value, ServerFault)
        assert refused.value.retry_after_ms == 1000
        gate.open()
        await asyncio.gather(*calls)
        gate_of_all = gateway.snapshot().gate
        assert gate_of_all.inside == 0
        assert gate_of_all.refused == {Bound.GATEWAY: 1, Bound.CALLER: 0}


# --- lists ---


@pytest.mark.parametrize("fault", [ServerUnavailable("lib", "refused"), ServerLost("lib", "eof")])
async def test_a_list_that_did_not_come_is_asked_for_once_more(fault: Exception) -> None:
    lib = failing(fault, method="tools/list")
    async with gateway_of(lib) as gateway:
        assert len((await ask(gateway, "tools/list"))["tools"]) == 1
    assert (len(lib.asked("tools/list")), lib.connects) == (2, 1)


async def test_a_list_that_does_not_come_twice_is_a_fault_of_the_server() -> None:
    lib = failing(*[ServerLost("lib", "eof")] * 2, method="tools/list")
    async with gateway_of(lib) as gateway:
        await until(lambda: gateway.roster.servers["lib"].upstream is not None)
        await until(lambda: gateway.roster.servers["lib"].state == "ready")
    assert (len(lib.asked("tools/list")), lib.connects) == (3, 2)
