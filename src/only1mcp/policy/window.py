"""How many of the last seconds' calls were of one kind: two counts that forget.

The count of a caller is one addition; only a question turns the window on. Exact counts of
every moment would cost a queue of times. These fade the period before the present one out
evenly, which is exact for even traffic and never off by more than that period's count.

Units   seconds of a monotonic clock, passed in as `now`.
"""


class Window:
    """Counts over about the last `length_s` seconds: `total` calls, `marked` ones among them."""

    __slots__ = ("_before", "_length_s", "_since", "marked", "total")

    def __init__(self, length_s: float, now: float) -> None:
        self.total = 0
        """All calls of the present period; count one with `window.total += 1`."""
        self.marked = 0
        """Those of the kind that matters, likewise."""
        self._length_s = length_s
        self._since = now
        self._before = (0.0, 0.0)

    def counts(self, now: float) -> tuple[float, float]:
        """(all, marked) of the last `length_s` seconds."""
        age_s = now - self._since
        if age_s >= self._length_s:
            self._turn(now, age_s)
            age_s = 0.0
        left = 1 - age_s / self._length_s
        return self.total + self._before[0] * left, self.marked + self._before[1] * left

    def clear(self, now: float) -> None:
        """Forget everything."""
        self.total = self.marked = 0
        self._before = (0.0, 0.0)
        self._since = now

    def _turn(self, now: float, age_s: float) -> None:
        # a long period counts as its average: nobody has asked, so nothing has happened in it
        part = self._length_s / age_s
        self._before = (self.total * part, self.marked * part)
        self.total = self.marked = 0
        self._since = now
