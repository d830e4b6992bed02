"""The Starlette application behind every path that is not MCP.

/livez    the loop runs                                   200
/readyz   configuration applied, not draining             200, else 503
/health   summary; servers by name for who may look       200
/metrics  numbers of the work                             200; 404 if they are off; see may.py
/api/v1/admin/...   the admin API: see table.py and docs/admin-api.md
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from only1mcp import __version__
from only1mcp.admin import may
from only1mcp.admin.act import Act
from only1mcp.admin.desk import Desk
from only1mcp.admin.look import UP, Look, enabled_servers, server_health, status
from only1mcp.admin.problem import Problem
from only1mcp.admin.reload import Outcome
from only1mcp.admin.stream import Streams
from only1mcp.admin.table import OPERATIONS, PREFIX, Operation
from only1mcp.config.values import ANONYMOUS

Handler = Callable[[Request], Awaitable[Response]]


def make_app(desk: Desk) -> Starlette:
    """The application over a gateway."""
    probes, look, act = _Probes(desk), Look(desk), Act(desk)
    handlers = _handlers(desk, look, act)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await act.close()

    paths = dict.fromkeys(operation.path for operation in OPERATIONS)
    app = Starlette(
        routes=[
            *([Route("/metrics", _scraped(look, desk))] if desk.metrics is not None else []),
            Route("/livez", probes.livez),
            Route("/readyz", probes.readyz),
            Route("/health", probes.health),
            *(_route(path, handlers, desk) for path in paths),
        ],
        exception_handlers={HTTPException: _not_there},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _handlers(desk: Desk, look: Look, act: Act) -> Mapping[str, Handler]:
    """What answers each operation, by its name."""
    streams = Streams(desk.events)
    return {
        one.__name__: one
        for one in (
            look.servers, look.server, look.tools, look.resources, look.prompts, look.sessions,
            look.requests, look.config, look.health, look.system, look.openapi, streams.events,
            act.add_server, act.change_server, act.remove_server, act.restart_server,
            act.enable_server, act.disable_server, act.reload, act.clear_cache,
            look.cache, look.metrics, look.past, look.check,
        )
    }  # fmt: skip


def _route(path: str, handlers: Mapping[str, Handler], desk: Desk) -> Route:
    """All operations on one path."""
    found: dict[str, Operation] = {one.method: one for one in OPERATIONS if one.path == path}

    async def answer(request: Request) -> Response:
        operation = found[request.method]
        try:
            _check(operation, request, desk)
            return await handlers[operation.name](request)
        except Problem as problem:
            return problem.response()

    route = Route(PREFIX + path, answer)
    route.methods = {*found}  # no HEAD: of an event stream it would never end
    return route


def _check(operation: Operation, request: Request, desk: Desk) -> None:
    _, admin = _caller(request)
    may.check(admin, operation.need, desk.snapshot().config.server)
    if operation.method != "GET":
        may.check_page(request.headers)


def _scraped(look: Look, desk: Desk) -> Handler:
    """The metrics where Prometheus looks for them."""

    async def answer(request: Request) -> Response:
        try:
            may.check_scrape(*_caller(request), desk.snapshot().config.server)
            return await look.metrics(request)
        except Problem as problem:
            return problem.response()

    return answer


def _caller(request: Request) -> tuple[str, str]:
    """The names it has as a client and as an admin; empty if it is none."""
    state = request.state
    return getattr(state, "principal", ANONYMOUS), getattr(state, "admin", "")


async def _not_there(request: Request, error: Exception) -> Response:
    """No such page, or not with this method."""
    assert isinstance(error, HTTPException)
    if not request.url.path.startswith(PREFIX):
        return PlainTextResponse(error.detail, error.status_code, error.headers)
    problem = Problem(
        HTTPStatus(error.status_code),
        f"the admin API has no {request.method} {request.url.path[:200]}",
        f"GET {PREFIX}/openapi.json says what there is",
        headers=dict(error.headers or {}),
    )
    return problem.response()


class _Probes:
    """For load balancers and service managers: open to all, so without names of servers,
    reasons and faults, but for callers who may look."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def livez(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(self, _: Request) -> Response:
        if self._desk.ready():
            return PlainTextResponse("ok")
        return PlainTextResponse("draining", HTTPStatus.SERVICE_UNAVAILABLE)

    async def health(self, request: Request) -> Response:
        now = self._desk.snapshot()
        rows = enabled_servers(now)
        open = may.may_look(*_caller(request), now.config.server)
        return JSONResponse(
            {
                "status": status(self._desk, rows),
                "version": __version__,
                "config": _config(self._desk.reloads.last, open=open),
                "servers": len(rows),
                "servers_ready": sum(row["state"] in UP for row in rows),
                **({"health": [*map(server_health, rows)]} if open else {}),
                "tools": sum(row["tools"] for row in rows),
            }
        )


def _config(last: Outcome | None, *, open: bool) -> dict[str, Any]:
    """Whether what is in force is what the file says."""
    faults = last.faults if last is not None else ()
    found: dict[str, Any] = {"status": "refused" if faults else "ok"}
    if faults and open:
        found["faults"] = [str(fault) for fault in faults]
    return found
