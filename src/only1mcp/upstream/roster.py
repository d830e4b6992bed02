"""Every configured server while the gateway runs: started, looked after, replaced, ended.

    change ──► the same connections wanted ──► adopts its other settings
          ├──► other connections ──► a new one starts beside it; ready, or failed: takes its place
          └──► not there any more ──► takes no new calls; those under way end, then it does

Each replica has one task of its own, so what is slow or dead delays only itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Final

from msgspec import Raw

from only1mcp.config.diff import connects
from only1mcp.config.servers import Server, Sse, Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.counts import carry_over
from only1mcp.upstream.live import FromServer, Greeted, Held, Joined, Live, Notice
from only1mcp.upstream.replica import Replica, State
from only1mcp.upstream.sse import LegacySse
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.streamable import StreamableHttp
from only1mcp.upstream.warden import Warden

__all__ = ["FromServer", "Live", "Replica", "Roster", "State"]


log = logging.getLogger("only1mcp.servers")

RETIRE_S: Final = 60.0
"""How long calls to a server that was removed or replaced may still run."""
QUIET_S: Final = 3.0
"""A request that has found its server calls it within this time: it may wait for others to start,
or for the server to take a log level."""
LOOK_S: Final = 0.1
SLACK_S: Final = 5.0
"""Above its own deadline for a start, until a server that replaces another does so anyway."""
_SERVING: Final = (State.READY, State.IDLE)


async def _unheard(upstream: Upstream) -> None:
    """Nobody listens."""


def _free(live: Live) -> bool:
    """Nobody waits for what it says."""
    return False


def _unmoved(live: Live) -> None:
    """Nobody has to know."""


class Roster:
    """All servers of one configuration, in its order. `servers` is what clients are served by;
    it changes in place."""

    def __init__(
        self,
        servers: Sequence[Server],
        notice: Notice,
        from_server: FromServer,
        greeted: Greeted = _unheard,
    ) -> None:
        self._warden = Warden()
        self._notice = notice
        self._from_server = from_server
        self._greeted = greeted
        self._start: Callable[[Live], None] | None = None
        self._moved: Callable[[Live], None] = _unmoved
        self._coming: dict[str, Live] = {}  # starts beside the one whose place it takes
        self._leaving: set[Live] = set()
        self._tasks = Tasks()
        self.servers: dict[str, Live] = {server.id: self._new(server) for server in servers}

    def start(
        self, joined: Joined, held: Held = _free, moved: Callable[[Live], None] = _unmoved
    ) -> None:
        """Start every enabled server, all at once. `moved` hears of one that has just taken the
        place of another; until then it `is_current` is false."""

        def start(live: Live) -> None:
            live.start(joined, self._notice, held)

        self._start, self._moved = start, moved
        for live in self.servers.values():
            start(live)

    def is_current(self, live: Live) -> bool:
        """Whether clients are served by it: neither on trial nor on its way out."""
        return self.servers.get(live.id) is live

    def settling(self) -> list[Live]:
        """Those whose first start has not ended, the ones on trial too."""
        every = (*self.servers.values(), *self._coming.values())
        return [live for live in every if not live.settled.is_set()]

    def change(self, servers: Sequence[Server]) -> None:
        """Make these the servers, at once; what takes time goes on by itself."""
        before = dict(self.servers)
        self.servers.clear()
        for server in servers:
            old = before.pop(server.id, None)
            self.servers[server.id] = self._add(server) if old is None else self._kept(old, server)
        for id, old in before.items():
            self._abandon(id)
            self._retire(old, "it is no longer in the configuration")

    def _new(self, server: Server) -> Live:
        return Live(server, self._connection, self._greeted)

    def _add(self, server: Server) -> Live:
        live = self._new(server)
        if self._start is not None:
            self._start(live)
        return live

    def _kept(self, old: Live, server: Server) -> Live:
        """The one that serves from now on: `old`, unless that cannot serve anyway."""
        coming = self._coming.get(server.id)
        if coming is None and old.config is server:  # most servers, in most reloads
            return old
        if coming is not None and connects(coming.config) == connects(server):
            coming.adopt(server)
            return old
        self._abandon(server.id)
        if connects(old.config) == connects(server):
            old.adopt(server)
            return old
        new = self._add(server)
        if old.state not in _SERVING or not server.enabled:
            carry_over(old, new)
            self._retire(old, "the configuration of it has changed")
            return new
        self._coming[server.id] = new
        self._tasks.start(self._succeed(old, new), f"replace {server.id}")
        return old

    async def _succeed(self, old: Live, new: Live) -> None:
        """Let `new` take the place of `old` once it is ready, or cannot be."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(new.config.timeouts.start + SLACK_S):
                await new.settled.wait()
        if self._coming.get(new.id) is not new:
            return  # meanwhile another one is wanted
        del self._coming[new.id]
        carry_over(old, new)
        self.servers[new.id] = new
        self._moved(new)
        self._retire(old, "another one has taken its place")

    def _abandon(self, id: str) -> None:
        """The one that was to take a place is not wanted any more."""
        if (coming := self._coming.pop(id, None)) is not None:
            self._retire(coming, "the configuration has changed again")

    def _retire(self, live: Live, reason: str) -> None:
        for one in live.replicas:
            one.is_last = True
        self._leaving.add(live)
        self._tasks.start(self._see_off(live, reason), f"retire {live.id}")

    async def _see_off(self, live: Live, reason: str) -> None:
        """End it when its calls have, and none has come for a while."""
        loop = asyncio.get_running_loop()
        now = busy_at = loop.time()
        until = now + RETIRE_S
        while now < until and now < busy_at + QUIET_S:
            await asyncio.sleep(LOOK_S)
            now = loop.time()
            busy_at = now if live.busy else busy_at
        if live.busy:
            log.warning(
                "server %s: calls still run %g s later; ended: %s", live.id, RETIRE_S, reason
            )
        await live.close(reason)
        self._leaving.discard(live)

    def restart(self, id: str) -> None:
        """Start a server anew now, also one that was given up.

        Raises:
            KeyError: there is no such server.
        """
        self.servers[id].restart()

    async def settle(self, ids: Sequence[str], grace_s: float) -> None:
        """Wait until the first start of these servers has ended, for `grace_s` at most."""
        late = [
            live
            for id in ids
            if (live := self.servers.get(id)) is not None and not live.settled.is_set()
        ]
        if not late or grace_s <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                for live in late:
                    await live.settled.wait()

    def sweep(self, at_work: Callable[[str], Collection[str | None]]) -> None:
        """Close connections that nobody uses; `at_work`: whose are busy all the same, by server."""
        for live in self.servers.values():
            live.sweep(at_work(live.id))

    def leave(self, who: str) -> None:
        """A session has ended: close what only it used."""
        for live in self.servers.values():
            live.leave(who)

    async def close(self) -> None:
        """End every server and everything it started."""
        stopping = "the gateway is stopping"
        await self._tasks.close()
        every = (*self.servers.values(), *self._coming.values(), *self._leaving)
        await asyncio.gather(*(live.close(stopping) for live in every))
        await self._warden.close()

    def hurry(self) -> None:
        """Kill every process: nobody waits any more."""
        self._warden.hurry()

    def _connection(self, live: Live, replica: Replica, era: str) -> Upstream:

        def from_server(method: str, params: Raw) -> None:
            self._from_server(live, method, params, replica.place, made.who)

        made: Upstream
        transport, timeouts = replica.transport, live.config.timeouts
        if isinstance(transport, Stdio):
            made = StdioServer(live.id, transport, timeouts, era, from_server, self._warden)
        elif isinstance(transport, Sse) or replica.is_sse:
            made = LegacySse(live.id, transport, timeouts, from_server)
        else:
            made = StreamableHttp(live.id, transport, timeouts, era, from_server)
        return made
