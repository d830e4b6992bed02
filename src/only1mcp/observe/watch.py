"""Who hears of each request that is over: numbers, and those who want to know it whole.

    relay/watch.py ──► Meter, plain numbers
                  ├──► the ring of recent requests: observe/events.py
                  ├──► Tracer, spans
                  └──Finished──► the access log, events: whoever is in `tell`

Nobody in it: there is no Watch, and a request costs one test for that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from only1mcp.observe.access import OnFinished
from only1mcp.observe.meter import Meter
from only1mcp.observe.tracing import Tracer


class Recent(NamedTuple):
    """What is remembered of each request: no arguments, and nothing that is costly to find out."""

    number: int
    """Counts all requests of this process."""
    took_s: float
    upstream_s: float
    principal: str
    session: str | None
    method: str
    revision: str
    server: str | None
    """Whose it was."""
    name: str | None
    """Tool, prompt or URI, as its server calls it."""
    outcome: str
    code: int | None


Remember = Callable[[str, float, Any], None]
"""Takes a kind, a time and a plain tuple as Recent: what a NamedTuple costs is half of it all."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Those who watch the requests of one snapshot."""

    meter: Meter | None = None
    tracer: Tracer | None = None
    tell: tuple[OnFinished, ...] = ()
    remember: Remember | None = None


def watch(
    meter: Meter | None,
    tracer: Tracer | None,
    *tell: OnFinished | None,
    remember: Remember | None = None,
) -> Watch | None:
    """A Watch of those who are there; None: nobody is."""
    there = tuple(one for one in tell if one is not None)
    watched = meter is not None or tracer is not None or there or remember is not None
    return Watch(meter, tracer, there, remember) if watched else None
