"""Handshake sessions: what a legacy client said once and holds for all it asks later.

A session belongs to the principal and the mount that opened it; to anybody else it does not
exist. It is a memory, never an authentication (security best practices, "Session Hijacking").
Bounds  MAX_SESSIONS in all, IDLE_S without a request or an open stream.
"""

import itertools
import secrets
from asyncio import CancelledError, Future, get_running_loop
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, Protocol

from msgspec import Raw

from only1mcp.observe.meter import Histogram
from only1mcp.protocol import downlevel, eras, message, progress
from only1mcp.protocol.eras import LOG_LEVELS
from only1mcp.protocol.errors import ClientRefused, InvalidParams, InvalidRequest, McpError
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.methods import FROM_CLIENTS, Fate, fate
from only1mcp.relay.request import CLIENT_CANCELLED as CLIENT_CANCELLED
from only1mcp.server.events import Events, Memory

MAX_SESSIONS: Final = 10_000
IDLE_S: Final = 1800.0


class Work(Protocol):
    """What is done for a request: a task, or what needs none."""

    def cancel(self, why: str, /) -> object:
        """Nobody wants it any more."""


class TooManySessions(InvalidRequest):
    """There is no room for another client (answered 503)."""


class Peer(Protocol):
    """The client of a request, as it has described itself: a Session, or a request's `_meta`."""

    @property
    def id(self) -> str | None:
        """The id of its session, if it has one."""

    @property
    def capabilities(self) -> dict[str, Any]:
        """What it declared."""

    @property
    def log_level(self) -> str | None:
        """The least grave log message it wants; None: it has not said."""

    def wants(self, method: str, params: Raw) -> bool:
        """Whether it takes this notification."""

    async def ask(
        self, method: str, params: bytes, write: "Outlet", told: "Told | None" = None
    ) -> bytes:
        """Put a server's question to it, sent by `write`; its result as JSON text. `told` hears
        how far it is."""


Outlet = Callable[[bytes], None]
"""Takes one JSON-RPC message for the client; never blocks."""
Told = Callable[[str, Raw], None]
"""Takes (method, params) of what the client says of a question before it answers."""


class _Asked:
    """A question that waits. `token` is the server's own for its progress, falsy if none."""

    __slots__ = ("answer", "token", "told")

    def __init__(self, token: Raw, told: Told | None) -> None:
        self.answer: Future[bytes] = get_running_loop().create_future()
        self.token = token
        self.told = told


class Session:
    """One legacy client."""

    __slots__ = (
        "_asked", "_ids", "_running", "capabilities", "end_stream", "events", "id", "last_used",
        "least", "mount", "opened_at", "outlet", "principal", "revision", "unwanted",)  # fmt: skip

    def __init__(
        self,
        id: str,
        revision: str,
        capabilities: dict[str, Any],
        principal: str,
        mount: str | None,
    ) -> None:
        self.id = id
        self.revision = revision
        self.capabilities = capabilities
        self.principal = principal
        self.mount = mount
        self.least: int | None = None  # log level, index in LOG_LEVELS; None: it has not said
        self.outlet: Outlet | None = None  # for messages that belong to no request
        self.end_stream: Callable[[], None] | None = None  # of the outlet, while one is open
        self.events: Events | None = None  # of its streams that can be resumed; once it has one
        self.last_used = self.opened_at = 0.0
        self.unwanted = False  # nobody has its token any more
        self._running: dict[str | int, Work] = {}
        self._asked: dict[int, _Asked] = {}
        self._ids = itertools.count(1)

    def begin(self, id: Raw, work: Work) -> str | int:
        """Note a request that starts; returns its key for `end`.

        Raises:
            InvalidRequest: a request with this id is still running (basic "Requests").
        """
        key = message.id_value(id)
        if key in self._running:
            raise still_running(id)
        self._running[key] = work
        return key

    def goes_on(self, id: Raw, work: Work) -> str | int:
        """A request that has started goes on as `work`; returns its key for `end`."""
        key = message.id_value(id)
        self._running[key] = work
        return key

    def runs(self, id: Raw) -> bool:
        """Whether a request with this id is still running."""
        return bool(self._running) and message.id_value(id) in self._running

    def end(self, key: str | int) -> None:
        """The request has been answered."""
        self._running.pop(key, None)

    @property
    def busy(self) -> bool:
        """Whether requests are running."""
        return bool(self._running)

    @property
    def idle(self) -> bool:
        """Whether nothing runs and no stream is open."""
        return not self._running and self.end_stream is None

    def events_in(self, memory: Memory) -> Events:
        """The events of its streams; kept from the first on."""
        if self.events is None:
            self.events = Events(memory)
        return self.events

    def told(self, incoming: Message) -> None:
        """Act on what wants no answer: a notification, or the answer to a question."""
        if not incoming.is_notification:
            self._answered(incoming)
            return
        match fate(FROM_CLIENTS, incoming.method):
            case Fate.PROGRESS:
                self._progressed(incoming.params)
            case Fate.HOP:
                id = cancelled_id(incoming)
                if id is not None and (work := self._running.get(id)):
                    work.cancel(CLIENT_CANCELLED)

    @property
    def log_level(self) -> str | None:
        """The least grave log message it wants; None: it has not said."""
        return None if self.least is None else LOG_LEVELS[self.least]

    async def ask(
        self, method: str, params: bytes, write: Outlet, told: Told | None = None
    ) -> bytes:
        """Send a question and wait for the client's answer to it.

        Raises:
            ClientRefused: the client answered with an error.
            InvalidParams: its revision has no form for the question.
        """
        params = downlevel.question(method, params, self.revision)
        id = next(self._ids)
        params, token = progress.own_token_in(params, id)
        asked = self._asked[id] = _Asked(token, told)
        try:
            write(message.question(id, method, params))
            return await asked.answer
        except CancelledError:
            write(message.notification("notifications/cancelled", b'{"requestId":%d}' % id))
            raise
        finally:
            del self._asked[id]

    def _progressed(self, params: Raw) -> None:
        """The client says how far it is with a question: told under the server's own token."""
        with suppress(McpError):  # params that are no object: nobody's
            members = message.members(params)
            asked = self._asked.get(progress.number(members) or 0)
            if asked is not None and asked.token and asked.told is not None:
                asked.told(progress.PROGRESS, progress.restored(members, asked.token))

    def _answered(self, incoming: Message) -> None:
        """The client answers a question; one that nobody asked, or no longer, is ignored."""
        asked = self._asked.get(message.any_value(incoming.id))
        if asked is None or asked.answer.done():
            return
        answer = asked.answer
        if incoming.result:
            answer.set_result(bytes(incoming.result))
        else:
            error = message.any_value(incoming.error)
            fields = error if isinstance(error, dict) else {}
            code, said = fields.get("code", 0), str(fields.get("message", ""))
            answer.set_exception(ClientRefused(bytes(incoming.error), code, said))

    def set_log_level(self, params: Params) -> None:
        """`logging/setLevel`.

        Raises:
            InvalidParams: no such level.
        """
        level = message.text(params.get("level"))
        if level not in LOG_LEVELS:
            raise InvalidParams(f"params.level must be one of {', '.join(LOG_LEVELS)}")
        self.least = LOG_LEVELS.index(level)

    def wants(self, method: str, params: Raw) -> bool:
        """Whether the client asked for log messages as fine as this one; others always pass."""
        if method != "notifications/message":
            return True
        return self.least is None or eras.log_level(params) >= self.least


def describe(sessions: Iterable[Session], now: float) -> list[dict[str, Any]]:
    """One JSON-able row for each. Of its id only the beginning: the whole is as good as a key."""
    return [
        {
            "id": one.id[:8],
            "principal": one.principal,
            "revision": one.revision,
            "mount": one.mount,
            "busy": one.busy,
            "streams": one.end_stream is not None,
            "idle_s": round(max(now - one.last_used, 0.0), 3),
        }
        for one in sessions
    ]


class Sessions:
    """All legacy sessions of the HTTP edge."""

    def __init__(
        self, clock: Callable[[], float], ended: "Callable[[Session], None]" = lambda _: None
    ) -> None:
        """`ended` is called for each session that is no more."""
        self._clock = clock
        self._ended = ended
        self._sessions: dict[str, Session] = {}
        self.opened = 0
        """Sessions in all."""
        self.durations = Histogram()
        """How long those lasted that have ended, in seconds."""

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def open(self, revision: str, params: Params, principal: str, mount: str | None) -> Session:
        """A new session with an id nobody can guess.

        Raises:
            TooManySessions: there are MAX_SESSIONS, all of them in use.
        """
        if len(self._sessions) >= MAX_SESSIONS:
            self._make_room()
        session = Session(
            secrets.token_urlsafe(24), revision, client_capabilities(params), principal, mount
        )
        session.last_used = session.opened_at = self._clock()
        self._sessions[session.id] = session
        self.opened += 1
        return session

    def _make_room(self) -> None:
        """End the session that has been idle longest: many clients never say goodbye."""
        idle = [one for one in self if one.idle]
        if not idle:
            raise TooManySessions(f"the gateway holds {MAX_SESSIONS} sessions; try again later")
        self.close(min(idle, key=lambda one: one.last_used))

    def find(self, id: str, principal: str, mount: str | None) -> Session | None:
        """The live session of this principal on this mount."""
        session = self._sessions.get(id)
        if session is None or session.principal != principal or session.mount != mount:
            return None
        session.last_used = self._clock()
        return session

    def get(self, id: str) -> Session | None:
        """The live session with this id, whosever it is: for what was found by the id before."""
        return self._sessions.get(id)

    def close(self, session: Session) -> None:
        """The client is done; what it still asks for is cancelled."""
        if self._sessions.pop(session.id, None) is not None:
            self.durations.add(self._clock() - session.opened_at)
        if session.end_stream is not None:
            session.end_stream()
        for work in list(session._running.values()):
            work.cancel(CLIENT_CANCELLED)
        if session.events is not None:
            session.events.end()
        self._ended(session)

    def end_others(self, principals: Collection[str]) -> None:
        """End the sessions of all but these principals. Nobody can use one any more, so what
        still runs in one may end by itself; the next sweep after that ends the session."""
        for session in list(self):
            session.unwanted = session.principal not in principals
            if session.unwanted and not session.busy:
                self.close(session)
            elif session.unwanted and session.end_stream is not None:
                session.end_stream()

    def sweep(self) -> None:
        """Forget sessions that nobody has used for IDLE_S, or can use."""
        oldest = self._clock() - IDLE_S
        for session in list(self._sessions.values()):
            if (session.unwanted or session.last_used < oldest) and session.idle:
                self.close(session)


def still_running(id: Raw) -> InvalidRequest:
    """The refusal of a request with the id of another one."""
    key = message.id_value(id)
    return InvalidRequest(f"a request with id {key!r} is still running on this session")


def cancelled_id(incoming: Message) -> str | int | None:
    """The request a `notifications/cancelled` means; a malformed one is ignored, as any other."""
    if incoming.method != "notifications/cancelled":
        return None
    with suppress(McpError):
        return message.id_value(message.members(incoming.params).get("requestId", message.NO_RAW))
    return None


def client_capabilities(params: Params) -> dict[str, Any]:
    """What the client declared in `initialize`; {} when it declared nothing readable."""
    declared = message.any_value(params.get("capabilities", Raw()))
    return declared if isinstance(declared, dict) else {}
