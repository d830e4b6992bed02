"""The edge: one listener, HTTP/1.1, the MCP paths to the MCP handler and the rest to the app.

    socket ─► Acceptor ─► Connection (order, deadlines) ─► Reader (bytes to Request)
                              └─► handler(Exchange) ─► respond, or open_stream, send, end

Cost    one POST with 7 headers, answered with 500 bytes: ~15 us of one core with uvloop, 6 us
        of it in the kernel (wrk -c32: up to 64k requests/s; a bare parser and task: 99k).
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from only1mcp.config.model import Listener
from only1mcp.policy.access import Access
from only1mcp.server.asgi import AppHandler, ASGIApp
from only1mcp.server.connection import Connection, Shared
from only1mcp.server.exchange import Exchange, Handler, Request, Rest
from only1mcp.server.listen import Acceptor, ListenError, bind, netloc, tls_context

__all__ = ["Edge", "Exchange", "Handler", "ListenError", "Request", "Rest"]

log = logging.getLogger("only1mcp.http")

SWEEP_S: Final = 1.0  # one timer for all deadlines, ...
BATCH: Final = 500  # ... which looks at so many connections at once: half a millisecond
BATCH_S: Final = 0.02
CLOSE_S: Final = 3.0  # for handlers to end after they are cancelled; then for clients to leave


class Edge:
    """The client side of the gateway over HTTP.

    `mcp` answers /mcp, /mcp/..., /sse and /messages, `app` all other paths. `port` overrides
    the settings' (0 takes a free one); `clock` is the loop's.
    """

    def __init__(
        self,
        settings: Listener,
        access: Access,
        mcp: Handler,
        app: ASGIApp,
        *,
        port: int | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._settings = settings
        self._access = access
        self._mcp = mcp
        self._app = AppHandler(app, "https" if settings.tls else "http")
        self._clock = clock
        self._shared: Shared | None = None
        self._acceptor: Acceptor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due: list[Connection] = []  # still to be looked at in this round
        self._ticked = 0.0
        self._slept = 0.0  # s the process stood still; clients are not blamed for them
        self.port = settings.port if port is None else port

    @property
    def url(self) -> str:
        """Where clients find us, e.g. http://127.0.0.1:8080."""
        scheme = "https" if self._settings.tls else "http"
        return f"{scheme}://{netloc(self._settings.host, self.port)}"

    @property
    def principals(self) -> frozenset[str]:
        """The names callers can have."""
        return self._access.principals

    @property
    def connections(self) -> int:
        """Open client connections."""
        return len(self._shared.connections) if self._shared else 0

    @property
    def shared(self) -> Shared | None:
        """What its connections have in common, once it has started."""
        return self._shared

    @property
    def requests_in_flight(self) -> int:
        """Requests whose handler runs; a stream left open by its handler is not one."""
        return len(self._shared.running) if self._shared else 0

    @property
    def load(self) -> tuple[int, int]:
        """How many connections there are, and requests under way."""
        return self.connections, self.requests_in_flight

    async def start(self) -> None:
        """Bind, start the app, then take connections.

        Raises:
            ListenError: address or TLS files; the text is for the user.
        """
        settings = self._settings
        loop = asyncio.get_running_loop()
        tls = tls_context(settings.tls) if settings.tls else None
        listeners = await bind(settings.host, self.port)
        self.port = listeners[0].getsockname()[1]
        try:
            await self._app.start()
        except BaseException:
            _close_all(listeners)
            raise
        shared = Shared(
            self._access, settings.max_body_bytes, settings.max_connections, self._mcp, self._app
        )
        self._shared = shared
        self._acceptor = Acceptor(listeners, lambda: Connection(shared), tls)
        self._acceptor.start()
        if self._clock is None:
            self._clock = loop.time
        self._ticked = self._clock()
        self._timer = loop.call_later(SWEEP_S, self._tick)

    def prepare(self, settings: Listener) -> Callable[[], None]:
        """Look whether other settings can be used; what it returns puts them in force.

        They are of the same address, with TLS as before or without it as before.

        Raises:
            ValueError, ListenError: they cannot; the text is for the user.
        """
        access = self._access.prepare(settings)
        tls = tls_context(settings.tls) if settings.tls else None

        def renew() -> None:
            access()
            self._settings = settings
            if self._shared is not None and self._acceptor is not None:
                self._shared.max_connections = settings.max_connections
                self._shared.max_body_bytes = settings.max_body_bytes
                if tls is not None:
                    self._acceptor.certify(tls)

        return renew

    def stop_accepting(self) -> None:
        """Take no new connection; each open one ends after the answer that is due."""
        if self._acceptor is not None and self._shared is not None:
            self._acceptor.stop()
            self._shared.closing = True
            for connection in self._shared.connections:
                connection.closing = True

    async def close(self) -> None:
        """End idle connections, then the handlers, then all that is left. Bounded."""
        shared, acceptor = self._shared, self._acceptor
        if shared is None or acceptor is None:
            return
        self.stop_accepting()
        await acceptor.close()
        for connection in tuple(shared.connections):
            connection.retire()
        await self._end_handlers(shared)
        await self._end_connections(shared)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._app.stop()

    def hurry(self) -> None:
        """End what runs, now: each handler gets to say that it was cut short."""
        loop = asyncio.get_running_loop()
        for one in tuple(self._shared.running) if self._shared else ():
            if one.task is not None:  # it must have begun to be able to say something
                loop.call_soon(one.task.cancel)
            elif one.work is not None:
                one.work.cancel()

    def cut(self) -> None:
        """Reset every connection."""
        for connection in tuple(self._shared.connections) if self._shared else ():
            connection.cut()

    async def _end_handlers(self, shared: Shared) -> None:
        me = asyncio.current_task()
        for one in tuple(shared.running):
            if one.work is not None:
                one.work.cancel()
        await asyncio.sleep(0)  # those of this moment begin
        tasks = [one.task for one in shared.running if one.task and one.task is not me]
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=CLOSE_S)
            if left:
                log.warning("%d requests did not end when cancelled", len(left))

    async def _end_connections(self, shared: Shared) -> None:
        for patience in (CLOSE_S, SWEEP_S):
            shared.emptied.clear()
            if not shared.connections:
                return
            try:
                await asyncio.wait_for(shared.emptied.wait(), patience)
            except TimeoutError:
                for connection in tuple(shared.connections):
                    connection.cut()

    def _tick(self) -> None:
        assert self._clock is not None and self._shared is not None
        now = self._clock()
        self._slept += max(0.0, now - self._ticked - 2 * SWEEP_S)
        self._ticked = now
        connections = self._shared.connections
        if not self._due:
            self._due = list(connections)
        batch = self._due[-BATCH:]
        del self._due[-BATCH:]
        wait = BATCH_S if self._due else SWEEP_S
        self._timer = asyncio.get_running_loop().call_later(wait, self._tick)
        self._check(batch, now - self._slept)

    def sweep(self, now: float) -> None:
        """End what takes too long, on every connection at once."""
        if self._shared is not None:
            self._check(list(self._shared.connections), now)

    def _check(self, batch: list[Connection], now: float) -> None:
        assert self._shared is not None
        for connection in batch:
            if connection in self._shared.connections:  # it may have ended meanwhile
                connection.check(now)


def _close_all(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()
