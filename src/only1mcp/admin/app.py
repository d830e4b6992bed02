"""The Starlette application behind every path that is not MCP.

/livez    the loop runs                                   200
/readyz   configuration applied, not draining             200, else 503
/health   summary: how the servers are, and since when    200
/api/v1/admin/servers   every server, its state and what it offers
/api/v1/admin/tools     every tool they list: its name for clients, or why they do not see it
/api/v1/admin/cache         what the answers that are kept have saved
/api/v1/admin/cache/clear   POST: drop them, all or those of a tier, server or method
/api/v1/admin/config/reload   POST: read the configuration again; what has changed, or 422
Answers come from memory and never touch a server.
"""

from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from only1mcp import __version__
from only1mcp.admin.cache import BadFilter, read_filter
from only1mcp.admin.reload import Outcome, Reloads
from only1mcp.relay import kept
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.status import describe_servers, describe_tools

_UP: Final = ("ready", "idle")  # idle: the next call starts it
_WELL: Final = ("healthy", "unknown")


def make_app(
    snapshot: Callable[[], Snapshot], ready: Callable[[], bool], reloads: Reloads
) -> Starlette:
    """The application over the gateway's current snapshot."""
    pages = _Pages(snapshot, ready, reloads)
    return Starlette(
        routes=[
            Route("/livez", pages.livez),
            Route("/readyz", pages.readyz),
            Route("/health", pages.health),
            Route("/api/v1/admin/servers", pages.servers),
            Route("/api/v1/admin/tools", pages.tools),
            Route("/api/v1/admin/cache", pages.cache),
            Route("/api/v1/admin/cache/clear", pages.clear_cache, methods=["POST"]),
            Route("/api/v1/admin/config/reload", pages.reload, methods=["POST"]),
        ]
    )


def _is_open(now: Snapshot) -> bool:
    """Whether anybody who reaches the gateway may see everything: there are no tokens."""
    return now.config.server.auth in (None, "none")


def _health(row: dict[str, Any], *, open: bool) -> dict[str, Any]:
    """How a server is. Why is for those who may see the admin pages: it may quote a program."""
    found = {key: row[key] for key in ("id", "state", "health", "since")}
    if open:
        reasons = [row["reason"], *(one["reason"] for one in row["replicas"])]
        found["reason"] = next(filter(None, reasons), "")
    return found


def _config(last: Outcome | None, *, open: bool) -> dict[str, Any]:
    """Whether what is in force is what the file says."""
    faults = last.faults if last is not None else ()
    found: dict[str, Any] = {"status": "refused" if faults else "ok"}
    if faults and open:
        found["faults"] = [str(fault) for fault in faults]
    return found


class _Pages:
    def __init__(
        self, snapshot: Callable[[], Snapshot], ready: Callable[[], bool], reloads: Reloads
    ) -> None:
        self._snapshot = snapshot
        self._ready = ready
        self._reloads = reloads

    async def livez(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(self, _: Request) -> Response:
        if self._ready():
            return PlainTextResponse("ok")
        return PlainTextResponse("draining", HTTPStatus.SERVICE_UNAVAILABLE)

    async def health(self, _: Request) -> Response:
        now = self._snapshot()
        rows = [row for row in describe_servers(now) if row["state"] != "disabled"]
        well = all(row["state"] in _UP and row["health"] in _WELL for row in rows)
        config = _config(self._reloads.last, open=_is_open(now))
        well = well and config["status"] == "ok"
        status = "draining" if not self._ready() else "ok" if well else "degraded"
        return JSONResponse(
            {
                "status": status,
                "version": __version__,
                "config": config,
                "servers": len(rows),
                "servers_ready": sum(row["state"] in _UP for row in rows),
                "health": [_health(row, open=_is_open(now)) for row in rows],
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

    async def cache(self, _: Request) -> Response:
        return JSONResponse(kept.describe(self._snapshot()))

    async def clear_cache(self, request: Request) -> Response:
        try:
            wanted = read_filter(await request.body())
        except BadFilter as fault:
            return JSONResponse({"error": str(fault)}, HTTPStatus.BAD_REQUEST)
        gone = kept.clear(self._snapshot(), wanted.tier, wanted.server, wanted.method)
        return JSONResponse({"cleared": gone})

    async def reload(self, _: Request) -> Response:
        if not self._ready():
            return JSONResponse({"error": "draining"}, HTTPStatus.SERVICE_UNAVAILABLE)
        outcome = await self._reloads.reload()
        if outcome.faults:
            faults = [asdict(fault) for fault in outcome.faults]
            return JSONResponse({"faults": faults}, HTTPStatus.UNPROCESSABLE_ENTITY)
        warnings = [asdict(fault) for fault in outcome.warnings]
        return JSONResponse({**asdict(outcome.changes), "warnings": warnings})
