"""Who wants to hear of which task of the extension, and the listens held open for that.

    watch ──► each connection that has such tasks: one listen with all their ids (listening.py)
    lost ───► opened again, and what became of the tasks meanwhile is asked: tasks/get
         └──► a task that the server no longer tells of: the listens that wait for it end

Which tasks a client may hear of is settled before: `things` are its own.
Bounds  MAX_WATCHED ids per connection; of one listen see protocol/subscription.py.
Source  SEP-2663 "Task Status Notifications".
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import tasks
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.errors import (
    McpError,
    MethodNotFound,
    ServerFault,
    ServerProtocolError,
)
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.subscription import MAX_TASKS, Filter
from only1mcp.relay.handed import Thing
from only1mcp.relay.listening import Listening
from only1mcp.upstream.base import Call, Upstream
from only1mcp.upstream.roster import FromServer, Live

if TYPE_CHECKING:
    from only1mcp.relay.audience import Listen

log = logging.getLogger("only1mcp.subscriptions")

MAX_WATCHED: Final = MAX_TASKS
"""Tasks on one connection: all of them go in one request, and more of them a gateway refuses."""
MAX_ASKED: Final = 8
"""Tasks that are asked for at once after a loss."""


class Where(NamedTuple):
    """A connection: to a place (protocol/tasks.py), shared or of `who` alone."""

    place: str
    who: str | None


class _Desk:
    """One connection: its listen, and who waits there for which task, by the server's own ids."""

    def __init__(self) -> None:
        self.owners: dict[str, set[Listen]] = {}
        self.catching_up: asyncio.Task[None] | None = None
        self.listening: Listening

    def wanted(self) -> Filter:
        """All ids that anybody wants to hear of."""
        return Filter(tasks=tuple(sorted(self.owners)))


class TaskListens:
    """One listen per connection with tasks that somebody wants to hear of."""

    def __init__(self, servers: Mapping[str, Live], tell: FromServer) -> None:
        """`servers` may change in place; `tell` takes what they would have said had we not
        missed it."""
        self._servers = servers
        self._tell = tell
        self._desks: dict[Where, _Desk] = {}
        self._held: defaultdict[Listen, set[Thing]] = defaultdict(set)
        self._tasks = Tasks()

    async def watch(
        self, owner: "Listen", things: Sequence[Thing], patience_s: float
    ) -> Collection[Thing]:
        """Let `owner` hear of tasks; those the servers acknowledge within `patience_s`."""
        by_desk: defaultdict[Where, list[Thing]] = defaultdict(list)
        for thing in things:
            if self._enter(owner, thing):
                by_desk[Where(thing.place, thing.who)].append(thing)
        asking = {self._cover_soon(where, owner): mine for where, mine in by_desk.items()}
        granted: set[Thing] = set()
        try:
            if asking:
                await asyncio.wait(asking, timeout=patience_s)
            for task, mine in asking.items():
                agreed = task.result().tasks if task.done() else ()
                granted.update(thing for thing in mine if thing.id in agreed)
        finally:
            self._leave(owner, self._held.get(owner, set()) - granted)
        return granted

    def owners(self, thing: Thing) -> "Collection[Listen]":
        """Who wants to hear of a task."""
        desk = self._desks.get(Where(thing.place, thing.who))
        return tuple(desk.owners.get(thing.id, ())) if desk is not None else ()

    def end(self, owner: "Listen") -> None:
        """`owner` is no more."""
        self._leave(owner, set(self._held.get(owner, ())))

    async def close(self) -> None:
        """Ask and hear no more."""
        await self._tasks.close()
        for desk in self._desks.values():
            await desk.listening.close()

    # --- who wants what ---

    def _enter(self, owner: "Listen", thing: Thing) -> bool:
        where = Where(thing.place, thing.who)
        desk = self._desks.get(where) or self._open(where)
        if len(desk.owners) >= MAX_WATCHED and thing.id not in desk.owners:
            return False
        desk.owners.setdefault(thing.id, set()).add(owner)
        self._held[owner].add(thing)
        return True

    def _leave(self, owner: "Listen", things: Collection[Thing]) -> None:
        left = set()
        for thing in things:
            where = Where(thing.place, thing.who)
            owners = self._desks[where].owners
            owners[thing.id].discard(owner)
            if not owners[thing.id]:
                del owners[thing.id]
                left.add(where)
        held = self._held.get(owner, set())
        held.difference_update(things)
        if not held:
            self._held.pop(owner, None)
        for where in left:
            self._cover_soon(where)

    # --- what the servers are asked ---

    def _open(self, where: Where) -> _Desk:
        desk = self._desks[where] = _Desk()

        async def connect() -> Upstream:
            return await self._connect(where)

        def again(agreed: Filter) -> None:
            if desk.catching_up is not None:
                desk.catching_up.cancel()
            running = self._catch_up(where, desk, desk.listening.asked, agreed)
            desk.catching_up = self._tasks.start(running, f"tasks of {where.place}")

        server = tasks.server(where.place)
        desk.listening = Listening(server, connect, desk.wanted, again, tasks.declared())
        return desk

    def _cover_soon(self, where: Where, owner: "Listen | None" = None) -> asyncio.Task[Filter]:
        """In a task of ours: that the client gives up must not leave it half done."""
        return self._tasks.start(self._cover(where, owner), f"listen for tasks of {where.place}")

    async def _cover(self, where: Where, owner: "Listen | None") -> Filter:
        """Hear of what is wanted there, and no more; what the server agrees to.

        A refusal may be over what `owner` has just asked for: at once that is asked no more, or
        the next who asks would be refused with it.
        """
        desk = self._desks.get(where)
        if desk is None:
            return Filter()
        agreed = Filter()
        try:
            agreed = await desk.listening.cover()
        except McpError as fault:
            log.info("server %s: tasks: %s", where.place, fault.message)
            if owner is not None:
                mine = self._held.get(owner, set())
                self._leave(owner, {one for one in mine if (one.place, one.who) == where})
        if not desk.owners and self._desks.get(where) is desk:
            del self._desks[where]
            await desk.listening.close()
        return agreed

    async def _connect(self, where: Where) -> Upstream:
        """The connection as it is now: it may be another than before.

        Raises:
            ServerFault: there is none. MethodNotFound: there will be none.
        """
        server = tasks.server(where.place)
        live = self._servers.get(server)
        if live is None:
            raise MethodNotFound(f"server '{server}' is no longer in the configuration")
        replica = live.at(where.place)
        upstream = replica.upstream
        if upstream is None:
            raise live.unavailable()
        if not replica.shares(True):
            upstream = (await replica.apart(True, where.who)).upstream
        if not upstream.greeting.modern:
            raise ServerProtocolError(server, f"server '{server}' has no {tasks.CHANGED}")
        return upstream

    async def _catch_up(self, where: Where, desk: _Desk, asked: Filter, agreed: Filter) -> None:
        """After a loss: say how it stands with each task, as the server would have. One that
        somebody has come to want since then has a listen of its own on the way."""
        places, told = asyncio.Semaphore(MAX_ASKED), frozenset(agreed.tasks)

        async def one(id: str) -> None:
            try:
                if id not in told:
                    raise MethodNotFound(f"no news of task {id} any more")
                async with places:
                    await self._ask(where, id)
            except ServerFault as fault:  # the listen will be lost as well, or the next news come
                log.debug("server %s: %s", where.place, fault.message)
            except McpError as gone:
                log.info("server %s: %s", where.place, gone.message)
                for owner in desk.owners.get(id, ()):
                    owner.ended.set()

        await asyncio.gather(*(one(id) for id in asked.tasks if id in desk.owners))

    async def _ask(self, where: Where, id: str) -> None:
        live = self._servers.get(tasks.server(where.place))
        upstream = await self._connect(where)
        if live is None:
            return
        params = {"taskId": as_raw(id), "_meta": as_raw(own_meta(tasks.declared()))}
        list_s = live.config.timeouts.list
        call = Call("tasks/get", params, id, None, list_s, list_s)
        got = await upstream.call(call)
        with suppress(McpError):  # no object: the client will ask itself
            self._tell(live, tasks.CHANGED, tasks.as_news(got), where.place, where.who)
