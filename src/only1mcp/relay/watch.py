"""The relay with somebody watching: who asked what of whom, how it ended, how long it took.

Used in place of `relay/call.py:relay` while somebody wants to hear of finished requests.
"""

from asyncio import CancelledError
from contextlib import suppress
from time import perf_counter, time

from only1mcp.observe.access import Finished, OnFinished
from only1mcp.protocol import message
from only1mcp.protocol.errors import McpError, UpstreamError
from only1mcp.protocol.methods import METHODS, Route
from only1mcp.relay.call import Request, relay
from only1mcp.relay.snapshot import Snapshot


async def watched(request: Request, snapshot: Snapshot, tell: OnFinished) -> bytes:
    """As `relay`; `tell` hears of it when it is over, whichever way."""
    at, began = time(), perf_counter()
    name, arguments = _name(request), request.params.get("arguments")
    trace = _traceparent(request)
    outcome, code = "error", None
    try:
        result = await relay(request, snapshot)
        outcome = "tool_error" if _says_error(request, result) else "ok"
        return result
    except McpError as error:
        code = error.own_code if isinstance(error, UpstreamError) else error.code
        raise
    except CancelledError:
        outcome = "cancelled"
        raise
    finally:
        tell(
            Finished(
                *(at, perf_counter() - began, request.caller.principal, request.caller.session),
                *(request.method, request.revision, name, _server(request, name)),
                *(outcome, code, None if arguments is None else bytes(arguments), trace),
            )
        )


def _name(request: Request) -> str | None:
    """What it is about: tool, prompt or URI, before the relay gives it its server's name."""
    params, row = request.params, METHODS.get(request.method)
    with suppress(McpError):
        if row is not None and row.route is Route.REF:
            params = message.members(params.get("ref", message.NO_RAW))
            return message.text(params.get("name")) or message.text(params.get("uri"))
        if row is not None and row.target:
            return message.text(params.get(row.target))
    return None


def _server(request: Request, name: str | None) -> str | None:
    """Whose it is, by the view the request was answered from."""
    view = request.view
    if view.server is not None or name is None:
        return view.server
    if request.method == "tools/call":
        target = view.tool(name)
    elif request.method == "prompts/get":
        target = view.prompt(name)
    else:
        target = view.prompt(name) or view.resource(name)
    return target.server if target is not None else None


def _says_error(request: Request, result: bytes) -> bool:
    """Whether a tool says of itself that it failed."""
    if request.method != "tools/call" or b'"isError"' not in result:
        return False
    with suppress(McpError):
        return bytes(message.members(result).get("isError", b"")) == b"true"
    return False


def _traceparent(request: Request) -> str | None:
    """The trace the client says it belongs to (SEP-414)."""
    meta = request.params.get("_meta")
    if meta is None or b"traceparent" not in bytes(meta):
        return None
    with suppress(McpError):
        return message.text(message.members(meta).get("traceparent"))
    return None
