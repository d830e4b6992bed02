"""A list cut into pages, with cursors that survive changes of the list.

A list of up to PAGE entries is one page. A longer one is a snapshot; its cursors hold a digest
of the names in it and an offset, so they are good in any process that lists the same names in
the same order, and for the last few snapshots after the list has changed. A client that pages
through sees one consistent list: nothing twice, nothing missing.
Source  MCP server/utilities/pagination: opaque, a bad one is -32602, "" is one like any other.
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Final, NamedTuple

from only1mcp.catalog.listing import Kind
from only1mcp.catalog.shelf import Shelf
from only1mcp.protocol.errors import InvalidParams

PAGE: Final = 1000  # entries; a page of tools is then ~1 MB, and hardly anyone sees a second
MAX_SNAPSHOTS: Final = 3  # older lists whose cursors still work

Table = dict[str, bytes]
"""Entries of one server as JSON, by name."""

_CURSOR: Final = struct.Struct(">8sI")


class Promise(NamedTuple):
    """What a list says of itself to clients of 2026-07-28: how long it holds, and for whom."""

    ttl_ms: int = 0
    public: bool = False


NO_PROMISE: Final = Promise()


class Snapshot:
    """One state of a list: the entries as JSON and, for cursors, a digest of their names."""

    __slots__ = ("_digest", "_names", "texts")

    def __init__(self, names: Iterable[str], texts: Sequence[bytes]) -> None:
        self._names = names
        self._digest = b""
        self.texts = texts

    @property
    def digest(self) -> bytes:
        """Worked out when first asked for: few lists have a second page."""
        if not self._digest:
            key = "\0".join(self._names).encode("utf-8", "surrogatepass")
            self._digest = blake2b(key, digest_size=8).digest()
            self._names = ()
        return self._digest


class Pages:
    """One list for one era, rendered when first asked for. `tables` is what it is made of.

    Cost  first page: a reference, and one copy where it holds for a while: no entry is looked at.
          Later pages of a long list: one join of 1000 entries.
    """

    __slots__ = ("_first", "_head", "_modern", "_older", "_promised", "_snapshot", "tables")

    def __init__(
        self,
        kind: Kind,
        shelves: Sequence[Shelf],
        older: tuple[Snapshot, ...] = (),
        *,
        modern: bool,
    ) -> None:
        self._modern = modern
        self.tables: list[Table] = [shelf.modern if modern else shelf.legacy for shelf in shelves]
        self._older = older
        self._head = b'{"%b":[' % kind.value.encode()
        self._first: bytes | None = None  # without its end
        self._promised: tuple[Promise | None, bytes] = (None, b"")  # the same with its last end
        self._snapshot: Snapshot | None = None

    def page(self, cursor: str | None, promise: Promise = NO_PROMISE) -> bytes:
        """The list result at `cursor` as JSON text; None is the beginning.

        `promise` is for modern clients; results of older ones bear no such thing.

        Raises:
            InvalidParams: not a cursor of ours, or of a list too long gone.
        """
        if cursor is not None:
            return self._ended(self._render(*self._find(cursor)), promise)
        if self._promised[0] != promise:
            if self._first is None:
                self._first = self._render(self._current(), 0)
            self._promised = promise, self._ended(self._first, promise)
        return self._promised[1]

    def _ended(self, page: bytes, promise: Promise) -> bytes:
        if not self._modern:
            return page + b"}"
        scope = b"public" if promise.public else b"private"
        end = b'%b,"resultType":"complete","ttlMs":%d,"cacheScope":"%b"}'
        return end % (page, promise.ttl_ms, scope)

    @property
    def texts(self) -> Sequence[bytes]:
        """All entries as JSON, in order."""
        return self._current().texts

    def snapshots(self) -> tuple[Snapshot, ...]:
        """What the successor of this list must keep: states that cursors were given out for."""
        current = self._snapshot
        if current is None or len(current.texts) <= PAGE:
            return self._older
        older = [snapshot for snapshot in self._older if snapshot.digest != current.digest]
        return (current, *older)[:MAX_SNAPSHOTS]

    def _current(self) -> Snapshot:
        if self._snapshot is None:
            names = chain.from_iterable(self.tables)
            texts = list(chain.from_iterable(table.values() for table in self.tables))
            self._snapshot = Snapshot(names, texts)
        return self._snapshot

    def _find(self, cursor: str) -> tuple[Snapshot, int]:
        digest, offset = _decode(cursor)
        for snapshot in (self._current(), *self._older):
            if snapshot.digest == digest and offset < len(snapshot.texts):
                return snapshot, offset
        raise InvalidParams("the list has changed since this cursor; start without a cursor")

    def _render(self, snapshot: Snapshot, offset: int) -> bytes:
        end = offset + PAGE
        entries = b",".join(snapshot.texts[offset:end])
        more = b""
        if end < len(snapshot.texts):
            more = b',"nextCursor":"%b"' % _encode(snapshot.digest, end)
        return b"".join((self._head, entries, b"]", more))


def _encode(digest: bytes, offset: int) -> bytes:
    return urlsafe_b64encode(_CURSOR.pack(digest, offset))


def _decode(cursor: str) -> tuple[bytes, int]:
    try:
        digest, offset = _CURSOR.unpack(urlsafe_b64decode(cursor))
        if _encode(digest, offset) == cursor.encode() and offset and offset % PAGE == 0:
            return digest, offset
    except (ValueError, struct.error):
        pass
    raise InvalidParams("unknown cursor; start without a cursor")


def differ(old: Sequence[Table], new: Sequence[Table]) -> bool:
    """Whether two lists hold other entries.

    Cost    a list keeps the tables of servers that did not change: only what lies between the
            first and the last that is another object is looked at.
    """
    start, old_end, new_end = 0, len(old), len(new)
    while start < old_end and start < new_end and old[start] is new[start]:
        start += 1
    while start < old_end and start < new_end and old[old_end - 1] is new[new_end - 1]:
        old_end, new_end = old_end - 1, new_end - 1
    return _entries(old[start:old_end]) != _entries(new[start:new_end])


def _entries(tables: Sequence[Table]) -> list[bytes]:
    return [entry for table in tables for entry in table.values()]
