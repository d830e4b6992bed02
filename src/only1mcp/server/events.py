"""What a legacy client may have missed: the events of its streams, kept for Last-Event-ID.

    write ──► id ──► kept ──► the connection that carries the stream now, if there is one
    GET with Last-Event-ID ──► what came after it on that stream alone ──► live from there

An id names session, stream and place (`9f31c2d0-2-17`), so it means nothing to any other session.
An answer in plain JSON never gets here: a stream begins with its first event.
Bounds  MAX_EVENTS and MAX_BYTES per session, MAX_BYTES_IN_ALL for all together. A stream pushes
        out its own past first, so what stays longest of each is its end: the answer. Of the
        stream of what belongs to no request every event counts: who comes back to it from before
        what was pushed out is refused, and opens it anew.
Source  MCP 2025-11-25 basic/transports "Resumability and Redelivery", "Sending Messages".
"""

import itertools
import secrets
from collections import OrderedDict, deque
from typing import Final

from only1mcp.protocol import message, sse
from only1mcp.server.exchange import Exchange

MAX_EVENTS: Final = 1000
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_BYTES_IN_ALL: Final = 64 * 1024 * 1024
EVENT_BYTES: Final = 200
"""What an event costs beside its text."""
COMMENT: Final = b": keep-alive\n"
"""No event, and no blank line either: httpx-sse takes one after an id for an empty event."""
_LISTENING: Final = 0
_MAX_ID_BYTES: Final = 40


def event(body: bytes) -> bytes:
    """One JSON-RPC message as an SSE event."""
    return b"event: message\ndata: %b\n\n" % message.one_line(body)


class Memory:
    """What all sessions together keep, in bytes; who wrote longest ago loses first."""

    __slots__ = ("_writers", "size")

    def __init__(self) -> None:
        self.size = 0
        self._writers: OrderedDict[Events, None] = OrderedDict()

    def grew(self, events: "Events", by: int) -> None:
        """A session keeps more."""
        self.size += by
        self._writers[events] = None
        self._writers.move_to_end(events)
        while self.size > MAX_BYTES_IN_ALL:
            next(iter(self._writers)).drop_oldest()

    def shrank(self, events: "Events", by: int) -> None:
        """A session keeps less."""
        self.size -= by
        if not events.size:
            self._writers.pop(events, None)


class Events:
    """The streams of one session."""

    __slots__ = ("_memory", "_numbers", "_over", "_streams", "_tag", "count", "size")

    def __init__(self, memory: Memory) -> None:
        self.count = 0
        self.size = 0  # bytes
        self._memory = memory
        self._over = False
        self._tag = secrets.token_hex(4).encode()
        self._numbers = itertools.count(_LISTENING + 1)
        self._streams: dict[int, Stream] = {}

    def open(self) -> "Stream":
        """A new stream, for one POST."""
        return self._stream(next(self._numbers))

    def listening(self) -> "Stream":
        """The stream of what belongs to no request; there is one."""
        return self._streams.get(_LISTENING) or self._stream(_LISTENING)

    def find(self, id: bytes) -> "tuple[Stream, int] | None":
        """The stream that an event id names, and the place in it; None: not, or no longer, ours."""
        tag, *places = id.split(b"-")
        if tag != self._tag or len(places) != 2 or len(id) > _MAX_ID_BYTES:
            return None
        if not all(place.isdigit() for place in places):
            return None
        number, place = map(int, places)
        stream = self._streams.get(number)
        if stream is None or place > stream.last or (stream.listening and place < stream.lost):
            return None
        return stream, place

    def keep(self, stream: "Stream", data: bytes) -> None:
        """Keep the newest event of a stream, at the cost of older ones.

        One that is larger than the bound is not kept, and what came before it is of no use then.
        """
        size = len(data) + EVENT_BYTES
        if self._over:
            return
        if size > MAX_BYTES:
            while stream.kept:
                self._drop(stream)
            stream.lost = stream.last
            return
        while self.count >= MAX_EVENTS or self.size + size > MAX_BYTES:
            if stream.kept:
                self._drop(stream)
            else:
                self.drop_oldest()
        stream.kept.append((stream.last, data))
        self.count += 1
        self.size += size
        self._memory.grew(self, size)

    def drop_oldest(self) -> None:
        """Forget the first event that is kept of the oldest stream."""
        self._drop(next(one for one in self._streams.values() if one.kept))

    def forget(self, stream: "Stream") -> None:
        """The stream has ended and nothing of it is kept."""
        self._streams.pop(stream.number, None)

    def end(self) -> None:
        """The session is over: keep nothing, now and from now on."""
        self._over = True
        freed, self.size, self.count = self.size, 0, 0
        self._streams.clear()
        self._memory.shrank(self, freed)

    def _stream(self, number: int) -> "Stream":
        prefix = b"%b-%d-" % (self._tag, number)
        stream = self._streams[number] = Stream(self, number, prefix)
        return stream

    def _drop(self, stream: "Stream") -> None:
        stream.lost, data = stream.kept.popleft()
        size = len(data) + EVENT_BYTES
        self.count -= 1
        self.size -= size
        self._memory.shrank(self, size)
        if stream.ended and not stream.kept:
            self.forget(stream)


class Stream:
    """One stream, over as many connections as its client needs, one at a time.

    `last` is the place of its newest event, `kept` what can be replayed: (place, bytes); `lost`
    is the place of the newest that cannot.
    """

    __slots__ = ("_events", "_exchange", "_prefix", "ended", "kept", "last", "lost", "number")

    def __init__(self, events: Events, number: int, prefix: bytes) -> None:
        self.number = number
        self.last = 0
        self.lost = 0
        self.ended = False
        self.kept: deque[tuple[int, bytes]] = deque()
        self._events = events
        self._exchange: Exchange | None = None
        self._prefix = prefix

    @property
    def listening(self) -> bool:
        """Whether it is the one of what belongs to no request."""
        return self.number == _LISTENING

    def carry(self, exchange: Exchange) -> None:
        """Go on over this connection; the former may be dead without knowing."""
        former, self._exchange = self._exchange, exchange
        if former is not None:
            former.end()
        exchange.open_stream()

    def prime(self, retry_ms: int | None = None) -> None:
        """Send an id alone, so that the client can come back before there is anything else.

        Only from 2025-11-25 on: the libraries before it take the empty data for a broken message.
        """
        self.last += 1
        self.send(sse.write(b"", id=self._id(), retry_ms=retry_ms))

    def write(self, body: bytes) -> None:
        """Send a message, now or when the client comes back for it."""
        self.last += 1
        data = b"id: %b\n%b" % (self._id(), event(body))
        self._events.keep(self, data)
        self.send(data)

    def send(self, data: bytes) -> None:
        """Put bytes on the connection; without one they are lost."""
        if self._exchange is not None:
            self._exchange.send(data)

    def hang_up(self, retry_ms: int) -> None:
        """End the connection, not the stream: the client shall come back after so long."""
        if self._exchange is not None:
            self.prime(retry_ms)
            self._exchange.end()
            self._exchange = None

    def finish(self, body: bytes) -> None:
        """Send the answer, which is the last message."""
        self.write(body)
        self.ended = True
        if not self.kept:
            self._events.forget(self)
        self._part()

    def replay(self, after: int) -> None:
        """Send again what came after that place."""
        for place, data in self.kept:
            if place > after:
                self.send(data)
        if self.ended:
            self._part()

    def _part(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.end()

    def _id(self) -> bytes:
        return b"%b%d" % (self._prefix, self.last)
