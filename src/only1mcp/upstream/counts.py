"""What has been counted of a server goes on when another one takes its place.

A counter that falls looks to Prometheus like a gateway that was started anew, and what it had is
counted twice. What a replica has counted goes on under the same id; one that is new begins at 0.
"""

from only1mcp.upstream.live import Live
from only1mcp.upstream.standing import Standing


def carry_over(old: Live, new: Live) -> None:
    """Have the counters of `new` go on where those of `old` are now."""
    new.turns.waits += old.turns.waits
    new.turns.refused += old.turns.refused
    new.turns.expired += old.turns.expired
    new.repeats.spent += old.repeats.spent
    new.repeats.denied += old.repeats.denied
    before = {one.id: one for one in old.replicas}
    for one in new.replicas:
        if (was := before.get(one.id)) is not None:
            one.restarts += was.restarts
            _carry_over(was, one)


def _carry_over(old: Standing, new: Standing) -> None:
    new.taken += old.taken
    new.good_checks += old.good_checks
    new.failed_checks += old.failed_checks
    new.checks += old.checks
    for state, count in old.breaker.entered.items():
        new.breaker.entered[state] += count
