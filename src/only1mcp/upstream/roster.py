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
from time import monotonic
from typing import Final

from msgspec import Raw

from only1mcp.config.servers import Http, Server, Sse, Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.retry import Budget
from only1mcp.protocol.errors import (
    McpError,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.protocol.methods import NEWEST_MODERN
from only1mcp.upstream.answer import NotStreamable
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.connections import Connections, Key
from only1mcp.upstream.sse import LegacySse
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.streamable import StreamableHttp
from only1mcp.upstream.turns import Turns
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

    def __init__(
        self, config: Server, make: Callable[["Live", str], Upstream], greeted: "Greeted"
    ) -> None:
        """`make` gives a connection that insists on a protocol; `greeted` hears of each."""
        self.config = config
        self.further = Connections(config.id, lambda era: make(self, era), greeted)
        self.upstream: Upstream | None = None
        self.state = State.STARTING if config.enabled else State.DISABLED
        self.reason = "" if config.enabled else "enabled: false in the configuration"
        self.restarts = 0
        self.turns = Turns(config.id, config.concurrency)
        self.repeats = Budget(config.retry.budget, monotonic())
        self.settled = asyncio.Event()  # the first attempt has ended, well or badly
        self.protocol = config.protocol
        self.is_sse = isinstance(config.transport, Sse)
        """Of the older HTTP transport: as configured, or as found out for a URL."""
        self._make = make
        self._greeted = greeted
        may_part = isinstance(config.transport, Http) or config.isolation != "shared"
        self._two_eras = may_part and config.protocol == "auto"
        self._pause_s = FIRST_PAUSE_S
        self._tries_at = 0.0  # of the next start, while WAITING
        self._up = asyncio.Event()
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

    def shares(self, upstream: Upstream, modern: bool) -> bool:
        """Whether a client of this era is served on the connection that serves everybody."""
        other_era = self._two_eras and upstream.greeting.modern and not modern
        return self.config.isolation == "shared" and not other_era

    async def apart(self, upstream: Upstream, modern: bool, who: str | None) -> Upstream:
        """The connection for a client that is not served on `upstream`.

        Raises:
            ServerFault: it cannot be had.
        """
        era = upstream.greeting.modern and (modern or not self._two_eras)
        try:
            return await self.further.get(Key(era, who))
        except (ServerProtocolError, ServerLost, ServerTimeout):
            if era == upstream.greeting.modern:
                raise
            self._two_eras = False  # it refused the handshake, or died of it: bridge instead
        if self.config.isolation == "shared":
            return upstream
        return await self.further.get(Key(upstream.greeting.modern, who))

    async def returns(self, within_s: float) -> bool:
        """Wait for it to be ready again, unless that will take longer; whether it is."""
        wait_s = self._tries_at - asyncio.get_running_loop().time()
        if self.state is State.STARTING or (self.state is State.WAITING and wait_s < within_s):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._up.wait()
        return self.upstream is not None

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
            pause_s = self._pause_s * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
            self._tries_at = asyncio.get_running_loop().time() + pause_s
            await asyncio.sleep(pause_s)
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self.restarts += 1

    async def _hold(self, joined: "Joined", notice: "Notice") -> str:
        """One connection from its beginning to its end; why it ended."""
        loop = asyncio.get_running_loop()
        upstream = self._make(self, self.protocol)
        try:
            try:
                await upstream.connect()
            except NotStreamable as fault:
                await upstream.close()
                upstream = await self._as_sse(fault)
            await self._greeted(upstream)
            self.upstream = upstream
            await joined(self)
            self._become(State.READY, "", notice)
            self.settled.set()
            since = loop.time()
            reason = await upstream.wait_lost()
            self.state, self.reason = State.WAITING, reason  # at once: closing may take a while
            self._up.clear()
            if loop.time() - since > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            return reason
        except McpError as fault:
            self._learn(upstream, fault)
            raise
        finally:
            self.upstream = None
            await self.further.close()
            await upstream.close()

    async def _as_sse(self, fault: NotStreamable) -> Upstream:
        """The URL takes no POST; if it opens a stream that says where to post, remember that.

        Source  2026-07-28 basic/transports "Backward Compatibility" with HTTP+SSE.
        """
        self.is_sse = True
        upstream = self._make(self, "legacy")
        try:
            await upstream.connect()
        except BaseException as other:
            self.is_sse = False
            await upstream.close()
            if isinstance(other, McpError):
                raise fault from None
            raise
        log.warning(
            "server %s speaks the older HTTP+SSE transport; set transport.type: sse for it "
            "to save a vain attempt at each start",
            self.id,
        )
        return upstream

    def _learn(self, upstream: Upstream, fault: McpError) -> None:
        """A server that died of the modern probe gets a plain handshake next time.

        If that does not help it was not the probe, and the time after is as the first.
        A URL found to be of the older transport that no longer is gets a POST next time.
        """
        if isinstance(fault, ServerProtocolError):
            self.is_sse = isinstance(self.config.transport, Sse)
        if self.config.protocol == "auto" and self.upstream is None:
            probing = getattr(upstream, "revision", None) == NEWEST_MODERN
            self.protocol = "legacy" if probing and isinstance(fault, ServerLost) else "auto"

    def _become(self, state: State, reason: str, notice: "Notice") -> None:
        self.state, self.reason = state, reason
        if state is State.READY:
            self._up.set()
        else:
            self._up.clear()
        notice(self)


Greeted = Callable[[Upstream], Awaitable[None]]
"""Called for each connection, the further ones too, before its first call."""
Joined = Callable[[Live], Awaitable[None]]
"""Called after each greeting; McpError: the server is not usable."""
Notice = Callable[[Live], None]
"""Called after each change of state; must not block."""
FromServer = Callable[[Live, str, Raw], None]
"""Takes a notification of a server that belongs to no call."""


async def _unheard(upstream: Upstream) -> None:
    """Nobody listens."""


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
        self._tasks = Tasks()
        self.servers: dict[str, Live] = {
            server.id: Live(server, self._connection, greeted) for server in servers
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

    def sweep(self) -> None:
        """Close connections that nobody uses."""
        for live in self.servers.values():
            live.further.sweep()

    def leave(self, who: str) -> None:
        """A session has ended: close what only it used."""
        for live in self.servers.values():
            live.further.leave(who)

    async def close(self) -> None:
        """End every server and everything it started."""
        await self._tasks.close()
        for live in self.servers.values():
            live.state, live.reason = State.STOPPED, "the gateway is stopping"
        await self._warden.close()

    def _connection(self, live: Live, era: str) -> Upstream:
        config = live.config

        def from_server(method: str, params: Raw) -> None:
            self._from_server(live, method, params)

        transport, timeouts = config.transport, config.timeouts
        if isinstance(transport, Stdio):
            return StdioServer(live.id, transport, timeouts, era, from_server, self._warden)
        if isinstance(transport, Sse) or live.is_sse:
            return LegacySse(live.id, transport, timeouts, from_server)
        return StreamableHttp(live.id, transport, timeouts, era, from_server)


def describe(fault: Exception) -> str:
    """One line for people: what failed and the next step."""
    hint = fault.data.get("hint") if isinstance(fault, ServerFault) else None
    return f"{fault}; {hint}" if hint else str(fault)
