"""When calls of an open loop are due: at a fixed rate, however long the answers take.

A client that waits for an answer before it asks again does not see the calls it could not make
while it waited, and so misses the worst (G. Tene's "coordinated omission"). Here a call is due
when it is due; its latency counts from then, also if no connection was free.
"""


class Schedule:
    """Due times `1 / rate` seconds apart, from `start` for `seconds`. Times are of one clock."""

    def __init__(self, rate: float, seconds: float, start: float) -> None:
        self._gap = 1 / rate
        self._start = start
        self._taken = 0
        self.total = max(1, int(rate * seconds))

    @property
    def next_due(self) -> float:
        """When the next call is due."""
        return self._start + self._taken * self._gap

    @property
    def is_over(self) -> bool:
        """True if every call has been taken."""
        return self._taken >= self.total

    def take(self, now: float) -> float | None:
        """The due time of the next call, if it has come; each is given once."""
        if self.is_over or now < self.next_due:
            return None
        due = self.next_due
        self._taken += 1
        return due

    def left(self) -> list[float]:
        """The due times nobody has taken."""
        return [self._start + n * self._gap for n in range(self._taken, self.total)]
