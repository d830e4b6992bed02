"""The bundled load generator: plain sockets in one loop, in a process of its own on its own core.

    python -m only1mcp.bench.load < job.json > outcome.json

Closed loop: each connection asks again as soon as it has its answer. Open loop (`rate`): see
schedule.py. Ids differ in each request. An answer that is no result counts as an error.
Cost    about 30 us a call; wrk takes a tenth of it, so wrk is used where it is there (wrk.py),
        but for open loops, which wrk does not know.
"""

import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from itertools import cycle
from typing import Final

import msgspec

from only1mcp.bench.endpoint import FIRST_ID, Request
from only1mcp.bench.figures import Histogram
from only1mcp.bench.schedule import Schedule

SPIN_S: Final = 0.0002
"""Before a call is due we look at the clock instead of sleeping: sleeping is not as exact."""
GRACE_S: Final = 2.0
"""How long the last answers are waited for; what has not come then is counted as late as that."""
SLOW_S: Final = 10.0
"""How much longer a closed loop lasts, at most, until each connection has had two answers."""
_BLOCK: Final = 1 << 18
_END: Final = b"\r\n0\r\n\r\n"


class Job(msgspec.Struct, frozen=True):
    """One run of load. `order` says which of the requests come after each other, over and over."""

    host: str
    port: int
    requests: list[tuple[bytes, bytes]]
    connections: int
    seconds: float
    rate: float | None = None
    order: tuple[int, ...] = (0,)
    first_id: int = FIRST_ID


class Outcome(msgspec.Struct):
    """What came of it. `buckets` are those of a Histogram of latencies."""

    calls: int
    errors: int
    seconds: float
    buckets: dict[int, int]
    tool: str = "python"
    fault: str = ""

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.calls / self.seconds

    @property
    def latencies(self) -> Histogram:
        """How long answers took."""
        return Histogram(self.buckets)


class Line:
    """One connection: at most one request under way."""

    __slots__ = ("data", "due", "length", "socket")

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        self.due = 0.0
        self.length = 0

    def send(self, request: bytes, due: float) -> None:
        """Ask; what is large may block, as nothing else is to be done on this line."""
        self.due = due
        self.data.clear()
        self.length = 0
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what has come; True if the answer is complete.

        Raises:
            ConnectionError: the other side has hung up.
        """
        block = self.socket.recv(_BLOCK)
        if not block:
            raise ConnectionResetError("the connection was closed")
        self.data += block
        if not self.length:
            self.length = answer_length(self.data)
        if self.length > 0:
            return len(self.data) >= self.length
        return self.length < 0 and self.data.endswith(_END)


def answer_length(data: bytes | bytearray) -> int:
    """Bytes of the answer that begins in `data`; -1 if it comes in chunks, 0 if not yet known."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = data[:end].lower()
    if (at := head.find(b"content-length:")) >= 0:
        stop = head.find(b"\r\n", at)
        return end + 4 + int(head[at + 15 : stop if stop >= 0 else None])
    return -1


def is_result(data: bytes | bytearray) -> bool:
    """True for a 200 with a result in it that is no error."""
    return (
        data.startswith(b"HTTP/1.1 200") and b'"result"' in data and b'"isError":true' not in data
    )


class Run:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.latencies = Histogram()
        self.errors = 0
        self.fault = ""
        self._requests = cycle([Request(*job.requests[n]) for n in job.order])
        self._id = job.first_id
        self._selector = selectors.DefaultSelector()
        self._idle: deque[Line] = deque()
        self._busy: set[Line] = set()
        for _ in range(job.connections):
            self._connect()

    def close(self) -> None:
        """Hang up."""
        for line in (*self._idle, *self._busy):
            line.socket.close()
        self._selector.close()

    def closed_loop(self) -> float:
        """Ask as fast as answers come; the seconds it took. What is slow gets time for a few.

        What is under way at the end is waited for: else a server has been asked more often than
        calls are counted.
        """
        start = time.perf_counter()
        end, enough = start + self.job.seconds, 2 * self.job.connections
        while (now := time.perf_counter()) < end or (
            self.latencies.count < enough and now < end + SLOW_S
        ):
            while self._idle:
                self._ask(self._idle.popleft(), now)
            self._collect(0.1 if now >= end else min(0.1, end - now))
        took = time.perf_counter() - start
        give_up = time.perf_counter() + GRACE_S
        while self._busy and (left := give_up - time.perf_counter()) > 0:
            self._collect(left)
        return took if self._busy else time.perf_counter() - start

    def open_loop(self, rate: float) -> float:
        """Ask when calls are due; the seconds it took."""
        start = time.perf_counter()
        schedule = Schedule(rate, self.job.seconds, start)
        give_up = start + self.job.seconds + GRACE_S
        while not (schedule.is_over and not self._busy):
            now = time.perf_counter()
            if now > give_up:
                break
            while self._idle and (due := schedule.take(now)) is not None:
                self._ask(self._idle.popleft(), due)
            self._collect(self._pause_s(schedule, now))
        self._count_the_late(schedule, time.perf_counter())
        return time.perf_counter() - start

    def _pause_s(self, schedule: Schedule, now: float) -> float:
        if schedule.is_over or not self._idle:
            return 0.1
        ahead = schedule.next_due - now - SPIN_S
        return max(0, int(ahead * 1000)) / 1000  # a selector rounds up to whole milliseconds

    def _count_the_late(self, schedule: Schedule, now: float) -> None:
        for due in (*(line.due for line in self._busy), *schedule.left()):
            self.errors += 1
            self.fault = self.fault or "an answer did not come in time"
            self.latencies.add(now - due)

    def _connect(self) -> None:
        line = Line(self.job.host, self.job.port)
        self._selector.register(line.socket, selectors.EVENT_READ, line)
        self._idle.append(line)

    def _ask(self, line: Line, due: float) -> None:
        self._id += 1
        before, after = next(self._requests)
        self._busy.add(line)
        try:
            line.send(b"%b%d%b" % (before, self._id, after), due)
        except OSError as error:
            self._lose(line, error)

    def _collect(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            line: Line = key.data
            try:
                done = line.receive()
            except (OSError, ValueError) as error:
                self._lose(line, error)
                continue
            if done and line in self._busy:
                self._take(line)

    def _take(self, line: Line) -> None:
        self.latencies.add(time.perf_counter() - line.due)
        self._busy.discard(line)
        self._idle.append(line)
        if not is_result(line.data):
            self.errors += 1
            self.fault = self.fault or bytes(line.data[:500]).decode(errors="replace")

    def _lose(self, line: Line, error: Exception) -> None:
        self.errors += line in self._busy
        self.fault = self.fault or str(error)
        self._busy.discard(line)
        self._selector.unregister(line.socket)
        line.socket.close()
        if line in self._idle:
            self._idle.remove(line)
        self._connect()


def run(job: Job) -> Outcome:
    """Put one load on; blocks for its seconds."""
    load = Run(job)
    try:
        took = load.open_loop(job.rate) if job.rate else load.closed_loop()
    finally:
        load.close()
    latencies = load.latencies
    return Outcome(latencies.count, load.errors, took, latencies.buckets, fault=load.fault)


def merged(outcomes: Sequence[Outcome]) -> Outcome:
    """What several processes have done at the same time."""
    total = Histogram({})
    for outcome in outcomes:
        total.merge(outcome.latencies)
    fault = next((outcome.fault for outcome in outcomes if outcome.fault), "")
    seconds = max(outcome.seconds for outcome in outcomes)
    errors = sum(outcome.errors for outcome in outcomes)
    return Outcome(total.count, errors, seconds, total.buckets, fault=fault)


def main() -> None:
    """A job on stdin, its outcome on stdout."""
    outcome = run(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    main()
