"""One `subscriptions/listen` held open at a modern server, for all that the gateway wants of it.

    cover ──► nothing new wanted ──► the stream there is
         └──► open a new one ──acknowledged──► close the old: nothing is missed in between
    lost, or never had ──pause──► cover again, then `again` says that all may have changed

What the server says there goes to the server-wide sink, as what a legacy server says does.
Bounds  one stream, two while one replaces the other.
Source  MCP 2026-07-28 basic/patterns/subscriptions.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, Final

from msgspec import Raw

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message, subscription
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.errors import McpError, ServerFault, ServerTimeout
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.subscription import ACKNOWLEDGED, FLAGS, LISTEN, Filter
from only1mcp.upstream.base import Call, Upstream

log = logging.getLogger("only1mcp.subscriptions")

ACK_S: Final = 2.0
"""How long a server may take to acknowledge."""
FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
JITTER: Final = 0.2
STEADY_S: Final = 30.0
"""A stream that lasted so long is opened again after FIRST_PAUSE_S; before, the pause doubles."""


class _Stream:
    """One listen. `acked` is what the server agreed to, or why it does not."""

    __slots__ = ("acked", "since", "task", "wanted")

    def __init__(self, wanted: Filter) -> None:
        loop = asyncio.get_running_loop()
        self.wanted = wanted
        self.acked: asyncio.Future[Filter | McpError] = loop.create_future()
        self.since = loop.time()
        self.task: asyncio.Task[None]

    def settle(self, found: Filter | McpError) -> bool:
        """The first answer counts; whether this was it."""
        if self.acked.done():
            return False
        self.acked.set_result(found)
        return True

    def agreed(self) -> Filter:
        """What the server hears for us, or the McpError for why it does not."""
        found = self.acked.result()
        if isinstance(found, McpError):
            raise found
        return found


class Listening:
    """What is heard of one connection to a modern server."""

    def __init__(
        self,
        server: str,
        connect: Callable[[], Awaitable[Upstream]],
        wanted: Callable[[], Filter],
        again: Callable[[Filter], None],
        capabilities: dict[str, Any] | None = None,
    ) -> None:
        """`wanted` is what somebody wants to hear of now; `again` is told after a loss what is
        heard from now on: nothing, if the server refuses. `capabilities` are those declared."""
        self.server = server
        self._connect = connect
        self._wanted = wanted
        self._told_again = again
        self._capabilities = capabilities or {}
        self.asked = Filter()
        """What it was last asked to hear of, whatever came of that."""
        self._current: _Stream | None = None
        self._turn = asyncio.Lock()
        self._pause_s = FIRST_PAUSE_S
        self._insisting: asyncio.Task[None] | None = None
        self._tasks = Tasks()

    async def cover(self) -> Filter:
        """Hear of all that is wanted now; what the server has agreed to.

        Raises:
            UpstreamError: it refuses; ServerFault: it cannot be asked. The former stream stays.
        """
        async with self._turn:
            wanted = self.asked = self._wanted()
            current = self._current
            if current is None or current.wanted != wanted:
                if wanted:
                    return await self._open(wanted)
                if current is not None:
                    current.task.cancel()
                self._current = current = None
            return current.agreed() if current is not None else Filter()

    def insist(self) -> None:
        """Open a stream in the background, again and again until there is one."""
        if self._insisting is None or self._insisting.done():
            name = f"listen to {self.server} again"
            self._insisting = self._tasks.start(self._again(), name)

    async def close(self) -> None:
        """Hear no more."""
        await self._tasks.close()

    async def _open(self, wanted: Filter) -> Filter:
        upstream, server = await self._connect(), self.server
        stream = _Stream(wanted)
        stream.task = self._tasks.start(self._listen(stream, upstream), f"listen to {server}")
        try:
            await asyncio.wait([stream.acked], timeout=ACK_S)
            late = f"server '{server}' did not acknowledge {LISTEN} within {ACK_S:g} s"
            stream.settle(ServerTimeout(server, late, hint="its log may say more"))
            return stream.agreed()
        except BaseException:
            stream.task.cancel()
            raise

    def _acknowledged(self, stream: _Stream, params: Raw) -> None:
        """The new stream is heard from now on, so the old one can go."""
        with suppress(McpError):
            agreed = subscription.acknowledged(message.members(params))
            if stream.settle(agreed):
                old, self._current = self._current, stream
                if old is not None:
                    old.task.cancel()

    async def _listen(self, stream: _Stream, upstream: Upstream) -> None:
        """Hold it to its end. What it brings is of the server as a whole and goes to the sink
        of its transport; only the acknowledgement is the call's."""

        def heard(method: str, params: Raw) -> None:
            if method == ACKNOWLEDGED:
                self._acknowledged(stream, params)

        params = {
            "notifications": as_raw(stream.wanted.encoded()),
            "_meta": as_raw(own_meta(self._capabilities)),
        }
        call = Call(LISTEN, params, on_notification=heard, idle_s=inf, max_s=inf)
        reason = "it was ended by the server"
        try:
            await upstream.call(call)
            server = self.server
            stream.settle(ServerTimeout(server, f"server '{server}' ended {LISTEN} at once"))
        except McpError as error:
            reason = error.message
            stream.settle(error)
        if self._current is stream:
            self._current = None
            log.info("server %s: subscriptions: %s", self.server, reason)
            if asyncio.get_running_loop().time() - stream.since > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            self.insist()

    async def _again(self) -> None:
        """What happens until there is a stream nobody will tell, so it is assumed."""
        while True:
            await asyncio.sleep(self._pause_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            try:
                agreed = await self.cover()
                break
            except ServerFault as fault:
                log.debug("server %s: %s: %s", self.server, LISTEN, fault.message)
            except McpError as error:
                log.warning("server %s: %s: %s", self.server, LISTEN, error.message)
                agreed = Filter()
                break
        self._told_again(agreed)


def declared(capabilities: Mapping[str, object]) -> frozenset[str]:
    """The list changes that a server says it announces."""
    found = set()
    for flag, method in FLAGS.items():
        can = capabilities.get(flag.removesuffix("ListChanged"))
        if isinstance(can, dict) and can.get("listChanged") is True:
            found.add(method)
    return frozenset(found)
