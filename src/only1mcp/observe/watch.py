"""Who hears of each request that is over: numbers, and those who want to know it whole.

    relay/watch.py ──► Meter, plain numbers
                  ├─ Tracer, spans
                  └──Finished──► the access log, events: whoever is in `tell`

Nobody in it: there is no Watch, and a request costs one test for that.
"""

from dataclasses import dataclass

from only1mcp.observe.access import OnFinished
from only1mcp.observe.meter import Meter
from only1mcp.observe.tracing import Tracer


@dataclass(frozen=True, slots=True)
class Watch:
    """Those who watch the requests of one snapshot."""

    meter: Meter | None = None
    tracer: Tracer | None = None
    tell: tuple[OnFinished, ...] = ()


def watch(meter: Meter | None, tracer: Tracer | None, *tell: OnFinished | None) -> Watch | None:
    """A Watch of those who are there; None: nobody is."""
    there = tuple(one for one in tell if one is not None)
    watched = meter is not None or tracer is not None or there
    return Watch(meter, tracer, there) if watched else None
