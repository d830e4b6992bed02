"""Several calls in one message: the JSON-RPC array of revision 2025-03-26.

    call ──► post ─┐
    call ──► post ─┼─ end of this turn of the loop ──► one POST ──► each call its own answer
    call ──► post ─┘

Each call keeps its id, its deadline and its end; who leaves leaves the others alone. A server
that refuses the array as a whole (4xx) gets each call by itself: nothing has run.
A log message on the stream of many calls belongs to none of them that could be named: dropped.
Source  MCP 2025-03-26 basic "Batching", basic/transports "Sending Messages to the Server".
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message
from only1mcp.protocol.errors import McpError, ParseError, ServerFault
from only1mcp.protocol.message import Message
from only1mcp.protocol.methods import FROM_SERVERS, Fate, fate
from only1mcp.protocol.sse import Event
from only1mcp.upstream.answer import messages
from only1mcp.upstream.connection import Exchange, Response
from only1mcp.upstream.http import HttpPool
from only1mcp.upstream.listen import messages_in
from only1mcp.upstream.running import UNBOUND, Running

_ANSWERED = Response(200, {}, b"", stream=True)
"""Of a call whose answer has come as a message of its own."""

Post = Callable[..., Coroutine[Any, Any, Response]]


class Array(Exchange):
    """Calls that leave together. Whoever comes after they have left goes alone."""

    __slots__ = ("_futures", "_left", "_members", "_on_sent", "_sending")

    def __init__(self, on_sent: Callable[[], None]) -> None:
        """`on_sent` hears that several calls have left as one message."""
        super().__init__()
        self._on_sent = on_sent
        self._left = False
        self._members: dict[bytes, Running] = {}
        self._futures: dict[Running, asyncio.Future[Response | ServerFault]] = {}
        self._sending: asyncio.Task[None] | None = None

    def through(self, pool: HttpPool, tasks: Tasks) -> Post:
        """What takes the place of `pool.request` for a call that is part of this."""
        return pool.request if self._left else partial(self._post, pool, tasks)

    async def _post(
        self, pool: HttpPool, tasks: Tasks, running: Running, head: bytes, body: bytes
    ) -> Response:
        loop = asyncio.get_running_loop()
        if not self._members:
            loop.call_soon(self._leave, pool, tasks, head)
        self._members[bytes(running.raw_id)] = running
        future: asyncio.Future[Response | ServerFault] = loop.create_future()
        self._futures[running] = future
        try:
            response = await future
        finally:
            running.sent = self.sent
            del self._futures[running]
            if not self._futures and self._sending is not None:
                self._sending.cancel()
        if isinstance(response, ServerFault):
            raise response
        if 400 <= response.status < 500 and running.answer is None:
            return await pool.request(running, head, body)
        return response

    def _leave(self, pool: HttpPool, tasks: Tasks, head: bytes) -> None:
        """All that came in this turn of the loop go."""
        self._left = True
        if bodies := [running.body for running in self._futures]:
            body = bodies[0]
            if len(bodies) > 1:
                body = b"[%b]" % b",".join(bodies)
                self._on_sent()
            self._sending = tasks.start(self._send(pool, head, body), "array")

    async def _send(self, pool: HttpPool, head: bytes, body: bytes) -> None:
        end: Response | ServerFault = pool.endpoint.dropped(None, begun=True)
        try:
            end = await pool.request(self, head, body)
            with suppress(ParseError):
                for found in messages(end.body) if end.body else ():
                    self._take(found)
        except ServerFault as fault:
            end = fault
        finally:
            for future in self._futures.values():
                if not future.done():
                    future.set_result(end)

    def on_event(self, event: Event) -> bool:
        """Take one event of the stream; True: all have their answers."""
        with suppress(ParseError):
            for found in messages_in(event):
                self._take(found)
        return all(running.answer is not None for running in self._futures)

    def _take(self, found: Message) -> None:
        whose = fate(FROM_SERVERS, found.method)
        if whose is Fate.PROGRESS:
            self._progress(found)
        elif whose in UNBOUND or (found.method and found.id):
            next(iter(self._members.values())).take(found)
        elif (running := self._members.get(bytes(found.id))) is not None:
            running.answer = found
            future = self._futures.get(running)
            if future is not None and not future.done():
                future.set_result(_ANSWERED)

    def _progress(self, found: Message) -> None:
        with suppress(McpError):
            token = message.members(found.params).get("progressToken", message.NO_RAW)
            if (running := self._members.get(bytes(token))) is not None:
                running.take(found)
