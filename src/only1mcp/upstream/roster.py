"""Every configured server while the gateway runs: started, looked after, ended.

Each replica has one task of its own, so what is slow or dead delays only itself.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence

from msgspec import Raw

from only1mcp.config.servers import Server, Sse, Stdio
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.live import FromServer, Greeted, Held, Joined, Live, Notice
from only1mcp.upstream.replica import Replica, State
from only1mcp.upstream.sse import LegacySse
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.streamable import StreamableHttp
from only1mcp.upstream.warden import Warden

__all__ = ["FromServer", "Live", "Replica", "Roster", "State"]


async def _unheard(upstream: Upstream) -> None:
    """Nobody listens."""


def _free(live: Live) -> bool:
    """Nobody waits for what it says."""
    return False


class Roster:
    """All servers of one configuration, in its order."""

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
        self.servers: dict[str, Live] = {
            server.id: Live(server, self._connection, greeted) for server in servers
        }

    def start(self, joined: Joined, held: Held = _free) -> None:
        """Start every enabled server, all at once."""
        for live in self.servers.values():
            live.start(joined, self._notice, held)

    def restart(self, id: str) -> None:
        """Start a server anew now, also one that was given up.

        Raises:
            KeyError: there is no such server.
        """
        self.servers[id].restart()

    async def settle(self, ids: Sequence[str], grace_s: float) -> None:
        """Wait until the first start of these servers has ended, for `grace_s` at most."""
        late = [live for id in ids if not (live := self.servers[id]).settled.is_set()]
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
        await asyncio.gather(*(live.close(stopping) for live in self.servers.values()))
        await self._warden.close()

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
