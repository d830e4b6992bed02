"""The pages that show how things are. All of it from memory: no server is asked."""

import asyncio
import os
import platform
import time
from dataclasses import asdict
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import psutil
from starlette.requests import Request
from starlette.responses import Response

from only1mcp import __version__
from only1mcp.admin.desk import Desk
from only1mcp.admin.openapi import document
from only1mcp.admin.past import past
from only1mcp.admin.problem import Json, Problem, no_server, wrong_parameter
from only1mcp.admin.stream import chosen, request_row
from only1mcp.admin.table import MAX_REQUESTS
from only1mcp.config.show import redacted
from only1mcp.observe.events import REQUEST
from only1mcp.relay import kept
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.status import (
    PROMPTS,
    RESOURCES,
    describe_entries,
    describe_server,
    describe_servers,
    describe_tools,
)

LIMIT: Final = 100
"""Requests that are shown unless more are asked for."""
UP: Final = ("ready", "idle")  # idle: the next call starts it
WELL: Final = ("healthy", "unknown")


class Look:
    """One method for each page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._process = psutil.Process()

    async def servers(self, _: Request) -> Response:
        """All servers."""
        now = self._desk.snapshot()
        return Json(
            {
                "servers": describe_servers(now),
                "clashes": [asdict(one) for one in now.catalog.clashes],
                "dropped": [asdict(one) for one in now.catalog.dropped],
            }
        )

    async def server(self, request: Request) -> Response:
        """One of them."""
        now, id = self._desk.snapshot(), request.path_params["id"]
        live = now.servers.get(id)
        if live is None:
            raise no_server(id)
        found = {"server": describe_server(live, now), "config": redacted_server(now, id)}
        return Json(found, headers=await self._tag())

    async def tools(self, _: Request) -> Response:
        """Every tool and what became of it."""
        now = self._desk.snapshot()
        naming = now.config.naming.model_dump()
        return Json({"tools": describe_tools(now), "naming": naming})

    async def resources(self, _: Request) -> Response:
        """Resources and templates."""
        return Json({"entries": describe_entries(self._desk.snapshot(), *RESOURCES)})

    async def prompts(self, _: Request) -> Response:
        """Prompts."""
        return Json({"entries": describe_entries(self._desk.snapshot(), *PROMPTS)})

    async def sessions(self, _: Request) -> Response:
        """Clients with a session."""
        return Json({"sessions": self._desk.sessions()})

    async def requests(self, request: Request) -> Response:
        """The latest requests."""
        text = request.query_params.get("limit", str(LIMIT))
        count = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        if not 1 <= count <= MAX_REQUESTS:
            raise wrong_parameter("limit", f"a whole number from 1 to {MAX_REQUESTS}")
        events = self._desk.events
        latest = events.latest(REQUEST, count)
        rows = [{"id": events.id(one), **request_row(one)} for one in latest]
        return Json({"requests": rows})

    async def past(self, request: Request) -> Response:
        """What has happened."""
        events = self._desk.events
        return Json(past(events, chosen(events, request.query_params.get("kinds"))))

    async def check(self, _: Request) -> Response:
        """What is wrong with the file or odd."""
        store = self._desk.store
        if store is None:
            return Json({"file": None, "faults": [], "restart": []})
        outcome = await self._desk.reloads.check(self._desk.snapshot().config)
        faults = [asdict(one) for one in (*outcome.faults, *outcome.warnings)]
        restart = list(outcome.changes.restart)
        return Json({"file": str(store.file), "faults": faults, "restart": restart})

    async def cache(self, _: Request) -> Response:
        """What the answers that are kept have saved."""
        return Json(kept.describe(self._desk.snapshot()))

    async def metrics(self, request: Request) -> Response:
        """Numbers of the work."""
        if self._desk.metrics is None:
            raise Problem(
                HTTPStatus.NOT_FOUND,
                "metrics are off",
                "set metrics.enabled: true, and start the gateway anew",
                place="metrics.enabled",
            )
        text, kind = await self._desk.metrics.page(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": kind, "Cache-Control": "no-store"})

    async def config(self, _: Request) -> Response:
        """The configuration in force."""
        store = self._desk.store
        shown = {
            "file": str(store.file) if store is not None else None,
            "config": redacted(self._desk.snapshot().config),
        }
        return Json(shown, headers=await self._tag())

    async def health(self, _: Request) -> Response:
        """The state of the whole."""
        rows = enabled_servers(self._desk.snapshot())
        return Json({"status": status(self._desk, rows), "servers": [*map(server_health, rows)]})

    async def system(self, _: Request) -> Response:
        """The process."""
        process = self._process
        connections, in_flight = self._desk.connections()
        with process.oneshot():
            times = process.cpu_times()
            found = {
                "version": __version__,
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}",
                "pid": os.getpid(),
                "uptime_s": round(time.time() - process.create_time(), 3),
                "cpu_s": round(times.user + times.system, 3),
                "memory_bytes": process.memory_info().rss,
                "open_files": process.num_fds(),
                "connections": connections,
                "in_flight": in_flight,
                "sessions": len(self._desk.sessions()),
                "followers": len(self._desk.events),
            }
        return Json(found)

    async def openapi(self, _: Request) -> Response:
        """The document of this API."""
        return Json(_document())

    async def _tag(self) -> dict[str, str]:
        """The ETag of the file, if there is one that can be read."""
        store = self._desk.store
        if store is None:
            return {}
        try:
            return {"ETag": f'"{await asyncio.to_thread(store.tag)}"'}
        except OSError:
            return {}


@cache
def _document() -> dict[str, Any]:
    return document()


def enabled_servers(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Those that should be up."""
    return [row for row in describe_servers(snapshot) if row["state"] != "disabled"]


def server_health(row: dict[str, Any]) -> dict[str, Any]:
    """How a server is, and why: if it does not say, by the first of its replicas that does."""
    reasons = [row["reason"], *(replica["reason"] for replica in row["replicas"])]
    found = {key: row[key] for key in ("id", "state", "health", "since")}
    return {**found, "reason": next(filter(None, reasons), "")}


def status(desk: Desk, rows: list[dict[str, Any]]) -> str:
    """ok, degraded or draining."""
    if not desk.ready():
        return "draining"
    last = desk.reloads.last
    well = all(row["state"] in UP and row["health"] in WELL for row in rows)
    return "ok" if well and not (last is not None and last.faults) else "degraded"


def redacted_server(snapshot: Snapshot, id: str) -> dict[str, Any]:
    """Its settings, secrets hidden."""
    rows: list[dict[str, Any]] = redacted(snapshot.config)["servers"]
    return next((row for row in rows if row["id"] == id), {})
