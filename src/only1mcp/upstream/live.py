"""One configured server while the gateway runs: one id, one state, and its replicas.

    replicas ──each change──► who takes calls (policy/ejection) ──pick (policy/balance)──► a call
         └── one of them leads: lists and subscriptions are those it serves; when it goes,
             another one does

Most servers have one replica, and then there is nothing to choose.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import suppress
from time import monotonic
from typing import Final, Protocol

from msgspec import Raw

from only1mcp.config.servers import Server
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.balance import Balancer, balancer
from only1mcp.policy.ejection import FIRST_SHARE, GROUP, eligible
from only1mcp.policy.retry import Budget
from only1mcp.protocol.errors import McpError, ServerFault, ServerUnavailable
from only1mcp.upstream import excuse
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.replica import Replica, State, names_of
from only1mcp.upstream.standing import Counted
from only1mcp.upstream.turns import Turns

log = logging.getLogger("only1mcp.servers")

_BEST_FIRST: Final = (
    *(State.READY, State.STARTING, State.IDLE, State.WAITING),
    *(State.FAILED, State.DISABLED, State.STOPPED),
)
"""The state of a server is the first of these that one of its replicas is in."""


class Live:
    """One server: what the relay, the lists and the subscriptions see of it."""

    def __init__(
        self,
        config: Server,
        make: "Make",
        greeted: "Greeted",
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`make` gives a connection that insists on a protocol; `greeted` hears of each."""
        self.config = config
        self.clock = clock or asyncio.get_running_loop().time
        self.settled = asyncio.Event()
        """Every first attempt has ended, or one of them well."""
        self._make = make
        self._greeted = greeted
        self._joined: Joined = _nobody
        self._notice: Notice = _ignore
        names = names_of(config.instances)
        self.replicas = tuple(
            Replica(config, one, id, self) for one, id in zip(config.instances, names, strict=True)
        )
        self.turns = Turns(config.id, config.concurrency)
        self.repeats = Budget(config.retry.budget, monotonic())
        self.lead: Replica | None = None
        """The replica whose lists and subscriptions are those of the server."""
        self.several = len(self.replicas) > 1
        self.hash_key = self._hash_key()
        """What the policy wants to know of a call; None: nothing."""
        self._balancer: Balancer[Replica] = balancer(
            config.load_balancing, {one.id: one.weight for one in self.replicas}
        )
        self._group: tuple[Replica, ...] = ()
        self._panic = False
        self._closing = False
        self._homes: dict[str, Replica] = {}
        self._joining = asyncio.Lock()
        self._up = asyncio.Event()  # some replica takes calls
        self._awake = asyncio.Event()
        self._awake.set()
        self._waking = 0
        self._held: Held = lambda _: False
        self._idle: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self.state, self.reason = self._sum_up()
        self._noticed: tuple[State, str] | None = None
        if not config.enabled:
            self.settled.set()

    @property
    def id(self) -> str:
        """The id in the configuration: the one name of this server everywhere."""
        return self.config.id

    @property
    def upstream(self) -> Upstream | None:
        """The connection for lists and subscriptions, if there is one now."""
        return self.lead.upstream if self.lead is not None else None

    @property
    def calls(self) -> Counted | None:
        """The same for what counts as a call."""
        return self.lead.calls if self.lead is not None else None

    @property
    def restarts(self) -> int:
        """How often its replicas were started again."""
        return sum(one.restarts for one in self.replicas)

    def connections(self) -> Iterator[Upstream]:
        """All there are."""
        for one in self.replicas:
            if one.upstream is not None:
                yield one.upstream
            yield from one.further

    @property
    def busy(self) -> bool:
        """Whether calls are under way, or wait for their turn or for it to start."""
        return bool(self._waking or self.turns.waiting or any(r.in_flight for r in self.replicas))

    # --- for calls ---

    def pick(
        self, who: str | None = None, key: str | None = None, tried: Collection[str] = ()
    ) -> Replica:
        """The replica for one call.

        `who` has a connection of its own and stays where it is; `key` is what consistent_hash
        goes by; `tried` are replicas that have failed this call, to be avoided.

        Raises:
            ServerUnavailable, CircuitOpen: there is none.
        """
        group = self._group
        if len(group) == 1 and who is None:
            return group[0]
        if not group:
            self._regroup()  # a pause may have ended this moment
            if not (group := self._group):
                raise self.unavailable()
        if who is not None and (home := self._homes.get(who)) in group and home.id not in tried:
            return home
        chosen = self._balancer.pick(group, key, random.random, tried) or group[0]
        if who is not None:
            self._homes[who] = chosen
        return chosen

    def at(self, place: str) -> Replica:
        """The replica for a call that only one can serve: the one at `place`.

        Raises:
            ServerUnavailable, CircuitOpen: it takes no calls, or is no more.
        """
        one = next((one for one in self.replicas if one.place == place), None)
        if one is None:
            said = f"server '{self.id}' no longer has the replica that this belongs to"
            raise ServerUnavailable(self.id, said, hint="make the call anew")
        if one not in self._group:
            now = self.clock()
            if one.connected:
                raise excuse.left_alone(one, now)
            raise excuse.down(one, one.name, now)
        return one

    def ready(self) -> Upstream:
        """The connection for lists and subscriptions.

        Raises:
            ServerUnavailable: there is none; says why and what happens next.
        """
        if (upstream := self.upstream) is not None:
            return upstream
        raise self.unavailable()

    def takes_calls(self, besides: Collection[str]) -> bool:
        """Whether a replica takes calls that is none of `besides`, of which there is one."""
        return bool(besides) and any(one.id not in besides for one in self._group)

    async def returns(self, within_s: float) -> bool:
        """Wait for it to take calls again, unless that will take longer; whether it does."""
        now = self.clock()
        soon = any(
            one.state is State.WAITING and one.tries_at - now < within_s for one in self.replicas
        )
        if soon or self.state is State.STARTING:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._up.wait()
        return bool(self._group)

    def unavailable(self) -> ServerFault:
        """What to tell a client while no replica takes calls."""
        now = self.clock()
        connected = [one for one in self.replicas if one.connected]
        if connected and not self._group:
            return excuse.left_alone(min(connected, key=lambda one: excuse.wait_s(one, now)), now)
        best = [one for one in self.replicas if one.state is self.state] or self.replicas
        return excuse.down(min(best, key=lambda one: one.tries_at), self.id, now)

    # --- its life ---

    def start(self, joined: "Joined", notice: "Notice", held: "Held") -> None:
        """Keep all replicas connected; `joined` runs before the first counts as ready."""
        self._joined, self._notice, self._held = joined, notice, held
        if not self.config.enabled:
            return
        for one in self.replicas:
            self._tasks.start(one.keep(), f"server {one.name}")
        self._mind_idleness()

    def adopt(self, config: Server) -> None:
        """Go by other settings of the same server that leave its connections as they are."""
        old, self.config = self.config, config
        if config == old:
            return
        both = list(zip(self.replicas, config.instances, strict=True))
        if (old.load_balancing, old.instances) != (config.load_balancing, config.instances):
            weights = {one.id: now.weight for one, now in both}
            self._balancer = balancer(config.load_balancing, weights)
        self.hash_key = self._hash_key()
        for one, now in both:
            one.adopt(config, now.weight)
        self.turns.renew(config.concurrency)
        self.repeats.share = config.retry.budget
        if config.idle_stop != old.idle_stop:
            self._mind_idleness()

    async def awake(self) -> None:
        """Start it if it is idle; returns when that has ended, well or badly."""
        if self._awake.is_set():
            return
        for one in self.replicas:
            one.wake()
        self._waking += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.timeouts.start):
                    await self._awake.wait()
        finally:
            self._waking -= 1

    def restart(self) -> None:
        """Start every replica anew, whatever state it is in; calls under way are lost."""
        for one in self.replicas:
            one.restart()

    def leave(self, who: str) -> None:
        """A session or principal has gone: so do its connections."""
        self._homes.pop(who, None)
        for one in self.replicas:
            one.further.leave(who)

    def sweep(self, at_work: Collection[str | None] = ()) -> None:
        """Close connections that nobody uses; not theirs for whom it is still at work."""
        for one in self.replicas:
            one.further.sweep(at_work)
        if self._homes:
            homes = self._homes.items()
            self._homes = {who: one for who, one in homes if one.further.has(who)}

    async def close(self, reason: str) -> None:
        """End every replica and everything it started."""
        self._closing = True
        await self._tasks.close()
        for one in self.replicas:
            one.stop(reason)
        self.state, self.reason = State.STOPPED, reason
        self._awake.set()

    def _mind_idleness(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        if self.config.idle_stop and self.config.enabled:
            self._idle = self._tasks.start(self._rest_when_idle(), f"idle {self.id}")

    async def _rest_when_idle(self) -> None:
        idle_s = self.config.idle_stop
        while True:
            due = max(one.used_at for one in self.replicas) + idle_s
            wait_s = due - self.clock()
            if wait_s <= 0 and self.state is State.READY and not self.busy and not self._held(self):
                self._awake.clear()
                for one in self.replicas:
                    one.rest()
            await asyncio.sleep(wait_s if wait_s > 0 else idle_s)

    # --- for its replicas ---

    def connection(self, replica: Replica, era: str) -> Upstream:
        """A new connection."""
        return self._make(self, replica, era)

    async def greeted(self, upstream: Upstream) -> None:
        """Before its first call."""
        await self._greeted(upstream)

    async def joined(self, replica: Replica) -> None:
        """The first replica leads; the others find it all done."""
        async with self._joining:
            if self.lead is not None and self.lead.connected and self.lead is not replica:
                return
            self.lead = replica
            await self._joined(self)

    def changed(self, replica: Replica) -> None:
        """Work out anew who takes calls, who leads, and what to say of it all."""
        self._regroup()
        if self._closing:
            return
        if self._group:
            self._up.set()
        else:
            self._up.clear()
        self._change_lead()
        self.state, self.reason = self._sum_up()
        if self.state is State.READY or all(one.tried for one in self.replicas):
            self.settled.set()
        if self.state in (State.READY, State.WAITING, State.FAILED):
            self._awake.set()
        if (now := (self.state, self.reason)) != self._noticed:
            self._noticed = now
            self._notice(self)

    def _regroup(self) -> None:
        before, found = self._group, eligible(self.replicas)
        if found.panic and not self._panic:
            log.warning("server %s: too few replicas are well, so all get calls", self.id)
        self._panic = found.panic
        if found.members != before:
            self._group = found.members
        for one in self.replicas if len(self.replicas) >= GROUP else ():
            well = one.connected and one.usable and one.open_since is None
            if one in before and not well:
                one.was_out = True
            elif one.was_out and well:
                one.was_out = False
                self._begin_slowly(one)

    def _begin_slowly(self, replica: Replica) -> None:
        if self.config.load_balancing.slow_start:
            replica.slow_start, replica.back_since = FIRST_SHARE, self.clock()

    def _change_lead(self) -> None:
        """Another replica leads when the one that did is lost, or unwell beside one that is not."""
        lead, group = self.lead, self._group
        if lead is not None and lead.connected and (lead in group or not group):
            return
        ready = [one for one in group if one.state is State.READY]
        if ready:
            self.lead = ready[0]
            self._tasks.start(self._promote(ready[0]), f"lead {ready[0].name}")

    async def _promote(self, replica: Replica) -> None:
        async with self._joining:
            if self.lead is not replica or not replica.connected:
                return
            try:
                await self._joined(self)
            except McpError as fault:  # the last lists are still there
                log.warning("server %s: its lists cannot be had: %s", replica.name, fault.message)

    def _sum_up(self) -> tuple[State, str]:
        first = min(self.replicas, key=lambda one: _BEST_FIRST.index(one.state))
        return first.state, first.reason

    def _hash_key(self) -> str | None:
        settings = self.config.load_balancing
        hashes = settings.policy == "consistent_hash" and self.several
        return settings.hash_key if hashes else None


Make = Callable[[Live, Replica, str], Upstream]
"""Gives a connection of a replica that insists on a protocol."""
Greeted = Callable[[Upstream], Awaitable[None]]
"""Called for each connection, the further ones too, before its first call."""
Joined = Callable[[Live], Awaitable[None]]
"""Called after the greeting of the replica that leads; McpError: the server is not usable."""
Notice = Callable[[Live], None]
"""Called after each change of state; must not block."""
Held = Callable[[Live], bool]
"""Whether somebody waits for what the server will say, so that it must not be stopped."""


class FromServer(Protocol):
    """Takes a notification of a server that belongs to no call."""

    def __call__(
        self, live: Live, method: str, params: Raw, place: str = "", who: str | None = None, /
    ) -> None:
        """`place` names the replica that sent it; `who` has that connection to itself."""


async def _nobody(live: Live) -> None:
    """Nobody lists."""


def _ignore(live: Live) -> None:
    """Nobody is told."""
