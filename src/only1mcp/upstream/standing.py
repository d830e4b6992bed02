"""How one replica does: its calls in flight, their latency, its breaker and its health.

    answered, be it with the server's own error   speaks for it, and is a good check
    no connection, no answer, no MCP, HTTP 5xx    speaks against it: the breaker hears of it
    429, 503 with Retry-After                     pauses it, with an error of its own or without
    the client left                               says nothing

Every call goes through `Counted`, which keeps the numbers true on every path.
Units   seconds of the clock that is passed in.
Cost    two clock readings and one frame for each call.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

from only1mcp.config.servers import Server
from only1mcp.observe.meter import Histogram
from only1mcp.policy.balance import Latency
from only1mcp.policy.breaker import Breaker, is_failure
from only1mcp.policy.health import Health
from only1mcp.protocol import tasks
from only1mcp.protocol.errors import McpError, ServerBusy, UpstreamError
from only1mcp.upstream.base import AtOnce, Begun, Call, Greeting, Upstream, Waiter

log = logging.getLogger("only1mcp.servers")


class Standing:
    """What choosing among the replicas of a server goes by. `id` tells them apart."""

    def __init__(self, config: Server, id: str, weight: int, clock: Callable[[], float]) -> None:
        now = clock()
        self.config = config
        self.id = id
        self.place = tasks.place(config.id, id) if len(config.replicas) > 1 else config.id
        """What it is called in ids that clients bring back."""
        self.weight = weight
        self.clock = clock
        self.in_flight = 0
        self.taken = 0
        """Calls in all."""
        self.good_checks = self.failed_checks = 0
        self.checks = Histogram()
        """How long health checks took, in seconds."""
        self.latency = Latency(now)
        self.slow_start = 1.0
        """The part of its weight that it gets now."""
        self.back_since: float | None = None
        """While it grows into its weight: since when it is back."""
        self.breaker = Breaker(config.circuit_breaker, now, random.random)
        self.health = Health(config.health_check, now, random.random)
        self.used_at = now
        """When the latest call ended."""

    @property
    def server(self) -> str:
        """The id of its server."""
        return self.config.id

    @property
    def name(self) -> str:
        """For people: which server, and which of its replicas if there are several."""
        return f"{self.server} at {self.id}" if self.config.replicas else self.server

    @property
    def latency_s(self) -> float:
        """What a call takes there; 0 if nobody knows yet."""
        return self.latency.value_s

    @property
    def usable(self) -> bool:
        """What health checks say."""
        return self.health.usable

    @property
    def open_since(self) -> float | None:
        """When its breaker opened or its pause began; None while it admits calls."""
        return None if self.breaker.admits(self.clock()) else self.breaker.since

    def changed(self) -> None:
        """It takes calls that it did not take before, or the other way round."""

    def adopt(self, config: Server, weight: int) -> None:
        """Go by other settings of the same server; what is known of it stays."""
        now = self.clock()
        self.config, self.weight = config, weight
        self.breaker.adopt(config.circuit_breaker, now)
        self.health.adopt(config.health_check, now)
        self.changed()

    def renew(self) -> None:
        """It has been connected anew: it answered, which is a good check and the best probe."""
        now = self.clock()
        self.breaker.reset(now)
        self.health = Health(self.config.health_check, now, random.random)
        self.health.passed(now)
        self.used_at = now

    def answered(self, permit: int, began: float) -> None:
        """A call was answered."""
        now = self.clock()
        self.used_at = self.health.heard_at = now
        self.latency.observe(now - began, now)
        self.breaker.succeeded(permit)

    def failed(self, error: McpError, permit: int, began: float) -> None:
        """A call ended in `error`."""
        if isinstance(error, UpstreamError):
            self.answered(permit, began)
            self._leave_alone(error.retry_after_ms)
            return
        now = self.used_at = self.clock()
        if self.config.replicas and isinstance(error.data, dict):
            error.data.setdefault("replica", self.id)
        if isinstance(error, ServerBusy):
            self._leave_alone(error.retry_after_ms)
        if is_failure(error) and self.breaker.failed(permit, error.message, now):
            log.warning("server %s is left alone: %s", self.name, self.breaker.reason)
            self.changed()

    def _leave_alone(self, for_ms: int | None) -> None:
        """It has asked for time."""
        if for_ms is not None:
            now = self.clock()
            self.breaker.pause(now + for_ms / 1000, now)
            self.changed()


class Counted:
    """One connection of a replica, as far as calls of clients go."""

    __slots__ = ("_at_once", "_standing", "server", "upstream")

    def __init__(self, standing: Standing, upstream: Upstream) -> None:
        self.server = standing.server
        self.upstream = upstream
        self._standing = standing
        self._at_once = upstream if isinstance(upstream, AtOnce) else None

    @property
    def greeting(self) -> Greeting:
        """What the server said of itself; another after a new handshake."""
        return self.upstream.greeting

    async def call(self, call: Call) -> bytes:
        """The result of `call`; see `Upstream.call`."""
        standing = self._standing
        standing.in_flight += 1
        standing.taken += 1
        permit, began = standing.breaker.epoch, standing.clock()
        return await self._counted(self.upstream.call(call), permit, began)

    async def _counted(self, call: Coroutine[Any, Any, bytes], permit: int, began: float) -> bytes:
        standing = self._standing
        try:
            result = await call
        except McpError as error:
            standing.failed(error, permit, began)
            raise
        finally:
            standing.in_flight -= 1
        standing.answered(permit, began)
        return result

    def begin(self, call: Call, waiter: Waiter) -> Begun | None:
        """Send it now, if it need not wait for anything; see `AtOnce.begin`."""
        if self._at_once is None or (begun := self._at_once.begin(call, waiter)) is None:
            return None
        standing = self._standing
        begun.permit, begun.began = standing.breaker.epoch, standing.clock()
        standing.in_flight += 1
        standing.taken += 1
        return begun

    def end(self, begun: Begun, answer: Any) -> bytes | None:
        """Its result, if this is the answer that most calls get: then it is over. None: it is not,
        and `rest` has to see to it."""
        assert self._at_once is not None
        result = self._at_once.end(begun, answer)
        if result is not None:
            self._standing.in_flight -= 1
            self._standing.answered(begun.permit, begun.began)
        return result

    async def rest(self, begun: Begun, answer: "asyncio.Future[Any]") -> bytes:
        """What `call` does from here on."""
        assert self._at_once is not None
        rest = self._at_once.rest(begun, answer)
        return await self._counted(rest, begun.permit, begun.began)
