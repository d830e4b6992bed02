"""One replica of a server while the gateway runs: connected, watched, connected anew.

    STARTING ──greeted, joined──► READY ──lost, or ended for cause──► WAITING ──back-off──► STARTING
        └──────── fault ──────────────────────────────────────────►┘  └► FAILED (see policy/restart)
                                   READY ──idle──► IDLE ──a call──► STARTING

How it does is in standing.py, what time brings while it is connected in checkup.py.
Units   seconds of the loop's monotonic clock.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from only1mcp.config.servers import Http, Instance, Server, Sse, Stdio
from only1mcp.config.show import mask_url
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.restart import Restarts
from only1mcp.protocol.errors import (
    McpError,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
)
from only1mcp.protocol.methods import NEWEST_MODERN
from only1mcp.upstream.answer import NotStreamable
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.checkup import Checkup
from only1mcp.upstream.connections import Connections, Key
from only1mcp.upstream.launch import NotStartable
from only1mcp.upstream.standing import Counted, Standing

log = logging.getLogger("only1mcp.servers")

ASKED: Final = "a restart was asked for"
MANY: Final = 2
"""Of so many replicas each is told of by itself."""


class State(StrEnum):
    """Where a replica, or its server, is in its life."""

    STARTING = "starting"
    READY = "ready"
    IDLE = "idle"  # stopped because nobody called; the next call starts it
    WAITING = "waiting"  # failed; will be tried again
    FAILED = "failed"  # given up, but for a try now and then
    DISABLED = "disabled"
    STOPPED = "stopped"


class Ended(NamedTuple):
    """How one run of a replica ended."""

    reason: str
    up_s: float = 0.0  # ready for so long
    startable: bool = True


class Group(Protocol):
    """The server that a replica is one of; see upstream/live.py."""

    clock: Callable[[], float]

    def connection(self, replica: "Replica", era: str) -> Upstream:
        """A new connection that insists on a protocol."""

    async def greeted(self, upstream: Upstream) -> None:
        """Told of each connection, the further ones too, before its first call."""

    async def joined(self, replica: "Replica") -> None:
        """Told before a replica counts as ready; McpError: it is not usable."""

    def changed(self, replica: "Replica") -> None:
        """Told when a replica is not what it was: its state, its health, its breaker."""


class Replica(Standing):
    """One instance of a server, kept connected."""

    def __init__(self, config: Server, instance: Instance, id: str, group: Group) -> None:
        super().__init__(config, id, instance.weight, group.clock)
        self.transport = instance.transport
        self.upstream: Upstream | None = None
        self.calls: Counted | None = None
        """The way to `upstream` for the calls of clients."""
        self.further = Connections(config.id, self._connection, group.greeted)
        self.state = State.STARTING if config.enabled else State.DISABLED
        self.reason = "" if config.enabled else "enabled: false in the configuration"
        self.since = self.clock()
        """When `state` began."""
        self.tries_at = self.since
        """WAITING, FAILED: when it is started again."""
        self.restarts = 0
        self.was_out = False
        """Whether it has taken no calls for a while, for a reason."""
        self.is_last = False
        """Whether it is not started again once this connection has ended: it is on its way out."""
        self.tried = not config.enabled
        """Whether the first attempt has ended, well or badly."""
        self.protocol = config.protocol
        self.is_sse = isinstance(self.transport, Sse)
        """Of the older HTTP transport: as configured, or as found out for a URL."""
        self._group = group
        may_part = isinstance(self.transport, Http) or config.isolation != "shared"
        self._two_eras = may_part and config.protocol == "auto"
        is_program = isinstance(self.transport, Stdio)
        self._restarts = Restarts(random.random, is_program=is_program)
        self._checkup = Checkup(self, self.transport, self.end)
        self._tasks = Tasks()
        self._said_down = ""  # why, as the log has it
        self._go = asyncio.Event()  # start now, whatever the pause
        self._over: asyncio.Future[str] | None = None
        self._start: asyncio.Timeout | None = None  # of the start that is under way

    @property
    def pid(self) -> int | None:
        """The process id of a program that runs."""
        return getattr(self.upstream, "pid", None)

    @property
    def connected(self) -> bool:
        """Whether a call could be sent at all."""
        return self.upstream is not None

    def changed(self) -> None:
        """It is not what it was."""
        self._checkup.stir()
        self._group.changed(self)

    # --- whose connection ---

    def shares(self, modern: bool) -> bool:
        """Whether a client of this era is served on the connection that serves everybody."""
        upstream = self.upstream
        other = self._two_eras and not modern and upstream and upstream.greeting.modern
        return self.config.isolation == "shared" and not other

    async def apart(self, modern: bool, who: str | None) -> Counted:
        """The connection for a client that is not served on the shared one.

        Raises:
            ServerFault: it cannot be had.
        """
        upstream, shared = self.upstream, self.calls
        assert upstream is not None and shared is not None
        both = upstream.greeting.modern
        era = both and (modern or not self._two_eras)
        self.in_flight += 1  # who waits for a connection is a call to come
        try:
            return Counted(self, await self.further.get(Key(era, who)))
        except (ServerProtocolError, ServerLost, ServerTimeout):
            if era == both:
                raise
            self._two_eras = False  # it refused the handshake, or died of it: bridge instead
            if self.config.isolation == "shared":
                return shared
            return Counted(self, await self.further.get(Key(both, who)))
        finally:
            self.in_flight -= 1

    # --- one life ---

    async def keep(self) -> None:
        """Keep it connected until cancelled."""
        while True:
            self._go.clear()
            self._restarts.begins(self.clock())
            self._become(State.STARTING, "")
            ended = await self._run()
            if self.is_last:
                return
            if self.state is State.IDLE:
                await self._go.wait()
                continue
            self._pause(ended)
            await self._until(self.tries_at)
            self.restarts += 1

    def wake(self) -> None:
        """Start an idle one; one that waits is left to its pause."""
        if self.state is State.IDLE:
            self._restarts.forget()
            self._go.set()

    def restart(self) -> None:
        """Start it anew now, in whatever state it is."""
        self._restarts.forget()
        self._go.set()
        self.end(ASKED)

    @property
    def asked(self) -> bool:
        """Whether it is down because somebody wants it anew, and for no fault."""
        return self.reason == ASKED

    def end(self, reason: str) -> None:
        """End the connection, or its start; what follows is as if it had been lost."""
        if self._over is not None and not self._over.done():
            self._over.set_result(reason)
            if self._start is not None:
                self._start.reschedule(0)

    def rest(self) -> None:
        """End the connection until somebody calls."""
        if self.state is State.READY:
            self.upstream = self.calls = None  # at once: nobody calls it any more
            self._become(State.IDLE, "")
            self.end("nobody has called it")

    def stop(self, reason: str) -> None:
        """Its `keep` has been cancelled; it will not be started again."""
        self.state, self.reason = State.STOPPED, reason

    async def _run(self) -> Ended:
        """One connection from its beginning to its end."""
        try:
            return await self._hold()
        except NotStartable as fault:
            return Ended(describe(fault), startable=False)
        except McpError as fault:
            return Ended(describe(fault))
        except Exception:
            log.exception("server %s failed inside the gateway", self.server)
            return Ended("the gateway failed to handle it; its log says more")

    async def _hold(self) -> Ended:
        upstream = self._connection(self.protocol)
        self._over = over = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(None) as self._start:
                try:
                    await upstream.connect()
                except NotStreamable as fault:
                    await upstream.close()
                    upstream = await self._as_sse(fault)
                await self._group.greeted(upstream)
                self._admit(upstream)
                await self._group.joined(self)
            self._start = None
            self._become(State.READY, "")
            since = self.clock()
            return Ended(await self._watch(upstream), self.clock() - since)
        except McpError as fault:
            self._learn(upstream, fault)
            raise
        except TimeoutError:  # `end` has cut the start short
            return Ended(over.result())
        finally:
            self._over = self._start = None
            self._dismiss()
            await self._tasks.close()
            await self.further.close()
            await upstream.close()

    def _admit(self, upstream: Upstream) -> None:
        self.renew()
        self.upstream, self.calls = upstream, Counted(self, upstream)
        self.changed()

    def _dismiss(self) -> None:
        if self.upstream is not None:
            self.upstream = self.calls = None
            self.breaker.disregard()
            self.changed()

    async def _watch(self, upstream: Upstream) -> str:
        """Until it is lost, or is ended by us; why."""
        assert self._over is not None
        self._tasks.start(self._checkup.run(upstream), f"check {self.server}")
        lost = self._tasks.start(upstream.wait_lost(), f"watch {self.server}")
        await asyncio.wait([lost, self._over], return_when=asyncio.FIRST_COMPLETED)
        reason = lost.result() if lost.done() else self._over.result()
        if self.state is State.READY:
            self.state, self.reason = State.WAITING, reason  # at once: closing may take a while
        return reason

    def _pause(self, ended: Ended) -> None:
        now = self.clock()
        pause_s = self._restarts.pause_s(ended.up_s, now, startable=ended.startable)
        self.tries_at = now + pause_s
        gave_up = self._restarts.gave_up
        reason = f"{gave_up}: {ended.reason}" if gave_up and ended.startable else ended.reason
        self.tried = True
        self._become(State.FAILED if gave_up else State.WAITING, reason)

    async def _until(self, at: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(at - self.clock()):
                await self._go.wait()

    async def _as_sse(self, fault: NotStreamable) -> Upstream:
        """The URL takes no POST; if it opens a stream that says where to post, remember that.

        Source  2026-07-28 basic/transports "Backward Compatibility" with HTTP+SSE.
        """
        self.is_sse = True
        upstream = self._connection("legacy")
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
            self.server,
        )
        return upstream

    def _learn(self, upstream: Upstream, fault: McpError) -> None:
        """A server that died of the modern probe gets a plain handshake next time.

        If that does not help it was not the probe, and the time after is as the first.
        A URL found to be of the older transport that no longer is gets a POST next time.
        """
        if isinstance(fault, ServerProtocolError):
            self.is_sse = isinstance(self.transport, Sse)
        if self.config.protocol == "auto" and self.upstream is None:
            probing = getattr(upstream, "revision", None) == NEWEST_MODERN
            self.protocol = "legacy" if probing and isinstance(fault, ServerLost) else "auto"

    def _connection(self, era: str) -> Upstream:
        return self._group.connection(self, era)

    def _become(self, state: State, reason: str) -> None:
        self._tell(state, reason)
        self.state, self.reason, self.since = state, reason, self.clock()
        self.tried = self.tried or state is State.READY
        self.changed()

    def _tell(self, state: State, reason: str) -> None:
        """Log that one of several is down, or up again; the server as a whole may go on."""
        if len(self.config.replicas) < MANY:
            return
        if state in (State.WAITING, State.FAILED) and self._said_down != reason:
            log.warning("server %s is down: %s", self.name, reason)
            self._said_down = reason
        elif state is State.READY and self._said_down:
            log.info("server %s is up again", self.name)
            self._said_down = ""


def describe(fault: Exception) -> str:
    """One line for people: what failed and the next step."""
    hint = fault.data.get("hint") if isinstance(fault, ServerFault) else None
    return f"{fault}; {hint}" if hint else str(fault)


def names_of(instances: Sequence[Instance]) -> list[str]:
    """A name for each replica that tells people which it is, and stays when others come or go."""
    seen: Counter[str] = Counter()
    names = []
    for one in instances:
        transport = one.transport
        name = transport.command if isinstance(transport, Stdio) else mask_url(transport.url)
        seen[name] += 1
        names.append(f"{name} #{seen[name]}" if seen[name] > 1 else name)
    return names
