"""One look at the gateway: everything the tabs show, at one time.

Runs in a thread, so it may wait for the network. What a gateway does not offer stays None.
"""

from typing import Any, Final, NamedTuple

from only1mcp.tui.figures import NOTHING, Figures, History, read
from only1mcp.tui.outside import Outside

REQUESTS: Final = 200
"""How many of the latest are asked for."""

Row = dict[str, Any]


class Shot(NamedTuple):
    """The gateway at one time."""

    system: Row
    health: Row
    servers: list[Row]
    requests: list[Row]
    """The newest first."""
    tools: list[Row]
    cache: Row | None
    figures: Figures = NOTHING
    rates: list[float] = []


class Feed:
    """Looks again and again, and remembers what rates need."""

    def __init__(self, gateway: Outside) -> None:
        self._gateway = gateway
        self._history = History()

    def look(self, at: float) -> Shot:
        """Ask for everything; `at` is the time, in seconds from any start.

        Raises:
            Lost: the gateway does not answer.
        """
        gateway = self._gateway
        system = gateway.get("/system") or {}
        text = gateway.metrics()
        self._history.add(read(text, at) if text is not None else None)
        return Shot(
            system=system,
            health=gateway.get("/health") or {},
            servers=_rows(gateway.get("/servers"), "servers"),
            requests=_rows(gateway.get(f"/requests?limit={REQUESTS}"), "requests"),
            tools=_rows(gateway.get("/tools"), "tools"),
            cache=gateway.get("/cache"),
            figures=self._history.figures(),
            rates=self._history.rates(),
        )


def _rows(document: Row | None, member: str) -> list[Row]:
    found = (document or {}).get(member)
    return found if isinstance(found, list) else []
