"""What went wrong, and when it was well again, from the events that a gateway remembers."""

from collections.abc import Callable
from typing import Final, NamedTuple

from only1mcp.report.answers import Answers, Row

INCIDENTS: Final = 50
"""How many are shown."""
DOWN: Final = ("failed", "waiting")
ILL: Final = ("unhealthy", "degraded")


class Incident(NamedTuple):
    """One thing that happened."""

    at: str
    where: str
    what: str


def incidents(answers: Answers) -> list[Incident]:
    """All that is remembered, the newest first."""
    found = []
    rows = answers.rows("servers", "servers")
    several = {row["id"] for row in rows if len(row["replicas"]) > 1}
    for event in answers.rows("past", "events"):
        said, tell = event["said"], _WHAT.get(event["kind"])
        if tell is not None and (what := tell(said)):
            found.append(Incident(said["at"], _where(said, several), what))
    return found[::-1]


def _where(said: Row, several: set[str]) -> str:
    """The server, and which of its replicas if it has several."""
    server = said.get("server", "configuration")
    return f"{server}, {said['replica']}" if server in several and "replica" in said else server


def _server(said: Row) -> str:
    if said["state"] not in DOWN:
        return ""
    return f"{said['state']}: {said['reason']}".removesuffix(": ")


def _health(said: Row) -> str:
    if said["health"] in ILL:
        return f"{said['health']}: {said['reason']}".removesuffix(": ")
    return "healthy again" if said["health"] == "healthy" and said["was"] in ILL else ""


def _breaker(said: Row) -> str:
    if said["breaker"] == "open":
        return f"breaker opened: {said['reason']}".removesuffix(": ")
    return "breaker closed" if said["breaker"] == "closed" else ""


def _restart(said: Row) -> str:
    return f"started again ({said['restarts']} so far)"


def _reload(said: Row) -> str:
    return "" if said["ok"] else f"the file was refused: {'; '.join(said['faults'])}"


_WHAT: Final[dict[str, Callable[[Row], str]]] = {
    "server": _server,
    "health": _health,
    "breaker": _breaker,
    "restart": _restart,
    "reload": _reload,
}
"""What is told of each kind; nothing of those that a newer gateway may have."""
