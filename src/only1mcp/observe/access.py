"""Who called what: one JSON line for each request that the relay took on, when it is over.

    relay/watch.py ──Finished──► current() ──► the access log

Off, there is nobody to tell, and a request costs one test for that.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, to_builtins

from only1mcp.observe import logs
from only1mcp.observe.tracing import TRACE_ID
from only1mcp.observe.writer import File, Writer

MAX_ARGUMENTS: Final = 16 * 1024
"""Bytes of JSON; of longer arguments only the length is written."""
MAX_NAME: Final = 500
"""Characters of a method, tool or URI; a client may send a megabyte."""


@dataclass(slots=True)
class Finished:
    """One request that has been answered, or given up."""

    number: int
    """Counts all requests of this process: log lines name it as request_id."""
    at: float
    """When it came, in seconds since 1970."""
    duration_s: float
    upstream_s: float
    """How long its server had it; 0: it went to none."""
    principal: str
    """Who asked, by name; never a token."""
    session: str | None
    method: str
    revision: str
    name: str | None
    """The tool, prompt or URI as the client named it."""
    server: str | None
    outcome: str
    """ok, tool_error (the tool says it failed), error or cancelled (by its client)."""
    code: int | None
    """Of the JSON-RPC error; -31006: the gateway was stopping, and ended it."""
    arguments: bytes | None
    """Of a tool or prompt, as JSON text."""
    traceparent: str | None


class Line(Struct):
    """One line; what is not there is left out."""

    ts: str
    request_id: str
    principal: str
    session: str | UnsetType
    method: str
    name: str | UnsetType
    server: str | UnsetType
    outcome: str
    code: int | UnsetType
    duration_ms: float
    upstream_ms: float | UnsetType
    revision: str
    trace_id: str | UnsetType


_encode: Final = msgspec.json.Encoder().encode

OnFinished = Callable[[Finished], None]
"""Hears of each finished request; must not block."""


class AccessLog:
    """Writes a line for each."""

    def __init__(self, writer: Writer, *, arguments: bool) -> None:
        self._writer = writer
        self._arguments = arguments

    def __call__(self, finished: Finished) -> None:
        """One line. What clients have written may repeat a secret; all else is ours."""
        session, name, trace = finished.session, finished.name, finished.traceparent
        line = Line(
            logs.timestamp(finished.at),
            str(finished.number),
            finished.principal,
            session[:8] if session else UNSET,  # its id is as good as a key
            logs.mask(finished.method[:MAX_NAME]),
            logs.mask(name[:MAX_NAME]) if name else UNSET,
            finished.server or UNSET,
            finished.outcome,
            UNSET if finished.code is None else finished.code,
            round(finished.duration_s * 1000, 3),
            round(finished.upstream_s * 1000, 3) if finished.upstream_s else UNSET,
            finished.revision,
            logs.mask(trace[TRACE_ID]) if trace else UNSET,
        )
        if self._arguments and finished.arguments is not None:
            fields = to_builtins(line) | _masked(_shown(finished.arguments))
            text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))  # cut emojis, too
            self._writer.write(text)
        else:
            self._writer.write(_encode(line).decode())


def _shown(arguments: bytes) -> dict[str, Any]:
    if len(arguments) <= MAX_ARGUMENTS:
        with suppress(ValueError):  # a number of 5000 digits: JSON, but not Python's
            return {"arguments": json.loads(arguments)}
    return {"arguments_bytes": len(arguments)}


def _masked(value: Any) -> Any:
    """Text at any depth, without secrets."""
    if isinstance(value, str):
        return logs.mask(value)
    if isinstance(value, dict):
        return {logs.mask(key): _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list) else value


_current: list[OnFinished] = []


def configure(file: str | None, *, arguments: bool) -> None:
    """Write the access log to `file`, or else to where log lines go.

    Raises:
        OSError: the file cannot be opened.
    """
    writer = logs.opened(File(Path(file))) if file else logs.main_writer()
    _current[:] = [AccessLog(writer, arguments=arguments)]


def off() -> None:
    """Write none."""
    _current.clear()


def current() -> OnFinished | None:
    """Who wants to hear of finished requests; None if nobody does."""
    return _current[0] if _current else None
