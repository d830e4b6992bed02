"""How many calls run at once: a bulkhead for each server, and a gate for all of them.

    Gate      a count for the gateway and one for each caller: in, or refused at once
    Bulkhead  max_in_flight calls of one server; the next ones wait, callers in rotation, so
              that one who sends a hundred does not make another wait for a hundred

`in_flight` goes up by one with `enter` or with the grant of a ticket, and down with the `leave`
that each of them owes. While somebody waits all permits are out, so the way in is one comparison,
and no caller overtakes those who wait.

Cost    constant for every step, whoever waits; in the number of callers when the queue is full.
Units   seconds of a monotonic clock, passed in as `now`.
Source  Envoy's circuit breakers (which are caps) and HAProxy's maxconn with its queue.
"""

from collections import OrderedDict
from enum import Enum
from typing import Final

from only1mcp.config.resilience import Concurrency, Limits

SOON_S: Final = 1.0
"""When to come again, said by one who cannot know better."""
LONGEST_WAIT_S: Final = 60.0
_MEMORY: Final = 0.2  # weight of the newest interval between two grants


class Ticket:
    """The place of one call in the queue of a bulkhead."""

    __slots__ = ("caller", "granted")

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.granted = False


class Bulkhead:
    """The calls of one server: those that run, and those that wait for a turn."""

    __slots__ = ("_freed_at", "_pace_s", "_queue", "_queues", "in_flight", "most", "waiting")

    def __init__(self, settings: Concurrency) -> None:
        self.in_flight = 0
        """Permits that are out."""
        self.waiting = 0
        self.most = settings.max_in_flight
        self._queue = settings.queue
        self._queues: OrderedDict[str, dict[Ticket, None]] = OrderedDict()
        self._pace_s: float | None = None  # between two permits given back, while some wait
        self._freed_at: float | None = None

    def adopt(self, settings: Concurrency) -> list[Ticket]:
        """Go by other settings from now on; the tickets that have a permit by that."""
        self.most = settings.max_in_flight
        self._queue = settings.queue
        granted = []
        while self.waiting and self.in_flight < self.most:
            self.in_flight += 1
            granted.append(self._grant())
        return granted

    def enter(self) -> bool:
        """Take a permit if one is free. It is owed a `leave`."""
        if self.in_flight >= self.most:
            return False
        self.in_flight += 1
        return True

    def join(self, caller: str) -> Ticket | None:
        """A place in the queue, to be granted by another's `leave`; None: the queue is full.

        A ticket is owed a `leave` once it is granted, and `give_up` if nobody waits for it any
        more.
        """
        if self.waiting >= self._queue:
            return None
        ticket = Ticket(caller)
        self._queues.setdefault(caller, {})[ticket] = None
        if not self.waiting:
            self._freed_at = None  # the time without a queue is no pace
        self.waiting += 1
        return ticket

    def crowd_out(self, caller: str) -> Ticket | None:
        """Take the last one of the longest line out of a full queue, for `caller` to have a place.

        Nobody, if that line is not longer than the one of `caller` would be: whoever sends most
        is refused first, and cannot fill the queue before others.
        """
        if self.waiting < self._queue or not self._queues:
            return None
        line = max(self._queues.values(), key=len)
        if len(line) <= len(self._queues.get(caller, ())) + 1:
            return None
        ticket = next(reversed(line))
        self._forget(ticket)
        return ticket

    def leave(self, now: float) -> Ticket | None:
        """Give a permit back; the ticket that has it now, if somebody waits."""
        if not self.waiting or self.in_flight > self.most:
            self.in_flight -= 1
            return None
        if self._freed_at is not None:
            took_s = now - self._freed_at
            pace_s = took_s if self._pace_s is None else self._pace_s
            self._pace_s = pace_s + (took_s - pace_s) * _MEMORY
        self._freed_at = now
        return self._grant()

    def give_up(self, ticket: Ticket, now: float) -> Ticket | None:
        """The caller of `ticket` no longer waits; the ticket that has its permit, if it had one."""
        if ticket.granted:
            return self.leave(now)
        self._forget(ticket)
        return None

    def retry_after_s(self) -> float:
        """When one who is refused now might find a place: what the queue takes to get shorter."""
        if self._pace_s is None:
            return SOON_S
        return min(max(self._pace_s * (self.waiting + 1), SOON_S), LONGEST_WAIT_S)

    def _forget(self, ticket: Ticket) -> None:
        line = self._queues[ticket.caller]
        del line[ticket]
        self.waiting -= 1
        if not line:
            del self._queues[ticket.caller]

    def _grant(self) -> Ticket:
        """The permit that is free goes to the caller whose turn it is."""
        caller, line = self._queues.popitem(last=False)
        ticket = next(iter(line))
        del line[ticket]
        if line:
            self._queues[caller] = line  # to the end of the rotation
        self.waiting -= 1
        ticket.granted = True
        return ticket


class Bound(Enum):
    """The limit of a gate that is reached."""

    GATEWAY = "max_in_flight"
    CALLER = "per_caller"


class Gate:
    """The requests to servers that the gateway has taken on, in all and for each caller."""

    __slots__ = ("_callers", "inside", "most", "per_caller", "refused")

    def __init__(self, limits: Limits) -> None:
        self.inside = 0
        self.most = limits.max_in_flight
        self.per_caller = limits.per_caller
        self.refused = dict.fromkeys(Bound, 0)
        """How many each limit has kept out."""
        self._callers: dict[str, int] = {}

    def adopt(self, limits: Limits) -> None:
        """Go by other limits from now on; who is in stays in."""
        self.most = limits.max_in_flight
        self.per_caller = limits.per_caller

    def enter(self, caller: str | None) -> Bound | None:
        """None: it is in, and owes a `leave`; otherwise what keeps it out.

        `caller` is None if nobody says who calls: then only the common limit counts.
        """
        if self.inside >= self.most:
            return Bound.GATEWAY
        if caller is not None:
            count = self._callers.get(caller, 0)
            if count >= self.per_caller:
                return Bound.CALLER
            self._callers[caller] = count + 1
        self.inside += 1
        return None

    def leave(self, caller: str | None) -> None:
        """A request that was let in is over."""
        self.inside -= 1
        if caller is not None:
            if (count := self._callers[caller]) > 1:
                self._callers[caller] = count - 1
            else:
                del self._callers[caller]
