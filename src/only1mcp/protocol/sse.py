"""Server-sent events: bytes to events, split anywhere, and back.

In      chunks of a text/event-stream body, in order.
Out     Event, as soon as its blank line is there; what follows the last one is kept.
Errors  EventTooLarge.
Cost    one pass in C over each chunk; a long line that comes in pieces is joined once.
Source  WHATWG HTML 9.2.5 "Parsing an event stream", 9.2.6 "Interpreting an event stream".
"""

from typing import Final

import msgspec

KEEP_ALIVE: Final = b":\n\n"
"""A comment: keeps proxies from closing a quiet stream, and is no event."""
MAX_ID_BYTES: Final = 4096  # comes back in a request header, so longer ids cannot work
_BOM: Final = b"\xef\xbb\xbf"
_LF: Final = 10
_CR: Final = 13
_MAX_RETRY_DIGITS: Final = 9  # 11 days in milliseconds


class EventTooLarge(Exception):
    """One event exceeds the bound given to the parser."""


class Event(msgspec.Struct, gc=False):
    """One event. `name` is empty for the default, "message"; `id` is the last id seen."""

    data: bytes
    name: bytes = b""
    id: bytes = b""


class Parser:
    """The state of one stream. `last_id` and `retry_s` outlive a broken connection."""

    __slots__ = (
        "_after_cr",
        "_data",
        "_first",
        "_id",
        "_max_bytes",
        "_name",
        "_size",
        "_tail",
        "last_id",
        "retry_s",
    )

    def __init__(self, max_bytes: int) -> None:
        self.last_id = b""
        self.retry_s: float | None = None
        self._max_bytes = max_bytes
        self.restart()

    def restart(self) -> None:
        """Begin a new stream: what is incomplete is dropped, the last id stays."""
        self._data: list[bytes] = []
        self._tail: list[bytes] = []  # pieces of a line whose end has not come
        self._size = 0  # bytes held in _data and _tail
        self._name = b""
        self._id = self.last_id
        self._after_cr = False  # an LF now belongs to the line end before it
        self._first = True

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes.

        Raises:
            EventTooLarge: the event at its end is longer than the bound.
        """
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return []
        lines = chunk.splitlines()
        last = chunk[-1]
        self._after_cr = last == _CR
        rest = b"" if last in (_LF, _CR) else lines.pop()
        if self._tail and lines:
            lines[0] = self._line(lines[0])
        events = self._events(lines)
        if rest:
            self._tail.append(rest)
            self._size += len(rest)
            self._check()
        return events

    def _line(self, end: bytes) -> bytes:
        """The line that `end` completes."""
        self._tail.append(end)
        line = b"".join(self._tail)
        self._size -= len(line) - len(end)
        self._tail.clear()
        return line

    def _events(self, lines: list[bytes]) -> list[Event]:
        if lines and self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[Event] = []
        for line in lines:
            if line[:5] == b"data:":
                self._add(line[6:] if line[5:6] == b" " else line[5:])
            elif line:
                self._field(line)
            elif (event := self._end()) is not None:
                events.append(event)
        return events

    def _add(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value)
        self._check()

    def _check(self) -> None:
        if self._size > self._max_bytes:
            raise EventTooLarge(f"an event exceeds {self._max_bytes} bytes")

    def _field(self, line: bytes) -> None:
        """One line other than `data:`. A comment has an empty name, so it is ignored too."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._name = value
        elif name == b"id":
            if b"\0" not in value and len(value) <= MAX_ID_BYTES:
                self._id = value
        elif name == b"retry":
            if value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
                self.retry_s = int(value) / 1000
        elif line == b"data":
            self._add(b"")

    def _end(self) -> Event | None:
        """The event that a blank line ends; without a data line it is none."""
        self.last_id = self._id
        name, self._name = self._name, b""
        if not self._data:
            return None
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return Event(data, name, self.last_id)


def write(
    data: bytes, *, name: bytes = b"message", id: bytes = b"", retry_ms: int | None = None
) -> bytes:
    """One event. Line ends within `data` (JSON may have them as blanks) become data lines."""
    if b"\n" in data or b"\r" in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        data = b"\ndata: ".join(lines)
    extra = b"id: %b\n" % id if id else b""
    if retry_ms is not None:
        extra += b"retry: %d\n" % retry_ms
    return b"event: %b\n%bdata: %b\n\n" % (name, extra, data)
