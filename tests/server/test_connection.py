"""One client connection: order, limits, deadlines, and every way to end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.edge import Client, Held, begin, client, connections, hello, running, until
from fakes.http_corpus import AMBIGUOUS, CHUNKED, GET, POST
from only1mcp.server import connection as rules
from only1mcp.server.exchange import MAX_PENDING_BYTES, Exchange, Handler
from only1mcp.server.http import Edge

HELLO = b"Content-Length: 5\r\n\r\nhello"


@asynccontextmanager
async def talking(mcp: Handler = hello, **settings: Any) -> AsyncIterator[tuple[Edge, Client]]:
    """An edge and one connection to it."""
    async with running(mcp, **settings) as edge, client(edge) as one:
        yield edge, one


# refusals on a real socket


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_the_ambiguous_gets_400_and_the_door(name: str) -> None:
    held = Held()
    async with talking(held) as (_, one):
        answer = await one.ask(AMBIGUOUS[name] + GET + b"\r\n")
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert isinstance(json.loads(answer.body)["error"], str)
        assert await one.rest() == b""
        assert not held.exchanges


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (GET.replace(b"/mcp", b"/" + b"x" * 9000) + b"\r\n", 414),
        (GET + b"X: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (GET + b"".join(b"H%d: x\r\n" % number for number in range(101)) + b"\r\n", 431),
        (POST + b"Content-Length: 1025\r\n\r\n", 413),
        (POST + b"Content-Length: 1025\r\nExpect: 100-continue\r\n\r\n", 413),
        (CHUNKED + b"401\r\n" + b"x" * 1025, 413),
        (POST + b"Expect: tea\r\nContent-Length: 1\r\n\r\n", 417),
        (POST + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\n", 415),
        (GET + b"Mcp-Method: a\r\nmcp-method: a\r\n\r\n", 400),
        (b"GET /mcp HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (GET + b"Origin: http://evil.example\r\n\r\n", 403),
        (GET + b"Origin: null\r\n\r\n", 403),
        (b"BREW /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"TRACE /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET /mcp HTTP/3.0\r\n\r\n", 400),
        (b"GET /mcp HTTP/0.9\r\n\r\n", 505),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_refusals_are_said_and_end_the_connection(data: bytes, status: int) -> None:
    async with talking(max_body_bytes=1024) as (_, one):
        answer = await one.ask(data)
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert await one.rest() == b""


async def test_a_client_that_sends_on_and_on_can_still_read_its_413() -> None:
    async with talking(max_body_bytes=1024) as (_, one):
        sending = begin(one.send(POST + b"Content-Length: 8000000\r\n\r\n" + b"x" * 8_000_000))
        answer = await one.answer()
        await sending
        assert answer.status == 413
        assert b"server.max_body_bytes" in answer.body


async def test_token_is_checked_before_the_body_is_sent() -> None:
    async with talking(auth={"tokens": ["secret"]}) as (edge, one):
        head = POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n"
        answer = await one.ask(head + b"\r\n")
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        async with client(edge) as other:
            await other.send(head + b"Authorization: Bearer secret\r\n\r\n")
            assert await other.head() == (100, {})
            assert (await other.ask(b"hello")).status == 200


# order


async def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    order: list[bytes] = []

    async def slow_first(exchange: Exchange) -> None:
        order.append(b"begin " + exchange.request.body)
        if exchange.request.body == b"1":
            await asyncio.sleep(0.01)
        order.append(b"end " + exchange.request.body)
        exchange.respond(200, exchange.request.body)

    async with talking(slow_first) as (_, one):
        for number in (b"1", b"2", b"3"):
            await one.send(POST + b"Content-Length: 1\r\n\r\n" + number)
        assert [(await one.answer()).body for _ in range(3)] == [b"1", b"2", b"3"]
        assert order == [b"begin 1", b"end 1", b"begin 2", b"end 2", b"begin 3", b"end 3"]


async def test_the_queue_is_bounded_and_all_are_answered_in_the_end() -> None:
    held = Held()
    async with talking(held) as (edge, one):
        count = 5000
        sending = begin(
            one.send(b"".join(POST + b"Content-Length: 4\r\n\r\n%04d" % n for n in range(count)))
        )
        (connection,) = await connections(edge, 1)
        await until(lambda: connection.held)
        assert rules.MAX_QUEUED <= len(connection.reader.ready) < 200
        held.go.set()
        for number in range(count):
            assert (await one.answer()).body == b"%04d" % number
        await sending


async def test_queued_bodies_are_bounded_too() -> None:
    held = Held()
    big = POST + b"Content-Length: 900000\r\n\r\n" + b"x" * 900_000
    async with talking(held) as (edge, one):
        sending = begin(one.send(big * 8))
        (connection,) = await connections(edge, 1)
        await until(lambda: connection.held)
        assert len(connection.reader.ready) <= 3
        held.go.set()
        for _ in range(8):
            assert len((await one.answer()).body) == 900_000
        await sending


async def test_a_bad_request_waits_for_the_answers_before_it() -> None:
    held = Held()
    async with talking(held) as (_, one):
        await one.send(POST + HELLO + POST + HELLO + AMBIGUOUS["two lengths"])
        await until(lambda: bool(held.exchanges))
        held.go.set()
        assert [(await one.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await one.rest() == b""
        assert len(held.exchanges) == 2


async def test_keep_alive_close_and_http_1_0() -> None:
    async with talking() as (edge, one):
        assert (await one.ask(POST + HELLO)).body == b"POST /mcp hello"
        answer = await one.ask(GET + b"Connection: close\r\n\r\n" + GET + b"\r\n")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await one.rest() == b""
        async with client(edge) as old:
            answer = await old.ask(b"GET /mcp HTTP/1.0\r\n\r\n")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await old.rest() == b""


async def test_head_and_options() -> None:
    async with talking() as (_, one):
        await one.send(GET.replace(b"GET", b"HEAD") + b"\r\n")
        answer = await one.answer(head_only=True)
        assert answer.headers["content-length"] == "10"
        answer = await one.ask(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (answer.status, "POST" in answer.headers["allow"]) == (204, True)


async def test_preflight_and_the_answer_a_page_may_read() -> None:
    origin = b"Origin: http://localhost:6274\r\n"
    async with talking(auth={"tokens": ["secret"]}) as (_, one):
        await one.send(GET.replace(b"GET", b"OPTIONS") + origin)
        answer = await one.ask(b"Access-Control-Request-Method: POST\r\n\r\n")
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "http://localhost:6274"
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        answer = await one.ask(POST + origin + b"Authorization: Bearer secret\r\n" + HELLO)
        assert answer.headers["access-control-allow-origin"] == "http://localhost:6274"
        assert "mcp-session-id" in answer.headers["access-control-expose-headers"].lower()
        other_path = GET.replace(b"/mcp", b"/health") + origin + b"\r\n"
        assert "access-control-allow-origin" not in (await one.ask(other_path)).headers


# 100-continue


async def test_continue_is_said_once_and_not_when_the_body_came_anyway() -> None:
    async with talking() as (_, one):
        head = POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        await one.send(head)
        assert await one.head() == (100, {})
        assert (await one.ask(b"hello")).body == b"POST /mcp hello"
        assert (await one.ask(head + b"hello")).status == 200
        assert (await one.ask(POST + b"Expect: 100-continue\r\n\r\n")).status == 200


async def test_continue_waits_for_the_answer_before_it() -> None:
    held = Held()
    async with talking(held) as (_, one):
        await one.send(POST + HELLO + POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        await until(lambda: bool(held.exchanges))
        held.go.set()
        assert (await one.answer()).body == b"hello"
        assert await one.head() == (100, {})
        assert (await one.ask(b"hi")).body == b"hi"


# flow


async def test_above_the_high_water_mark_no_more_requests_are_taken() -> None:
    calls = 0

    async def large(exchange: Exchange) -> None:
        nonlocal calls
        calls += 1
        exchange.respond(200, b"x" * 4_000_000)

    async with talking(large) as (edge, one):
        await one.send((GET + b"\r\n") * 10)
        (connection,) = await connections(edge, 1)
        await until(lambda: connection.held)
        taken = calls
        assert taken < 10
        for _ in range(10):
            assert len((await one.answer()).body) == 4_000_000
        assert calls == 10


async def test_a_stream_nobody_reads_is_cut_and_the_handler_told() -> None:
    told = asyncio.Event()
    sent = 0

    async def flood(exchange: Exchange) -> None:
        nonlocal sent
        exchange.on_disconnect = told.set
        exchange.open_stream()
        while exchange.send(b"x" * 65536):
            sent += 65536
            await asyncio.sleep(0)

    async with talking(flood) as (edge, one):
        await one.send(GET + b"\r\n")
        await asyncio.wait_for(told.wait(), 10)
        assert MAX_PENDING_BYTES < sent < MAX_PENDING_BYTES * 8  # kernel buffers come on top
        await until(lambda: edge.connections == 0)


async def test_a_client_that_leaves_is_noticed_at_once() -> None:
    gone: list[str] = []

    async def waiting(exchange: Exchange) -> None:
        exchange.on_disconnect = lambda: gone.append(exchange.request.path)
        if exchange.request.path == "/mcp/stream":
            exchange.open_stream()
        await until(lambda: exchange.closed)
        exchange.respond(200, b"too late")
        assert not exchange.send(b"too late")

    async with running(waiting) as edge:
        for path in (b"/mcp/plain", b"/mcp/stream"):
            async with client(edge) as one:
                await one.send(GET.replace(b"/mcp", path) + b"\r\n")
                await until(lambda: edge.requests_in_flight == 1)
            await until(lambda: edge.requests_in_flight == 0)
        assert gone == ["/mcp/plain", "/mcp/stream"]
        assert edge.connections == 0


async def test_a_request_sent_by_a_client_that_has_left_is_still_carried_out() -> None:
    held = Held()
    async with running(held) as edge:
        async with client(edge) as one:
            await one.send(POST + HELLO)
        await until(lambda: len(held.exchanges) == 1)
        held.go.set()
        await until(lambda: held.ended == 1)


async def test_a_stream_may_outlive_its_handler() -> None:
    streams: list[Exchange] = []

    async def opened(exchange: Exchange) -> None:
        exchange.open_stream()
        streams.append(exchange)

    async with talking(opened) as (edge, one):
        await one.send(GET + b"\r\n" + GET + b"\r\n")
        await until(lambda: bool(streams) and edge.requests_in_flight == 0)
        assert streams[0].send(b"data: 1\n\n")
        assert (await one.head())[0] == 200
        assert await one.chunk() == b"data: 1\n\n"
        streams[0].end()
        assert await one.chunk() == b""
        await until(lambda: len(streams) == 2)


# a handler that fails


async def test_a_failing_handler_is_500_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(exchange: Exchange) -> None:
        if exchange.request.body == b"hello":
            raise ZeroDivisionError("secret detail")

    async with talking(broken) as (_, one):
        for body in (HELLO, b"\r\n"):  # raises; leaves without an answer
            answer = await one.ask(POST + body)
            assert answer.status == 500
            assert "secret" not in answer.body.decode()
            assert "Traceback" not in answer.body.decode()
    assert "secret detail" in caplog.text
    assert "without an answer" in caplog.text


async def test_a_stream_whose_handler_fails_does_not_look_whole() -> None:
    async def broken(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.send(b"data: 1\n\n")
        raise ZeroDivisionError

    async with talking(broken) as (_, one):
        await one.send(GET + b"\r\n")
        data = await one.rest()
        assert b"data: 1" in data
        assert not data.endswith(b"0\r\n\r\n")


# limits


async def test_too_many_connections_are_told_to_come_back() -> None:
    async with running(max_connections=10) as edge:
        clients = [client(edge) for _ in range(10)]
        for one in clients:
            assert (await (await one.__aenter__()).ask(POST + HELLO)).status == 200
        async with client(edge) as extra:
            answer = await extra.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert await extra.rest() == b""
        await clients[0].__aexit__(None, None, None)
        await until(lambda: edge.connections == 9)
        async with client(edge) as one_more:
            assert (await one_more.ask(POST + HELLO)).status == 200
        for one in clients[1:]:
            await one.__aexit__(None, None, None)


async def test_a_slow_head_gets_408_on_a_real_socket() -> None:
    async with talking() as (edge, one):
        await one.send(POST)
        (connection,) = await connections(edge, 1)
        await until(lambda: connection.reader.serial == 1)
        for now in (100.0, 109.9, 110.0):
            edge.sweep(now)
        answer = await one.answer()
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert await one.rest() == b""


async def test_while_the_edge_closes_a_good_request_is_the_last_word() -> None:
    """What follows it in the same segment is not answered on a stream that has ended."""

    def at_once(exchange: Exchange) -> None:
        exchange.respond(200, b"{}")

    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    async with talking(at_once) as (edge, one):
        (connection,) = await connections(edge, 1)
        connection.closing = True
        await one.send(POST + HELLO + b"garbage\r\n\r\n")
        assert (await one.answer()).status == 200
        assert await one.rest() == b""
    assert not faults
