"""How the requests of a running gateway went: how long they took, and why some failed."""

from typing import Final, NamedTuple

from only1mcp.report.answers import Answers
from only1mcp.report.document import NOT_MEASURED, Document, Section, spelt
from only1mcp.report.scrape import INFINITY, Estimate, Spread

REQUESTS: Final = "only1mcp_requests_total"
DURATION: Final = "mcp_server_operation_duration_seconds"
TOOK: Final = "mcp_client_operation_duration_seconds"
ADDED: Final = "only1mcp_overhead_seconds"
LAG: Final = "only1mcp_event_loop_lag_seconds"
WAITED: Final = "only1mcp_server_wait_seconds"
SHARES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
FAILED: Final = ("error", "tool_error")
OF_TOOL: Final = ("server", "gen_ai_tool_name")
TOOLS: Final = 10
"""How many of the slowest are shown."""


class Cause(NamedTuple):
    """What an error code says, and what mends it."""

    meaning: str
    next: str


CAUSES: Final = {
    "-31001": Cause("a server could not be reached; nothing has run", "`only1mcp doctor`"),
    "-31002": Cause("a server did not answer in time; it may have run", "`timeouts.call_idle`"),
    "-31003": Cause("a server was lost in mid-call; it may have run", "`only1mcp logs`"),
    "-31004": Cause("a server is left alone after failures; nothing has run", "`circuit_breaker`"),
    "-31005": Cause("too many calls at once; nothing has run", "`concurrency` and `server.limits`"),
    "-31006": Cause(
        "the gateway was stopping; what it ended may have run", "`server.drain_timeout`"
    ),
    "-31007": Cause("an answer was larger than is carried; it has run", "ask the server for less"),
    "-31010": Cause("what a server said is not MCP; it may have run", "`only1mcp logs`"),
    "-32002": Cause("nobody has such a resource", "look at what the client asks for"),
    "-32020": Cause("a header contradicts its body", "mend the client"),
    "-32021": Cause("the client lacks what the call needs", "another client"),
    "-32022": Cause("no common revision of MCP", "another client"),
    "-32600": Cause("no request that is allowed here", "mend the client"),
    "-32601": Cause("nobody has such a method", "look at what the client asks for"),
    "-32602": Cause("wrong parameters, or a name that nobody has", "`only1mcp why NAME`"),
    "-32603": Cause("a fault of the gateway or of a server", "`only1mcp logs`"),
    "-32700": Cause("what came is no JSON", "mend the client"),
    "tool_error": Cause("the tool itself says that it failed", "look at what it was asked"),
    "cancelled": Cause("the client took it back", "nothing, unless it is often"),
    "_other": Cause("codes beyond the first hundred, or none", "`only1mcp logs`"),
}
"""By `error_type`. Source: protocol/errors.py."""
OWN: Final = Cause("a code of the server's own", "its documentation")


def failed(answers: Answers) -> float | None:
    """How many requests failed; None if nobody counts."""
    if answers.total(REQUESTS) is None:
        return None
    outcomes = answers.by(REQUESTS, "outcome")
    return sum(outcomes.get(one, 0.0) for one in FAILED)


def failed_by_server(answers: Answers) -> dict[str, float]:
    """The same for each."""
    found: dict[str, float] = {}
    for outcome in FAILED:
        for id, many in answers.by(REQUESTS, "server", outcome=outcome).items():
            found[id] = found.get(id, 0.0) + many
    return found


def by_type(answers: Answers, **labels: str) -> dict[str, float]:
    """How many requests ended with each error, the most first."""
    found = answers.by(f"{DURATION}_count", "error_type", **labels)
    ranked = sorted(found.items(), key=lambda pair: -pair[1])
    return {type: many for type, many in ranked if type and many}


def ms(estimate: Estimate | None) -> str:
    """A percentile in milliseconds; empty without any."""
    if estimate is None:
        return ""
    if estimate.high == INFINITY:
        return f"over {_ms(estimate.low)}"
    return _ms(estimate.value)


def waited(document: Document, answers: Answers) -> str:
    """Half and nearly all of the requests were answered within so much."""
    spread = answers.scrape.spread(DURATION) if answers.scrape is not None else None
    if spread is None or not spread.count:
        return NOT_MEASURED
    half, most = (ms(spread.percentile(share)) for share in (0.5, 0.99))
    return document.cite(f"p50 {half} ms, p99 {most} ms", answers.metric(DURATION))


def latency(document: Document, section: Section, answers: Answers) -> None:
    """Percentiles, and how the requests are spread."""
    if answers.scrape is None:
        section.text(f"{NOT_MEASURED}: metrics are off.")
        return
    section.text(
        "In milliseconds. Percentiles are estimates: the true one lies in the bucket that stands"
        " in brackets. Means are exact."
    )
    rows = [
        _line(f"{what} {document.mark(answers.metric(name))}", answers.scrape.spread(name))
        for what, name in (
            ("Clients waited", DURATION),
            ("of that, servers took", TOOK),
            ("of that, the gateway added", ADDED),
            ("Waited for a turn at a server", WAITED),
            ("The gateway came late to its work", LAG),
        )
    ]
    heads = f"time | how often | mean | {' | '.join(SHARES)}"
    section.table(heads, rows)
    buckets = answers.scrape.spread(DURATION).buckets()
    section.bars("requests by the time that clients waited", dict(map(_bar, buckets)))
    section.text(f"The slowest tools by what nearly all calls took {_mark(document, answers)}:")
    section.table(f"tool | {heads.partition(' | ')[2]}", _tools(answers), "No tool was called.")


def _mark(document: Document, answers: Answers) -> str:
    return document.mark(answers.metric(DURATION))


def _tools(answers: Answers) -> list[list[str]]:
    """One row for each of the slowest."""
    assert answers.scrape is not None
    found = []
    for (server, tool), spread in answers.scrape.spreads(DURATION, *OF_TOOL).items():
        if tool and (most := spread.percentile(0.99)) is not None:
            found.append((most.value, _line(f"`{tool}` of `{server}`", spread)))
    found.sort(key=lambda pair: -pair[0])
    return [line for _, line in found[:TOOLS]]


def _line(what: str, spread: Spread) -> list[str]:
    mean = spread.mean
    shown = [_within(spread.percentile(share)) for share in SHARES.values()]
    return [what, spelt(spread.count), "" if mean is None else _ms(mean), *shown]


def _within(estimate: Estimate | None) -> str:
    """A percentile with its bucket."""
    if estimate is None or estimate.high == INFINITY:
        return ms(estimate)
    return f"{ms(estimate)} ({_ms(estimate.low)} to {_ms(estimate.high)})"


def _bar(bucket: tuple[float, float, float]) -> tuple[str, float]:
    low, high, many = bucket
    return (f"over {_ms(low)} ms" if high == INFINITY else f"up to {_ms(high)} ms"), many


def _ms(seconds: float) -> str:
    return spelt(seconds * 1000)


def errors(document: Document, section: Section, answers: Answers) -> None:
    """Why requests failed, and what was refused before it was one."""
    if answers.scrape is None:
        section.text(f"{NOT_MEASURED}: metrics are off.")
        return
    rows = []
    for type, many in by_type(answers).items():
        cause = CAUSES.get(type, OWN)
        whose = answers.by(f"{DURATION}_count", "server", error_type=type)
        servers = ", ".join(f"`{id}`" if id else "no server" for id, n in whose.items() if n)
        rows.append([f"`{type}`", cause.meaning, spelt(many), servers, cause.next])
    mark = _mark(document, answers)
    section.table(f"cause | meaning | requests {mark} | whose | see", rows, "No request failed.")
    section.bars("requests that failed, by cause", by_type(answers))
    section.text("Beside that:")
    section.items([_counted(document, answers, *one) for one in BESIDE])


BESIDE: Final = (
    ("Failed after they were sent, so that they may have run", "only1mcp_outcome_unknown_total"),
    ("Refused because of `server.limits`", "only1mcp_requests_refused_total"),
    ("Refused because of `concurrency`", "only1mcp_server_calls_refused_total"),
    ("HTTP requests that nobody looked into", "only1mcp_http_refused_total"),
    ("Sent once more", "only1mcp_retries_total"),
    ("Not sent once more because of `retry.budget`", "only1mcp_retries_denied_total"),
    ("Answers that came too late", "only1mcp_late_answers_total"),
    ("Breakers that opened", "only1mcp_breaker_transitions_total"),
    ("Servers started again", "only1mcp_server_restarts_total"),
)
"""What is counted beside the outcome of requests, and where."""


def _counted(document: Document, answers: Answers, what: str, name: str) -> str:
    labels = {"to": "open"} if what.startswith("Breakers") else {}
    total = answers.total(name, **labels)
    return f"{what}: {document.cite(total, answers.metric(name))}"
