"""Handshake sessions: what a legacy client said once and holds for all it asks later.

A session belongs to the principal and the mount that opened it; to anybody else it does not
exist. It is a memory, never an authentication (security best practices, "Session Hijacking").
Bounds  MAX_SESSIONS in all, IDLE_S without a request or an open stream.
"""

import secrets
from asyncio import Task
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import eras, message
from only1mcp.protocol.eras import LOG_LEVELS
from only1mcp.protocol.errors import InvalidParams, InvalidRequest, McpError
from only1mcp.protocol.message import Message, Params

MAX_SESSIONS: Final = 10_000
IDLE_S: Final = 1800.0
CLIENT_CANCELLED: Final = "cancelled by the client"
"""The cancel message of a task whose client no longer wants the answer."""

Outlet = Callable[[bytes], None]
"""Takes one JSON-RPC message for the client; never blocks."""


class Session:
    """One legacy client."""

    __slots__ = (
        "_running", "capabilities", "end_stream", "id", "last_used", "log_level", "mount",
        "outlet", "principal", "revision",
    )  # fmt: skip

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
        self.log_level: int | None = None  # index in LOG_LEVELS; None: the client has not said
        self.outlet: Outlet | None = None  # for messages that belong to no request
        self.end_stream: Callable[[], None] | None = None  # of the outlet, where it is one
        self.last_used = 0.0
        self._running: dict[str | int, Task[Any]] = {}

    def begin(self, id: Raw, task: Task[Any]) -> str | int:
        """Note a request that starts; returns its key for `end`.

        Raises:
            InvalidRequest: a request with this id is still running (basic "Requests").
        """
        key = message.id_value(id)
        if key in self._running:
            raise InvalidRequest(f"a request with id {key!r} is still running on this session")
        self._running[key] = task
        return key

    def end(self, key: str | int) -> None:
        """The request has been answered."""
        self._running.pop(key, None)

    @property
    def busy(self) -> bool:
        """Whether requests are running."""
        return bool(self._running)

    def notified(self, incoming: Message) -> None:
        """Act on a notification from the client; unknown ones are ignored, as the spec asks."""
        if (id := cancelled_id(incoming)) is not None and (task := self._running.get(id)):
            task.cancel(CLIENT_CANCELLED)

    def set_log_level(self, params: Params) -> None:
        """`logging/setLevel`.

        Raises:
            InvalidParams: no such level.
        """
        level = message.text(params.get("level"))
        if level not in LOG_LEVELS:
            raise InvalidParams(f"params.level must be one of {', '.join(LOG_LEVELS)}")
        self.log_level = LOG_LEVELS.index(level)

    def wants(self, method: str, params: Raw) -> bool:
        """Whether the client asked for log messages as fine as this one; others always pass."""
        if method != "notifications/message":
            return True
        return self.log_level is None or eras.log_level(params) >= self.log_level


class Sessions:
    """All legacy sessions of the HTTP edge."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions.values())

    def open(self, revision: str, params: Params, principal: str, mount: str | None) -> Session:
        """A new session with an id nobody can guess.

        Raises:
            InvalidRequest: there are MAX_SESSIONS already.
        """
        if len(self._sessions) >= MAX_SESSIONS:
            self.sweep()
        if len(self._sessions) >= MAX_SESSIONS:
            raise InvalidRequest(f"the gateway holds {MAX_SESSIONS} sessions; try again later")
        session = Session(
            secrets.token_urlsafe(24), revision, client_capabilities(params), principal, mount
        )
        session.last_used = self._clock()
        self._sessions[session.id] = session
        return session

    def find(self, id: str, principal: str, mount: str | None) -> Session | None:
        """The live session of this principal on this mount."""
        session = self._sessions.get(id)
        if session is None or session.principal != principal or session.mount != mount:
            return None
        session.last_used = self._clock()
        return session

    def close(self, session: Session) -> None:
        """The client is done; what it still asks for is cancelled."""
        self._sessions.pop(session.id, None)
        if session.end_stream is not None:
            session.end_stream()
        for task in list(session._running.values()):
            task.cancel(CLIENT_CANCELLED)

    def sweep(self) -> None:
        """Forget sessions that nobody has used for IDLE_S."""
        oldest = self._clock() - IDLE_S
        for session in list(self._sessions.values()):
            if session.last_used < oldest and not session.busy and session.outlet is None:
                del self._sessions[session.id]


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
