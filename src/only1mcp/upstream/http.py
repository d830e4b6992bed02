"""HTTP/1.1 to one server: a pool of kept-alive connections.

    request ──► an idle connection, or a new one, or a place in the queue

Errors  ServerUnavailable: nothing was sent. ServerLost: sent, and no whole answer came, so it
        may have run. AnswerTooLarge, ServerProtocolError: what came is no answer.
        Nothing is sent twice here: that is decided where there is a budget for it.
Source  idle rules as Go net/http: an idle connection may be dead, so it is looked at before
        use, and one that sat long is not used at all.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from only1mcp.protocol.errors import ServerLost
from only1mcp.upstream.base import Awaiting
from only1mcp.upstream.connection import Connection, Exchanged, Response
from only1mcp.upstream.dial import Endpoint

CONNECT_S: Final = 10.0
IDLE_S: Final = 55.0  # below the 60 s after which common proxies drop an idle connection
FRESH_AFTER_S: Final = 4.0
"""Longer idle, a connection is not used again: uvicorn and Node close after 5 s, and a request
that crosses the close on the wire may or may not have run."""
MAX_CONNECTIONS: Final = 128
CLOSE_S: Final = 1.0
_END: Final = b"\r\n"
TRY_LATER: Final = "try again in a moment"


class HttpPool:
    """The connections to one endpoint: last in, first out; when all are busy, callers queue."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect_s: float = CONNECT_S,
        max_connections: int = MAX_CONNECTIONS,
        idle_s: float = IDLE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.idle_s = idle_s
        self._connect_s = connect_s
        self._max = max_connections
        self._clock = clock
        self._all: set[Connection] = set()
        self._slots = 0  # taken by connections, by dials, or granted to a waiter
        self._idle: list[Connection] = []  # longest idle first
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._reaper: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None  # set once closing

    async def request(self, exchange: Exchanged, head: bytes, body: bytes = b"") -> Response:
        """Send one request and return its answer; `head` lacks only its Content-Length.

        Events of an event stream go to `exchange.on_event` as they arrive. Cancelling the
        awaiting task closes the connection.
        """
        data = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body) if body else head + _END
        connection = await self._acquire()
        return await self.finish(connection, exchange, connection.send(exchange, data))

    def begin(
        self, exchange: Exchanged, head: bytes, body: bytes, waiter: Awaiting
    ) -> Connection | None:
        """Send one request now, if a connection is idle; `waiter` gets its answer. None: nothing
        was sent."""
        if (connection := self._take_idle()) is None:
            return None
        data = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
        connection.put(exchange, data, waiter)
        return connection

    async def finish(
        self, connection: Connection, exchange: Exchanged, answer: "asyncio.Future[Response]"
    ) -> Response:
        """The answer to what was sent, as `request` returns it."""
        try:
            return await answer
        except asyncio.CancelledError:
            connection.abandon(exchange)
            raise
        except ServerLost:
            if connection.used and not connection.begun:  # the server closes those it kept
                for idle in self._idle:  # as old, or older: none for the next try
                    idle.abort()
            raise

    async def close(self) -> None:
        """Cut every connection; requests that run end with ServerLost. Bounded by CLOSE_S."""
        self._emptied = asyncio.get_running_loop().create_future()
        if self._reaper is not None:
            self._reaper.cancel()
        for connection in list(self._all):
            connection.abort()
        if self._all:
            await asyncio.wait([self._emptied], timeout=CLOSE_S)

    def __len__(self) -> int:
        return len(self._all)

    # --- taking one ---

    async def _acquire(self) -> Connection:
        while True:
            connection = self._take_idle()
            if connection is not None:
                return connection
            if self._slots < self._max:
                self._slots += 1
                return await self._dial()
            handed = await self._turn()
            if handed is None:
                return await self._dial()
            if handed.is_quiet():
                return handed
            handed.abort()

    def _take_idle(self) -> Connection | None:
        """The connection used last, if it can be trusted."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            age_s = self._clock() - connection.idle_since
            if age_s < FRESH_AFTER_S and age_s < connection.idle_s and connection.is_quiet():
                return connection
            connection.abort()
        return None

    async def _turn(self) -> Connection | None:
        """Wait in the queue: for a connection, or (None) for a slot to open one in."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # it may have been passed over already
                    self._waiters.remove(waiter)
            elif (handed := waiter.result()) is None:
                self._free_slot()
            else:
                self.release(handed)
            raise

    async def _dial(self) -> Connection:
        """A new connection, in a slot that was taken for it."""
        try:
            self._refuse_if(self._emptied is not None)
            connection = await self.endpoint.connect(lambda: Connection(self), self._connect_s)
            if self._emptied is not None:
                connection.abort()
            self._refuse_if(connection.lost)
        except BaseException:
            self._free_slot()
            raise
        self._all.add(connection)
        return connection

    def _refuse_if(self, closed: bool) -> None:
        if closed:
            raise self.endpoint.unavailable("the connection was closed at once", TRY_LATER)

    # --- giving it back: called by Connection ---

    def release(self, connection: Connection) -> None:
        """The connection is free: to the first who waits, else to the idle ones."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        connection.idle_since = self._clock()
        self._idle.append(connection)
        if self._reaper is None:
            self._plan_reaping(self.idle_s)

    def forget(self, connection: Connection) -> None:
        """The connection has ended."""
        if connection not in self._all:
            return  # never got through: whoever dialled it frees the slot
        self._all.remove(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._free_slot()
        if self._emptied is not None and not self._all and not self._emptied.done():
            self._emptied.set_result(None)

    def _free_slot(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._slots -= 1

    # --- idle ones end before the server ends them ---

    def _plan_reaping(self, delay_s: float) -> None:
        self._reaper = asyncio.get_running_loop().call_later(delay_s, self._reap)

    def _reap(self) -> None:
        self._reaper = None
        now = self._clock()
        old = [one for one in self._idle if now - one.idle_since >= one.idle_s]
        for connection in old:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            self._plan_reaping(max(0.0, self._idle[0].idle_since + self.idle_s - now))
