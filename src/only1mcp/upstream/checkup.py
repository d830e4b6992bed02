"""What time brings to a replica that is connected: health checks, the probe of an open breaker,
the end of a pause, the growth of slow start.

    breaker closed ──health check due──► ask ──► health; a program that fails enough is ended
    breaker open ──probe due──► ask ──► closed, or open for longer; health hears of it as well

What is asked is `server/discover` or `ping` by the era, or GET of a path. A program that works
on calls is alive and is not asked: many do one thing at a time.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from only1mcp.config.resilience import HealthCheck
from only1mcp.config.servers import Http, Stdio, Transport
from only1mcp.policy.breaker import State, is_failure
from only1mcp.policy.ejection import ramp
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call, Upstream
from only1mcp.upstream.connection import Exchange
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.http import HttpPool
from only1mcp.upstream.standing import Standing

log = logging.getLogger("only1mcp.servers")

RAMP_STEPS: Final = 10
"""Of slow start."""


class Checkup:
    """The checks of one replica. `stir` it when something changed that moves the next one."""

    def __init__(
        self, standing: Standing, transport: Transport, give_up: Callable[[str], None]
    ) -> None:
        """`give_up` is told why a program must be ended."""
        self._standing = standing
        self._is_program = isinstance(transport, Stdio)
        self._give_up = give_up
        self._transport = transport
        self._page: Page | None = None
        self._grows_at = 0.0
        self._stirred = asyncio.Event()

    @property
    def _settings(self) -> HealthCheck:
        return self._standing.config.health_check

    def stir(self) -> None:
        """Look at the clock again."""
        self._stirred.set()

    async def run(self, upstream: Upstream) -> None:
        """Check until cancelled."""
        try:
            while True:
                await self._until(self.next_at())
                await self.look(upstream)
        finally:
            await self.close()

    async def close(self) -> None:
        """Cut the connection to a health page."""
        page, self._page = self._page, None
        if page is not None:
            await page.close()

    def next_at(self) -> float:
        """When there is something to do; `stir` if that changes."""
        standing = self._standing
        breaker, times = standing.breaker, [inf]
        if breaker.state is State.OPEN:
            times.append(breaker.retry_at)
        elif self._settings.enabled:
            times.append(standing.health.due_at)
        if breaker.paused_until:
            times.append(breaker.paused_until)
        if standing.back_since is not None:
            times.append(self._grows_at)
        return min(times)

    async def _until(self, at: float) -> None:
        self._stirred.clear()
        wait_s = at - self._standing.clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if wait_s == inf else max(wait_s, 0.0)):
                await self._stirred.wait()

    async def look(self, upstream: Upstream) -> None:
        """Do what is due."""
        standing, breaker = self._standing, self._standing.breaker
        now = standing.clock()
        if standing.back_since is not None:
            self._grow(standing.back_since, now)
        if 0 < breaker.paused_until <= now:
            breaker.paused_until = 0.0
            standing.changed()
        if breaker.probe(now):
            await self._probe(upstream)
        elif self._settings.enabled and breaker.state is State.CLOSED and standing.health.due(now):
            if self._is_program and standing.in_flight:
                standing.health.due_at = now + self._settings.interval
            else:
                self._judge(await self._ask(upstream))

    def _grow(self, since: float, now: float) -> None:
        standing, length_s = self._standing, self._standing.config.load_balancing.slow_start
        standing.slow_start = ramp(since, now, length_s)
        self._grows_at = now + length_s / RAMP_STEPS
        if standing.slow_start >= 1:
            standing.back_since = None

    async def _probe(self, upstream: Upstream) -> None:
        """The one call that decides about an open breaker."""
        standing, breaker = self._standing, self._standing.breaker
        working = self._is_program and standing.in_flight > 0
        try:
            fault = await self._ask(upstream)
        except BaseException:
            breaker.unprobed(standing.clock())
            raise
        breaker.probed(not fault, fault, standing.clock())
        if self._settings.enabled and not working:  # else nobody would ever find it well again
            self._judge(fault)
        log.info(
            "server %s: its probe %s", standing.name, f"failed: {fault}" if fault else "is good"
        )
        standing.changed()

    def _judge(self, fault: str) -> None:
        """What a check has shown; no fault is a good one."""
        standing, now = self._standing, self._standing.clock()
        health = standing.health
        moved = health.failed(fault, now) if fault else health.passed(now)
        if moved:
            log.info("server %s is %s: %s", standing.name, health.status, fault or "it answers")
            standing.changed()
        if self._is_program and not health.usable:
            self._give_up(f"it failed {self._settings.unhealthy_threshold} health checks: {fault}")

    async def _ask(self, upstream: Upstream) -> str:
        """What is wrong with it; empty if nothing is."""
        standing = self._standing
        began = standing.clock()
        fault = await self._answer(upstream)
        standing.checks.add(standing.clock() - began)
        standing.good_checks += not fault
        standing.failed_checks += bool(fault)
        return fault

    async def _answer(self, upstream: Upstream) -> str:
        try:
            if self._settings.path is not None:
                return await self._page_of(self._settings.path).ask(self._settings.timeout)
            await upstream.call(question(upstream.greeting.modern, self._settings.timeout))
        except McpError as error:
            return error.message if is_failure(error) else ""
        return ""

    def _page_of(self, path: str) -> "Page":
        if self._page is None:
            assert isinstance(self._transport, Http)  # else the configuration is refused
            self._page = Page(self._standing.server, self._transport, path)
        return self._page


def question(modern: bool, timeout_s: float) -> Call:
    """The smallest thing to ask a server of this era."""
    if modern:
        params = {"_meta": as_raw(own_meta({}))}
        return Call("server/discover", params, idle_s=timeout_s, max_s=timeout_s)
    return Call("ping", idle_s=timeout_s, max_s=timeout_s)


class Page:
    """A page of an HTTP server that says whether it is well."""

    def __init__(self, server: str, transport: Http, path: str) -> None:
        bare, _, query = path.partition("?")
        place = urlsplit(transport.url)._replace(path=bare, query=query, fragment="")
        secrets = {name: value.get_secret_value() for name, value in transport.headers.items()}
        endpoint = Endpoint(server, urlunsplit(place), secrets)
        self._endpoint = endpoint
        self._head = endpoint.head(b"GET", b"accept: */*\r\n")
        self._pool = HttpPool(endpoint, max_connections=1)

    async def ask(self, timeout_s: float) -> str:
        """GET it; what is wrong, empty for 2xx."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._pool.request(Exchange(), self._head)
        except TimeoutError:
            return self._endpoint.say(f"no answer to its health check within {timeout_s:g} s")
        if 200 <= response.status < 300:
            return ""
        return self._endpoint.say(f"its health check answers HTTP {response.status}")

    async def close(self) -> None:
        """Cut the connection."""
        await self._pool.close()
