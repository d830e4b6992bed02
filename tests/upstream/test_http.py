"""The pool on real sockets: reuse, queue, dead connections, cancellation, the end."""

import asyncio
import ssl

import pytest
import trustme

from fakes.http_server import HttpServer, Request, Script, Wire
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import ServerLost, ServerUnavailable
from only1mcp.protocol.sse import Event
from only1mcp.upstream.connection import Exchange, Response
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.http import FRESH_AFTER_S, HttpPool


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gate:
    """A script that holds each answer until the gate opens."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, request: Request, wire: Wire) -> None:
        await self.open.wait()
        await wire.json({"n": request.body.decode()})


async def echo(request: Request, wire: Wire) -> None:
    await wire.json({"n": request.body.decode()})


def pool_to(server: HttpServer, **options: object) -> HttpPool:
    return HttpPool(Endpoint("search", server.url), **options)  # type: ignore[arg-type]


async def post(pool: HttpPool, body: bytes = b"x") -> Response:
    head = pool.endpoint.head(b"POST")
    async with asyncio.timeout(5):
        return await pool.request(Exchange(), head, body)


async def test_one_connection_serves_calls_one_after_another() -> None:
    async with HttpServer(echo) as server:
        pool = pool_to(server)
        for n in range(20):
            answer = await post(pool, b"%d" % n)
            assert answer.body == b'{"n": "%d"}' % n
        assert server.connections == len(pool) == 1
        assert server.requests[0].headers["host"] == f"127.0.0.1:{server.port}"
        await pool.close()
        assert len(pool) == 0


async def test_each_caller_gets_its_own_answer() -> None:
    async with HttpServer(echo) as server:
        pool = pool_to(server, max_connections=7)
        answers = await asyncio.gather(*[post(pool, b"%d" % n) for n in range(200)])
        assert [a.body for a in answers] == [b'{"n": "%d"}' % n for n in range(200)]
        assert server.connections <= 7
        await pool.close()


async def test_callers_queue_in_order_when_all_connections_are_busy() -> None:
    gate = Gate()
    async with HttpServer(gate) as server:
        pool = pool_to(server, max_connections=1)
        tasks = Tasks()
        calls = [tasks.start(post(pool, b"%d" % n), f"call {n}") for n in range(5)]
        await server.until(lambda: len(server.requests) == 1)
        gate.open.set()
        await asyncio.gather(*calls)
        assert [request.body for request in server.requests] == [b"%d" % n for n in range(5)]
        assert server.connections == 1
        await pool.close()


async def test_a_caller_that_leaves_the_queue_takes_nothing_with_it() -> None:
    gate = Gate()
    async with HttpServer(gate) as server:
        pool = pool_to(server, max_connections=1)
        tasks = Tasks()
        first = tasks.start(post(pool, b"1"), "first")
        await server.until(lambda: len(server.requests) == 1)
        second = tasks.start(post(pool, b"2"), "second")
        third = tasks.start(post(pool, b"3"), "third")
        await asyncio.sleep(0)
        second.cancel()
        gate.open.set()
        await asyncio.wait([first, second, third])
        assert second.cancelled()
        assert third.result().body == b'{"n": "3"}'
        assert [request.body for request in server.requests] == [b"1", b"3"]
        await pool.close()


async def test_a_place_given_to_a_caller_that_left_goes_to_the_next() -> None:
    gate = Gate()
    async with HttpServer(gate) as server:
        pool = pool_to(server, max_connections=1)
        tasks = Tasks()
        first = tasks.start(post(pool, b"1"), "first")
        await server.until(lambda: len(server.requests) == 1)
        second = tasks.start(post(pool, b"2"), "second")
        third = tasks.start(post(pool, b"3"), "third")
        await asyncio.sleep(0)
        first.add_done_callback(lambda _: second.cancel())  # its place is granted by then
        gate.open.set()
        await asyncio.wait([first, second, third])
        assert third.result().body == b'{"n": "3"}'
        assert (await post(pool, b"4")).body == b'{"n": "4"}'
        await pool.close()


async def test_a_cancelled_call_closes_its_connection_and_frees_its_place() -> None:
    gate = Gate()
    async with HttpServer(gate) as server:
        pool = pool_to(server, max_connections=1)
        task = Tasks().start(post(pool), "call")
        await server.until(lambda: len(server.requests) == 1)
        task.cancel()
        await asyncio.wait([task])
        gate.open.set()
        await server.until(lambda: server.closed == 1)
        assert (await post(pool, b"2")).body == b'{"n": "2"}'
        assert server.connections == 2
        await pool.close()


async def test_a_connection_the_server_closed_while_idle_is_not_used() -> None:
    async def once(request: Request, wire: Wire) -> None:
        await echo(request, wire)
        wire.close()  # without having announced it

    async with HttpServer(once) as server:
        pool = pool_to(server)
        for n in range(10):
            answer = await post(pool, b"%d" % n)
            assert answer.body == b'{"n": "%d"}' % n
        assert len(server.requests) == 10
        await pool.close()


def dies_on_second(reset: bool) -> Script:
    async def script(request: Request, wire: Wire) -> None:
        if request.connection == 1 and request.body != b"first":
            wire.reset() if reset else wire.close()
        else:
            await echo(request, wire)

    return script


@pytest.mark.parametrize("reset", [True, False])
async def test_a_kept_connection_that_dies_repeats_nothing(reset: bool) -> None:
    async with HttpServer(dies_on_second(reset)) as server:
        pool = pool_to(server)
        await post(pool, b"first")
        with pytest.raises(ServerLost) as caught:
            await post(pool, b"call")
        assert caught.value.data["outcome"] == "unknown"
        assert [request.connection for request in server.requests] == [1, 1]
        await pool.close()


async def test_when_a_kept_connection_has_died_the_next_try_has_a_new_one() -> None:
    dying = asyncio.Event()

    async def script(request: Request, wire: Wire) -> None:
        if request.body == b"call":
            wire.reset()
        else:
            await dying.wait() if request.body == b"first" else dying.set()
            await echo(request, wire)

    async with HttpServer(script) as server:
        pool = pool_to(server)
        await asyncio.gather(post(pool, b"first"), post(pool, b"second"))  # two are kept
        with pytest.raises(ServerLost):
            await post(pool, b"call")
        await post(pool, b"again")
        assert server.requests[-1].connection == 3
        await pool.close()


async def test_a_new_connection_that_dies_repeats_nothing() -> None:
    async def deaf(request: Request, wire: Wire) -> None:
        wire.reset()

    async with HttpServer(deaf) as server:
        pool = pool_to(server)
        with pytest.raises(ServerLost):
            await post(pool)
        assert len(server.requests) == 1
        await pool.close()


async def test_an_answer_cut_after_any_byte_is_lost_or_whole() -> None:
    whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    cut = 0

    async def script(request: Request, wire: Wire) -> None:
        if cut:
            await wire.send(whole[:cut])
        wire.close()

    async with HttpServer(script) as server:
        pool = pool_to(server)
        for cut in range(len(whole)):  # noqa: B007 (read by the script)
            with pytest.raises(ServerLost):
                await post(pool)
        assert len(server.requests) == len(whole)
        cut = len(whole)
        assert (await post(pool)).body == b"{}"
        await pool.close()


async def test_a_connection_that_sat_long_is_not_used() -> None:
    clock = Clock()
    async with HttpServer(echo) as server:
        pool = pool_to(server, clock=clock)
        await post(pool)
        clock.now += FRESH_AFTER_S - 0.1
        await post(pool)
        assert server.connections == 1
        clock.now += FRESH_AFTER_S + 0.1
        await post(pool)
        assert server.connections == 2
        await pool.close()


async def test_idle_connections_are_closed_before_the_server_does() -> None:
    async with HttpServer(echo) as server:
        pool = pool_to(server, idle_s=0.02)
        await asyncio.gather(*[post(pool) for _ in range(3)])
        await server.until(lambda: server.closed == server.connections)
        assert len(pool) == 0
        await post(pool)
        await server.until(lambda: server.closed == server.connections)
        await pool.close()


async def test_a_refused_dial_is_not_sent_and_gives_its_place_back() -> None:
    async with HttpServer(echo) as server:
        pool = pool_to(server, max_connections=1)
    answers = await asyncio.gather(*[post(pool) for _ in range(3)], return_exceptions=True)
    assert all(isinstance(answer, ServerUnavailable) for answer in answers)
    async with HttpServer(echo, port=server.port):
        assert (await post(pool)).status == 200
        await pool.close()


async def test_close_ends_what_runs_waits_or_comes_later() -> None:
    gate = Gate()
    async with HttpServer(gate) as server:
        pool = pool_to(server, max_connections=1)
        tasks = Tasks()
        runs = tasks.start(post(pool), "runs")
        await server.until(lambda: len(server.requests) == 1)
        waits = tasks.start(post(pool), "waits")
        await asyncio.sleep(0)
        await pool.close()
        ended = await asyncio.gather(runs, waits, return_exceptions=True)
        assert isinstance(ended[0], ServerLost)
        assert isinstance(ended[1], ServerUnavailable)
        with pytest.raises(ServerUnavailable):
            await post(pool)
        assert len(pool) == 0
        gate.open.set()


class Collecting(Exchange):
    """Takes events until one says `last`."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[bytes] = []

    def on_event(self, event: Event) -> bool:
        self.got.append(event.data)
        return event.data == b"last"


async def test_the_connection_of_a_stream_is_kept_once_it_has_ended() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.stream(b"data: one\n\n", b"data: last\n\n")
        await wire.end()

    async with HttpServer(script) as server:
        pool = pool_to(server)
        for _ in range(3):
            exchange = Collecting()
            answer = await pool.request(exchange, pool.endpoint.head(b"POST"), b"x")
            assert answer.stream
            assert exchange.got == [b"one", b"last"]
            await asyncio.gather(post(pool))  # room for the end to arrive
        assert server.connections <= 3
        await pool.close()


async def test_tls() -> None:
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    async with HttpServer(echo, tls=theirs) as server:
        pool = HttpPool(Endpoint("search", server.url, tls=ours))
        for n in range(5):
            assert (await post(pool, b"%d" % n)).body == b'{"n": "%d"}' % n
        assert server.connections <= 2  # a session ticket may make one look busy
        await pool.close()
