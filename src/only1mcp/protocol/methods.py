"""THE table: what is done with each method, and in which revisions it exists.

A method that is not here, or not in the caller's revision, is answered -32601.
Source  the schema of each revision; mcp-types `methods` is the oracle in the tests.
"""

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
)

METHODS: Final[dict[str, Method]] = {row.name: row for row in _ROWS}


def known(method: str, revision: str) -> Method | None:
    """The row of `method` if `revision` has it."""
    row = METHODS.get(method)
    return row if row is not None and revision in row.revisions else None
