"""What is run: each leg of the official suites against each of four servers, and a client.

    leg           suite           scenarios
    0.1.16        0.1.16          all: the handshake wire
    2025-11-25    0.2.0-alpha.12  what that revision requires, on its wire
    2026-07-28    0.2.0-alpha.12  what that revision requires, on its wire
    all           0.2.0-alpha.12  all there is, extensions included, each on the wire it names

A server is asked twice, at its own address and at the gateway's `/mcp/{server}`. For the
client the suite is the server: it is used once without and once through a gateway.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

CLIENT: Final = "client"
"""Stands in the column of the servers for the legs that try the gateway as the suite's client."""
SERVERS: Final = ("mcp-2.3.0", "mcp-1.30.0", "fastmcp-4.1.2", "server-everything")
LEGS: Final = ("0.1.16", "2025-11-25", "2026-07-28", "all")

OLD, NEW = "conformance-0.1", "conformance-0.2"
SUITE: Final[Mapping[str, str]] = {"0.1.16": OLD, "2025-11-25": NEW, "2026-07-28": NEW, "all": NEW}
"""Leg -> the npm package that runs it."""

SELECTED: Final[Mapping[str, tuple[str, ...]]] = {
    "0.1.16": ("--suite", "all"),
    "2025-11-25": ("--requirements", "2025-11-25"),
    "2026-07-28": ("--requirements", "2026-07-28"),
    "all": ("--suite", "all"),
}
"""Leg -> what makes the suite run it against a server."""

WIRE: Final[Mapping[str, tuple[str, ...]]] = {
    "0.1.16": (),
    "2025-11-25": ("--spec-version", "2025-11-25"),
    "2026-07-28": ("--spec-version", "2026-07-28"),
    "all": (),
}
"""Leg -> what makes the suite run one scenario of it against a client."""


class Selection(NamedTuple):
    """What of it the caller wants."""

    servers: tuple[str, ...] = (*SERVERS, CLIENT)
    legs: tuple[str, ...] = LEGS


FAST: Final = Selection((SERVERS[0],), LEGS[:3])
"""What `make test` runs: both suites and both eras against the server that has both."""


def gateway_id(server: str) -> str:
    """The name of `server` in the gateway's configuration, which takes no dots."""
    return server.replace(".", "-")
