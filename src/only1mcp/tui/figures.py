"""Numbers of the overview, from what the gateway counts; what it does not count is None.

Two readings and the time between them give rates and percentiles. No clock in here.
Source  Prometheus text format; percentiles by linear interpolation in a bucket, as
        histogram_quantile does it.
"""

import itertools
import re
from collections import deque
from typing import Final, NamedTuple

REQUESTS: Final = "only1mcp_requests_total"
IN_FLIGHT: Final = "only1mcp_requests_in_flight"
DURATION: Final = "mcp_server_operation_duration_seconds_bucket"
LINE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)", re.MULTILINE)
LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
KEPT: Final = 60
"""Readings that a rate is drawn from; one a second is a minute."""
BARS: Final = " ▁▂▃▄▅▆▇█"


class Reading(NamedTuple):
    """The counters at one time."""

    at: float
    requests: float
    failed: float
    buckets: dict[float, float]
    """Upper bound in seconds -> requests that took no longer."""
    in_flight: float | None = None


class Figures(NamedTuple):
    """What the overview shows; None is not known."""

    per_s: float | None
    error_share: float | None
    """0 to 1, of the requests that have ended in the window."""
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    total: float | None
    failed: float | None
    in_flight: float | None


NOTHING: Final = Figures(*[None] * 8)


def read(text: str, at: float) -> Reading | None:
    """The counters in the text of the metrics; None if they are not there."""
    requests = failed = 0.0
    buckets: dict[float, float] = {}
    found, in_flight = False, None
    for name, labels, value in LINE.findall(text):
        if name == REQUESTS:
            found = True
            known = dict(LABEL.findall(labels))
            requests += float(value)
            failed += float(value) * (known.get("outcome") in ("error", "tool_error"))
        elif name == DURATION:
            bound = float(dict(LABEL.findall(labels))["le"].replace("+Inf", "inf"))
            buckets[bound] = buckets.get(bound, 0.0) + float(value)
        elif name == IN_FLIGHT:
            in_flight = (in_flight or 0.0) + float(value)
    return Reading(at, requests, failed, buckets, in_flight) if found else None


class History:
    """The latest readings of one gateway."""

    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=KEPT)

    def add(self, reading: Reading | None) -> None:
        """Another one; None, or counters that went back, begin anew."""
        last = self._readings[-1] if self._readings else None
        if reading is None or (last and reading.requests < last.requests):
            self._readings.clear()
        if reading is not None:
            self._readings.append(reading)

    def figures(self) -> Figures:
        """What is known now."""
        if not self._readings:
            return NOTHING
        first, last = self._readings[0], self._readings[-1]
        done = last.requests - first.requests
        grown = {
            bound: many - first.buckets.get(bound, 0.0) for bound, many in last.buckets.items()
        }
        rates = self.rates()
        return Figures(
            per_s=rates[-1] if rates else None,
            error_share=(last.failed - first.failed) / done if done else None,
            p50_ms=percentile(grown, 0.5),
            p95_ms=percentile(grown, 0.95),
            p99_ms=percentile(grown, 0.99),
            total=last.requests,
            failed=last.failed,
            in_flight=last.in_flight,
        )

    def rates(self) -> list[float]:
        """Requests a second, between each two readings."""
        found = []
        for before, after in itertools.pairwise(self._readings):
            took = after.at - before.at
            if took > 0:
                found.append((after.requests - before.requests) / took)
        return found


def percentile(buckets: dict[float, float], share: float) -> float | None:
    """The duration in milliseconds that `share` of all do not exceed; None without any."""
    total = buckets.get(float("inf"), 0.0)
    if total <= 0:
        return None
    rank, low, below = share * total, 0.0, 0.0
    for bound in sorted(buckets):
        many = buckets[bound]
        if many >= rank:
            if bound == float("inf"):
                return low * 1000
            part = (rank - below) / (many - below) if many > below else 0.0
            return (low + (bound - low) * part) * 1000
        low, below = bound, many
    return low * 1000


def sparkline(values: list[float], width: int) -> str:
    """The last `width` values as bars; the highest fills its line."""
    shown = values[-width:]
    most = max(shown, default=0.0)
    if most <= 0:
        return BARS[1] * len(shown)
    return "".join(BARS[max(1, round(value / most * (len(BARS) - 1)))] for value in shown)


def gauge(share: float | None, width: int) -> str:
    """A share between 0 and 1 as a bar."""
    if share is None:
        return "no data"
    full = round(share * width)
    return "█" * full + "░" * (width - full) + f" {share:.0%}"


def number(value: float | None, unit: str = "", places: int = 0) -> str:
    """A figure for people, or that there is none."""
    if value is None:
        return "no data"
    return f"{value:,.{places}f}".replace(",", " ") + (f" {unit}" if unit else "")


def size(octets: float | None) -> str:
    """Bytes for people, in KiB below a MiB, else in MiB."""
    if octets is None:
        return number(None)
    of_kib = octets < 1 << 20
    return number(octets / (1 << 10 if of_kib else 1 << 20), "KiB" if of_kib else "MiB", 1)


def span(seconds: float) -> str:
    """How long something has lasted, in its two largest units."""
    rest = int(seconds)
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        many, rest = divmod(rest, size)
        if many or (name == "s" and not parts):
            parts.append(f"{many}{name}")
    return " ".join(parts[:2])
