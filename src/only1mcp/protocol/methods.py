"""THE table: what is done with each method, and in which revisions it exists.

    METHODS        requests of clients
    QUESTIONS      requests of servers
    FROM_CLIENTS   notifications of clients
    FROM_SERVERS   notifications of servers

A request of a client that is not here is answered -32601, unless it belongs to an extension of
the one server that can be meant (`Route.OTHER`); so is one that the client's revision lacks.
Source  the schema of each revision; mcp-types `methods` is the oracle in the tests.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

R2024_11_05: Final = "2024-11-05"
R2025_03_26: Final = "2025-03-26"
R2025_06_18: Final = "2025-06-18"
R2025_11_25: Final = "2025-11-25"
R2026_07_28: Final = "2026-07-28"

LEGACY: Final = (R2024_11_05, R2025_03_26, R2025_06_18, R2025_11_25)
"""Revisions with a handshake, oldest first."""
MODERN: Final = (R2026_07_28,)
"""Revisions in which every request describes itself."""
ALL: Final = LEGACY + MODERN
NEWEST_LEGACY: Final = R2025_11_25
NEWEST_MODERN: Final = R2026_07_28


class Route(Enum):
    """Who answers."""

    LOCAL = "local"  # the gateway itself
    LIST = "list"  # the catalogue: all servers merged
    NAME = "name"  # the server that owns params.name
    URI = "uri"  # the server that owns params.uri
    REF = "ref"  # the server that owns params.ref
    TASK = "task"  # the server that handed out params.taskId
    TASKS = "tasks"  # all servers that have tasks
    OTHER = "other"  # the one server with extensions


class Fate(Enum):
    """What becomes of a notification, or of a server's request."""

    HOP = "hop"  # it is between two neighbours; the gateway acts on it, or sends its own
    PROGRESS = "progress"  # it goes with the request that has its progress token
    CALL = "call"  # it goes with the call it belongs to
    SERVER = "server"  # it is about the server: all who asked to hear of that, once each
    OWNER = "owner"  # the client that was handed the id in it
    DROPPED = "dropped"  # nobody could use it


@dataclass(frozen=True, slots=True)
class Method:
    """One row. `target` is the member of params that says whose it is."""

    name: str
    route: Route
    revisions: tuple[str, ...] = ALL
    target: str | None = None
    items: str | None = None  # member of a list result that holds the entries
    repeatable: bool = True  # may be sent again after an answer was lost
    asks: bool = False  # the server may ask the client in mid-call


_ROWS = (
    Method("initialize", Route.LOCAL, LEGACY),
    Method("ping", Route.LOCAL, LEGACY),
    Method("server/discover", Route.LOCAL, MODERN),
    Method("logging/setLevel", Route.LOCAL, LEGACY),
    Method("tools/list", Route.LIST, items="tools"),
    Method("prompts/list", Route.LIST, items="prompts"),
    Method("resources/list", Route.LIST, items="resources"),
    Method("resources/templates/list", Route.LIST, items="resourceTemplates"),
    Method("tools/call", Route.NAME, target="name", repeatable=False, asks=True),
    Method("prompts/get", Route.NAME, target="name", asks=True),
    Method("resources/read", Route.URI, target="uri", asks=True),
    Method("resources/subscribe", Route.URI, LEGACY, target="uri"),
    Method("resources/unsubscribe", Route.URI, LEGACY, target="uri"),
    Method("subscriptions/listen", Route.LOCAL, MODERN),
    Method("completion/complete", Route.REF, target="ref"),
    Method("tasks/get", Route.TASK, (R2025_11_25, R2026_07_28), target="taskId"),
    Method("tasks/cancel", Route.TASK, (R2025_11_25, R2026_07_28), target="taskId"),
    Method("tasks/update", Route.TASK, MODERN, target="taskId", repeatable=False),
    Method("tasks/result", Route.TASK, (R2025_11_25,), target="taskId", asks=True),
    Method("tasks/list", Route.TASKS, (R2025_11_25,)),
)

METHODS: Final[dict[str, Method]] = {row.name: row for row in _ROWS}


@dataclass(frozen=True, slots=True)
class Passing:
    """One row for what the gateway does not answer itself."""

    name: str
    fate: Fate
    revisions: tuple[str, ...] = ALL


def _named(*rows: Passing) -> dict[str, Passing]:
    return {row.name: row for row in rows}


QUESTIONS: Final = _named(
    Passing("ping", Fate.HOP, LEGACY),
    Passing("roots/list", Fate.CALL, LEGACY),
    Passing("sampling/createMessage", Fate.CALL, LEGACY),
    Passing("elicitation/create", Fate.CALL, (R2025_06_18, R2025_11_25)),
)
FROM_CLIENTS: Final = _named(
    Passing("notifications/initialized", Fate.HOP, LEGACY),
    Passing("notifications/cancelled", Fate.HOP),
    Passing("notifications/progress", Fate.PROGRESS, LEGACY),  # of its answer to a question
    Passing("notifications/roots/list_changed", Fate.DROPPED, LEGACY),  # asked anew in each call
)
FROM_SERVERS: Final = _named(
    Passing("notifications/cancelled", Fate.HOP),
    Passing("notifications/progress", Fate.PROGRESS),
    Passing("notifications/message", Fate.CALL),
    Passing("notifications/tools/list_changed", Fate.SERVER),
    Passing("notifications/prompts/list_changed", Fate.SERVER),
    Passing("notifications/resources/list_changed", Fate.SERVER),
    Passing("notifications/resources/updated", Fate.SERVER),
    Passing("notifications/subscriptions/acknowledged", Fate.CALL, MODERN),
    Passing("notifications/elicitation/complete", Fate.OWNER, (R2025_11_25,)),
    Passing("notifications/tasks/status", Fate.OWNER, (R2025_11_25,)),
    Passing("notifications/tasks", Fate.OWNER, MODERN),
)
"""What none of these tables has is of an extension: it goes with the call on whose stream it
comes, else it is dropped; a request is refused."""
_NAME: Final = re.compile(r"[\x21-\x7e]+")


def fate(table: Mapping[str, Passing], method: str) -> Fate | None:
    """What becomes of a message; None: the table does not know it."""
    row = table.get(method)
    return None if row is None else row.fate


def known(method: str, revision: str) -> Method | None:
    """The row of `method` if `revision` has it; one of its own for what no revision has.

    A name that is not printable ASCII without blanks is none: it goes into headers as it is.
    """
    row = METHODS.get(method)
    if row is None and not _NAME.fullmatch(method):
        return None
    if row is None:
        return Method(method, Route.OTHER, (revision,), repeatable=False)
    return row if revision in row.revisions else None
