"""What to do next about a running gateway: each piece follows from a number of the report, names
it, and names the command or the key of the configuration that changes it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from only1mcp.report import savings, traffic
from only1mcp.report.answers import Answers
from only1mcp.report.document import spelt

DOWN: Final = ("failed", "waiting")
MANY_TOKENS: Final = 10_000
"""A twentieth of a context of 200 000 tokens, gone before the first question."""
MIN_REQUESTS: Final = 20
"""Fewer requests, or looks, say nothing about a share."""
FAILING: Final = 0.05
OFTEN: Final = 3
"""Restarts or openings that are no chance any more."""
LONG_WAIT_S: Final = 0.1
LATE_S: Final = 0.05
FULL: Final = 0.8
"""Of what may be open."""
POOR: Final = 0.2
"""A hit rate below which keeping answers is of little use."""
SINGLE: Final = 1.2
"""Calls in a window, below which it gathers nothing."""


def advice(answers: Answers) -> list[str]:
    """Everything there is to say, the most urgent first."""
    return [said for rule in RULES for said in rule(answers)]


def _down(answers: Answers) -> Iterator[str]:
    for row in answers.rows("health", "servers"):
        if row["state"] in DOWN or row["health"] == "unhealthy":
            state = row["state"] if row["state"] in DOWN else row["health"]
            why = f" ({row['reason']})" if row["reason"] else ""
            yield f"Server `{row['id']}` is {state}{why}: `only1mcp doctor` says what mends it."


def _file(answers: Answers) -> Iterator[str]:
    faults = answers.rows("check", "faults")
    wrong = [one for one in faults if one["severity"] == "error"]
    if wrong:
        yield (
            f"The configuration file has {_many(len(wrong), 'fault')} and the next reload will be"
            " refused: `only1mcp validate` names each with its line."
        )
    elif faults:
        yield f"The file has {_many(len(faults), 'warning')}: see Configuration below."
    if waits := answers.page("check").get("restart"):
        keys = ", ".join(f"`{key}`" for key in waits)
        yield f"{keys}: the file says otherwise than what is in force: `only1mcp restart`."


def _refused(answers: Answers) -> Iterator[str]:
    for limit, many in _some(answers.by("only1mcp_requests_refused_total", "limit")):
        yield (
            f"{_many(many, 'request')} refused by `server.limits.{limit}`: raise it, or find the"
            " client that asks so much in the requests of `only1mcp tui`."
        )
    for limit in ("queue", "queue_timeout"):
        refused = answers.by("only1mcp_server_calls_refused_total", "server", limit=limit)
        for id, many in _some(refused):
            yield (
                f"{_many(many, 'call')} refused by `concurrency.{limit}` of `{id}`: give the"
                " server `replicas`, or raise its `concurrency.max_in_flight` if it can bear more."
            )


def _failing(answers: Answers) -> Iterator[str]:
    requests, failed = (
        answers.by(traffic.REQUESTS, "server"),
        traffic.failed_by_server(answers),
    )
    for id, many in _some(failed):
        if requests[id] < MIN_REQUESTS or many < FAILING * requests[id]:
            continue
        types = traffic.by_type(answers, server=id)
        most = next(iter(types), "_other")
        cause = traffic.CAUSES.get(most, traffic.OWN)
        whose = f"to `{id}`" if id else "that no server had"
        yield (
            f"{spelt(many)} of {spelt(requests[id])} requests {whose} failed, {spelt(types[most])}"
            f" of them because {cause.meaning} (`{most}`): {cause.next}."
        )


def _unsteady(answers: Answers) -> Iterator[str]:
    down = {row["id"] for row in answers.rows("health", "servers") if row["state"] in DOWN}
    for id, many in _some(answers.by("only1mcp_server_restarts_total", "server")):
        if many >= OFTEN and id not in down:
            yield f"`{id}` was started again {spelt(many)} times: `only1mcp logs` has its words."
    opened = answers.by("only1mcp_breaker_transitions_total", "server", to="open")
    for id, many in _some(opened):
        if many >= OFTEN:
            yield (
                f"The breaker of `{id}` opened {spelt(many)} times: look at that server; with"
                " `replicas` others take its calls meanwhile."
            )


def _unknown(answers: Answers) -> Iterator[str]:
    for id, many in _some(answers.by("only1mcp_outcome_unknown_total", "server")):
        yield (
            f"{_many(many, 'request')} to `{id}` failed after being sent and may have run: raise"
            " `timeouts.call_idle` if it is slow, and name tools that may run twice in"
            " `retry.idempotent_tools`."
        )
    for id, many in _some(answers.by("only1mcp_late_answers_total", "server")):
        yield (
            f"{_many(many, 'answer')} of `{id}` came too late: raise its `timeouts.call_idle`"
            " or `timeouts.call_max`."
        )
    for id, many in _some(answers.by("only1mcp_retries_denied_total", "server")):
        yield (
            f"{_many(many, 'request')} to `{id}` could not be sent once more: `retry.budget` was"
            " used up; mend the server before you raise it."
        )


def _slow(answers: Answers) -> Iterator[str]:
    if answers.scrape is None:
        yield "Metrics are off, so most of this report is empty: set `metrics.enabled: true`."
        return
    for (id,), spread in answers.scrape.spreads(traffic.WAITED, "server").items():
        wait = spread.percentile(0.9)
        if wait is not None and wait.value > LONG_WAIT_S:
            yield (
                f"Calls to `{id}` wait for a turn, p90 {traffic.ms(wait)} ms: raise its"
                " `concurrency.max_in_flight`, or give it `replicas`."
            )
    lag = answers.scrape.spread(traffic.LAG)
    late = lag.percentile(0.99)
    if late is not None and lag.count >= MIN_REQUESTS and late.value > LATE_S:
        yield (
            f"The gateway itself is late, p99 {traffic.ms(late)} ms: it lacks processor time; give"
            " it a core of its own, or lower `tracing.sample`."
        )


def _process(answers: Answers) -> Iterator[str]:
    files, most = answers.total("process_open_fds"), answers.total("process_max_fds")
    if files and most and files > FULL * most:
        yield f"{spelt(files)} of {spelt(most)} files are open: raise `ulimit -n`."
    if lost := answers.total("only1mcp_log_lines_dropped_total"):
        yield f"{_many(lost, 'log line')} lost: set a higher `logging.level`, or a faster disk."
    refused = answers.by("only1mcp_http_refused_total", "status")
    if many := refused.get("401"):
        yield (
            f"{_many(many, 'request')} came without a token or with a wrong one: compare what"
            " clients send with `server.auth.tokens`."
        )
    if many := refused.get("403"):
        yield (
            f"{_many(many, 'request')} came for a Host or from an Origin that is not allowed: see"
            " `server.allowed_hosts` and `server.allowed_origins`."
        )


def _cache(answers: Answers) -> Iterator[str]:
    read = sum(
        answers.total(traffic.REQUESTS, method=one) or 0.0
        for one in ("resources/read", "prompts/get")
    )
    if answers.page("cache").get("enabled") is False and read >= MIN_REQUESTS:
        yield f"{spelt(read)} reads, and nothing is kept: set `cache.enabled: true`."
    for tier in savings.TIERS:
        dropped = answers.by(savings.DROPPED, "for", tier=tier)
        results = answers.by(savings.LOOKED, "result", tier=tier)
        asked, hits = sum(results.values()), results.get("hit", 0.0)
        if many := dropped.get("room"):
            yield (
                f"{_many(many, 'answer')} dropped from the cache for want of room: raise"
                f" `cache.{tier}.capacity` or `cache.max_bytes`."
            )
        if asked >= MIN_REQUESTS and hits < POOR * asked and dropped.get("time"):
            yield (
                f"Only {spelt(hits)} of {spelt(asked)} answers were found in the cache, and"
                f" {spelt(dropped['time'])} had expired: a longer `cache.{tier}.ttl` keeps them,"
                " unless their server says how long."
            )


def _windows(answers: Answers) -> Iterator[str]:
    windows, calls = answers.total(savings.BATCHES), answers.total(savings.BATCHED)
    if windows and calls is not None and windows >= MIN_REQUESTS and calls < SINGLE * windows:
        yield (
            f"{spelt(calls)} calls in {spelt(windows)} windows: they wait for company that does"
            " not come; set `batching.window: 0s`."
        )


def _lists(answers: Answers) -> Iterator[str]:
    size = answers.by(savings.LISTS, "kind").get("tools", 0.0)
    about = savings.tokens(size)
    if about >= MANY_TOKENS:
        heaviest = next(iter(savings.weights(answers).items()), None)
        most = f", {spelt(savings.tokens(heaviest[1]))} of them for" if heaviest else ""
        whose = f" `{heaviest[0]}`" if heaviest else ""
        yield (
            f"The list of tools takes about {spelt(about)} tokens of every client's context"
            f"{most}{whose}: withhold what nobody needs with `tools.deny`, or give clients"
            " `/mcp/{server}`."
        )
    hidden = Counter(
        (one["hidden"], one["kept"])
        for one in answers.rows("servers", "clashes")
        if one["hidden"] != one["kept"]
    )
    for (loser, keeper), many in hidden.items():
        yield (
            f"{_many(many, 'entry', 'entries')} of `{loser}` hidden because `{keeper}` has the"
            " same names: set `naming.mode: prefix`, use `tools.rename`, or give clients"
            f" `/mcp/{loser}`."
        )
    if dropped := answers.rows("servers", "dropped"):
        yield (
            f"{_many(len(dropped), 'entry', 'entries')} left out because clients would refuse"
            " them: see Configuration below, and tell who makes that server."
        )


def _silence(answers: Answers) -> Iterator[str]:
    if answers.total(traffic.REQUESTS) == 0:
        yield f"No client has asked for anything yet: give one {answers.url}/mcp."


RULES: Final[tuple[Callable[[Answers], Iterator[str]], ...]] = (
    *(_down, _file, _refused, _failing, _unsteady, _unknown),
    *(_slow, _process, _cache, _windows, _lists, _silence),
)


def _some(counts: dict[str, float]) -> Iterator[tuple[str, float]]:
    """Those that are not 0, the most first."""
    yield from sorted(
        (pair for pair in counts.items() if pair[1]), key=lambda pair: (-pair[1], pair[0])
    )


def _many(count: float, one: str, several: str = "") -> str:
    """How many of what."""
    return f"{spelt(count)} {one if count == 1 else several or one + 's'}"
