"""An edge on a free port, a client that speaks in bytes, and a transport that only remembers."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple, TypeVar

from only1mcp.config.model import Listener
from only1mcp.policy.access import Access
from only1mcp.server.asgi import Receive, Scope, Send
from only1mcp.server.connection import Connection
from only1mcp.server.http import Edge, Exchange, Handler

T = TypeVar("T")

PATIENCE_S = 10.0  # far beyond what anything here takes


class Answer(NamedTuple):
    """One HTTP answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One raw connection. Every wait is bounded."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write; a connection that has gone already is not an error here."""
        with suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        async with asyncio.timeout(PATIENCE_S):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        pairs = [line.split(": ", 1) for line in lines]
        return int(first.split()[1]), {name.lower(): value for name, value in pairs}

    async def chunk(self) -> bytes:
        """The next chunk; empty is the last one."""
        async with asyncio.timeout(PATIENCE_S):
            size = int(await self.reader.readline(), 16)
            data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def answer(self, *, head_only: bool = False) -> Answer:
        """The next whole answer."""
        status, headers = await self.head()
        body = b""
        if head_only:
            return Answer(status, headers, body)
        if headers.get("transfer-encoding") == "chunked":
            pieces = []
            while piece := await self.chunk():
                pieces.append(piece)
            body = b"".join(pieces)
        elif "content-length" in headers:
            async with asyncio.timeout(PATIENCE_S):
                body = await self.reader.readexactly(int(headers["content-length"]))
        elif status not in (100, 204):
            body = await self.rest()
        return Answer(status, headers, body)

    async def ask(self, data: bytes) -> Answer:
        """Send and take the answer."""
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """All that comes until the server closes; a reset counts as the end."""
        data = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                while piece := await self.reader.read(65536):
                    data += piece
        return data

    async def close(self) -> None:
        """Leave."""
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


async def hello(exchange: Exchange) -> None:
    """A handler that says what it was asked."""
    request = exchange.request
    exchange.respond(200, f"{request.method} {request.path} ".encode() + request.body)


async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that is there for probes only, without lifespan."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


@asynccontextmanager
async def running(mcp: Handler = hello, app: Any = no_app, **settings: Any) -> AsyncIterator[Edge]:
    """A started edge on 127.0.0.1, or on `host`."""
    listener = Listener(**settings)
    edge = Edge(listener, Access(listener), mcp, app, port=0)
    await edge.start()
    try:
        yield edge
    finally:
        async with asyncio.timeout(PATIENCE_S * 2):
            await edge.close()


@asynccontextmanager
async def client(edge: Edge, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    """A connection to `edge`, closed at the end."""
    host = edge.url.split("//")[1].rsplit(":", 1)[0].strip("[]")
    name = "localhost" if tls else None
    one = Client(*await asyncio.open_connection(host, edge.port, ssl=tls, server_hostname=name))
    try:
        yield one
    finally:
        await one.close()


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until `condition` holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - things that have no event to wait for
            await asyncio.sleep(0.001)


def begin(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run `coroutine` beside the test, which awaits it later."""
    return asyncio.get_running_loop().create_task(coroutine)


class FakeTransport(asyncio.Transport):
    """Keeps what is written; `pending` is what a slow client would leave in the buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.pending = 0
        self.eof = self.closed = self.aborted = self.paused = False

    def write(self, data: Any) -> None:
        assert not self.eof, "write after write_eof"
        self.written += data

    def write_eof(self) -> None:
        self.eof = True

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.pending

    def is_closing(self) -> bool:
        return self.closed or self.aborted

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Held:
    """A handler that keeps each exchange until the test answers it."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.ended = 0
        self.go = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        try:
            await self.go.wait()
            exchange.respond(200, exchange.request.body or b"ok")
        finally:
            self.ended += 1


async def connections(edge: Edge, count: int) -> list[Connection]:
    """The edge's `count` connections, once they are all there."""
    await until(lambda: edge.connections == count)
    assert edge._shared is not None
    return list(edge._shared.connections)
