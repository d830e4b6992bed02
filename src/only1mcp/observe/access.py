"""Who called what: one JSON line for each finished request.

    relay/watch.py ──Finished──► current() ──► the access log

Off, there is nobody to tell, and a request costs one test for that.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
    """ok, tool_error (the tool says it failed), error or cancelled."""
    code: int | None
    """Of the JSON-RPC error."""
    arguments: bytes | None
    """Of a tool or prompt, as JSON text."""
    traceparent: str | None


OnFinished = Callable[[Finished], None]
"""Hears of each finished request; must not block."""


class AccessLog:
    """Writes a line for each."""

    def __init__(self, writer: Writer, *, arguments: bool) -> None:
        self._writer = writer
        self._arguments = arguments

    def __call__(self, finished: Finished) -> None:
        """One line; what is not there is left out."""
        fields: dict[str, Any] = {
            "ts": logs.timestamp(finished.at),
            "request_id": str(finished.number),
            "principal": finished.principal,
            "session": finished.session and finished.session[:8],  # its id is as good as a key
            "method": finished.method[:MAX_NAME],
            "name": finished.name and finished.name[:MAX_NAME],
            "server": finished.server,
            "outcome": finished.outcome,
            "code": finished.code,
            "duration_ms": round(finished.duration_s * 1000, 3),
            "upstream_ms": round(finished.upstream_s * 1000, 3) if finished.upstream_s else None,
            "revision": finished.revision,
            "trace_id": finished.traceparent and finished.traceparent[TRACE_ID],
        }
        if self._arguments and finished.arguments is not None:
            fields |= _shown(finished.arguments)
        said = {key: _masked(value) for key, value in fields.items() if value is not None}
        self._writer.write(json.dumps(said, ensure_ascii=False))


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
