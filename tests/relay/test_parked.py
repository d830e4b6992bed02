"""One parked call: who has its turn, and what its server hears."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import begin, until
from fakes.upstream import FakeUpstream, unheard
from only1mcp.config.resilience import Concurrency
from only1mcp.protocol import message
from only1mcp.protocol.errors import MethodNotFound
from only1mcp.protocol.message import as_raw
from only1mcp.relay.parked import Parked
from only1mcp.upstream.base import Call
from only1mcp.upstream.turns import InTurn, Turns


class Client:
    def __init__(self, **capabilities: Any) -> None:
        self.principal = "ann"
        self.capabilities = capabilities
        self.heard: list[str] = []

    def notify(self, method: str, params: Raw) -> None:
        self.heard.append(method)

    async def ask(self, method: str, params: bytes, told: Any = None) -> bytes:
        raise AssertionError("a modern client is never asked")


class Desk:
    """A parked call at a server that asks twice, one thing after the other."""

    def __init__(self) -> None:
        self.turns = Turns("s", Concurrency(max_in_flight=1))
        self.client = Client(roots={})
        callee = InTurn(FakeUpstream("s", {"tools/call": self._answer}), self.turns, "ann")
        self.parked = Parked(1, callee, "ann", self.client)
        call = Call("tools/call", on_question=self.parked.asked)
        self.parked.run(begin(callee.call(call)))

    async def _answer(self, call: Call) -> Any:
        assert call.on_question is not None
        return [
            message.any_value(await call.on_question("roots/list", Raw(), unheard))
            for _ in range(2)
        ]


async def test_it_has_its_turn_while_the_server_works() -> None:
    desk = Desk()
    parked = desk.parked
    for round in ("roots-1", "roots-2"):
        await parked.turn()
        assert (list(parked.open), desk.turns.in_flight) == ([round], 1)
        parked.rest(5.0)
        assert (parked.caller, parked.expires_at, desk.turns.in_flight) == (None, 5.0, 0)
        parked.awake(desk.client)
        await parked.take_turn()
        parked.resume({round: as_raw(round), "unknown": as_raw({})})
    await parked.turn()
    answer = await parked.running
    assert isinstance(answer, bytes)
    assert json.loads(answer) == ["roots-1", "roots-2"]
    assert desk.turns.in_flight == 0


async def test_a_call_that_ended_meanwhile_takes_no_turn() -> None:
    desk = Desk()
    await desk.parked.turn()
    desk.parked.rest(5.0)
    desk.parked.end()
    await asyncio.wait([desk.parked.running])
    desk.parked.awake(desk.client)
    await desk.parked.take_turn()
    assert desk.turns.in_flight == 0


async def test_nor_does_one_that_ends_while_it_waits() -> None:
    desk = Desk()
    await desk.parked.turn()
    desk.parked.rest(5.0)
    assert desk.turns.enter()
    desk.parked.awake(desk.client)
    waiting = begin(desk.parked.take_turn())
    await until(lambda: desk.turns.waiting == 1)
    desk.parked.end()
    await asyncio.wait([desk.parked.running])
    desk.turns.end()
    await waiting
    assert desk.turns.in_flight == 0


async def test_what_the_client_did_not_declare_is_not_asked() -> None:
    desk = Desk()
    with pytest.raises(MethodNotFound):
        await desk.parked.asked("sampling/createMessage", as_raw({}), unheard)
    desk.parked.notify("notifications/x", Raw())
    desk.parked.rest(5.0)
    desk.parked.notify("notifications/y", Raw())
    assert desk.client.heard == ["notifications/x"]
    desk.parked.end()
    await asyncio.wait([desk.parked.running])
