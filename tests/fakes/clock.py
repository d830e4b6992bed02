"""A clock that a test turns."""


class Clock:
    """`clock()` is the time; `clock.now += 5` lets five seconds pass."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now
