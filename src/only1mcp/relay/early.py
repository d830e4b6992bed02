"""News of tasks that nobody knows yet: a server may say how a task is before it has answered the
call that makes it, and its client learns the id from the answer.

    news of an unknown task ──keep──► the task becomes known ──take──► its client
                                 └─ in time for nobody: forgotten

Only the latest is kept: each says all there is to say of its task.
Bounds  MAX_KEPT tasks, the oldest makes room; MAX_BYTES each; KEEP_S.
Units   seconds of the clock passed in.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from msgspec import Raw

from only1mcp.relay.handed import Thing

MAX_KEPT: Final = 256
MAX_BYTES: Final = 16 * 1024
KEEP_S: Final = 5.0
"""How much later the answer may be: what is overtaken is on its way already."""


class Early:
    """A bounded table of Thing -> the latest news of it."""

    __slots__ = ("_clock", "_kept")

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[Thing, tuple[float, Raw]] = OrderedDict()  # oldest first

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, thing: Thing, params: Raw) -> None:
        """News of a task that is nobody's so far."""
        now = self._clock()
        while self._kept and next(iter(self._kept.values()))[0] <= now:
            self._kept.popitem(last=False)
        if len(bytes(params)) > MAX_BYTES:
            return
        self._kept[thing] = now + KEEP_S, Raw(bytes(params))  # not all of what it came with
        self._kept.move_to_end(thing)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def take(self, thing: Thing) -> Raw | None:
        """What is kept of a task that is somebody's now, once."""
        ends_at, params = self._kept.pop(thing, (0.0, None))
        return params if ends_at > self._clock() else None
