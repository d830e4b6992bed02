"""What a gateway with two servers might answer, for its report."""

from datetime import UTC, datetime
from typing import Any, Final

from only1mcp.report.answers import PAGES, Answers
from only1mcp.report.scrape import Scrape

NOON: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
METRICS: Final = """\
# TYPE only1mcp_requests_total counter
only1mcp_requests_total{method="tools/call",server="a",outcome="ok"} 90
only1mcp_requests_total{method="tools/call",server="a",outcome="error"} 8
only1mcp_requests_total{method="tools/call",server="a",outcome="tool_error"} 2
only1mcp_requests_total{method="tools/list",server="",outcome="ok"} 5
# TYPE mcp_server_operation_duration_seconds histogram
mcp_server_operation_duration_seconds_bucket{le="0.01",server="a",gen_ai_tool_name="find",error_type=""} 90
mcp_server_operation_duration_seconds_bucket{le="0.1",server="a",gen_ai_tool_name="find",error_type=""} 90
mcp_server_operation_duration_seconds_bucket{le="+Inf",server="a",gen_ai_tool_name="find",error_type=""} 90
mcp_server_operation_duration_seconds_count{server="a",gen_ai_tool_name="find",error_type=""} 90
mcp_server_operation_duration_seconds_sum{server="a",gen_ai_tool_name="find",error_type=""} 0.45
mcp_server_operation_duration_seconds_bucket{le="0.01",server="a",gen_ai_tool_name="find",error_type="-31002"} 0
mcp_server_operation_duration_seconds_bucket{le="0.1",server="a",gen_ai_tool_name="find",error_type="-31002"} 8
mcp_server_operation_duration_seconds_bucket{le="+Inf",server="a",gen_ai_tool_name="find",error_type="-31002"} 10
mcp_server_operation_duration_seconds_count{server="a",gen_ai_tool_name="find",error_type="-31002"} 10
mcp_server_operation_duration_seconds_sum{server="a",gen_ai_tool_name="find",error_type="-31002"} 1.55
# TYPE only1mcp_server_restarts_total counter
only1mcp_server_restarts_total{server="a"} 3
# TYPE only1mcp_cache_requests_total counter
only1mcp_cache_requests_total{tier="l2",result="hit"} 30
only1mcp_cache_requests_total{tier="l2",result="miss"} 10
only1mcp_cache_requests_total{tier="l2",result="stale"} 0
# TYPE only1mcp_shared_requests_total counter
only1mcp_shared_requests_total 4
# TYPE only1mcp_list_bytes gauge
only1mcp_list_bytes{kind="tools"} 4000
"""  # noqa: E501
REPLICA: Final = {"id": "a", "reason": "", "state": "ready"}
SERVER: Final = {
    "id": "a",
    "state": "ready",
    "health": "healthy",
    "reason": "",
    "replicas": [REPLICA],
    "since": "2026-01-15T11:00:00+00:00",
    "revision": "2025-11-25",
}
DEAD: Final = {**SERVER, "id": "b", "state": "failed", "health": "unhealthy", "reason": "no file"}
HEALTH: Final = {"kind": "health", "server": "b", "replica": "b", "was": "healthy"}


def event(number: int, kind: str, **said: Any) -> dict[str, Any]:
    """One that is remembered."""
    at = f"2026-01-15T11:{number:02}:00.000+00:00"
    return {"id": f"x-{number}", "kind": kind, "said": {"at": at, **said}}


def memory(kind: str, *, complete: bool) -> dict[str, Any]:
    """How far the memory of a kind reaches."""
    return {"kind": kind, "events": 1, "capacity": 200, "complete": complete}


def answers(text: str | None = METRICS, **changed: dict[str, Any] | None) -> Answers:
    """All pages; `changed` ones are others, or None: there is none such."""
    rows = [SERVER, DEAD]
    restarted = event(5, "restart", server="a", replica="a", restarts=3)
    fault = event(7, "server", server="b", state="failed", reason="no file")
    pages: dict[str, dict[str, Any] | None] = {
        "system": {
            "version": "1.2",
            "uptime_s": 3700.0,
            "memory_bytes": 50 << 20,
            "cpu_s": 1.5,
            "connections": 2,
            "sessions": 1,
        },
        "health": {"status": "degraded", "servers": rows},
        "servers": {"servers": rows, "clashes": [], "dropped": []},
        "tools": {
            "tools": [
                {"server": "a", "name": "a__find", "bytes": 3000},
                {"server": "b", "name": "b__add", "bytes": 1000},
                {"server": "b", "name": None, "bytes": 0},
            ]
        },
        "cache": {"enabled": True},
        "config": {"file": "o.yaml", "config": {}},
        "check": {"file": "o.yaml", "faults": [], "restart": []},
        "past": {"memory": [memory("restart", complete=True)], "events": [restarted, fault]},
    }
    assert changed.keys() <= pages.keys() == PAGES.keys()
    scrape = Scrape(text) if text is not None else None
    return Answers("http://gateway", NOON, 0.25, {**pages, **changed}, scrape)


def metric(line: str, kind: str = "counter") -> str:
    """The metrics with one more."""
    name = line.partition("{")[0].partition(" ")[0]
    return f"{METRICS}# TYPE {name} {kind}\n{line}\n"
