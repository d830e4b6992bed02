"""The head of an answer that a server repeats, and what it says. See protocol/repeated.py.

Most servers repeat theirs but for a date, which changes once a second.
"""

from only1mcp.protocol.repeated import Repeated, repeated


class Answered:
    """A head of status 200 on a connection that is kept."""

    __slots__ = ("bytes", "headers", "idle_s", "used")

    def __init__(self, bytes: Repeated, headers: dict[bytes, bytes], idle_s: float) -> None:
        self.bytes = bytes
        self.headers = headers
        self.idle_s = idle_s
        """How long the server promises to keep the connection."""
        self.used = False
        """Another answer had it."""


class Again:
    """The last head of one endpoint."""

    __slots__ = ("_misses", "last")

    def __init__(self) -> None:
        self.last: Answered | None = None
        self._misses = 0  # since one was of use

    def parsed(self, data: bytes, headers: dict[bytes, bytes], length: int, idle_s: float) -> None:
        """An answer of 200 took the parser; `data` is the whole of it, if it has one head alone.

        Where heads differ, remembering them is tried ever less often.
        """
        if self.last is not None and self.last.used:
            self._misses = 0
        self._misses += 1
        if self._misses & (self._misses - 1):
            return
        found = repeated(data, length) if data.startswith(b"HTTP/1.1 200") else None
        self.last = None if found is None else Answered(found, headers, idle_s)
