"""Requests to servers, and answers to calls that had no task, leave together when the turn of the
loop in which they are written is over. All else is written at once.

    write ──► the first of a turn that follows a quiet one ──► at once
        └───► all others ──► kept ──► end of the turn, or `clear_way`

Why     a peer that sleeps between two writes has to be woken for each: that costs more than the
        write. A turn with a single write has nothing to wait for, so a lone call is not delayed.
Cost    32 clients at once: 69 us of CPU a call without, 48 with it; kernel time is halved. To hear
        of the end of a turn costs 2 us, so after some lone writes only one in LOOKS_AGAIN asks.
"""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary

LONE_TURNS: Final = 4
"""So many with one write each, one after the other: then there is one client, or none."""
LOOKS_AGAIN: Final = 16
"""In writes."""

_all: WeakKeyDictionary[asyncio.AbstractEventLoop, "Outbox"] = WeakKeyDictionary()


def of_loop() -> "Outbox":
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    if (found := _all.get(loop)) is None:
        found = _all[loop] = Outbox()
    return found


class Outbox:
    """All writes of one loop."""

    __slots__ = ("_busy", "_due", "_flushed", "_lone", "_unasked", "kept")

    def __init__(self) -> None:
        self.kept: list[tuple[asyncio.WriteTransport, bytes]] = []
        """What has still to leave in this turn."""
        self._due = False  # this turn has an end
        self._busy = False  # the last one had several writes, so this one may
        self._flushed = 0  # so much of what was kept in this turn has left before its end
        self._lone = 0  # turns with one write, in a row
        self._unasked = 0  # so many writes may go without asking whether they are alone

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Write it now, or in this turn after what was written before it."""
        if self._unasked:
            self._unasked -= 1
            transport.write(data)
            return
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._end_turn)
            if not self._busy:
                transport.write(data)
                return
        self.kept.append((transport, data))

    def clear_way(self, transport: asyncio.WriteTransport) -> None:
        """If some of what is kept is for this transport, write all of it now: something else is to
        follow there, or the end."""
        if any(one is transport for one, _ in self.kept):
            self._flushed += self._flush()

    def _flush(self) -> int:
        kept, self.kept = self.kept, []
        for transport, data in kept:
            if not transport.is_closing():  # it was lost, or cut
                transport.write(data)
        return len(kept)

    def _end_turn(self) -> None:
        self._due = False
        waited = len(self.kept) + self._flushed
        self._busy = waited > (1 if self._busy else 0)
        self._lone = 0 if self._busy else self._lone + 1
        if self._lone == LONE_TURNS:
            self._lone, self._unasked = 0, LOOKS_AGAIN - 1
        if self.kept:
            self._flush()
        self._flushed = 0
