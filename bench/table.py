"""The table of suites: name, what it shows, how long it takes, the function that measures it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from bench.rig import Rig
from bench.suites import overhead, throughput


class Entry(NamedTuple):
    """One suite."""

    name: str
    title: str
    seconds: int
    """About how long it takes."""
    run: Callable[[Rig], None]


SUITES: Final = (
    Entry("overhead", "What the gateway adds to a call", 75, overhead.run),
    Entry("throughput", "Calls per second on one core", 80, throughput.run),
)
