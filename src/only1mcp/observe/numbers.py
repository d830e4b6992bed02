"""The metrics of the process itself."""

import platform
import resource
from typing import Final

import psutil

from only1mcp import __version__
from only1mcp.observe import logs
from only1mcp.observe.meter import FINE, Histogram
from only1mcp.observe.metrics import Family, Samples


class Pulse:
    """How the process does."""

    def __init__(self) -> None:
        self.lag = Histogram(FINE)
        """How late the loop came to what was due, in seconds; looked at once a second."""
        self.process = psutil.Process()

    def beat(self, late_s: float) -> None:
        """Something that was due has come so late."""
        self.lag.add(max(late_s, 0.0))


def _build(_: Pulse) -> Samples:
    return [((__version__, platform.python_version()), 1)]


def _cpu(pulse: Pulse) -> Samples:
    times = pulse.process.cpu_times()
    return [((), times.user + times.system)]


def _max_fds(_: Pulse) -> Samples:
    return [((), resource.getrlimit(resource.RLIMIT_NOFILE)[0])]


FAMILIES: Final[tuple[Family[Pulse], ...]] = (
    Family(
        "only1mcp_build_info",
        "gauge",
        "Always 1; its labels say what runs.",
        ("version", "python"),
        _build,
    ),
    Family(
        "process_start_time_seconds",
        "gauge",
        "When the process began, in seconds since 1970.",
        (),
        lambda pulse: [((), pulse.process.create_time())],
    ),
    Family(
        "process_cpu_seconds",
        "counter",
        "CPU time of the gateway, without that of its servers.",
        (),
        _cpu,
    ),
    Family(
        "process_resident_memory_bytes",
        "gauge",
        "Memory of the gateway, without that of its servers.",
        (),
        lambda pulse: [((), pulse.process.memory_info().rss)],
    ),
    Family(
        "process_open_fds",
        "gauge",
        "Open files and sockets.",
        (),
        lambda pulse: [((), pulse.process.num_fds())],
    ),
    Family(
        "process_max_fds",
        "gauge",
        "How many there may be (`ulimit -n`).",
        (),
        _max_fds,
    ),
    Family(
        "only1mcp_event_loop_lag_seconds",
        "histogram",
        "How late the gateway came to work that was due, looked at once a second: what every "
        "request has waited for besides its server.",
        (),
        lambda pulse: [((), pulse.lag)],
    ),
    Family(
        "only1mcp_log_lines_dropped",
        "counter",
        "Lines of logs and access log that could not be written fast enough.",
        (),
        lambda _: [((), logs.dropped())],
    ),
)
