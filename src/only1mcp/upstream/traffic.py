"""What goes to and fro between the gateway and each server, in plain numbers.

One for each id and for as long as the process lives: connections come and go, also over a reload,
and a counter must never fall.
"""

from typing import Final


class Traffic:
    """Of one server, all its connections and processes together."""

    __slots__ = ("late", "opened", "received", "sent")

    def __init__(self) -> None:
        self.received = 0  # bytes
        self.sent = 0
        self.opened = 0
        """HTTP connections, and programs that were started."""
        self.late = 0
        """Answers that nobody waited for any more."""


_known: Final[dict[str, Traffic]] = {}


def of(server: str) -> Traffic:
    """The numbers of the server with this id."""
    return _known.setdefault(server, Traffic())
