"""Who wants to hear of which resource, and what the servers have been told of that.

    subscribe ──► first of (server, URI) ──► legacy: resources/subscribe
                                        └──► modern: one listen with all URIs (listening.py)
    the last one leaves ──► resources/unsubscribe, or a listen without the URI

An owner is the id of a session, or the listen of a modern client; it ends with them. A server
that comes back, or forgets its session, is told again.
Bounds  MAX_URIS per owner, MAX_WATCHED per server.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Raw

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import InvalidRequest, McpError, MethodNotFound, UpstreamError
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.subscription import (
    MAX_URIS,
    SUBSCRIBE,
    UNSUBSCRIBE,
    UPDATED,
    Filter,
    covering,
)
from only1mcp.relay.listening import Listening, declared
from only1mcp.upstream.base import Call, Greeting, Upstream
from only1mcp.upstream.roster import FromServer, Live

log = logging.getLogger("only1mcp.subscriptions")

MAX_WATCHED: Final = 10_000
"""Resources of one server: a modern one gets all of them in one request."""

Owner = Hashable


class Place(NamedTuple):
    """A resource where it lives."""

    server: str
    uri: str


class _Watched:
    """One resource that somebody wants to hear of."""

    __slots__ = ("owners", "told", "turn")

    def __init__(self) -> None:
        self.owners: set[Owner] = set()
        self.told: Greeting | None = None  # of the legacy session that knows
        self.turn = asyncio.Lock()


class Subscriptions:
    """Reference counts per (server, URI), and one listen per modern server."""

    def __init__(self, servers: Mapping[str, Live], tell: FromServer) -> None:
        """`servers` may change in place; `tell` takes what they would have said had we not
        missed it."""
        self._servers = servers
        self._tell = tell
        self._watched: defaultdict[str, dict[str, _Watched]] = defaultdict(dict)
        self._uris: dict[str, tuple[str, ...]] = {}  # of `_watched`, until that changes
        self._places: dict[Owner, set[Place]] = {}
        self._listening: dict[str, tuple[Upstream, Listening]] = {}
        self._greetings: dict[str, Greeting] = {}
        self._tasks = Tasks()

    # --- for clients ---

    async def subscribe(self, owner: Owner, place: Place) -> None:
        """Let `owner` hear of a resource.

        Raises:
            InvalidRequest: too many. UpstreamError: the server refuses. ServerFault.
        """
        (settling,) = self._enter(owner, [place])
        try:
            await asyncio.wait([settling])
        except asyncio.CancelledError:
            self._leave(owner, [place])
            raise
        if (fault := settling.result()) is not None:
            self._leave(owner, [place])
            raise fault

    async def subscribe_all(
        self, owner: Owner, places: Sequence[Place], patience_s: float
    ) -> list[Place]:
        """Let `owner` hear of many; those to which the servers agree within `patience_s`.

        Raises:
            InvalidRequest: too many.
        """
        settling = self._enter(owner, places)
        granted: list[Place] = []
        try:
            if settling:
                await asyncio.wait(settling, timeout=patience_s)
            granted += [
                place
                for place, task in zip(places, settling, strict=True)
                if task.done() and task.result() is None
            ]
        finally:
            self._leave(owner, [place for place in places if place not in set(granted)])
        return granted

    async def unsubscribe(self, owner: Owner, place: Place) -> None:
        """`owner` has heard enough of a resource; a server that does not take that is logged."""
        if settling := self._leave(owner, [place]):
            await asyncio.wait(settling)

    def end(self, owner: Owner) -> None:
        """`owner` is no more."""
        self._leave(owner, list(self._places.get(owner, ())))

    def counts(self) -> dict[str, int]:
        """How many resources of each server somebody wants to hear of."""
        return {server: len(uris) for server, uris in self._watched.items()}

    def owners(self, server: str, uri: str) -> set[Owner]:
        """Who wants to hear that this resource, or one that it is part of, has changed."""
        found: set[Owner] = set()
        if watched := self._watched[server]:
            for one in covering(uri):
                if one in watched:
                    found |= watched[one].owners
        return found

    def watches(self, server: str) -> bool:
        """Whether anybody wants to hear of its resources."""
        return any(one.owners for one in self._watched.get(server, {}).values())

    # --- for servers ---

    async def joined(self, live: Live) -> None:
        """A server is connected: hear of its lists first, then of all that is watched."""
        upstream = live.ready()
        again = live.id in self._greetings
        self._greetings[live.id] = upstream.greeting
        if upstream.greeting.modern:
            listener = self._listener(live, upstream)
            try:
                await listener.cover()
            except McpError as error:
                log.warning("server %s: subscriptions: %s", live.id, error.message)
                if not isinstance(error, UpstreamError):  # no refusal: it may be slow today
                    listener.insist()
        if again:
            self._restore(live)

    def changed(self, live: Live) -> None:
        """It says that lists have changed; so does the upstream for a new session, which knows
        nothing of what the former was told."""
        upstream = live.upstream
        if upstream is None or upstream.greeting is self._greetings.get(live.id):
            return
        self._greetings[live.id] = upstream.greeting
        self._restore(live)

    async def close(self) -> None:
        """Stop asking and listening."""
        await self._tasks.close()
        for _, listening in self._listening.values():
            await listening.close()

    def _restore(self, live: Live) -> None:
        for uri in self._watched[live.id]:
            self._tasks.start(self._again(live, uri), f"subscribe {live.id} again")

    async def _again(self, live: Live, uri: str) -> None:
        """Tell the server anew; what it did meanwhile nobody will say, so it is assumed."""
        if await self._settle(Place(live.id, uri)) is None:
            self._tell(live, UPDATED, as_raw({"uri": uri}))

    def _listener(self, live: Live, upstream: Upstream) -> Listening:
        found = self._listening.get(live.id)
        if found is not None and found[0] is upstream:
            return found[1]
        if found is not None:
            self._tasks.start(found[1].close(), f"listen to {live.id} no more")
        methods = declared(upstream.greeting.capabilities)

        async def connect() -> Upstream:
            return upstream

        def wanted() -> Filter:
            if (uris := self._uris.get(live.id)) is None:
                watched = self._watched[live.id].items()
                uris = self._uris[live.id] = tuple(uri for uri, one in watched if one.owners)
            return Filter(methods, uris)

        def again(agreed: Filter) -> None:
            for method in sorted(agreed.methods):
                self._tell(live, method, Raw(b"{}"))
            for uri in agreed.uris:
                self._tell(live, UPDATED, as_raw({"uri": uri}))

        listening = Listening(live.id, connect, wanted, again)
        self._listening[live.id] = upstream, listening
        return listening

    # --- between them ---

    def _enter(self, owner: Owner, places: Sequence[Place]) -> list[asyncio.Task[McpError | None]]:
        """Note what is wanted, all of it before the first server is told."""
        if len(self._places.get(owner, set()).union(places)) > MAX_URIS:
            raise InvalidRequest(f"at most {MAX_URIS} resources can be subscribed to at once")
        for server, count in Counter(place.server for place in places).items():
            if len(self._watched[server]) + count > MAX_WATCHED:
                raise InvalidRequest(f"server '{server}' has {MAX_WATCHED} subscriptions already")
        for place in places:
            one = self._watched[place.server].setdefault(place.uri, _Watched())
            if not one.owners:
                self._uris.pop(place.server, None)
            one.owners.add(owner)
            self._places.setdefault(owner, set()).add(place)
        return [self._settle_soon(place) for place in places]

    def _leave(
        self, owner: Owner, places: Collection[Place]
    ) -> list[asyncio.Task[McpError | None]]:
        """Take the owner away; where it was the last, the server is being told."""
        held = self._places.get(owner, set())
        left = [place for place in places if place in held]
        held.difference_update(left)
        if not held:
            self._places.pop(owner, None)
        settling = []
        for place in left:
            owners = self._watched[place.server][place.uri].owners
            owners.discard(owner)
            if not owners:
                self._uris.pop(place.server, None)
                settling.append(place)
        return [self._settle_soon(place) for place in settling]

    def _settle_soon(self, place: Place) -> asyncio.Task[McpError | None]:
        """In a task of ours: that the client gives up must not leave it half done."""
        return self._tasks.start(self._settle(place), f"subscribe {place.server}")

    async def _settle(self, place: Place) -> McpError | None:
        """Make the server hear for us what is wanted, and no more. The fault as a value."""
        watched = self._watched[place.server]
        one = watched.get(place.uri)
        if one is None:
            return None
        try:
            async with one.turn:
                await self._match(place, one)
        except McpError as fault:
            log.info("server %s: %s: %s", place.server, place.uri, fault.message)
            return fault
        finally:
            if not one.owners and watched.get(place.uri) is one:
                del watched[place.uri]
        return None

    async def _match(self, place: Place, one: _Watched) -> None:
        live = self._servers.get(place.server)
        if live is None and one.owners:
            raise MethodNotFound(f"server '{place.server}' is no longer in the configuration")
        if live is None or (live.upstream is None and not one.owners):
            return
        upstream = live.ready()
        if upstream.greeting.modern:
            agreed = await self._listener(live, upstream).cover()
            if one.owners and place.uri not in agreed.uris:
                raise MethodNotFound(f"server '{place.server}' announces no updates of it")
            return
        knows = one.told is upstream.greeting
        if knows is not bool(one.owners):
            one.told = upstream.greeting if one.owners else None
            try:
                await upstream.call(
                    _call(live, SUBSCRIBE if one.owners else UNSUBSCRIBE, place.uri)
                )
            except McpError:
                one.told = None
                raise


def _call(live: Live, method: str, uri: str) -> Call:
    limits = live.config.timeouts
    return Call(method, {"uri": as_raw(uri)}, uri, None, limits.call_idle, limits.call_max)
