"""One call to a server that many requests wait for: whoever comes later gets the same answer.

    begin ──► lead ────────────────────► result or error, for all
    later ──► follow ──► the same, or None: make a call of your own

It goes on as long as anyone waits. What belongs to the call (log messages, the wish to be polled)
goes to the client that began it, while that one waits. As soon as the server asks the client
something, the answer is that client's alone: all others are sent off to ask for themselves.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from only1mcp.protocol.errors import Draining, InternalError, McpError
from only1mcp.upstream.base import NotificationSink

if TYPE_CHECKING:
    from only1mcp.relay.request import Caller


class Flight:
    """`waiting` requests want the answer; `generation` is that of what is kept when it began."""

    __slots__ = ("_on_left", "_parted", "generation", "task", "waiting")

    def __init__(self, generation: int, on_left: Callable[["Flight"], None]) -> None:
        """`on_left` hears that nobody waits any more; the call is cancelled then."""
        self.generation = generation
        self.waiting = 0
        self.task: asyncio.Task[bytes | McpError]
        self._parted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._on_left = on_left

    @property
    def open(self) -> bool:
        """Whether others may still join."""
        return not self._parted.done()

    def part(self) -> None:
        """The answer will be for one client only: the others are no longer served here."""
        if not self._parted.done():
            self._parted.set_result(None)

    async def lead(self, client: "Client | None" = None) -> bytes:
        """Wait as the one who began it, who is `client` to the server.

        Raises:
            McpError: how the call ended.
        """
        self.waiting += 1
        try:
            await asyncio.wait([self.task])
            return self._result()
        finally:
            if client is not None:
                client.leave()
            self._left()

    async def follow(self) -> bytes | None:
        """Wait as one of the others; None: the answer is not for all.

        Raises:
            McpError: how the call ended.
        """
        self.waiting += 1
        try:
            ends: list[asyncio.Future[Any]] = [self.task, self._parted]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return None if self._parted.done() else self._result()
        finally:
            self._left()

    def _result(self) -> bytes:
        if self.task.cancelled():
            raise Draining("gateway", "the gateway is stopping", hint="connect again")
        result = self.task.result()
        if isinstance(result, McpError):
            raise result
        return result

    def _left(self) -> None:
        self.waiting -= 1
        if not self.waiting and not self.task.done():
            self._on_left(self)
            self.task.cancel()


class Client:
    """The client of a shared call, as relay/request.py knows clients: the one that began it.

    Without `caller`, or once it has left, nobody hears of the call but those who wait for its end.
    """

    __slots__ = ("_caller", "_here", "_part", "headers", "principal")

    def __init__(self, caller: "Caller", part: Callable[[], None], *, here: bool = True) -> None:
        """`part` is called when the server asks something; see Flight.part."""
        self.principal = caller.principal
        self.headers: Mapping[bytes, bytes] | None = caller.headers
        self._caller = caller
        self._part = part
        self._here = here

    @property
    def session(self) -> str | None:
        """The id of its session."""
        return self._caller.session

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it declared; that is the same for all who share the call."""
        return self._caller.capabilities

    @property
    def log_level(self) -> str | None:
        """The least grave log message it wants."""
        return self._caller.log_level

    def leave(self) -> None:
        """It no longer waits."""
        self._here = False

    def notify(self, method: str, params: Raw) -> None:
        """Pass on what belongs to the call."""
        if self._here:
            self._caller.notify(method, params)

    async def ask(self, method: str, params: bytes, told: NotificationSink | None = None) -> bytes:
        """Put the server's question.

        Raises:
            ClientRefused: its own error. InternalError: it has left.
        """
        self._part()
        if not self._here:
            raise InternalError("the client that began this call has left")
        return await self._caller.ask(method, params, told)

    def resumable(self, retry_s: float | None) -> None:
        """Pass on that the server wants to be polled."""
        if self._here:
            self._caller.resumable(retry_s)

    def label(self, lines: bytes) -> None:
        """Nothing: each answer has a label of its own."""
