"""One ASGI app behind the edge, Starlette and by hand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fakes.edge import PATIENCE_S, client, running, until
from fakes.http_corpus import GET, POST
from only1mcp.server import asgi
from only1mcp.server.asgi import ASGIApp, Lifespan, Receive, Scope, Send

ROOT = GET.replace(b"/mcp", b"/")
POST_ROOT = POST.replace(b"/mcp", b"/")


def simple(*messages: dict[str, Any]) -> ASGIApp:
    """An app that sends `messages`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for message in messages:
                await send(message)

    return app


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


# Starlette


async def test_a_starlette_app_with_lifespan() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        events.append("up")
        yield
        events.append("down")

    async def echo(request: Request) -> Response:
        data = await request.body()
        return JSONResponse(
            {
                "query": str(request.query_params),
                "name": request.path_params["name"],
                "body": data.decode(),
                "principal": request.state.principal,
                "client": request.client.host if request.client else None,
            },
            headers={"X-A": "b"},
        )

    app = Starlette(routes=[Route("/x/{name}", echo, methods=["POST"])], lifespan=lifespan)
    async with running(app=app) as edge, client(edge) as one:
        assert events == ["up"]
        request = POST.replace(b"/mcp", b"/x/a%20b?q=1") + b"Content-Length: 2\r\n\r\nhi"
        answer = await one.ask(request)
        assert answer.headers["x-a"] == "b"
        assert answer.headers["content-type"] == "application/json"
        assert answer.body == (
            b'{"query":"q=1","name":"a b","body":"hi","principal":"anonymous","client":"127.0.0.1"}'
        )
        assert (await one.ask(ROOT + b"\r\n")).status == 404
        assert (await one.ask(GET.replace(b"/mcp", b"/x/y") + b"\r\n")).status == 405
    assert events == ["up", "down"]


async def test_a_starlette_stream_ends_when_the_client_leaves() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0.001)
        finally:
            ended.set()

    async def stream(request: Request) -> Response:
        return StreamingResponse(endless(), media_type="text/event-stream")

    async with running(app=Starlette(routes=[Route("/", stream)])) as edge:
        async with client(edge) as one:
            await one.send(ROOT + b"\r\n")
            status, headers = await one.head()
            assert (status, headers["transfer-encoding"]) == (200, "chunked")
            assert await one.chunk() == b"data: 1\n\n"
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        await until(lambda: edge.requests_in_flight == 0)


async def test_a_failing_app_is_500() -> None:
    async def broken(request: Request) -> Response:
        raise ZeroDivisionError

    async with running(app=Starlette(routes=[Route("/", broken)])) as edge, client(edge) as one:
        assert (await one.ask(ROOT + b"\r\n")).status == 500


# by hand


async def test_the_scope() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        assert scope["type"] == "http"
        assert await receive() == {"type": "http.request", "body": b"hi", "more_body": False}
        await send(start(204))
        await send(body())
        assert await receive() == {"type": "http.disconnect"}

    async with running(app=app) as edge, client(edge) as one:
        request = POST.replace(b"/mcp", b"/%C3%A4?a=%20") + b"Content-Length: 2\r\n\r\nhi"
        answer = await one.ask(request)
        assert (answer.status, "content-length" in answer.headers) == (204, False)
        scope = scopes[-1]
        assert (scope["path"], scope["raw_path"]) == ("/ä", b"/%C3%A4")
        assert scope["query_string"] == b"a=%20"
        assert (scope["method"], scope["scheme"], scope["http_version"]) == ("POST", "http", "1.1")
        assert scope["headers"] == [(b"host", b"localhost"), (b"content-length", b"2")]
        assert scope["client"][0] == "127.0.0.1"
        assert scope["server"] == ("127.0.0.1", edge.port)


async def test_framing_headers_of_the_app_are_ours_to_write() -> None:
    framing = ((b"Content-Length", b"99"), (b"transfer-encoding", b"x"), (b"connection", b"close"))
    app = simple(start(200, (b"content-type", b"text/plain"), *framing), body(b"hello"))
    async with running(app=app) as edge, client(edge) as one:
        for _ in range(2):
            answer = await one.ask(ROOT + b"\r\n")
            assert answer.headers == {"content-length": "5", "content-type": "text/plain"}
            assert answer.body == b"hello"


async def test_pieces_become_chunks() -> None:
    app = simple(start(200), body(b"a", more=True), body(b"", more=True), body(b"b"))
    async with running(app=app) as edge, client(edge) as one:
        for _ in range(2):
            answer = await one.ask(ROOT + b"\r\n")
            assert (answer.headers["transfer-encoding"], answer.body) == ("chunked", b"ab")


@pytest.mark.parametrize(
    "messages",
    [
        [start(200, (b"x-a", b"b\r\nx-evil: 1")), body(b"x")],
        [start(200, (b"x\n", b"b")), body(b"x")],
        [start(200), start(200)],
        [body(b"x")],
        [],
        [start(200)],
    ],
    ids=["split value", "split name", "two starts", "no start", "nothing", "no body"],
)
async def test_a_wrong_app_is_500_and_splits_nothing(messages: list[dict[str, Any]]) -> None:
    async with running(app=simple(*messages)) as edge, client(edge) as one:
        answer = await one.ask(ROOT + b"\r\n")
        assert answer.status == 500
        assert "x-evil" not in answer.headers


async def test_a_sender_waits_for_a_slow_client() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        if scope["type"] == "http":
            await send(start(200))
            for _ in range(400):
                await send(body(b"x" * 65536, more=True))
                sent += 65536
            await send(body())

    async with running(app=app) as edge, client(edge) as one:
        await one.send(ROOT + b"\r\n")
        assert edge._shared is not None
        (connection,) = edge._shared.connections
        await until(lambda: connection.blocked)
        assert sent < 400 * 65536
        assert len((await one.answer()).body) == 400 * 65536


async def test_after_a_disconnect_send_is_a_no_op_and_receive_says_so() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await receive()
            seen.append((await receive())["type"])
            await send(start(200))
            await send(body(b"late", more=True))
            await send(body(b"late"))
            seen.append("done")

    async with running(app=app) as edge:
        async with client(edge) as one:
            await one.send(POST_ROOT + b"\r\n")
            await until(lambda: edge.requests_in_flight == 1)
        await until(lambda: edge.requests_in_flight == 0)
    assert seen == ["http.disconnect", "done"]


# lifespan


async def test_an_app_without_lifespan_starts_and_stops() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError(scope["type"])

    lifespan = Lifespan(app)
    await lifespan.start()
    await lifespan.stop()


async def test_an_app_that_hangs_in_its_lifespan(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(asgi, "LIFESPAN_S", 0.01)

    async def mute(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="did not start: no answer"):
        await Lifespan(mute).start()

    async def never_stops(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.Event().wait()

    lifespan = Lifespan(never_stops)
    await lifespan.start()
    await lifespan.stop()
    assert "did not stop" in caplog.text
