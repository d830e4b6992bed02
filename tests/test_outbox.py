"""What is written in one turn of the loop leaves together, in order; a lone write does not wait."""

import asyncio
from typing import Any, cast

import pytest

from fakes.edge import FakeTransport, no_app
from fakes.http_corpus import POST
from only1mcp.config.model import Listener
from only1mcp.outbox import LONE_TURNS, LOOKS_AGAIN, Outbox, of_loop
from only1mcp.policy.access import Access
from only1mcp.server.asgi import AppHandler
from only1mcp.server.connection import Connection, Shared
from only1mcp.server.exchange import Exchange, Work


class Wire:
    """A transport that notes what it gets, and in which order of all."""

    def __init__(self, name: str, got: list[str]) -> None:
        self.name, self.got, self.closing = name, got, False

    def write(self, data: bytes) -> None:
        assert not self.closing, "a closed transport raises"
        self.got.append(f"{self.name}{data.decode()}")

    def is_closing(self) -> bool:
        return self.closing


class Desk:
    """Two wires and an outbox."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.wires = {name: Wire(name, self.got) for name in "ab"}
        self.outbox = Outbox()

    def write(self, *letters: str) -> None:
        """Such as "a1": to wire a."""
        for letter in letters:
            self.outbox.write(cast(Any, self.wires[letter[0]]), letter[1:].encode())

    def clear_way(self, name: str) -> None:
        self.outbox.clear_way(cast(Any, self.wires[name]))


async def turn() -> None:
    """What is left of this turn of the loop."""
    await asyncio.sleep(0)


async def test_a_lone_write_does_not_wait() -> None:
    desk = Desk()
    for number in range(3 * LOOKS_AGAIN):
        desk.write(f"a{number}")
        assert desk.got[-1] == f"a{number}"
        await turn()


async def test_those_after_the_first_leave_at_the_end_of_the_turn() -> None:
    desk = Desk()
    desk.write("a1", "b2", "a3")
    assert desk.got == ["a1"]
    await turn()
    assert desk.got == ["a1", "b2", "a3"]


async def test_in_a_turn_after_a_busy_one_the_first_waits_too_until_turns_are_quiet_again() -> None:
    desk = Desk()
    desk.write("a1", "b2")
    await turn()
    desk.write("a3")
    assert desk.got == ["a1", "b2"]
    desk.write("b4")
    await turn()
    desk.write("b5")
    assert desk.got == ["a1", "b2", "a3", "b4"]
    await turn()
    assert desk.got[-1] == "b5"
    desk.write("a6")
    assert desk.got[-1] == "a6"


async def test_after_lone_writes_only_one_in_some_asks_whether_it_is_alone() -> None:
    desk = Desk()
    for _ in range(LONE_TURNS):
        desk.write("a0")
        await turn()
    desk.write(*["b1"] * (LOOKS_AGAIN - 1), "b2", "b3", "b4")
    assert desk.got[LONE_TURNS:] == ["b1"] * (LOOKS_AGAIN - 1) + ["b2"]
    await turn()
    assert desk.got[-2:] == ["b3", "b4"]
    desk.write("a5")
    assert desk.got[-1] == "b4", "and from then on they leave together"


async def test_what_is_kept_can_leave_before_the_turn_is_over() -> None:
    desk = Desk()
    desk.write("a1", "b2")
    desk.clear_way("a")
    assert desk.got == ["a1"], "nothing is kept for it"
    desk.clear_way("b")
    assert desk.got == ["a1", "b2"]
    await turn()
    desk.write("b3")
    assert desk.got == ["a1", "b2"], "that turn had two writes, so this one may"
    await turn()
    assert desk.got == ["a1", "b2", "b3"]


async def test_a_transport_that_was_cut_meanwhile_gets_nothing_and_the_others_all() -> None:
    desk = Desk()
    desk.write("b0", "a1", "b2", "a3")
    desk.wires["a"].closing = True
    await turn()
    assert desk.got == ["b0", "b2"]


async def test_what_is_written_because_of_a_write_is_of_the_next_turn() -> None:
    desk = Desk()
    wire = desk.wires["a"]
    plain = wire.write

    def answering(data: bytes) -> None:
        plain(data)
        if data == b"2":
            desk.write("b4")

    wire.write = answering  # type: ignore[method-assign]
    desk.write("a1", "a2", "a3")
    await turn()
    assert desk.got == ["a1", "a2", "a3"]
    await turn()
    assert desk.got == ["a1", "a2", "a3", "b4"]


async def test_each_loop_has_one() -> None:
    assert of_loop() is of_loop()

    async def other() -> Outbox:
        return of_loop()

    assert await asyncio.to_thread(lambda: asyncio.run(other())) is not of_loop()


# --- at the edge ---


def answered(exchange: Exchange) -> None:
    """As what was begun without a task is."""
    exchange.hold(cast(Work, object()))
    exchange.respond_json(b"{}")
    exchange.release()


def connected(shared: Shared) -> tuple[Connection, FakeTransport]:
    connection, transport = Connection(shared), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


def edge() -> Shared:
    return Shared(Access(Listener()), 4 << 20, 100, answered, AppHandler(no_app, "http"))


ASKS = POST + b"Content-Length: 2\r\n\r\n{}"


async def test_answers_of_one_turn_leave_at_its_end() -> None:
    shared = edge()
    clients = [connected(shared) for _ in range(3)]
    for connection, _ in clients:
        connection.data_received(ASKS)
    assert [bool(transport.written) for _, transport in clients] == [True, False, False]
    await turn()
    assert len({transport.written for _, transport in clients}) == 1


async def test_what_is_answered_as_it_is_read_waits_for_no_other_answer() -> None:
    shared = edge()
    shared.mcp = lambda exchange: exchange.respond_json(b"[]")
    for _ in range(3):
        connection, transport = connected(shared)
        connection.data_received(ASKS)
        assert transport.written.endswith(b"[]")


@pytest.mark.parametrize("end", ["close", "retire", "refused", "streamed"])
async def test_an_answer_that_is_kept_comes_before_what_follows_it(end: str) -> None:
    def streamed(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.end()

    shared = edge()
    connected(shared)[0].data_received(ASKS)  # writes first in this turn
    connection, transport = connected(shared)
    connection.data_received(ASKS)
    assert not transport.written
    match end:
        case "close":
            connection.close()
        case "retire":
            connection.retire()
        case "refused":
            connection.data_received(b"no HTTP\r\n\r\n")
        case "streamed":
            shared.mcp = streamed
            connection.data_received(ASKS)
    assert transport.written.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/json")
    assert transport.closed or transport.eof or transport.written.count(b"HTTP/1.1 ") == 2
