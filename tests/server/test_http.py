"""The edge as its owner sees it: start, routes, drain, close."""

import asyncio
import gc
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from fakes.edge import PATIENCE_S, begin, client, hello, no_app, running, until
from fakes.http_corpus import GET, POST
from only1mcp.config.model import Listener
from only1mcp.policy.access import Access
from only1mcp.server import http
from only1mcp.server.asgi import Receive, Scope, Send
from only1mcp.server.connection import Connection
from only1mcp.server.http import Edge, Exchange, ListenError


def an_edge(mcp: Any = hello, app: Any = no_app, **settings: Any) -> Edge:
    listener = Listener(**settings)
    return Edge(listener, Access(listener), mcp, app, port=0)


async def forever(exchange: Exchange) -> None:
    await asyncio.Event().wait()


# start and routes


async def test_mcp_paths_go_to_mcp_and_all_others_to_the_app() -> None:
    async with running() as edge, client(edge) as one:
        assert edge.url == f"http://127.0.0.1:{edge.port}"
        assert edge.port > 0
        for path in (b"/mcp", b"/mcp/", b"/mcp/memory", b"/mcp?x=1"):
            answer = await one.ask(GET.replace(b"/mcp", path) + b"\r\n")
            assert answer.body.startswith(b"GET /mcp")
        for path in (b"/", b"/mcpx", b"/livez", b"/%6dcp"):
            answer = await one.ask(GET.replace(b"/mcp", path) + b"\r\n")
            assert not answer.body.startswith(b"GET")
        assert edge.connections == 1


async def test_settings_give_the_port_unless_overridden() -> None:
    settings = Listener(port=4321)
    assert Edge(settings, Access(settings), hello, no_app).url == "http://127.0.0.1:4321"
    edge = an_edge(port=4321)
    assert (edge.connections, edge.requests_in_flight) == (0, 0)
    edge.stop_accepting()
    await edge.close()  # never started: nothing to do


async def test_a_taken_port_is_a_listen_error() -> None:
    async with running() as edge:
        settings = Listener(port=edge.port)
        second = Edge(settings, Access(settings), hello, no_app)
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{edge.port}"):
            await second.start()


async def test_an_app_that_does_not_start_gives_the_port_back() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    edge = an_edge(app=broken)
    with pytest.raises(RuntimeError, match="no database"):
        await edge.start()
    settings = Listener(port=edge.port)
    again = Edge(settings, Access(settings), hello, no_app)
    await again.start()
    await again.close()


async def test_ipv6_has_brackets() -> None:
    try:
        async with running(host="::1") as edge:
            assert edge.url == f"http://[::1]:{edge.port}"
            async with client(edge) as one:
                host = b"Host: [::1]:%d" % edge.port
                answer = await one.ask(POST.replace(b"Host: localhost", host) + b"\r\n")
                assert answer.status == 200
    except ListenError:
        pytest.skip("no IPv6 here")


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_files(ca: trustme.CA, tmp_path: Path) -> dict[str, str]:
    one = ca.issue_cert("localhost", "127.0.0.1")
    one.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    one.private_key_pem.write_to_path(tmp_path / "key.pem")
    return {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}


async def test_tls(ca: trustme.CA, tls_files: dict[str, str]) -> None:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    async with running(tls=tls_files) as edge, client(edge, context) as one:
        assert edge.url.startswith("https://")
        for _ in range(3):
            assert (await one.ask(POST + b"Content-Length: 2\r\n\r\nhi")).body == b"POST /mcp hi"
        assert (await one.ask(POST + b"Content-Length: x\r\n\r\n")).status == 400


async def test_a_large_stream_over_tls_arrives_whole(
    ca: trustme.CA, tls_files: dict[str, str]
) -> None:
    async def stream(exchange: Exchange) -> None:
        exchange.open_stream()
        for _ in range(64):
            assert exchange.send(b"x" * 65536)
            await exchange.drain()
        exchange.end()

    context = ssl.create_default_context()
    ca.configure_trust(context)
    async with running(stream, tls=tls_files) as edge, client(edge, context) as one:
        assert len((await one.ask(GET + b"\r\n")).body) == 64 * 65536


async def test_over_tls_too_a_stream_nobody_reads_is_cut(
    ca: trustme.CA, tls_files: dict[str, str]
) -> None:
    told = asyncio.Event()

    async def flood(exchange: Exchange) -> None:
        exchange.on_disconnect = told.set
        exchange.open_stream()
        for _ in iter(lambda: exchange.send(b"x" * 65536), False):
            await asyncio.sleep(0)

    context = ssl.create_default_context()
    ca.configure_trust(context)
    async with running(flood, tls=tls_files) as edge, client(edge, context) as one:
        await one.send(GET + b"\r\n")
        await asyncio.wait_for(told.wait(), PATIENCE_S)
        await until(lambda: edge.connections == 0)


async def test_a_wrong_key_is_a_listen_error(tls_files: dict[str, str]) -> None:
    tls_files["key"] = __file__
    with pytest.raises(ListenError, match=r"test_http\.py"):
        await an_edge(tls=tls_files).start()


# the end


async def test_after_stop_accepting_each_connection_ends_with_its_answer() -> None:
    go = asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        await go.wait()
        await hello(exchange)

    async with running(waits) as edge, client(edge) as busy, client(edge) as idle:
        await busy.send(POST + b"\r\n")
        await until(lambda: edge.requests_in_flight == 1 and edge.connections == 2)
        edge.stop_accepting()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", edge.port)
        go.set()
        for one in (busy, idle):
            if one is idle:
                await one.send(POST + b"\r\n")
            answer = await one.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await one.rest() == b""
        await until(lambda: edge.requests_in_flight == 0)


async def test_close_ends_the_idle_the_running_and_the_streaming() -> None:
    async def mixed(exchange: Exchange) -> None:
        if exchange.request.method == "GET":
            exchange.open_stream()
            exchange.send(b"data: 1\n\n")
            return
        await forever(exchange)

    edge = an_edge(mixed)
    await edge.start()
    async with client(edge) as idle, client(edge) as running_one, client(edge) as streaming:
        await running_one.send(POST + b"\r\n")
        await streaming.send(GET + b"\r\n")
        assert (await streaming.head())[0] == 200
        assert await streaming.chunk() == b"data: 1\n\n"
        await until(lambda: edge.requests_in_flight == 1 and edge.connections == 3)
        closing = begin(edge.close())
        answer = await running_one.answer()
        assert (answer.status, answer.headers["connection"]) == (503, "close")
        assert b"stopping" in answer.body
        assert await streaming.chunk() == b""  # a proper end
        for one in (idle, running_one, streaming):
            assert await one.rest() == b""
            await one.close()
        await asyncio.wait_for(closing, PATIENCE_S)
        assert (edge.connections, edge.requests_in_flight) == (0, 0)


async def test_close_does_not_wait_for_those_who_do_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(http, "CLOSE_S", 0.05)
    released = asyncio.Event()

    async def stubborn(exchange: Exchange) -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        exchange.respond(200)

    edge = an_edge(stubborn)
    await edge.start()
    async with client(edge) as one:
        await one.send(POST + b"\r\n")
        await until(lambda: edge.requests_in_flight == 1)
        await asyncio.wait_for(edge.close(), PATIENCE_S)
        assert edge.connections == 0
        assert "1 requests did not end" in caplog.text
        released.set()
        await until(lambda: edge.requests_in_flight == 0)


async def test_a_handler_may_close_the_edge() -> None:
    async def stop(exchange: Exchange) -> None:
        exchange.respond(200, b"stopping")
        await edge.close()
        ended.set()

    ended = asyncio.Event()
    edge = an_edge(stop)
    await edge.start()
    async with client(edge) as one:
        assert (await one.ask(POST + b"\r\n")).body == b"stopping"
        assert await one.rest() == b""
    await asyncio.wait_for(ended.wait(), PATIENCE_S)


# time


class Clock:
    """A clock that the test turns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_the_tick_looks_at_all_again_and_again_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SWEEP_S", "BATCH_S"):
        monkeypatch.setattr(http, name, 0.001)
    monkeypatch.setattr(http, "BATCH", 2)
    looks: list[tuple[Connection, float]] = []
    monkeypatch.setattr(Connection, "check", lambda self, now: looks.append((self, now)))
    async with running() as edge, client(edge), client(edge), client(edge):
        await until(lambda: edge.connections == 3)
        looks.clear()
        await until(lambda: len(looks) > 12)
        assert len({connection for connection, _ in looks}) == 3
        times = [now for _, now in looks]
        assert max(times.count(now) for now in times) <= 2


async def test_time_in_which_the_process_stood_still_counts_for_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(Edge, "_check", lambda self, batch, now: seen.append(now))
    clock = Clock()
    settings = Listener()
    edge = Edge(settings, Access(settings), hello, no_app, port=0, clock=clock)
    await edge.start()
    for step in (1.0, 1.0, 120.0, 1.0):
        clock.now += step
        edge._tick()
    assert [now - 1000.0 for now in seen] == [1.0, 2.0, 4.0, 5.0]
    await edge.close()


# other settings


async def test_other_settings_hold_for_connections_that_are_open() -> None:
    async with running() as edge, client(edge) as one:
        assert (await one.ask(GET + b"\r\n")).status == 200
        assert edge.principals == {"anonymous"}
        edge.prepare(Listener.model_validate({"auth": {"tokens": ["secret-of-a-client"]}}))()
        assert (await one.ask(GET + b"\r\n")).status == 401
        assert edge.principals == {"token-1"}


async def test_a_certificate_is_changed_while_it_runs(tmp_path: Path) -> None:
    async def issuer(context: ssl.SSLContext, port: int) -> str:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        found = writer.get_extra_info("peercert")["issuer"]
        writer.close()
        return str(found)

    client_side = ssl.create_default_context()
    listeners = []
    for name in ("before", "after"):
        authority = trustme.CA(organization_name=name)
        authority.configure_trust(client_side)
        made = authority.issue_cert("127.0.0.1")
        made.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        made.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        tls = {"cert": str(tmp_path / f"{name}.pem"), "key": str(tmp_path / f"{name}.key")}
        listeners.append(Listener.model_validate({"tls": tls}))
    edge = Edge(listeners[0], Access(listeners[0]), hello, no_app, port=0)
    await edge.start()
    assert "before" in await issuer(client_side, edge.port)
    with pytest.raises(ListenError):
        edge.prepare(Listener.model_validate({"tls": {"cert": "/none", "key": "/none"}}))
    edge.prepare(listeners[1])()
    assert "after" in await issuer(client_side, edge.port)
    await edge.close()


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"])
async def test_a_client_that_has_left_leaves_nothing_to_the_garbage_collector(last: bytes) -> None:
    """It would stop everybody, the more often the more it is left."""
    async with running() as edge:
        gc.collect()
        try:
            gc.set_debug(gc.DEBUG_SAVEALL)
            for _ in range(3):
                async with client(edge) as one:
                    assert (await one.ask(GET + last + b"\r\n")).status == 200
                await until(lambda: edge.connections == 0)
            await asyncio.sleep(0)
            gc.collect()
            left = [one for one in gc.garbage if isinstance(one, Connection | Exchange)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert left == []
