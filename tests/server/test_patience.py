"""Time and random bytes against one connection, with a transport that only remembers.

Why     deadlines need no clock but the number that `check` is given.
"""

import asyncio
import logging
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.edge import FakeTransport, Held, begin, hello, no_app, until
from fakes.http_corpus import AMBIGUOUS, CHUNKED, GET, POST
from only1mcp.config.model import Listener
from only1mcp.policy.access import Access
from only1mcp.server import patience as rules
from only1mcp.server.asgi import AppHandler
from only1mcp.server.connection import MAX_TURNED_AWAY, Connection, Shared
from only1mcp.server.exchange import Exchange, Handler

HELLO = b"Content-Length: 5\r\n\r\nhello"


def shared(mcp: Handler = hello, max_connections: int = 100) -> Shared:
    listener = Listener()
    return Shared(Access(listener), 4 << 20, max_connections, mcp, AppHandler(no_app, "http"))


def connected(common: Shared | None = None) -> tuple[Connection, FakeTransport]:
    connection, transport = Connection(common or shared()), FakeTransport()
    connection.connection_made(transport)
    return connection, transport


def check_until(connection: Connection, seconds: float, start: float = 1000.0) -> None:
    """Look every second, as the edge does."""
    for second in range(int(seconds) + 1):
        connection.check(start + second)


def said(transport: FakeTransport) -> int:
    """The status of what was answered; 0 if nothing was."""
    return int(transport.written.split()[1]) if transport.written else 0


async def test_a_connection_without_a_byte_is_closed_in_silence() -> None:
    connection, transport = connected()
    check_until(connection, rules.HEAD_S - 1)
    assert not transport.closed
    check_until(connection, rules.HEAD_S)
    assert (transport.closed, transport.written) == (True, b"")


@pytest.mark.parametrize("data", [b"P", POST, GET + b"\r\n" + POST])
async def test_a_head_has_an_absolute_deadline(data: bytes) -> None:
    connection, transport = connected()
    connection.data_received(data)
    await asyncio.sleep(0)
    transport.written = b""
    for second in range(int(rules.HEAD_S)):
        connection.check(1000.0 + second)
        connection.data_received(b"OST"[second : second + 1] if data == b"P" else b"X")
        assert not transport.written
    connection.check(1000.0 + rules.HEAD_S)
    assert said(transport) == 408
    assert transport.eof


async def test_a_body_has_an_idle_deadline() -> None:
    connection, transport = connected()
    connection.data_received(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 100_000)
    check_until(connection, 20)
    connection.data_received(b"x")
    check_until(connection, rules.BODY_IDLE_S - 1, 1021)
    assert not transport.written
    check_until(connection, 2, 1021 + rules.BODY_IDLE_S)
    assert said(transport) == 408


async def test_a_body_has_a_least_rate() -> None:
    fast, fast_transport = connected()
    slow, slow_transport = connected()
    for one in (fast, slow):
        one.data_received(POST + b"Content-Length: 1000000\r\n\r\n")
    for second in range(int(rules.BODY_IDLE_S) + 1):
        for one in (fast, slow):
            one.check(1000.0 + second)
        fast.data_received(b"x" * (rules.BODY_RATE + 1))
        slow.data_received(b"x" * (rules.BODY_RATE - 100))
    assert (said(fast_transport), said(slow_transport)) == (0, 408)


async def test_between_requests_a_client_may_rest_for_a_while() -> None:
    connection, transport = connected()
    connection.data_received(POST + HELLO)
    await asyncio.sleep(0)
    assert said(transport) == 200
    connection.check(1000.0)
    connection.data_received(b"\r\n")  # not a request: buys no time
    closed = []
    for seconds in (rules.IDLE_S - 1, rules.IDLE_S):
        check_until(connection, seconds)
        closed.append(transport.closed)
    assert closed == [False, True]
    assert transport.written.count(b"HTTP/1.1") == 1


async def test_a_running_request_has_no_deadline_here() -> None:
    held = Held()
    connection, transport = connected(shared(held))
    connection.data_received(POST + HELLO)
    await asyncio.sleep(0)
    check_until(connection, 1000)
    assert not (transport.closed or transport.aborted or transport.written)
    held.go.set()
    await until(lambda: held.ended == 1)


async def test_a_late_head_behind_a_running_request_is_told_in_its_turn() -> None:
    held = Held()
    connection, transport = connected(shared(held))
    connection.data_received(POST + HELLO + POST)
    await asyncio.sleep(0)
    check_until(connection, rules.HEAD_S + 5)
    assert not transport.written
    held.go.set()
    await until(lambda: transport.eof)
    assert [line.split()[1] for line in transport.written.split(b"\r\n") if b"HTTP/" in line] == [
        b"200",
        b"408",
    ]


async def test_no_408_while_it_is_we_who_do_not_read_or_owe_a_100() -> None:
    held = Held()
    connection, transport = connected(shared(held))
    connection.data_received(POST + HELLO + POST)
    connection.pause_writing()
    check_until(connection, 100)
    connection.resume_writing()
    connection.data_received(b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    check_until(connection, 100, 2000)
    assert not transport.written
    held.go.set()
    await until(lambda: b"100 Continue" in transport.written)
    check_until(connection, rules.BODY_IDLE_S, 3000)
    assert b" 408 " in transport.written


async def test_an_answer_nobody_reads_is_cut_when_nothing_moves() -> None:
    connection, transport = connected()
    connection.data_received(POST + HELLO)
    await asyncio.sleep(0)
    transport.pending = len(transport.written)
    check_until(connection, 50)
    transport.pending -= 1  # progress
    check_until(connection, rules.WRITE_IDLE_S - 1, 1051)
    assert not transport.aborted
    check_until(connection, 2, 1051 + rules.WRITE_IDLE_S)
    assert transport.aborted


async def test_writing_more_is_not_progress() -> None:
    streams: list[Exchange] = []

    async def stream(exchange: Exchange) -> None:
        exchange.open_stream()
        streams.append(exchange)

    connection, transport = connected(shared(stream))
    connection.data_received(GET + b"\r\n")
    await asyncio.sleep(0)
    for second in range(int(rules.WRITE_IDLE_S) + 1):
        streams[0].send(b"x")
        transport.pending = len(transport.written)
        connection.check(1000.0 + second)
    assert transport.aborted


async def test_lingering_ends() -> None:
    connection, transport = connected()
    connection.data_received(b"nonsense\r\n\r\n")
    assert (said(transport), transport.eof, transport.closed) == (400, True, False)
    connection.data_received(b"more of it" * 1000)
    transport.pending = 10
    check_until(connection, rules.LINGER_S)
    assert not transport.closed  # it still reads
    transport.pending = 0
    connection.check(1000.0 + rules.LINGER_S)
    assert transport.closed


async def test_far_above_the_limit_connections_are_reset() -> None:
    common = shared(max_connections=10)
    transports = [connected(common)[1] for _ in range(10 + MAX_TURNED_AWAY + 5)]
    assert [said(transport) for transport in transports[:10]] == [0] * 10
    assert {said(transport) for transport in transports[10:-5]} == {503}
    assert all(transport.aborted for transport in transports[-5:])


async def test_drain_waits_for_the_client_or_its_end() -> None:
    connection, _ = connected()
    await connection.drain()
    for release in (connection.resume_writing, lambda: connection.connection_lost(None)):
        connection.pause_writing()
        waiting = begin(connection.drain())
        await asyncio.sleep(0)
        assert not waiting.done()
        release()
        await asyncio.wait_for(waiting, 1)


# random bytes


@given(
    st.lists(
        st.one_of(
            st.sampled_from([GET, b"\r\n", POST, HELLO, CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"]),
            st.sampled_from([*AMBIGUOUS.values()]),
            st.binary(max_size=20),
        ),
        max_size=12,
    ).map(b"".join),
    st.lists(st.integers(min_value=0), max_size=8),
)
def test_any_bytes_end_in_answers_or_a_close(data: bytes, cuts: list[int]) -> None:
    asyncio.run(never_stuck(data, cuts))


async def never_stuck(data: bytes, cuts: list[int]) -> None:
    calls = 0

    async def counted(exchange: Exchange) -> None:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0)
        exchange.respond(200, b"ok")

    connection, transport = connected(shared(counted))
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        connection.data_received(data[start:end])
        await asyncio.sleep(0)
    await until(lambda: connection._current is None and not connection.reader.ready)
    answers = transport.written.count(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    assert answers == calls
    check_until(connection, 200)
    assert transport.closed or transport.aborted


def test_the_log_names_what_was_refused(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse() -> None:
        connected()[0].data_received(AMBIGUOUS["two lengths"])

    with caplog.at_level(logging.DEBUG, "only1mcp.http"):
        asyncio.run(refuse())
    assert "refused: 400" in caplog.text
