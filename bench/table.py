"""The table of suites: name, what it shows, how long it takes, the function that measures it."""

from collections.abc import Callable
from typing import Final, NamedTuple

from bench.rig import Rig
from bench.suites import (
    balancing,
    cache,
    coalescing,
    eras,
    features,
    memory,
    outage,
    overhead,
    payloads,
    reload,
    scale,
    sessions,
    startup,
    stdio,
    streaming,
    throughput,
)


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
    Entry("stdio", "Servers and clients on pipes", 30, stdio.run),
    Entry("streaming", "Event streams with progress", 35, streaming.run),
    Entry("payloads", "Answers of 1 KiB to 4 MiB", 40, payloads.run),
    Entry("eras", "The four bridges between the eras", 30, eras.run),
    Entry("features", "What each feature costs a call", 70, features.run),
    Entry("cache", "What the cache spares", 50, cache.run),
    Entry("coalescing", "Equal questions at the same time", 60, coalescing.run),
    Entry("balancing", "Choosing among replicas", 10, balancing.run),
    Entry("outage", "Beside a server that hangs", 110, outage.run),
    Entry("scale", "1 to 500 servers, 10 000 tools", 90, scale.run),
    Entry("sessions", "10 000 clients that listen", 60, sessions.run),
    Entry("memory", "Resident memory", 45, memory.run),
    Entry("startup", "From `only1mcp run` to the first answer", 20, startup.run),
    Entry("reload", "A change of one server among many", 60, reload.run),
)
