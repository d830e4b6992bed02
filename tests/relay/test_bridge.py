"""Questions in mid-call, in all four directions. Each test is a conversation."""

import asyncio
import json
from time import perf_counter
from typing import Any

import pytest
from msgspec import Raw
from msgspec.structs import replace

from fakes.edge import begin, until
from fakes.upstream import FakeUpstream, unheard
from only1mcp.config.resilience import Concurrency
from only1mcp.policy.retry import Fate, fate
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    ClientRefused,
    InvalidParams,
    McpError,
    MethodNotFound,
    OverLimit,
    Overloaded,
    ServerProtocolError,
    ServerUnavailable,
)
from only1mcp.protocol.message import Params, as_raw
from only1mcp.relay import bridge as module
from only1mcp.relay.bridge import Bridge, asker
from only1mcp.relay.handed import Handed, Holder, Owner
from only1mcp.relay.related import Related
from only1mcp.relay.seal import STATE_TTL_S
from only1mcp.upstream.base import Call
from only1mcp.upstream.turns import InTurn, Turns

ASKED = {"method": "elicitation/create", "params": {"message": "Name?", "requestedSchema": {}}}
ANSWER = {"action": "accept", "content": {"name": "Ada"}}


class Client:
    """Answers questions from a table."""

    def __init__(self, principal: str = "me", **answers: Any) -> None:
        self.principal = principal
        self.capabilities: dict[str, Any] = {"elicitation": {}, "sampling": {}, "roots": {}}
        self.answers = answers
        self.asked: list[tuple[str, Any]] = []
        self.heard: list[str] = []

    def notify(self, method: str, params: Raw) -> None:
        self.heard.append(method)

    async def ask(self, method: str, params: bytes, told: Any = None) -> bytes:
        self.asked.append((method, json.loads(params or b"null")))
        answer = self.answers[method.partition("/")[0]]
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer).encode()


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def call(**more: Any) -> Call:
    params = {"name": "t", "arguments": {}, **more}
    return Call("tools/call", {name: as_raw(value) for name, value in params.items()})


def input_required(state: str | None = "s1", **requests: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"resultType": "input_required"}
    if requests:
        found["inputRequests"] = requests
    if state is not None:
        found["requestState"] = state
    return found


def rounds(*answers: Any) -> Any:
    given = iter(answers)
    return lambda call: next(given)


# --- legacy client, modern server ---


async def test_unfold_asks_the_client_and_calls_again() -> None:
    done = {"resultType": "complete", "content": []}
    server = FakeUpstream(
        answers={"tools/call": rounds(input_required(q=ASKED), done)}, modern=True
    )
    client = Client(elicitation=ANSWER)
    result = await Bridge(Clock()).unfold(server, call(), client)
    assert json.loads(result) == done
    assert client.asked == [("elicitation/create", ASKED["params"])]
    assert server.calls[1][1]["inputResponses"] == {"q": ANSWER}
    assert server.calls[1][1]["requestState"] == "s1"
    assert "requestState" not in server.calls[0][1]


async def test_unfold_waits_and_repeats_when_there_is_only_a_state() -> None:
    server = FakeUpstream(
        answers={"tools/call": rounds(input_required("a"), input_required("b"), {"content": []})},
        modern=True,
    )
    await Bridge(Clock()).unfold(server, call(), Client())
    assert [sent.get("requestState") for _, sent in server.calls] == [None, "a", "b"]


@pytest.mark.parametrize(("asked_before", "outcome"), [(False, "not_sent"), (True, "unknown")])
async def test_after_a_first_round_a_call_may_have_run(asked_before: bool, outcome: str) -> None:
    gone = ServerUnavailable("s", "refused")
    answers = rounds(*[input_required(q=ASKED)] * asked_before, gone)
    server = FakeUpstream(answers={"tools/call": answers}, modern=True)
    with pytest.raises(ServerUnavailable) as failed:
        await Bridge(Clock()).unfold(server, call(), Client(elicitation=ANSWER))
    assert failed.value.data["outcome"] == outcome
    assert (fate(failed.value) is Fate.NOT_SENT) is not asked_before


async def test_unfold_gives_up_after_many_rounds() -> None:
    server = FakeUpstream(answers={"tools/call": lambda call: input_required(q=ASKED)}, modern=True)
    with pytest.raises(ServerProtocolError, match="more than 10 times"):
        await Bridge(Clock()).unfold(server, call(), Client(elicitation=ANSWER))


async def test_a_refused_elicitation_is_an_answer_a_refused_sampling_is_not() -> None:
    refused = ClientRefused(b'{"code":-1,"message":"no"}', -1, "no")
    server = FakeUpstream(
        answers={"tools/call": rounds(input_required(q=ASKED), {"content": []})}, modern=True
    )
    await Bridge(Clock()).unfold(server, call(), Client(elicitation=refused))
    assert server.calls[1][1]["inputResponses"] == {"q": {"action": "cancel"}}
    sampling = {"method": "sampling/createMessage", "params": {"maxTokens": 1}}
    server.answers["tools/call"] = input_required(q=sampling)
    with pytest.raises(ClientRefused):
        await Bridge(Clock()).unfold(server, call(), Client(sampling=refused))


# --- modern client, modern server ---


async def test_the_state_of_a_modern_server_travels_sealed() -> None:
    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream(
        answers={"tools/call": rounds(input_required("theirs", q=ASKED), {"content": []})},
        modern=True,
    )
    first = json.loads(await bridge.pass_on(server, call(), client))
    assert first["inputRequests"] == {"q": ASKED}
    assert first["requestState"] != "theirs"
    retry = call(inputResponses={"q": ANSWER}, requestState=first["requestState"])
    await bridge.pass_on(server, retry, client)
    assert server.calls[1][1]["requestState"] == "theirs"
    stolen = call(inputResponses={"q": ANSWER}, requestState=first["requestState"])
    with pytest.raises(InvalidParams):
        await bridge.pass_on(server, stolen, Client("somebody else"))


# --- modern client, legacy server ---


async def park(
    bridge: Bridge, server: FakeUpstream, call: Call, client: Client, turns: Turns | None = None
) -> bytes:
    own = turns or Turns(server.server, Concurrency())
    return await bridge.park(InTurn(server, own, client.principal), call, client)


async def server_that_asks(call: Call, method: str = "elicitation/create") -> Any:
    assert call.on_question is not None
    params = as_raw({"message": "Name?", "elicitationId": "x", "_meta": {"a": 1}})
    try:
        answer = await call.on_question(method, params, unheard)
    except McpError as error:
        return {"content": [{"type": "text", "text": f"refused: {error.code}"}]}
    return {"content": [{"type": "text", "text": answer.decode()}]}


def text(result: bytes) -> str:
    return str(json.loads(result)["content"][0]["text"])


async def test_a_parked_call_is_resumed_not_repeated() -> None:
    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream(answers={"tools/call": server_that_asks})
    first = json.loads(await park(bridge, server, call(), client))
    assert first["resultType"] == "input_required"
    ((key, wanted),) = first["inputRequests"].items()
    assert wanted == {"method": "elicitation/create", "params": {"message": "Name?"}}
    assert len(bridge) == 1
    retry = call(inputResponses={key: ANSWER, "more": {}}, requestState=first["requestState"])
    assert json.loads(text(await park(bridge, server, retry, client))) == ANSWER
    assert [method for method, _ in server.calls] == ["tools/call"]
    assert len(bridge) == 0


async def test_a_state_is_of_one_server() -> None:
    bridge, client = Bridge(Clock()), Client()
    one, two = (FakeUpstream(id, {"tools/call": server_that_asks}) for id in ("one", "two"))
    first = json.loads(await park(bridge, one, call(), client))
    ((key, _),) = first["inputRequests"].items()
    more = {"inputResponses": {key: ANSWER}, "requestState": first["requestState"]}
    with pytest.raises(InvalidParams, match="belongs to another call"):
        await park(bridge, two, call(**more), client)
    assert json.loads(text(await park(bridge, one, call(**more), client))) == ANSWER
    assert two.calls == []


async def test_an_answer_left_out_is_asked_again() -> None:
    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream(answers={"tools/call": server_that_asks})
    first = json.loads(await park(bridge, server, call(), client))
    again = json.loads(await park(bridge, server, call(requestState=first["requestState"]), client))
    assert again["inputRequests"] == first["inputRequests"]
    await bridge.close()


async def test_a_malformed_answer_is_refused_and_the_call_stays() -> None:
    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream(answers={"tools/call": server_that_asks})
    first = json.loads(await park(bridge, server, call(), client))
    (key,) = first["inputRequests"]
    state = first["requestState"]
    with pytest.raises(InvalidParams, match="must be an object"):
        await park(bridge, server, call(inputResponses={key: 5}, requestState=state), client)
    good = call(inputResponses={key: ANSWER}, requestState=state)
    assert json.loads(text(await park(bridge, server, good, client))) == ANSWER


async def test_what_the_client_did_not_declare_is_refused_to_the_server() -> None:
    bridge, client = Bridge(Clock()), Client()
    client.capabilities = {"sampling": {}}
    server = FakeUpstream(answers={"tools/call": server_that_asks})
    assert text(await park(bridge, server, call(), client)) == f"refused: {MethodNotFound.code}"


async def test_several_questions_share_one_round() -> None:
    async def two(call: Call) -> Any:
        async with asyncio.TaskGroup() as group:
            found = [group.create_task(server_that_asks(call)) for _ in range(2)]
        return {"content": [{"type": "text", "text": "both" if all(found) else ""}]}

    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream(answers={"tools/call": two})
    first = json.loads(await park(bridge, server, call(), client))
    answers = dict.fromkeys(first["inputRequests"], ANSWER)
    assert len(answers) == 2
    retry = call(inputResponses=answers, requestState=first["requestState"])
    assert text(await park(bridge, server, retry, client)) == "both"


async def test_nobody_comes_back_in_time() -> None:
    clock, client = Clock(), Client()
    bridge = Bridge(clock)
    server = FakeUpstream(answers={"tools/call": server_that_asks})
    first = json.loads(await park(bridge, server, call(), client))
    clock.now += STATE_TTL_S + 1
    bridge.sweep()
    await bridge.close()
    assert server.cancelled == ["tools/call"]
    late = call(inputResponses={}, requestState=first["requestState"])
    with pytest.raises(InvalidParams, match="expired"):
        await park(bridge, server, late, client)


async def test_a_client_that_hangs_up_cancels_the_call() -> None:
    bridge, started = Bridge(Clock()), asyncio.Event()

    async def hang(call: Call) -> Any:
        started.set()
        await asyncio.Event().wait()

    server = FakeUpstream(answers={"tools/call": hang})
    waiting = asyncio.get_running_loop().create_task(park(bridge, server, call(), Client()))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await bridge.close()
    assert server.cancelled == ["tools/call"]
    assert len(bridge) == 0


async def test_parked_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARKED", 1)
    bridge = Bridge(Clock())
    server = FakeUpstream(answers={"tools/call": server_that_asks})
    await park(bridge, server, call(), Client())
    with pytest.raises(Overloaded):
        await park(bridge, server, call(), Client())
    await bridge.close()


async def test_so_are_those_of_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARKED_EACH", 1)
    bridge, server = Bridge(Clock()), FakeUpstream(answers={"tools/call": server_that_asks})
    await park(bridge, server, replace(call(), who="ann"), Client())
    with pytest.raises(OverLimit):
        await park(bridge, server, replace(call(), who="ann"), Client())
    for who in ("bob", "", ""):
        await park(bridge, server, replace(call(), who=who), Client())
    await bridge.close()
    await park(bridge, server, replace(call(), who="ann"), Client())
    await bridge.close()


async def test_while_the_client_thinks_others_have_the_turn() -> None:
    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream("s", {"tools/call": server_that_asks})
    turns = Turns("s", Concurrency(max_in_flight=1, queue=1, queue_timeout=0.01))
    first = json.loads(await park(bridge, server, call(), client, turns))
    assert turns.in_flight == 0
    ((key, _),) = first["inputRequests"].items()
    more = {"inputResponses": {key: ANSWER}, "requestState": first["requestState"]}
    assert turns.enter(), "the only one"
    with pytest.raises(Overloaded):
        await park(bridge, server, call(**more), client, turns)
    turns.end()
    assert json.loads(text(await park(bridge, server, call(**more), client, turns))) == ANSWER
    assert (turns.in_flight, len(bridge), len(server.calls)) == (0, 0, 1)


async def test_the_wait_of_who_comes_back_is_its_own_and_no_time_of_the_server() -> None:
    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream("s", {"tools/call": server_that_asks})
    turns = Turns("s", Concurrency(max_in_flight=1))
    first = json.loads(await park(bridge, server, call(), client, turns))
    assert turns.enter()
    again = InTurn(server, turns, client.principal)
    answers = dict.fromkeys(first["inputRequests"], ANSWER)
    retry = call(inputResponses=answers, requestState=first["requestState"])
    began = perf_counter()
    waiting = begin(bridge.park(again, retry, client))
    await until(lambda: turns.waiting == 1)
    turns.end()
    await waiting
    assert 0 < again.waited_s <= perf_counter() - began


async def test_who_hangs_up_while_it_waits_to_go_on_cancels_the_call() -> None:
    bridge, client = Bridge(Clock()), Client()
    server = FakeUpstream("s", {"tools/call": server_that_asks})
    turns = Turns("s", Concurrency(max_in_flight=1))
    first = json.loads(await park(bridge, server, call(), client, turns))
    assert turns.enter()
    retry = call(inputResponses={}, requestState=first["requestState"])
    waiting = begin(park(bridge, server, retry, client, turns))
    await until(lambda: turns.waiting == 1)
    waiting.cancel()
    await asyncio.wait([waiting])
    turns.end()
    await bridge.close()
    assert (server.cancelled, turns.in_flight, len(bridge)) == (["tools/call"], 0, 0)


async def test_a_servers_error_is_the_clients() -> None:
    server = FakeUpstream(answers={})
    with pytest.raises(McpError, match="no such method"):
        await park(Bridge(Clock()), server, call(), Client())


# --- legacy client, legacy server ---

AS_IT_IS = Related("s", "s", Holder(Handed(), Owner("me", "1"), lambda place: None, alone=True))
"""On the mount of the only replica tasks are called what the server calls them."""


async def test_between_legacy_peers_a_question_passes_untouched() -> None:
    client = Client(elicitation=ANSWER)
    ask = asker(client, AS_IT_IS)
    params: Params = {"message": as_raw("?"), "requestedSchema": as_raw({"big": 10**30})}
    answer = await ask("elicitation/create", as_raw(params), unheard)
    assert json.loads(answer) == ANSWER
    assert client.asked == [
        ("elicitation/create", {"message": "?", "requestedSchema": {"big": 10**30}})
    ]
    with pytest.raises(MethodNotFound):
        await ask("tasks/list", message.NO_RAW, unheard)
