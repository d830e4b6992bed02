"""The Starlette application behind every path that is not MCP.

/livez    the loop runs                                   200
/readyz   configuration applied, not draining             200, else 503
/health   summary: how many servers are ready             200
/metrics  numbers of the work, also /api/v1/admin/metrics  200; 404 if they are off
/api/v1/admin/servers   every server, its state and what it offers
/api/v1/admin/tools     every tool they list: its name for clients, or why they do not see it
Answers come from memory and never touch a server.
"""

from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from only1mcp import __version__
from only1mcp.admin.metrics import metrics_routes
from only1mcp.observe.metrics import Metrics
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.status import describe_servers, describe_tools


def make_app(
    snapshot: Callable[[], Snapshot], ready: Callable[[], bool], metrics: Metrics | None = None
) -> Starlette:
    """The application over the gateway's current snapshot."""
    pages = _Pages(snapshot, ready)
    return Starlette(
        routes=[
            *(metrics_routes(metrics) if metrics is not None else ()),
            Route("/livez", pages.livez),
            Route("/readyz", pages.readyz),
            Route("/health", pages.health),
            Route("/api/v1/admin/servers", pages.servers),
            Route("/api/v1/admin/tools", pages.tools),
        ]
    )


class _Pages:
    def __init__(self, snapshot: Callable[[], Snapshot], ready: Callable[[], bool]) -> None:
        self._snapshot = snapshot
        self._ready = ready

    async def livez(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(self, _: Request) -> Response:
        if self._ready():
            return PlainTextResponse("ok")
        return PlainTextResponse("draining", HTTPStatus.SERVICE_UNAVAILABLE)

    async def health(self, _: Request) -> Response:
        now = self._snapshot()
        rows = describe_servers(now)
        states = [row["state"] for row in rows]
        enabled = len(states) - states.count("disabled")
        up = states.count("ready")
        status = "draining" if not self._ready() else "ok" if up == enabled else "degraded"
        return JSONResponse(
            {
                "status": status,
                "version": __version__,
                "servers": enabled,
                "servers_ready": up,
                "tools": sum(row["tools"] for row in rows),
            }
        )

    async def servers(self, _: Request) -> Response:
        now = self._snapshot()
        return JSONResponse(
            {
                "servers": describe_servers(now),
                "clashes": [asdict(one) for one in now.catalog.clashes],
                "dropped": [asdict(one) for one in now.catalog.dropped],
            }
        )

    async def tools(self, _: Request) -> Response:
        now = self._snapshot()
        naming = now.config.naming.model_dump()
        return JSONResponse({"tools": describe_tools(now), "naming": naming})
