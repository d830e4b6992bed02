"""Further connections to one server, beside the one that serves its lists.

    its other era    a server of both eras is spoken to in the era of the client, so that
                     nothing has to be translated. Not in a process that clients share: a
                     process has one era, and two would not share what they remember
    isolation        one connection, or process, per session or principal

Opened on demand, one at a time per key; closed after IDLE_S without a call.
Bounds  MAX_CONNECTIONS per server.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Final, NamedTuple

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import McpError, ServerUnavailable
from only1mcp.upstream.base import Upstream

log = logging.getLogger("only1mcp.servers")

IDLE_S: Final = 300.0
MAX_CONNECTIONS: Final = 256


class Key(NamedTuple):
    """What a connection is for: an era, and whoever does not share it (None: it is shared)."""

    modern: bool
    who: str | None


class _Branch:
    __slots__ = ("opening", "upstream", "used_at", "watching")

    def __init__(self) -> None:
        self.opening: asyncio.Task[Upstream | McpError]
        self.upstream: Upstream | None = None
        self.watching: asyncio.Task[None] | None = None
        self.used_at = 0.0


class Connections:
    """The further connections of one server."""

    def __init__(
        self,
        server: str,
        make: Callable[[str], Upstream],
        greeted: Callable[[Upstream], Awaitable[None]],
    ) -> None:
        """`make` takes the protocol to insist on; `greeted` runs before the first call."""
        self._server = server
        self._make = make
        self._greeted = greeted
        self._branches: dict[Key, _Branch] = {}
        self._tasks = Tasks()

    def __iter__(self) -> Iterator[Upstream]:
        return (one.upstream for one in self._branches.values() if one.upstream is not None)

    async def get(self, key: Key) -> Upstream:
        """The connection for `key`, opened if need be.

        Raises:
            ServerFault: it cannot be had; ServerProtocolError: not in this era.
        """
        branch = self._branches.get(key)
        if branch is None:
            branch = self._begin(key)
        if branch.upstream is None:
            await asyncio.wait([branch.opening])
            if branch.opening.cancelled():  # that it is given up does not cancel who waits for it
                said = f"server '{self._server}' is being disconnected"
                raise ServerUnavailable(self._server, said, hint="try again in a moment")
            found = branch.opening.result()
            if isinstance(found, McpError):
                raise found
        branch.used_at = asyncio.get_running_loop().time()
        assert branch.upstream is not None
        return branch.upstream

    def has(self, who: str) -> bool:
        """Whether a session or principal has a connection of its own here."""
        return any(key.who == who for key in self._branches)

    def leave(self, who: str) -> None:
        """A session or principal has gone: so do its connections."""
        for key in [key for key in self._branches if key.who == who]:
            self._drop(key)

    def sweep(self, at_work: Collection[str | None] = ()) -> None:
        """Close what nobody has used for IDLE_S; not theirs whose server is still at work."""
        if not self._branches:
            return
        oldest = asyncio.get_running_loop().time() - IDLE_S
        for key, branch in list(self._branches.items()):
            upstream = branch.upstream
            if key.who in at_work:
                continue
            if upstream is not None and not upstream.busy and branch.used_at < oldest:
                self._drop(key)

    async def close(self) -> None:
        """Close them all."""
        await self._tasks.close()
        self._branches.clear()

    def _begin(self, key: Key) -> _Branch:
        if len(self._branches) >= MAX_CONNECTIONS:
            raise ServerUnavailable(
                self._server,
                f"server '{self._server}' has {MAX_CONNECTIONS} isolated connections already",
                hint="close some sessions, or set isolation: shared for it",
            )
        branch = _Branch()
        self._branches[key] = branch
        branch.opening = self._tasks.start(self._open(key, branch), f"connect {self._server}")
        return branch

    async def _open(self, key: Key, branch: _Branch) -> Upstream | McpError:
        upstream = self._make("modern" if key.modern else "legacy")
        upstream.who = key.who
        try:
            await upstream.connect()
            await self._greeted(upstream)
        except BaseException as fault:
            if self._branches.get(key) is branch:
                del self._branches[key]
            await upstream.close()
            if isinstance(fault, McpError):
                return fault
            raise
        branch.upstream = upstream
        watching = self._watch(key, branch, upstream)
        branch.watching = self._tasks.start(watching, f"watch {self._server}")
        return upstream

    async def _watch(self, key: Key, branch: _Branch, upstream: Upstream) -> None:
        try:
            log.info("server %s: %s", self._server, await upstream.wait_lost())
        finally:
            if self._branches.get(key) is branch:
                del self._branches[key]
            await upstream.close()

    def _drop(self, key: Key) -> None:
        branch = self._branches.pop(key)
        (branch.watching or branch.opening).cancel()
