"""One run of load: by wrk where it can do it, else by processes of our own."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import msgspec

from only1mcp.bench import wrk
from only1mcp.bench.endpoint import FIRST_ID, Endpoint, Refused
from only1mcp.bench.load import Job, Outcome, merged
from only1mcp.bench.processes import on_core

_SLACK_S: Final = 40.0
_IDS: Final = 100_000_000
"""Each process has so many ids of its own."""


def closed(job: Job, core: int, processes: int = 1) -> Outcome:
    """As much as the endpoint takes. Without wrk that is limited by `processes` of ours.

    wrk counts in whole seconds.
    """
    if wrk.version() is not None and job.rate is None and job.seconds >= 1:
        return _judged(wrk.run(job, core))
    return ours(job, core, processes)


def ours(job: Job, core: int, processes: int = 1) -> Outcome:
    """The bundled generator; its connections are shared among the processes."""
    processes = min(processes, job.connections)
    each = msgspec.structs.replace(
        job,
        connections=job.connections // processes,
        rate=None if job.rate is None else job.rate / processes,
    )
    with ExitStack() as over:
        with on_core(core):
            started = [over.enter_context(_started(each, number)) for number in range(processes)]
        return _judged(merged([_finish(process, job) for process in started]))


def job(
    endpoint: Endpoint,
    method: str,
    params: dict[str, Any],
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> Job:
    """One question over and over, tried once before."""
    return jobs(endpoint, [(method, params)], (0,), connections, seconds, rate)


def jobs(
    endpoint: Endpoint,
    questions: Sequence[tuple[str, dict[str, Any]]],
    order: Sequence[int],
    connections: int,
    seconds: float,
    rate: float | None = None,
) -> Job:
    """Several questions in this order, the first of them tried before."""
    method, params = questions[0]
    if endpoint.ask(method, params).get("isError"):
        raise Refused(f"{endpoint.url}: {method} gives an error")
    requests = [
        (r.before, r.after) for r in (endpoint.request(*question) for question in questions)
    ]
    return Job(
        endpoint.host, endpoint.port, requests, connections, seconds, rate, tuple(order)
    )  # fmt: skip


@contextmanager
def beside(job: Job, core: int) -> Iterator[None]:
    """A load that is under way in here, for what it does to another; nobody judges it."""
    with on_core(core), _started(job, 1):
        yield


@contextmanager
def _started(job: Job, number: int) -> Iterator["subprocess.Popen[bytes]"]:
    """One of the processes; it is gone afterwards, whatever happens."""
    mine = msgspec.structs.replace(job, first_id=FIRST_ID + number * _IDS)
    command = [sys.executable, "-m", "only1mcp.bench.load"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(mine))
            process.stdin.close()
            process.stdin = None
            yield process
        finally:
            process.kill()


def _finish(process: "subprocess.Popen[bytes]", job: Job) -> Outcome:
    try:
        said, _ = process.communicate(timeout=job.seconds + _SLACK_S)
    except subprocess.TimeoutExpired:
        raise Refused("the load generator hangs") from None
    if process.returncode:
        raise Refused("the load generator failed; see above")
    return msgspec.json.decode(said, type=Outcome)


def _judged(outcome: Outcome) -> Outcome:
    """A run in which more than one call of a hundred failed measures nothing."""
    if not outcome.calls or outcome.errors * 100 > outcome.calls:
        raise Refused(f"{outcome.errors} of {outcome.calls} calls failed: {outcome.fault[:400]}")
    return outcome
