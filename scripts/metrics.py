"""docs/metrics.md, made from the tables that a scrape is made from.

python -m scripts.metrics > docs/metrics.md
"""

from typing import Any, Final

from only1mcp.gateway import FAMILIES
from only1mcp.observe.metrics import Family

_HEAD: Final = """\
# Metrics

`GET /metrics` and `GET /api/v1/admin/metrics` answer in the Prometheus text format, or in
OpenMetrics if the `Accept` header asks for it. The first is guarded as MCP is, with a token if
`server.auth` wants one; once there are `server.metrics_tokens` or `server.admin_tokens`, it wants
one of these. A metrics token opens nothing else, so Prometheus need not have that of an admin. The
second is guarded as the rest of the admin API. `metrics.enabled: false` turns them off. Numbers are
counted where the work is done and read when a scrape asks.

Names that begin with `mcp_` are those of the OpenTelemetry conventions for MCP, written the
Prometheus way, with a label `server` more; `process_` ones are what every Prometheus client calls
so; the others are ours. No label holds what a client made up: methods, servers and tools come from
the protocol, the configuration and the servers' lists, and what is beyond a cap
(`metrics.tools`) is `_other`. A histogram with labels has no line before there is something to
count.

`{server="search", replica="…"}` tells the replicas of one server apart by URL or command.
"""
_FORMER: Final = """
## From the Rust Only1MCP

What each of its 28 metrics was for, and what says it here.

| There | Here |
|---|---|
"""
COUNTERPARTS: Final[dict[str, str]] = {
    "mcp_requests_total": "`only1mcp_requests_total`",
    "mcp_request_duration_seconds": (
        "`mcp_server_operation_duration_seconds`, `mcp_client_operation_duration_seconds` and "
        "what is between them, `only1mcp_overhead_seconds`"
    ),
    "context_tokens_saved_total": (
        "`only1mcp_list_bytes`: what a list costs a model's context. Compare it with the list of "
        "`/mcp/{server}`; tokens depend on the model, which a gateway does not know"
    ),
    "context_cache_hit_ratio": (
        "hits over all of `only1mcp_cache_requests_total`; lists always come from memory"
    ),
    "backend_health_status": "`only1mcp_replica_health`",
    "backend_latency_seconds": (
        "`mcp_client_operation_duration_seconds`, `only1mcp_replica_latency_seconds`"
    ),
    "connection_pool_size": (
        "`only1mcp_server_connections`, `only1mcp_server_calls_in_flight`, "
        "`only1mcp_server_calls_waiting`"
    ),
    "connection_reuse_ratio": (
        "1 - `only1mcp_server_connections_opened_total` / `only1mcp_replica_calls_total`"
    ),
    "api_cost_dollars_total": (
        "`mcp_server_operation_duration_seconds` counts calls by `gen_ai_tool_name`: times your "
        "price it is the cost. Models are not called through a gateway"
    ),
    "memory_usage_bytes": "`process_resident_memory_bytes`",
    "cpu_usage_percent": "rate of `process_cpu_seconds_total`",
    "circuit_breaker_state": "`only1mcp_breaker_state`",
    "circuit_breaker_failures_total": (
        '`only1mcp_breaker_transitions_total` with `to="open"`; failures are '
        '`only1mcp_requests_total` with `outcome="error"`'
    ),
    "rate_limit_exceeded_total": (
        "`only1mcp_requests_refused_total`, `only1mcp_server_calls_refused_total`"
    ),
    "rate_limit_remaining": (
        "`only1mcp_requests_in_flight` against `server.limits`, "
        "`only1mcp_server_calls_in_flight` against `concurrency`"
    ),
    "config_reload_total": "`only1mcp_config_reloads_total`",
    "config_reload_errors_total": (
        'the same with `result="refused"`, and `only1mcp_config_last_reload_successful`'
    ),
    "health_check_total": "`only1mcp_health_checks_total`",
    "health_check_duration_seconds": "`only1mcp_health_check_duration_seconds`",
    "server_health_status": "`only1mcp_replica_health`, `only1mcp_server_state`",
    "cache_hits_total": '`only1mcp_cache_requests_total` with `result="hit"`',
    "cache_misses_total": 'the same with `result="miss"`: `only1mcp_cache_requests_total`',
    "cache_evictions_total": '`only1mcp_cache_dropped_total` with `for="room"`',
    "cache_size_entries": "`only1mcp_cache_entries`, `only1mcp_cache_bytes`",
    "batch_requests_total": "`only1mcp_batched_requests_total`, `only1mcp_shared_requests_total`",
    "batch_size": "`only1mcp_batched_requests_total` / `only1mcp_batches_total`",
    "batch_wait_time_seconds": (
        "`only1mcp_batch_waiting`; nobody waits longer than `batching.window`"
    ),
    "batching_efficiency_ratio": (
        "`only1mcp_shared_requests_total` / (that + `only1mcp_cache_calls_total`)"
    ),
}


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for title, table in FAMILIES:
        parts.append(f"\n## {title}\n\n| Name | Type | Labels | Unit | Meaning | Source |\n")
        parts.append("|---|---|---|---|---|---|\n")
        parts += [_row(family) for family in table]
    former = [f"| `{name}` | {here} |\n" for name, here in COUNTERPARTS.items()]
    return "".join([*parts, _FORMER, *former])


def _row(family: Family[Any]) -> str:
    labels = ", ".join(f"`{one}`" for one in family.labels)
    source = family.source.removeprefix("only1mcp.").replace(".", "/") + ".py"
    meaning = " ".join(family.meaning.split())
    cells = (f"`{family.shown}`", family.type, labels, family.unit, meaning, f"`{source}`")
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    print(page(), end="")
