"""A gateway as the dashboard sees it, with what a test puts into it."""

import threading
from collections.abc import Iterator
from typing import Any

from only1mcp.tui.outside import Lost

METRICS = """# TYPE only1mcp_requests counter
only1mcp_requests_total{method="tools/call",server="a",outcome="ok"} %d.0
only1mcp_requests_total{method="tools/call",server="a",outcome="tool_error"} %d.0
only1mcp_requests_in_flight 3.0
mcp_server_operation_duration_seconds_bucket{le="0.01",server="a"} %d.0
mcp_server_operation_duration_seconds_bucket{le="0.1",server="a"} %d.0
mcp_server_operation_duration_seconds_bucket{le="+Inf",server="a"} %d.0
"""


def server(id: str, **changed: Any) -> dict[str, Any]:
    """One row of GET servers."""
    replica = {"id": "r", "state": "ready", "health": "healthy", "breaker": "closed"}
    row = {"id": id, "state": "ready", "health": "healthy", "reason": "", "restarts": 0, "tools": 2}
    return {**row, "replicas": [{**replica, "latency_ms": 1.5, "reason": ""}], **changed}


def request(number: int, **changed: Any) -> dict[str, Any]:
    """One row of GET requests."""
    row = {"id": f"x-{number}", "at": "2026-01-15T12:00:00.123Z", "duration_ms": 4.25}
    said = {"outcome": "ok", "code": None, "method": "tools/call", "server": "a", "name": "find"}
    return {**row, **said, "principal": "ann", **changed}


class Fake:
    """Answers at once from its members, or is lost."""

    def __init__(self) -> None:
        self.url = "http://gateway"
        self.lost: str | None = None
        self.pages: dict[str, dict[str, Any] | None] = {
            "/system": {"uptime_s": 3700.0, "version": "1", "pid": 7, "memory_bytes": 50 << 20},
            "/health": {"status": "ok"},
            "/servers": {"servers": [server("a"), server("b", state="failed", reason="no file")]},
            "/requests?limit=200": {
                "requests": [request(2), request(1, outcome="error", code=-31001)]
            },
            "/tools": {
                "tools": [{"server": "a", "own": "find", "name": "a__find", "fate": "shown"}]
            },
            "/cache": None,
        }
        self.text: str | None = METRICS % (8, 2, 5, 9, 10)
        self.did: list[tuple[str, Any]] = []
        self.happens: list[tuple[str, str, dict[str, Any]]] = []
        self.closed = threading.Event()

    def _there(self) -> None:
        if self.lost is not None:
            raise Lost(self.lost)

    def get(self, path: str) -> dict[str, Any] | None:
        """A page."""
        self._there()
        return self.pages[path]

    def metrics(self) -> str | None:
        """The text."""
        self._there()
        return self.text

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Remember it."""
        self._there()
        self.did.append((path, body))
        return {"done": path}

    def call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Remember it."""
        self._there()
        self.did.append((tool, arguments))
        return {"content": [{"type": "text", "text": "found"}]}

    def schema(self, tool: str) -> dict[str, Any] | None:
        """A tool of that name."""
        self._there()
        return {"name": tool, "description": "Finds.", "inputSchema": {"type": "object"}}

    def events(self, kinds: str, after: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """All that happens, then silence until the end."""
        yield from self.happens
        self.closed.wait()

    def close(self) -> None:
        """End the events."""
        self.closed.set()
