"""Every configured server while the gateway runs: started, watched, restarted, ended.

    STARTING ──greeted, listed──► READY ──lost──► WAITING ──back-off over──► STARTING
        └────────── fault ──────────────────────────►┘

Each server has one task of its own, so a server that is slow or dead delays only itself.
Units   seconds of the loop's monotonic clock.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Raw

from only1mcp.config.model import Http, Server
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import McpError, ServerFault, ServerLost, ServerUnavailable
from only1mcp.protocol.methods import NEWEST_MODERN
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.streamable import StreamableHttp
from only1mcp.upstream.warden import Warden

log = logging.getLogger("only1mcp.servers")

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 60.0
JITTER: Final = 0.2  # of the pause: servers that fail together do not come back in step
STEADY_S: Final = 30.0
"""Up this long, a server starts again from FIRST_PAUSE_S; before, the pause doubles."""


class State(StrEnum):
    """Where a server is in its life."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # failed; will be tried again
    DISABLED = "disabled"
    STOPPED = "stopped"


class Live:
    """One configured server: its state, and the connection to it when there is one."""

    def __init__(self, config: Server, make: Callable[["Live"], Upstream]) -> None:
        self.config = config
        self.upstream: Upstream | None = None
        self.state = State.STARTING if config.enabled else State.DISABLED
        self.reason = "" if config.enabled else "enabled: false in the configuration"
        self.restarts = 0
        self.settled = asyncio.Event()  # the first attempt has ended, well or badly
        self.protocol = config.protocol
        self._make = make
        self._pause_s = FIRST_PAUSE_S
        if not config.enabled:
            self.settled.set()

    @property
    def id(self) -> str:
        """The id in the configuration: the one name of this server everywhere."""
        return self.config.id

    def ready(self) -> Upstream:
        """The connection to use now.

        Raises:
            ServerUnavailable: there is none; says why and what happens next.
        """
        if self.upstream is not None:
            return self.upstream
        raise self.unavailable()

    def unavailable(self) -> ServerUnavailable:
        """What to tell a client while there is no connection."""
        return ServerUnavailable(
            self.id,
            f"server '{self.id}' is {self.state}: {self.reason or 'not connected yet'}",
            hint=self._next_step(),
        )

    def _next_step(self) -> str:
        if self.state is State.DISABLED:
            return f"set enabled: true for server '{self.id}'"
        if self.state is State.WAITING:
            return f"it is tried again within {self._pause_s * (1 + JITTER):.1f} s"
        return "try again in a moment"

    async def keep(self, joined: "Joined", notice: "Notice") -> None:
        """Keep it connected until cancelled; `joined` runs before it counts as ready."""
        while True:
            self._become(State.STARTING, "", notice)
            try:
                reason = await self._hold(joined, notice)
            except McpError as fault:
                reason = describe(fault)
            except Exception:
                log.exception("server %s failed inside the gateway", self.id)
                reason = "the gateway failed to handle it; its log says more"
            self._become(State.WAITING, reason, notice)
            self.settled.set()
            jitter = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
            await asyncio.sleep(self._pause_s * jitter)
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self.restarts += 1

    async def _hold(self, joined: "Joined", notice: "Notice") -> str:
        """One connection from its beginning to its end; why it ended."""
        loop = asyncio.get_running_loop()
        upstream = self._make(self)
        try:
            await upstream.connect()
            self.upstream = upstream
            await joined(self)
            self._become(State.READY, "", notice)
            self.settled.set()
            since = loop.time()
            reason = await upstream.wait_lost()
            if loop.time() - since > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            return reason
        except McpError as fault:
            self._learn(upstream, fault)
            raise
        finally:
            self.upstream = None
            await upstream.close()

    def _learn(self, upstream: Upstream, fault: McpError) -> None:
        """A server that died of the modern probe gets a plain handshake next time.

        If that does not help it was not the probe, and the time after is as the first.
        """
        if self.config.protocol == "auto" and self.upstream is None:
            probing = getattr(upstream, "revision", None) == NEWEST_MODERN
            self.protocol = "legacy" if probing and isinstance(fault, ServerLost) else "auto"

    def _become(self, state: State, reason: str, notice: "Notice") -> None:
        self.state, self.reason = state, reason
        notice(self)


Joined = Callable[[Live], Awaitable[None]]
"""Called after each greeting; McpError: the server is not usable."""
Notice = Callable[[Live], None]
"""Called after each change of state; must not block."""
FromServer = Callable[[Live, str, Raw], None]
"""Takes a notification of a server that belongs to no call."""


class Roster:
    """All servers of one configuration, in its order."""

    def __init__(self, servers: Sequence[Server], notice: Notice, from_server: FromServer) -> None:
        self._warden = Warden()
        self._notice = notice
        self._from_server = from_server
        self._tasks = Tasks()
        self.servers: dict[str, Live] = {
            server.id: Live(server, self._connection) for server in servers
        }

    def start(self, joined: Joined) -> None:
        """Start every enabled server, all at once."""
        for live in self.servers.values():
            if live.config.enabled:
                self._tasks.start(live.keep(joined, self._notice), f"server {live.id}")

    async def settle(self, ids: Sequence[str], grace_s: float) -> None:
        """Wait until the first start of these servers has ended, for `grace_s` at most."""
        late = [live for id in ids if not (live := self.servers[id]).settled.is_set()]
        if not late or grace_s <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                for live in late:
                    await live.settled.wait()

    async def close(self) -> None:
        """End every server and everything it started."""
        await self._tasks.close()
        for live in self.servers.values():
            live.state, live.reason = State.STOPPED, "the gateway is stopping"
        await self._warden.close()

    def _connection(self, live: Live) -> Upstream:
        config = live.config

        def from_server(method: str, params: Raw) -> None:
            self._from_server(live, method, params)

        if isinstance(config.transport, Http):
            return StreamableHttp(
                live.id, config.transport, config.timeouts, live.protocol, from_server
            )
        return StdioServer(
            live.id, config.transport, config.timeouts, live.protocol, from_server, self._warden
        )


def describe(fault: Exception) -> str:
    """One line for people: what failed and the next step."""
    hint = fault.data.get("hint") if isinstance(fault, ServerFault) else None
    return f"{fault}; {hint}" if hint else str(fault)
