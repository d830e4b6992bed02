"""The spans of requests, and what tells servers of the trace that a call belongs to.

begin   a request of a client: part of the trace its `_meta` names, else its HTTP headers
end     it is over
Traced  the calls to a server: each is a span, named in the `_meta` and the headers it sends
passed  not traced by us: the trace headers of a client go on as they are, as its `_meta` does
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from only1mcp.observe.tracing import FIELDS, Carrier, Span, Tracer, readable
from only1mcp.protocol import message
from only1mcp.protocol.errors import McpError, UpstreamError
from only1mcp.protocol.message import NO_RAW
from only1mcp.relay.request import Request
from only1mcp.upstream.base import Call, Callee

_HEADERS: Final = tuple((name, name.encode()) for name in FIELDS)
_IS_ERROR: Final = b'"isError"'
_NO: Final = (b":false", b": false")
_ABOUT: Final = {"tools/call": "gen_ai.tool.name", "prompts/get": "gen_ai.prompt.name"}
"""What a span is named after, besides its method; never a URI, of which there is no end."""


def begin(tracer: Tracer, request: Request) -> Span:
    """The span of a request of a client."""
    caller = request.caller
    attributes = {
        "mcp.method.name": request.method[:100],
        "mcp.protocol.version": request.revision,
        "network.transport": "pipe" if caller.headers is None else "tcp",
        "only1mcp.request.id": str(request.number),
    }
    if caller.session:
        attributes["mcp.session.id"] = caller.session[:8]  # its id is as good as a key
    meta, http = _of_meta(request), _of_http(caller.headers)
    return tracer.begin(request.method[:100], attributes, meta, http)


def end(span: Span, request: Request, outcome: str, error: McpError | None) -> None:
    """The request is over."""
    if request.target is not None:
        name = request.target.name
        span.name(*_named(request.method, name, request.target.server))
    _end(span, outcome, error)


class Traced:
    """A connection whose every call is a span."""

    __slots__ = ("_callee", "_pipe", "_span", "greeting", "server")

    def __init__(self, callee: Callee, span: Span, *, pipe: bool) -> None:
        """`span` is that of the request; `pipe`: the server is a program, not a URL."""
        self.server = callee.server
        self.greeting = callee.greeting
        self._callee = callee
        self._span = span
        self._pipe = pipe

    async def call(self, call: Call) -> bytes:
        """The result of `call`; see `Upstream.call`."""
        name, attributes = _named(call.method, call.name or "", self.server)
        attributes |= {
            "mcp.method.name": call.method,
            "mcp.protocol.version": self.greeting.revision,
            "network.transport": "pipe" if self._pipe else "tcp",
        }
        span = self._span.call(name, attributes)
        _mark(call, span.carrier())
        outcome, fault = "cancelled", None
        try:
            result = await self._callee.call(call)
            outcome = "tool_error" if says_error(call.method, result) else "ok"
            return result
        except McpError as error:
            outcome, fault = "error", error
            raise
        finally:
            _end(span, outcome, fault)


def passed(headers: Mapping[bytes, bytes]) -> bytes:
    """Header lines for a server that name the trace of a client that we have no part in."""
    return _lines(_of_http(headers))


def says_error(method: str, result: bytes) -> bool:
    """Whether a tool says of itself that it failed."""
    if method != "tools/call" or (at := result.find(_IS_ERROR)) < 0:  # see dispatch.modern_meta
        return False
    if result.startswith(_NO, at + len(_IS_ERROR)) and result.find(_IS_ERROR, at + 1) < 0:
        return False  # all servers made with the official kits write that
    with suppress(McpError):
        return bytes(message.members(result).get("isError", b"")) == b"true"
    return False


def _named(method: str, name: str, server: str) -> tuple[str, dict[str, Any]]:
    """What a span is called, and whom and what it is about."""
    attributes = {"only1mcp.server": server}
    if (key := _ABOUT.get(method)) is None or not name:
        return method, attributes
    attributes[key] = name
    if method == "tools/call":
        attributes["gen_ai.operation.name"] = "execute_tool"
    return f"{method} {name}", attributes


def _end(span: Span, outcome: str, error: McpError | None) -> None:
    if error is None:
        span.end("" if outcome == "ok" else outcome)
    else:
        code = error.own_code if isinstance(error, UpstreamError) else error.code
        span.end(str(code), error.message, code)


def _mark(call: Call, carrier: Carrier) -> None:
    """Say in `_meta` and in HTTP headers what the call is part of, and nothing older."""
    params = call.params or {}
    meta = message.members(params.get("_meta", NO_RAW))
    for name in FIELDS:
        if name in carrier:
            meta[name] = message.as_raw(carrier[name])
        elif name != "baggage":
            meta.pop(name, None)
    call.params = {**params, "_meta": message.as_raw(meta)}
    call.trace = _lines(carrier)


def _lines(carrier: Carrier) -> bytes:
    found = readable(carrier).items()
    plain = ((name, value) for name, value in found if value.isascii() and value.isprintable())
    return b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in plain)


def _of_meta(request: Request) -> Carrier:
    return readable({name: request.trace_field(name) for name in FIELDS})


def _of_http(headers: Mapping[bytes, bytes] | None) -> Carrier:
    if headers is None:
        return {}
    there = ((name, headers[raw]) for name, raw in _HEADERS if raw in headers)
    return readable({name: value.decode("latin-1") for name, value in there})
