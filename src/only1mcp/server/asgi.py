"""One ASGI app behind the edge: `http` and `lifespan`, nothing else.

The body is complete before the app is called. An answer in one piece goes out as such; one in
several pieces is a stream whose sender waits for a slow client. A client that leaves is
`http.disconnect`; what the app still sends goes nowhere.

Source  https://asgi.readthedocs.io/en/latest/specs/www.html (2.3: send after a disconnect is
        a no-op, so apps watch `receive`), .../specs/lifespan.html
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote

from only1mcp.observe.tasks import Tasks
from only1mcp.server.exchange import Exchange

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("only1mcp.http")

LIFESPAN_S: Final = 10.0  # for the app to start, and to stop
_VERSIONS: Final = {"version": "3.0", "spec_version": "2.3"}
_OURS: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})
_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00\r\n]*")


class AppHandler:
    """An ASGI app as a handler of exchanges."""

    __slots__ = ("_app", "_lifespan", "_scheme")

    def __init__(self, app: ASGIApp, scheme: str) -> None:
        self._app = app
        self._scheme = scheme
        self._lifespan = Lifespan(app)

    async def start(self) -> None:
        """Run the app's startup.

        Raises:
            RuntimeError: the app says that it failed.
        """
        await self._lifespan.start()

    async def stop(self) -> None:
        """Run the app's shutdown; at most LIFESPAN_S."""
        await self._lifespan.stop()

    async def __call__(self, exchange: Exchange) -> None:
        """Let the app answer."""
        call = _Call(exchange)
        await self._app(_scope(exchange, self._scheme), call.receive, call.send)


def _scope(exchange: Exchange, scheme: str) -> Scope:
    request = exchange.request
    return {
        "type": "http",
        "asgi": _VERSIONS,
        "http_version": "1.1" if request.chunks else "1.0",
        "method": request.method,
        "scheme": scheme,
        "path": unquote(request.path),
        "raw_path": request.path.encode("ascii"),
        "query_string": request.query,
        "root_path": "",
        "headers": list(request.headers.items()),
        "client": exchange.address("peername"),
        "server": exchange.address("sockname"),
        "state": {"principal": request.principal, "admin": request.admin},
    }


class _Call:
    """The two ends of one request that the app gets."""

    __slots__ = ("_disconnected", "_exchange", "_headers", "_status", "_taken")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._taken = False  # the app has the body
        self._status = 0  # of an answer that has not gone out yet
        self._headers = b""
        self._disconnected = asyncio.Event()
        exchange.on_disconnect = self._disconnected.set

    async def receive(self) -> Message:
        if not self._taken:
            self._taken = True
            return {"type": "http.request", "body": self._exchange.request.body, "more_body": False}
        if not self._exchange.closed:
            await self._disconnected.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._status or self._exchange.streaming:
                raise RuntimeError("the app began its answer twice")
            self._status = message["status"]
            self._headers = _lines(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            await self._send_body(message.get("body", b""), message.get("more_body", False))

    async def _send_body(self, body: bytes, more: bool) -> None:
        exchange = self._exchange
        if not exchange.streaming:
            if not self._status:
                raise RuntimeError("the app sent a body before it began its answer")
            if not more:
                self._disconnected.set()
                exchange.respond(self._status, body, content_type=b"", headers=self._headers)
                return
            exchange.open(self._status, self._headers)
        exchange.send(body)
        if more:
            await exchange.drain()
        else:
            exchange.end()
            self._disconnected.set()


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header lines of the app, without those that are the edge's own."""
    lines = [b"%b: %b" % (name, value) for name, value in headers if name.lower() not in _OURS]
    for line in lines:
        if _LINE.fullmatch(line) is None:
            raise RuntimeError(f"the app sent a header that is none: {line!r}")
    return b"".join([line + b"\r\n" for line in lines])


class Lifespan:
    """The app's startup and shutdown: one task that lives as long as the edge."""

    __slots__ = ("_app", "_failure", "_shutdown", "_started", "_stopped", "_tasks")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._tasks = Tasks()
        self._started = asyncio.Event()
        self._shutdown = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: str | None = None

    async def start(self) -> None:
        """Raises:
        RuntimeError: the app refuses to start, or takes too long.
        """
        self._tasks.start(self._run(), "lifespan")
        try:
            await asyncio.wait_for(self._started.wait(), LIFESPAN_S)
        except TimeoutError:
            self._failure = f"no answer within {LIFESPAN_S:.0f} s"
        if self._failure is not None:
            await self._tasks.close()
            raise RuntimeError(f"the app did not start: {self._failure}")

    async def stop(self) -> None:
        """Tell the app to shut down and wait for it, at most LIFESPAN_S."""
        self._shutdown.set()
        try:
            await asyncio.wait_for(self._stopped.wait(), LIFESPAN_S)
        except TimeoutError:
            log.warning("the app did not stop within %.0f s", LIFESPAN_S)
        await self._tasks.close()

    async def _run(self) -> None:
        scope: Scope = {"type": "lifespan", "asgi": _VERSIONS}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - an app without lifespan raises what it likes
            log.debug("the app has no lifespan: %r", error)
        finally:
            self._started.set()
            self._stopped.set()

    async def _receive(self) -> Message:
        if not self._started.is_set():
            return {"type": "lifespan.startup"}
        await self._shutdown.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message", "")
            self._started.set()
        elif message["type"] == "lifespan.startup.complete":
            self._started.set()
        else:
            self._stopped.set()
