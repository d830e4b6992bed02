"""The relay with somebody watching: who asked what of whom, how it ended, how long it took.

Used in place of `relay/call.py:relay` while somebody wants to hear of finished requests.
"""

from asyncio import CancelledError
from contextlib import suppress
from time import perf_counter, time

from only1mcp.observe.access import Finished
from only1mcp.observe.events import REQUEST
from only1mcp.observe.meter import OTHER
from only1mcp.observe.watch import Watch
from only1mcp.protocol import message
from only1mcp.protocol.errors import Draining, McpError, ServerFault, UpstreamError
from only1mcp.protocol.methods import METHODS, Route
from only1mcp.relay import traced
from only1mcp.relay.call import at_hand, relay
from only1mcp.relay.request import CLIENT_CANCELLED, Request
from only1mcp.relay.snapshot import Snapshot


def seen(request: Request, snapshot: Snapshot, watch: Watch) -> bytes | None:
    """As `at_hand`; `watch` hears of it, if there is an answer."""
    if watch.tracer is not None:
        return None  # the span of a request is begun before anything else
    request.named = name(request) if watch.tell else None
    began = perf_counter()
    result = at_hand(request, snapshot)
    if result is not None:
        told(request, watch, result, began)
    return result


def told(request: Request, watch: Watch, result: bytes, began: float) -> None:
    """A request has been answered; it was taken on at `began`, on the clock of perf_counter."""
    outcome = "tool_error" if traced.says_error(request.method, result) else "ok"
    _tell(request, watch, outcome, None, perf_counter() - began)


async def watched(request: Request, snapshot: Snapshot, watch: Watch) -> bytes:
    """As `relay`; `watch` hears of it when it is over, whichever way."""
    if watch.tell and request.named is None:
        request.named = name(request)  # the relay gives it its server's name
    tracer = watch.tracer
    span = request.span = traced.begin(tracer, request) if tracer is not None else None
    sent = request.under_way
    began = perf_counter() if sent is None else sent.taken_on
    outcome, code, fault = "error", None, None
    try:
        result = await relay(request, snapshot)
        outcome = "tool_error" if traced.says_error(request.method, result) else "ok"
        return result
    except McpError as error:
        fault = error
        code = error.own_code if isinstance(error, UpstreamError) else error.code
        if watch.meter is not None and isinstance(error, ServerFault) and error.may_have_run:
            watch.meter.failed_midway(error.server)
        raise
    except CancelledError as cancel:
        outcome = "cancelled"
        if cancel.args[:1] != (CLIENT_CANCELLED,):  # it is the gateway that ends, and says so
            fault = Draining("gateway", "the gateway is stopping")
            outcome, code = "error", fault.code
        raise
    finally:
        took_s = perf_counter() - began
        if span is not None:
            traced.end(span, request, outcome, fault)
        _tell(request, watch, outcome, code, took_s)
        del fault  # this frame is in its traceback: they would keep each other


def _tell(request: Request, watch: Watch, outcome: str, code: int | None, took_s: float) -> None:
    caller, target, method = request.caller, request.target, request.method
    revision, upstream_s = request.revision, request.upstream_s
    if target is None:
        server, name = request.view.server, None
    else:
        server, name = target.server, target.name
    if watch.meter is not None:
        tool = name if name is not None and method == "tools/call" else ""
        # what only the client calls so is nobody's label
        known = method if target is not None or method in METHODS else OTHER
        labels = known, server or "", tool, outcome, code, revision, caller.headers is None
        watch.meter.done(labels, took_s, upstream_s, request.waited_s)
    if watch.remember is not None:  # as `Recent`
        recent = (
            request.number, took_s, upstream_s, caller.principal, caller.session,
            method, revision, server, name, outcome, code,
        )  # fmt: skip
        watch.remember(REQUEST, time(), recent)
    if watch.tell:
        finished = _finished(request, outcome, code, took_s)
        for tell in watch.tell:
            tell(finished)


def _finished(request: Request, outcome: str, code: int | None, took_s: float) -> Finished:
    caller, target = request.caller, request.target
    arguments = request.params.get("arguments")
    return Finished(
        *(request.number, time() - took_s, took_s, request.upstream_s),
        *(caller.principal, caller.session, request.method, request.revision),
        *(request.named, request.view.server if target is None else target.server, outcome, code),
        *(None if arguments is None else bytes(arguments), request.trace_field("traceparent")),
    )


def name(request: Request) -> str | None:
    """What it is about: tool, prompt or URI, before the relay gives it its server's name."""
    params, row = request.params, METHODS.get(request.method)
    with suppress(McpError):
        if row is not None and row.route is Route.REF:
            params = message.members(params.get("ref", message.NO_RAW))
            return message.text(params.get("name")) or message.text(params.get("uri"))
        if row is not None and row.target:
            return message.text(params.get(row.target))
    return None
