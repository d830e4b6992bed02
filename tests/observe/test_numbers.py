"""What the process says of itself; that it changes is in tests/e2e/test_metrics.py."""

from only1mcp.observe.metrics import Metrics, Room
from only1mcp.observe.numbers import FAMILIES, Pulse


def values(pulse: Pulse) -> dict[str, list[object]]:
    found = Metrics(Room(FAMILIES, lambda: pulse)).collect()
    return {family.name: [value for _, value in samples] for family, samples in found}


def test_every_number_is_there() -> None:
    found = values(Pulse())
    assert len(found) == len(FAMILIES)
    assert all(len(one) == 1 for one in found.values())


def test_a_clock_that_is_early_is_not_late() -> None:
    pulse = Pulse()
    pulse.beat(-0.1)
    pulse.beat(0.3)
    assert (pulse.lag.count, pulse.lag.sum) == (2, 0.3)
