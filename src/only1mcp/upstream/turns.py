"""The calls of one server: those that run, and those that wait until one of them ends.

    if not turns.enter(): await turns.wait(caller)
    try: … the call …
    finally: turns.end()

A turn lasts as long as the server works on the call. While a client of the other era answers a
question of the server, others have it: the calls of `InTurn` come and go, or rest.
"""

import asyncio
from time import perf_counter

from only1mcp.config.resilience import Concurrency
from only1mcp.observe.meter import FINE, Histogram
from only1mcp.policy.limit import Bulkhead, Ticket
from only1mcp.protocol.errors import Overloaded
from only1mcp.upstream.base import Call, Callee


class Turns(Bulkhead):
    """The bulkhead of one server, with the futures of those who wait."""

    __slots__ = ("_futures", "_server", "_settings", "expired", "refused", "waits")

    def __init__(self, server: str, settings: Concurrency) -> None:
        super().__init__(settings)
        self._server = server
        self._settings = settings
        self.waits = Histogram(FINE)
        """How long those who waited did, in seconds."""
        self.refused = 0
        """Calls for which the queue had no place."""
        self.expired = 0
        """Calls that waited too long."""
        self._futures: dict[Ticket, asyncio.Future[str]] = {}  # "", or why it is refused

    def renew(self, settings: Concurrency) -> None:
        """Go by other settings; whoever waits already is asked no more than it was."""
        self._settings = settings
        for ticket in self.adopt(settings):
            self._hand_on(ticket)

    async def wait(self, caller: str) -> float:
        """Wait for a turn, which is then owed an `end`; the seconds it took.

        Raises:
            Overloaded: too many wait already, or it took too long.
        """
        if (crowded_out := self.crowd_out(caller)) is not None:
            self.refused += 1
            self._refuse(crowded_out, self._full)
        if (ticket := self.join(caller)) is None:
            self.refused += 1
            raise self._overloaded(self._full)
        loop = asyncio.get_running_loop()
        began = loop.time()
        future = self._futures[ticket] = loop.create_future()
        timer = loop.call_later(self._settings.queue_timeout, self._expire, ticket)
        try:
            refused = await future
        except asyncio.CancelledError:  # the client left, perhaps in the moment of its turn
            if ticket.granted or ticket in self._futures:
                self._futures.pop(ticket, None)
                self._hand_on(self.give_up(ticket, loop.time()))
            raise
        finally:
            timer.cancel()
            self.waits.add(waited_s := loop.time() - began)
        if refused:
            raise self._overloaded(refused)
        return waited_s

    def end(self) -> None:
        """A turn is over; it goes on to whoever is next."""
        if self.waiting:
            self._hand_on(self.leave(asyncio.get_running_loop().time()))
        else:
            self.in_flight -= 1

    def _hand_on(self, ticket: Ticket | None) -> None:
        if ticket is None:
            return
        future = self._futures.pop(ticket)
        if not future.done():  # else its task is cancelled, and will find that it was granted
            future.set_result("")

    def _expire(self, ticket: Ticket) -> None:
        if ticket in self._futures:
            self.expired += 1
            self.give_up(ticket, 0.0)
            waited_s = self._settings.queue_timeout
            self._refuse(ticket, f"none ended within {waited_s:g} s (concurrency.queue_timeout)")

    def _refuse(self, ticket: Ticket, why: str) -> None:
        future = self._futures.pop(ticket)
        if not future.done():
            future.set_result(why)

    @property
    def _full(self) -> str:
        return f"{self._settings.queue} waiting (concurrency.queue)"

    def _overloaded(self, why: str) -> Overloaded:
        after_ms = int(self.retry_after_s() * 1000)
        return Overloaded(
            self._server,
            f"server '{self._server}' is full: {self.in_flight} in flight, {why}",
            hint=f"the call did not reach it; repeat it in {after_ms / 1000:.0f} s or later",
            retry_after_ms=after_ms,
        )


class InTurn:
    """A connection whose every call, one at a time, waits for a turn of its own."""

    __slots__ = ("_callee", "_caller", "_has_turn", "_turns", "greeting", "server", "waited_s")

    def __init__(self, callee: Callee, turns: Turns, caller: str) -> None:
        self.server = callee.server
        self.greeting = callee.greeting
        self._callee = callee
        self._turns = turns
        self._caller = caller
        self._has_turn = False
        self.waited_s = 0.0
        """How long it has waited for turns."""

    async def call(self, call: Call) -> bytes:
        """The result of `call`.

        Raises:
            Overloaded: it had no turn.
        """
        await self.resume()
        try:
            return await self._callee.call(call)
        finally:
            self.rest()

    async def resume(self) -> None:
        """Take a turn, to begin or to go on.

        Raises:
            Overloaded: it had none; the call rests as before.
        """
        if not self._turns.enter():
            began = perf_counter()
            try:
                await self._turns.wait(self._caller)
            finally:
                self.waited_s += perf_counter() - began
        self._has_turn = True

    def rest(self) -> None:
        """The server has nothing to do for the call, now or any more: give the turn back."""
        if self._has_turn:
            self._has_turn = False
            self._turns.end()
