"""How long a client may take: the deadlines of one connection.

    phase                         deadline                            then
    no byte yet, or half a head   HEAD_S, absolute                    408 (no byte: just close)
    body                          BODY_IDLE_S without a byte, or less than BODY_RATE per second
    between requests              IDLE_S                              close
    answer not read by client     WRITE_IDLE_S without progress       reset
    last words said               LINGER_S                            close

A phase is timed from the first check that sees it, so up to one second late, never early.
"""

import logging
from typing import Final, Protocol

from only1mcp.server.head import Refused
from only1mcp.server.reader import BODY, HEAD, Reader

log = logging.getLogger("only1mcp.http")

HEAD_S: Final = 10.0
BODY_IDLE_S: Final = 30.0
BODY_RATE: Final = 1024  # bytes per second, on average, judged after BODY_IDLE_S
IDLE_S: Final = 75.0  # as nginx; longer than the 60 s of most clients, so that they close first
WRITE_IDLE_S: Final = 60.0
LINGER_S: Final = 2.0


class Watched(Protocol):
    """What is looked at."""

    reader: Reader
    lingering: bool
    """The last words are said."""
    held: bool
    """We read nothing for now."""
    written: int

    @property
    def answering(self) -> bool:
        """Whether a request is being answered."""

    def pending(self) -> int:
        """Bytes written that the client has not taken yet."""

    def refuse(self, refused: Refused) -> None:
        """Answer a request that is none."""

    def close(self) -> None:
        """End it once what was written has left."""

    def cut(self) -> None:
        """Reset it."""


class Patience:
    """Of the gateway with one connection, which has it: it is told of which each time, as the two
    would keep each other once the client has left."""

    __slots__ = ("_left", "_left_at", "_read", "_read_at", "_seen", "_since")

    def __init__(self) -> None:
        self._seen: tuple[object, ...] = ()  # what went on at the last check
        self._since = 0.0  # when a check saw it first
        self._read = 0  # body bytes
        self._read_at = 0.0
        self._left = -1  # bytes that have left us, while some still wait
        self._left_at = 0.0

    def check(self, of: Watched, now: float) -> None:
        """End what takes too long. `now` is in seconds of any steady clock."""
        if self._is_stuck(of, now):
            log.info("a client did not read its answer for %.0f s: cut", WRITE_IDLE_S)
            of.cut()
            return
        reader = of.reader
        state = (reader.phase, reader.serial, of.answering, of.lingering, of.held)
        if state != self._seen:
            self._seen = state
            self._since = self._read_at = now
            self._read = reader.read
            return
        elapsed = now - self._since
        if of.lingering:
            if elapsed >= LINGER_S and not of.pending():
                of.close()
        elif of.held or reader.over:
            return
        elif reader.phase == HEAD:
            if elapsed >= HEAD_S:
                of.refuse(Refused(408, f"the request head took longer than {HEAD_S:.0f} s"))
        elif reader.phase == BODY:
            self._check_body(of, now, elapsed)
        elif not of.answering and elapsed >= (IDLE_S if reader.serial else HEAD_S):
            of.close()

    def _check_body(self, of: Watched, now: float, elapsed: float) -> None:
        reader = of.reader
        if reader.awaits_continue:  # it waits for us: an answer is due before
            return
        if reader.read != self._read:
            self._read = reader.read
            self._read_at = now
        if now - self._read_at >= BODY_IDLE_S:
            of.refuse(Refused(408, f"no byte of the body for {BODY_IDLE_S:.0f} s"))
        elif elapsed >= BODY_IDLE_S and reader.read < elapsed * BODY_RATE:
            of.refuse(Refused(408, f"the body comes slower than {BODY_RATE} bytes per second"))

    def _is_stuck(self, of: Watched, now: float) -> bool:
        """Whether bytes wait for the client and none has left for WRITE_IDLE_S."""
        pending = of.pending()
        if not pending:
            self._left = -1
            return False
        left = of.written - pending
        if left != self._left:
            self._left = left
            self._left_at = now
        return now - self._left_at >= WRITE_IDLE_S
