"""What requests leave behind: plain numbers, added to while they run, read when somebody looks.

    relay/watch.py ──► Meter.done ──► Cell: three histograms ──► observe/metrics.py

Cost    `done`: one dictionary look-up and three bisections, 0.6 us. Nothing is rendered here.
Bounds  labels come from tables and from the lists of servers, never from a client; each kind has
        a cap and `_other` beyond it, so a number stays right when its label no longer is exact.
"""

from bisect import bisect_left
from typing import Any, Final, NamedTuple

OTHER: Final = "_other"
"""The label of all that have none of their own."""
MAX_METHODS: Final = 100
MAX_SERVERS: Final = 1000
MAX_CODES: Final = 100
MAX_CELLS: Final = 5_000
SECONDS: Final = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
)
"""Those OpenTelemetry asks for, and three finer ones: most servers answer faster than 10 ms."""
FINE: Final = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01),
    *(0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
"""For what should take no time."""


class Histogram:
    """How often a value was in which range."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        """`bounds` are the upper ends of the ranges, each included in its range."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def __iadd__(self, other: "Histogram") -> "Histogram":
        """Also what `other`, of the same bounds, has counted."""
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.sum += other.sum
        return self

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)


Key = tuple[str, str, str, str, int | None, str, bool]
"""Labels without the names: what a tuple costs is a third of what a NamedTuple does."""


class Labels(NamedTuple):
    """What tells one kind of request from another."""

    method: str
    server: str
    """Whose it was; "" if the gateway itself answered, or nobody."""
    tool: str
    """As its server calls it; "" if it is no tool call."""
    outcome: str
    """ok, tool_error, error or cancelled."""
    code: int | None
    """Of the JSON-RPC error."""
    revision: str
    pipe: bool
    """The client is on stdio."""


class Cell:
    """The requests of one set of labels."""

    __slots__ = ("front", "overhead", "upstream")

    def __init__(self) -> None:
        self.front = Histogram()
        self.upstream = Histogram()
        self.overhead = Histogram(FINE)


class Meter:
    """All requests that are over."""

    __slots__ = ("_codes", "_methods", "_servers", "_tools", "cells", "max_tools", "unknown")

    def __init__(self, max_tools: int) -> None:
        """`max_tools` tools have a label of their own."""
        self.max_tools = max_tools
        self.cells: dict[Key, Cell] = {}
        self.unknown: dict[str, int] = {}
        """Requests of each server that failed and may have run."""
        self._methods: set[str] = set()
        self._servers: set[str] = set()
        self._codes: set[int] = set()
        self._tools: set[tuple[str, str]] = set()

    def done(self, labels: Key, front_s: float, upstream_s: float, waited_s: float) -> None:
        """A request is over. It took `front_s` in all; its server had it for `upstream_s` (0: it
        went to none), and for `waited_s` it waited in a window, for a turn, or to be sent again.
        """
        cell = self.cells.get(labels) or self._cell(Labels(*labels))
        front = cell.front
        front.counts[bisect_left(SECONDS, front_s)] += 1
        front.sum += front_s
        if upstream_s:
            upstream, overhead = cell.upstream, cell.overhead
            upstream.counts[bisect_left(SECONDS, upstream_s)] += 1
            upstream.sum += upstream_s
            ours_s = max(front_s - upstream_s - waited_s, 0.0)
            overhead.counts[bisect_left(FINE, ours_s)] += 1
            overhead.sum += ours_s

    def failed_midway(self, server: str) -> None:
        """A request has failed after it was sent."""
        if server not in self.unknown and len(self.unknown) >= MAX_SERVERS:
            server = OTHER
        self.unknown[server] = self.unknown.get(server, 0) + 1

    def _cell(self, labels: Labels) -> Cell:
        """The cell of labels that are new, or that are beyond a cap."""
        method, server, tool, code = labels.method, labels.server, labels.tool, labels.code
        if not _room(self._methods, method, MAX_METHODS):
            method = OTHER
        if server and not _room(self._servers, server, MAX_SERVERS):
            server = OTHER
        if tool and not _room(self._tools, (server, tool), self.max_tools):
            tool = OTHER
        if code is not None and not _room(self._codes, code, MAX_CODES):
            code = 0
        known = labels._replace(method=method, server=server, tool=tool, code=code)
        if known not in self.cells and len(self.cells) >= MAX_CELLS:
            known = known._replace(server=OTHER, tool=tool and OTHER, code=code and 0)
        return self.cells.setdefault(known, Cell())


def _room(known: set[Any], label: Any, most: int) -> bool:
    """Whether `label` is one of the known, or may become one."""
    if label not in known:
        if len(known) >= most:
            return False
        known.add(label)
    return True
