"""What the connections of an edge have been through, in plain numbers."""

from collections import Counter


class Tally:
    """Of all connections that there were; those that are open count their bytes themselves."""

    __slots__ = ("accepted", "received", "refused", "sent")

    def __init__(self) -> None:
        self.accepted = 0
        """Connections in all."""
        self.received = 0
        """Bytes from clients on connections that have ended."""
        self.sent = 0
        """Bytes written to clients on connections that have ended."""
        self.refused: Counter[int] = Counter()
        """Requests that did not come as far as a handler, by the status of their answer."""

    def ended(self, received: int, sent: int) -> None:
        """A connection has ended, over which so much came and went."""
        self.received += received
        self.sent += sent
