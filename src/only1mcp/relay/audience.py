"""Everybody who hears of what belongs to no request: legacy sessions and modern listens.

    lists changed ──────────► sessions whose lists differ, listens that asked for the kind
    resources/updated ──────► whoever subscribed (relay/subscriptions.py)
    tasks ──────────────────► the listens that asked for the task (relay/task_listens.py)
    notifications/message ──► sessions that set a level, where all clients are one principal
    tasks/status, elicitation/complete ──► the session that was handed the id

Each client gets its own copy, on exactly one stream: a session on its outlet, a listen on the
stream of its request, every frame marked with the id of that request.
Bounds  MAX_LISTENS in all; what a client leaves unread is bounded by its edge.
Source  MCP 2026-07-28 basic/patterns/subscriptions; 2025-11-25 basic/transports.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from msgspec import Raw

from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.listing import Kind
from only1mcp.catalog.view import View
from only1mcp.protocol import message, subscription, tasks
from only1mcp.protocol.errors import Draining, InvalidRequest, McpError
from only1mcp.protocol.message import Params
from only1mcp.protocol.subscription import ACKNOWLEDGED, TAG_KEY, UPDATED, Filter
from only1mcp.relay import extensions, local
from only1mcp.relay.early import Early
from only1mcp.relay.handed import TASK, VISIT, Handed, Holder, Thing
from only1mcp.relay.subscriptions import Place, Subscriptions
from only1mcp.relay.task_listens import TaskListens
from only1mcp.upstream.base import NotificationSink
from only1mcp.upstream.roster import FromServer, Live

MAX_LISTENS: Final = 1024
"""Open at once: each holds a connection of its client."""
ACK_S: Final = 2.0
"""How long the servers may take to agree to subscriptions before a listen is acknowledged."""

CHANGED: Final = {
    "notifications/tools/list_changed": (Kind.TOOLS,),
    "notifications/prompts/list_changed": (Kind.PROMPTS,),
    "notifications/resources/list_changed": (Kind.RESOURCES, Kind.TEMPLATES),
}


_HANDED: Final = {tasks.STATUS: TASK, "notifications/elicitation/complete": VISIT}
"""Notifications for one client, and the member that says whose."""


class Member(Protocol):
    """A legacy session, as far as it hears; see server/session.py."""

    id: str
    principal: str
    mount: str | None
    least: int | None
    outlet: Callable[[bytes], None] | None

    def wants(self, method: str, params: Raw) -> bool:
        """Whether the client asked for log messages as fine as this one."""


class Listener(Protocol):
    """The client of a listen."""

    principal: str

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it declared."""

    def notify(self, method: str, params: Raw) -> None:
        """Pass a notification on. Never blocks."""


class Listen:
    """One `subscriptions/listen` of a modern client."""

    __slots__ = ("_early", "_id", "_send", "ended", "heard", "principal", "view")

    def __init__(
        self, id: Raw, principal: str, view: View, wanted: Filter, send: NotificationSink
    ) -> None:
        self._id = id
        self._send = send
        self._early: dict[str, Raw] | None = {}
        self.principal = principal
        self.view = view
        self.heard = wanted
        self.ended = asyncio.Event()

    def acknowledge(self, agreed: Filter) -> None:
        """What it will hear of is settled; say so, and what has come of tasks meanwhile."""
        self.heard = agreed
        early, self._early = self._early or {}, None
        self.tell(ACKNOWLEDGED, message.encode({"notifications": agreed.encoded()}))
        for id in agreed.tasks:
            if id in early:
                self.tell(tasks.CHANGED, early[id])

    def tell(self, method: str, params: Raw | bytes = b"") -> None:
        """Send a notification on its stream; nothing goes out before the acknowledgement."""
        if self._early is None:
            self._send(method, subscription.tagged(params, self._id))

    def tell_of_task(self, id: str, params: Raw) -> None:
        """News of a task: the latest is kept until it can be said, for it may be the last."""
        if self._early is not None:
            self._early[id] = params
        elif id in self.heard.tasks:
            self.tell(tasks.CHANGED, params)

    def result(self) -> bytes:
        """The last frame."""
        return message.encode({"resultType": "complete", "_meta": {TAG_KEY: self._id}})


class Audience:
    """All who listen."""

    def __init__(
        self,
        servers: Mapping[str, Live],
        members: Callable[[], Iterable[Member]],
        member: Callable[[str], Member | None],
        tell: FromServer,
        *,
        one_principal: bool,
    ) -> None:
        """`members` are the legacy sessions, `member` finds one by its id; `tell` takes what
        servers would have said (see relay/subscriptions.py)."""
        self.subscriptions = Subscriptions(servers, tell)
        self.task_listens = TaskListens(servers, tell)
        self._members = members
        self._early = Early()
        self.handed = Handed(noted=self._catch_up)
        self.one_principal = one_principal
        """Whether all clients there can be are one and the same."""
        self._member = member
        self._listens: set[Listen] = set()
        self._said: set[tuple[str, str]] = set()
        self._draining = False
        self.announced = 0
        """Changes of lists that clients were told of."""

    def __len__(self) -> int:
        return len(self._listens)

    # --- modern clients ---

    async def listen(
        self, id: Raw, params: Params, view: View, client: Listener, mine: Holder
    ) -> bytes:
        """Serve one `subscriptions/listen` of `client` to its end; its result.

        In  `mine` says which tasks are its own. Cancelling the task ends it without a result.

        Raises:
            InvalidParams: no filter. InvalidRequest: MAX_LISTENS. Draining.
            MissingCapability: it asks for tasks and does not declare them.
        """
        wanted = subscription.wanted(params)
        if wanted.tasks:
            tasks.check_declared(client.capabilities)
        if self._draining:
            raise Draining("gateway", "the gateway is stopping", hint="connect again")
        if len(self._listens) >= MAX_LISTENS:
            raise InvalidRequest(f"the gateway holds {MAX_LISTENS} listens; try again later")
        offered = local.capabilities(view, modern=True)
        methods = {method for method in wanted.methods if method.split("/")[1] in offered}
        granted = Filter(frozenset(methods))
        listen = Listen(id, client.principal, view, granted, client.notify)
        self._listens.add(listen)
        try:
            uris = await self._subscribed(listen, wanted)
            ids = await self._followed(listen, wanted, mine)
            listen.acknowledge(Filter(listen.heard.methods, uris, ids))
            await listen.ended.wait()
            return listen.result()
        finally:
            self._listens.discard(listen)
            self.subscriptions.end(listen)
            self.task_listens.end(listen)

    async def _subscribed(self, listen: Listen, wanted: Filter) -> tuple[str, ...]:
        targets = [(uri, listen.view.resource(uri)) for uri in wanted.uris]
        places = [Place(found.server, uri) for uri, found in targets if found is not None]
        granted = await self.subscriptions.subscribe_all(listen, places, ACK_S)
        return tuple(place.uri for place in granted)

    async def _followed(self, listen: Listen, wanted: Filter, mine: Holder) -> tuple[str, ...]:
        """The ids of its own tasks that their servers will tell of."""
        asked = {id: extensions.task(id, listen.view, mine) for id in wanted.tasks}
        things = [thing for thing in asked.values() if thing is not None]
        granted = await self.task_listens.watch(listen, things, ACK_S)
        return tuple(id for id, thing in asked.items() if thing in granted)

    def end_listens(self) -> None:
        """Let every listen come to its proper end; no new ones."""
        self._draining = True
        for listen in self._listens:
            listen.ended.set()

    def end_others(self, principals: Collection[str] | None, mounts: Collection[str]) -> None:
        """Let the listens of all but these principals (None: any) and mounts come to their end."""
        for listen in self._listens:
            mount = listen.view.server
            mine = principals is None or listen.principal in principals
            if not mine or (mount is not None and mount not in mounts):
                listen.ended.set()

    async def close(self) -> None:
        """Ask servers for nothing more."""
        await self.subscriptions.close()
        await self.task_listens.close()

    def outlet(self, session: str | None) -> NotificationSink:
        """Passes notifications on to a session, on its own stream, while it lasts."""

        def tell(method: str, params: Raw) -> None:
            member = self._member(session) if session else None
            if member is not None and member.outlet is not None:
                member.outlet(message.notification(method, params))

        return tell

    # --- what there is to hear ---

    def said(self, server: str, method: str) -> None:
        """A server says that a list has changed; to be announced once the list is there."""
        self._said.add((server, method))

    def announce(self, before: Catalog, now: Catalog) -> None:
        """Tell sessions which of their lists are not what they were.

        Modern listens also hear what a server says although its list is as before: it may
        have changed twice.
        """
        said, self._said = self._said, set()
        found: dict[str | None, list[str]] = {}
        self.announced += 1
        for member in self._members():
            if member.mount not in found:
                found[member.mount] = changes(before, now, member.mount)
            if member.outlet is not None:
                for method in found[member.mount]:
                    member.outlet(message.notification(method))
        for listen in list(self._listens):
            mount = listen.view.server
            if mount not in found:
                found[mount] = changes(before, now, mount)
            heard = {method for server, method in said if mount in (None, server)}
            for method in sorted(listen.heard.methods & heard.union(found[mount])):
                listen.tell(method)

    def hear(
        self, server: str, method: str, params: Raw, place: str = "", who: str | None = None
    ) -> None:
        """Pass on what a server says outside any call: `place` is the replica that says it, `who`
        has that connection to itself."""
        with suppress(McpError):  # params that are no object: nobody's
            if method == UPDATED:
                self._updated(server, subscription.untagged(params))
            elif method == tasks.CHANGED:
                id = message.text(message.members(params).get(TASK)) or ""
                self._task(Thing(place or server, who, TASK, id), subscription.untagged(params))
            elif method == "notifications/message":
                self._log_message(server, place or server, method, params)
            elif (kind := _HANDED.get(method)) is not None:
                id = message.text(message.members(params).get(kind)) or ""
                self._handed_out(Thing(place or server, who, kind, id), method, params)

    def _updated(self, server: str, params: Raw) -> None:
        uri = message.text(message.members(params).get("uri"))
        for owner in self.subscriptions.owners(server, uri or ""):
            if isinstance(owner, Listen):
                owner.tell(UPDATED, params)
            elif (member := self._member(str(owner))) is not None and member.outlet is not None:
                member.outlet(message.notification(UPDATED, params))

    def _task(self, thing: Thing, params: Raw) -> None:
        """News of a task of the extension, for the listens that may hear of it."""
        if tasks.is_over(bytes(params)):
            self.handed.ended(thing)
        for listen in self.task_listens.owners(thing):
            shown = extensions.spelt(thing.place, thing.id, listen.view.server)
            listen.tell_of_task(shown, tasks.respelt_status(params, partial(_given, shown)))

    def _handed_out(self, thing: Thing, method: str, params: Raw) -> None:
        """News of what was handed to one client: for its session, while that lasts."""
        owner = self.handed.owner(thing)
        if method == tasks.STATUS:
            if owner is None and thing.id:
                self._early.keep(thing, params)
            elif tasks.is_over(bytes(params)):
                self.handed.ended(thing)
        member = self._member(owner.session) if owner is not None and owner.session else None
        if member is None or member.outlet is None:
            return
        if method == tasks.STATUS and member.mount != thing.place:
            params = tasks.respelt_status(params, partial(tasks.shown, thing.place))
        member.outlet(message.notification(method, params))

    def _catch_up(self, thing: Thing) -> None:
        """Tell a client what was said of its task before it knew the id: in the next turn of the
        loop, for the answer that has the id goes out in this one."""
        if self._early and (params := self._early.take(thing)) is not None:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._handed_out, thing, tasks.STATUS, params)

    def _log_message(self, server: str, place: str, method: str, params: Raw) -> None:
        """A log line of no particular call may tell of anyone's: it goes to clients only where
        all are one principal by configuration, and only to those that set a level."""
        message.members(params)
        if not self.one_principal:
            return
        for one in [one for one in self._members() if one.mount in (None, server)]:
            if one.least is not None and one.wants(method, params) and one.outlet is not None:
                told = params
                if one.mount != place:
                    told = tasks.respelt_related(params, partial(tasks.shown, place))
                one.outlet(message.notification(method, told))


def _given(shown: str, _: str) -> str:
    return shown


def changes(before: Catalog, now: Catalog, mount: str | None) -> list[str]:
    """The notifications that say how `now` differs on a mount."""
    old, new = before.view(mount), now.view(mount)
    if new is None:
        old, new = None, old
    return [
        method
        for method, kinds in CHANGED.items()
        if new is not None and not all(new.lists_as(old, kind) for kind in kinds)
    ]
