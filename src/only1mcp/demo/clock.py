"""Clock: a demo MCP server over Streamable HTTP with sessions, as in 2025-06-18 and 2025-11-25.

`countdown` is the slow one: it answers with a stream, reports progress and can be cancelled.
2025-03-26 is not offered, since it would oblige us to take batches.
Run     python -m only1mcp.demo.clock --port 0
Source  MCP 2025-11-25: basic/transports "Session Management", basic/utilities/{progress,
        cancellation}, server/tools.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from threading import Event, Lock
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from only1mcp.demo import listener, rpc
from only1mcp.demo.rpc import INVALID_REQUEST, Fault, Json, RequestId, ToolFailure, told

VERSIONS: Final = ("2025-06-18", "2025-11-25")
MAX_SESSIONS: Final = 1000  # beyond, the oldest one ends: clients do come and never say goodbye
MAX_COUNTDOWN_S: Final = 60  # a connection and its thread are taken that long

INFO: Final = {"name": "only1mcp-demo-clock", "title": "Clock (demo)", "version": "1.0.0"}
STRING: Final = {"type": "string"}
ZONE: Final = {"type": "string", "maxLength": 64, "description": "Such as Europe/Berlin, or UTC"}
MOMENT: Final = rpc.schema(
    ["time", "weekday", "timezone"], time=STRING, weekday=STRING, timezone=STRING
)
TOOLS: Final = rpc.by_name(
    {
        "name": "now",
        "title": "What time is it?",
        "description": "The date and time in a time zone.",
        "inputSchema": rpc.schema([], timezone={**ZONE, "default": "UTC"}),
        "outputSchema": MOMENT,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "convert_time",
        "title": "Convert a time",
        "description": "What the clocks of one time zone show when those of another show `time`.",
        "inputSchema": rpc.schema(
            ["time", "from_timezone", "to_timezone"],
            time={"type": "string", "maxLength": 40, "description": "14:30 or 2026-07-28T14:30"},
            from_timezone=ZONE,
            to_timezone=ZONE,
        ),
        "outputSchema": MOMENT,
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
    {
        "name": "countdown",
        "title": "Count down",
        "description": "Take `seconds`, report progress after each of the `steps`, then lift off.",
        "inputSchema": rpc.schema(
            [],
            seconds={"type": "number", "minimum": 0, "maximum": MAX_COUNTDOWN_S, "default": 5},
            steps={"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
        ),
        "annotations": {"readOnlyHint": True, "openWorldHint": False},
    },
)


@dataclass
class Session:
    """One client between its `initialize` and its DELETE."""

    running: dict[RequestId, Event] = field(default_factory=dict)
    """The countdowns under way; setting the event cancels one."""

    def cancel(self, request_id: Any) -> None:
        """Cancel one request; one that is unknown or over is ignored."""
        if isinstance(request_id, str | int) and (event := self.running.get(request_id)):
            event.set()

    def end(self) -> None:
        """Cancel all that runs."""
        for event in list(self.running.values()):
            event.set()


class Sessions:
    """All sessions by id, oldest first. Connections are threads, hence the lock."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}
        self._lock = Lock()

    def open(self) -> str:
        """The id of a new session: nobody can guess it."""
        id = secrets.token_hex(16)
        with self._lock:
            if len(self._by_id) >= MAX_SESSIONS:
                self._by_id.pop(next(iter(self._by_id))).end()
            self._by_id[id] = Session()
        return id

    def find(self, id: str | None) -> Session:
        """The session a request names; 404 tells its client to initialize anew."""
        if id is None:
            raise Fault(INVALID_REQUEST, "no Mcp-Session-Id: begin with initialize")
        session = self._by_id.get(id)
        if session is None:
            raise Fault(INVALID_REQUEST, "no such session: begin with initialize", status=404)
        return session

    def close(self, id: str | None) -> None:
        """End the session and forget it."""
        self.find(id).end()
        with self._lock:
            self._by_id.pop(str(id), None)


class ClockHandler(listener.Handler):
    """What each message is answered with."""

    allowed_methods = "POST, DELETE"
    sessions = Sessions()

    def end_session(self) -> None:
        """The client says goodbye (DELETE)."""
        self.sessions.close(self.headers.get("Mcp-Session-Id"))
        self.send(200, {})

    def serve_message(self, message: Json) -> None:
        """Find the session the message belongs to, then serve it there."""
        if message.get("method") == "initialize" and "id" in message:
            self._initialize(message)
            return
        session = self.sessions.find(self.headers.get("Mcp-Session-Id"))
        version = self.headers.get("MCP-Protocol-Version", VERSIONS[-1])
        if version not in VERSIONS:
            raise Fault(INVALID_REQUEST, f"MCP-Protocol-Version must be one of {VERSIONS}")
        if "id" in message and "method" in message:
            self._serve_request(session, message)
            return
        if message.get("method") == "notifications/cancelled":
            session.cancel(message.get("params", {}).get("requestId"))
        self.send(202, {})

    def _initialize(self, message: Json) -> None:
        """Open a session in the revision the client asks for, else in our newest."""
        wanted = message.get("params", {}).get("protocolVersion")
        result: Json = {
            "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[-1],
            "capabilities": {"tools": {}},
            "serverInfo": INFO,
            "instructions": "Times in any time zone, and a countdown that reports its progress.",
        }
        headers = {"Mcp-Session-Id": self.sessions.open()}
        self.send_json(200, rpc.answer(message["id"], result), headers)

    def _serve_request(self, session: Session, message: Json) -> None:
        params = message.get("params", {})
        try:
            if message["method"] == "tools/call" and params.get("name") == "countdown":
                self._count(session, message, **rpc.tool_arguments(params, TOOLS))
                return
            result: Json = _result(message["method"], params)
        except ToolFailure as failure:
            result = rpc.failed(failure)
        except Fault as fault:
            fault.status = 200  # the HTTP exchange went well; only the request did not
            raise
        self.send_json(200, rpc.answer(message["id"], result))

    def _count(self, session: Session, message: Json, seconds: float = 5, steps: int = 5) -> None:
        """Answer with a stream: progress after each step, then the result.

        A cancelled request gets no answer: its stream just ends. No event has an id, since we
        keep nothing to resume from.
        """
        token = message["params"].get("_meta", {}).get("progressToken")
        cancelled = session.running[message["id"]] = Event()
        self.start_stream()
        try:
            for step in range(1, steps + 1):
                if cancelled.wait(seconds / steps):
                    break
                if token is not None:
                    self.send_event(_progress(token, step, steps))
            else:
                result = told(f"Lift-off, {seconds:g} s and {steps} steps later.")
                self.send_event(rpc.answer(message["id"], result))
        finally:
            session.running.pop(message["id"], None)
        self.end_stream()


def _progress(token: RequestId, step: int, steps: int) -> Json:
    said = f"{steps - step} to go" if step < steps else "lift-off"
    params = {"progressToken": token, "progress": step, "total": steps, "message": said}
    return rpc.notification("notifications/progress", params)


def _result(method: str, params: Json) -> Json:
    """What every request but a countdown is answered with."""
    match method:
        case "ping":
            return {}
        case "tools/list":
            rpc.one_page(params)
            return {"tools": list(TOOLS.values())}
        case "tools/call":
            arguments = rpc.tool_arguments(params, TOOLS)
            return RUN[params["name"]](**arguments)
    raise Fault(rpc.METHOD_NOT_FOUND, f"unknown method {method!r}")


def _now(timezone: str = "UTC") -> Json:
    return _moment(datetime.now(_zone(timezone)), timezone)


def _convert_time(time: str, from_timezone: str, to_timezone: str) -> Json:
    source, target = _zone(from_timezone), _zone(to_timezone)
    today = datetime.now(source).date().isoformat()
    try:
        moment = datetime.fromisoformat(time if "-" in time else f"{today}T{time}")
        if moment.tzinfo:
            raise ValueError("the zone is an argument of its own")
        return _moment(moment.replace(tzinfo=source).astimezone(target), to_timezone)
    except (ValueError, OverflowError):
        raise ToolFailure(f"time {time!r} is not like 14:30 or 2026-07-28T14:30") from None


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # also where the machine has no time zone database
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(name, available_timezones(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "try Europe/Berlin or UTC"
        raise ToolFailure(f"unknown time zone {name!r}; {hint}") from None


def _moment(moment: datetime, timezone: str) -> Json:
    text = moment.isoformat(timespec="seconds")
    structured = {"time": text, "weekday": f"{moment:%A}", "timezone": timezone}
    return told(f"{moment:%A} {text} {timezone}", structured)


RUN: Final[dict[str, Callable[..., Json]]] = {"now": _now, "convert_time": _convert_time}

if __name__ == "__main__":
    listener.serve(ClockHandler)
