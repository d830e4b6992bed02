"""A client connection that only remembers, and a request on it."""

from collections.abc import Callable, Coroutine
from typing import Any

from only1mcp.server.exchange import Exchange, Request


class FakeWire:
    """A connection that only remembers."""

    def __init__(self) -> None:
        self.blocked = self.closing = self.was_cut = False
        self.writes: list[bytes] = []
        self.answers = 0
        self.waiting = 0
        self.soon: list[Callable[[], None]] = []
        self.running: set[Exchange] = set()
        self.rests: list[Coroutine[Any, Any, None]] = []

    @property
    def body(self) -> bytes:
        """What has been written behind the head."""
        return b"".join(self.writes).partition(b"\r\n\r\n")[2]

    def write(self, data: bytes) -> None:
        """Remember it."""
        self.writes.append(data)

    def write_whole(self, answer: bytes) -> None:
        """The same."""
        self.writes.append(answer)

    def pending(self) -> int:
        """As told."""
        return self.waiting

    def answered(self) -> None:
        """Count it."""
        self.answers += 1

    def serve(self, exchange: Exchange, rest: Coroutine[Any, Any, None]) -> None:
        """For the test to run."""
        self.rests.append(rest)

    def cut(self) -> None:
        """Remember it."""
        self.was_cut = True

    async def drain(self) -> None:
        """Nothing to wait for."""
        return

    def address(self, end: str) -> tuple[str, int] | None:
        """Tells the ends apart."""
        return (end, 1)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """For the test to call."""
        self.soon.append(callback)


def an_exchange(method: str = "POST", lines: bytes = b"") -> tuple[Exchange, FakeWire]:
    """A request and the connection its answer goes to."""
    wire = FakeWire()
    return Exchange(Request(method, "/mcp", b"", {}), wire, lines), wire
