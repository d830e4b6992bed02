"""A request as its server gets it, and the result as its client gets it.

    outgoing  a Call: the params of the server's era, headers, deadlines, whose it is
    returned  the result of the client's revision; what it links or hands out is remembered

Where both are of one era most of it passes as it is.
"""

from contextlib import suppress
from typing import Final

from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.view import Target
from only1mcp.protocol import downlevel, eras, message, questions, tasks
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import Params
from only1mcp.protocol.methods import METHODS, Method, Route
from only1mcp.relay import extensions, mirror, whose
from only1mcp.relay.related import Related
from only1mcp.relay.request import Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.traced import passed
from only1mcp.upstream.base import Call, Greeting
from only1mcp.upstream.roster import Replica

_TOOLS_CALL: Final = METHODS["tools/call"]
_OF_TASK: Final = Route.TASK  # a member of an enumeration is slow to get at
_LINK: Final = b'"resource_link"'
_TASK: Final = b'"taskId"'


def outgoing(
    request: Request,
    target: Target,
    greeting: Greeting,
    replica: Replica,
    snapshot: Snapshot,
    spent_s: float = 0.0,
) -> Call:
    """The request as this server gets it; `spent_s` has gone by for it already.

    Raises:
        InvalidParams: it is about a task of somebody else.
        HeaderMismatch: a header contradicts the argument it repeats.
    """
    modern, caller, params = greeting.modern, request.caller, request.params
    wanted, headers = target.header_params, caller.headers
    if wanted and request.modern and headers is not None:
        mirror.check(wanted, params, headers)
    if modern != request.modern:
        params = dict(params)  # the next attempt may be at a server of another era
        params = eras.params_to_legacy(params) if request.modern else _stamped(params, request)
    timeouts = replica.config.timeouts
    call = Call(
        request.method,
        params,
        target.name or None,
        caller.notify,
        timeouts.call_idle,
        timeouts.call_max - spent_s,
        mirror.mirrored(wanted, params) if wanted and modern else (),
        on_resumable=caller.resumable,
        place=replica.place,
        who=whose.line(caller),
        trace=passed(headers) if headers is not None and b"traceparent" in headers else b"",
    )
    if not (modern or request.modern) and "tasks" in greeting.capabilities:
        later = snapshot.audience.outlet(caller.session)
        related(replica.place, request, snapshot).bind(call, later)
    return call


def related(place: str, request: Request, snapshot: Snapshot) -> Related:
    """What respells the ids of tasks between this client and this place."""
    return Related(place, request.view.server, whose.holder(request.caller, snapshot))


def _stamped(params: Params, request: Request) -> Params:
    capabilities = questions.client_capabilities(request.caller.capabilities)
    return eras.params_to_modern(params, capabilities, request.caller.log_level)


def returned(
    result: bytes,
    modern: bool,
    place: str,
    request: Request,
    row: Method,
    snapshot: Snapshot,
) -> bytes:
    """The result of a server of this era, at this place, as the client's revision has it; ids of
    tasks say where they are."""
    if result.find(_TASK) >= 0 and (row is _TOOLS_CALL or row.route is _OF_TASK):
        mine = request.view, request.caller, whose.holder(request.caller, snapshot)
        result = extensions.respelt(result, row, place, *mine)
    if modern != request.modern:
        result = eras.result_across(result, tasks.server(place), row.name, modern=request.modern)
    return as_it_is(result, place, request, row, snapshot)


def as_it_is(result: bytes, place: str, request: Request, row: Method, snapshot: Snapshot) -> bytes:
    """As `returned`, of a server of the client's era that has handed out no task. What it links
    is remembered: it need not be in any list."""
    if result.find(_LINK) >= 0:  # find: see dispatch.modern_meta
        _learn(result, tasks.server(place), snapshot.catalog)
    return downlevel.result(row.name, result, request.revision)


def _learn(result: bytes, server: str, catalog: Catalog) -> None:
    """Remember whose the linked resources are: they need not be in any list."""
    with suppress(McpError):  # a result of another form is the client's to judge
        content = message.members(result).get("content", message.NO_RAW)
        for block in message.objects(content):
            uri = message.text(block.get("uri"))
            if uri is not None and message.text(block.get("type")) == "resource_link":
                catalog.learn(uri, server)
