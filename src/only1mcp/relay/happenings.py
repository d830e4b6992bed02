"""What happens to servers, lists and configuration, told as events.

    a change of state ──► look, at once      ┐
    each second       ──► look at every one  ├──► other than before? ──► Events.tell
    reloads, new lists ──────────────────────┘

No call tells anything by itself: what a breaker or a health check has changed is seen within a
second, and the way of a request stays as short as it is.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from uuid import uuid4

from only1mcp.catalog.catalog import Catalog
from only1mcp.config.diff import Diff
from only1mcp.config.faults import Fault
from only1mcp.observe import logs
from only1mcp.observe.events import BREAKER, HEALTH, LISTS, LOG, RELOAD, RESTART, SERVER, Events
from only1mcp.relay.audience import changes
from only1mcp.upstream.live import Live
from only1mcp.upstream.replica import Replica, State


class _Seen(NamedTuple):
    """How a replica was when it was last looked at."""

    health: str
    breaker: str
    restarts: int


class Happenings:
    """Compares what is with what was."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970."""
        self.events = Events(uuid4().hex[:8])
        self._clock = clock
        self._unhear = logs.hear(self._logged)
        self._states: dict[str, tuple[State, str]] = {}
        self._seen: dict[tuple[str, str], tuple[str, str, int]] = {}

    def look(self, live: Live) -> None:
        """Tell what has changed about a server."""
        now = live.state, live.reason
        if self._states.get(live.id) != now:
            self._states[live.id] = now
            self._tell(SERVER, server=live.id, state=str(live.state), reason=live.reason)
        for one in live.replicas:
            self._look_at(one)

    def look_at_all(self, servers: Iterable[Live]) -> None:
        """Tell what has changed about any, and forget those that are gone."""
        ids = set()
        for live in servers:
            ids.add(live.id)
            self.look(live)
        if self._states.keys() - ids:
            self._states = {id: was for id, was in self._states.items() if id in ids}
            self._seen = {key: was for key, was in self._seen.items() if key[0] in ids}

    def lists(self, before: Catalog, now: Catalog) -> None:
        """Clients of all servers see other lists."""
        if methods := changes(before, now, None):
            kinds = [method.split("/")[1] for method in methods]
            self._tell(LISTS, lists=kinds)

    def reloaded(self, changes: Diff, faults: Iterable[Fault]) -> None:
        """The configuration was read again: what has changed, what waits, what is wrong."""
        said = [str(fault) for fault in faults]
        restart = list(changes.restart)
        self._tell(RELOAD, ok=not said, changed=str(changes), restart=restart, faults=said)

    def close(self) -> None:
        """Nothing more will happen."""
        self.events.close()
        self._unhear()

    def _logged(self, at: float, level: str, logger: str, message: str) -> None:
        self.events.tell(LOG, at, {"level": level, "logger": logger, "message": message})

    def _look_at(self, one: Replica) -> None:
        now = one.health.status, one.breaker.state, one.restarts
        key = one.server, one.id
        if (found := self._seen.get(key)) == now:
            return
        self._seen[key] = now
        self._tell_of(one, _Seen(*found) if found else _Seen("unknown", "closed", 0), _Seen(*now))

    def _tell_of(self, one: Replica, was: _Seen, now: _Seen) -> None:
        where = {"server": one.server, "replica": one.id}
        if now.restarts > was.restarts:
            self._tell(RESTART, **where, restarts=now.restarts)
        if now.health != was.health:
            reason = one.health.reason
            said = {"health": str(now.health), "was": str(was.health)}
            self._tell(HEALTH, **where, **said, reason=reason)
        if now.breaker != was.breaker:
            reason = one.breaker.reason
            said = {"breaker": str(now.breaker), "was": str(was.breaker)}
            self._tell(BREAKER, **where, **said, reason=reason)

    def _tell(self, kind: str, **said: Any) -> None:
        self.events.tell(kind, self._clock(), said)
