"""Events for those who follow them: GET events, one event stream each (HTML, "Server-sent events").

    id: 6567f0c2-17        for Last-Event-ID, of this process alone
    event: breaker         the kind; `gap`: something is missing here
    data: {"at": "…", …}

Without anything to say, a comment every HEARTBEAT_S shows that the stream is alive.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from only1mcp.admin.problem import Problem, wrong_parameter
from only1mcp.observe import logs
from only1mcp.observe.access import MAX_NAME
from only1mcp.observe.events import REQUEST, Event, Events, Missed
from only1mcp.observe.watch import Recent

HEARTBEAT_S: Final = 15.0
MAX_FOLLOWERS: Final = 64
"""Each costs every event a little."""


class Streams:
    """All event streams of one gateway."""

    def __init__(self, events: Events, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._events = events
        self._heartbeat_s = heartbeat_s

    async def events(self, request: Request) -> Response:
        """Follow."""
        kinds = chosen(self._events, request.query_params.get("kinds"))
        if len(self._events) >= MAX_FOLLOWERS:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{MAX_FOLLOWERS} clients follow the events already",
                "end one of them, or try again later",
                headers={"Retry-After": "10"},
            )
        return StreamingResponse(
            self._stream(kinds, request.headers.get("last-event-id")),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _stream(self, kinds: list[str], after: str | None) -> AsyncIterator[str]:
        stirred = asyncio.Event()
        follower = self._events.follow(kinds, stirred.set, after)
        try:
            yield ": only1mcp events\n\n"
            while True:
                stirred.clear()
                if found := follower.read():
                    yield "".join(map(self._text, found))
                elif follower.ended:
                    return
                elif not await self._stirs(stirred):
                    yield ":\n\n"
        finally:
            self._events.leave(follower)

    async def _stirs(self, stirred: asyncio.Event) -> bool:
        """Whether something happens before it is time for a heartbeat."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._heartbeat_s):
                await stirred.wait()
        return stirred.is_set()

    def _text(self, one: Missed | Event) -> str:
        if isinstance(one, Missed):
            return f"event: gap\ndata: {json.dumps({'missed': one.many})}\n\n"
        data = json.dumps(shown(one), ensure_ascii=False)
        return f"id: {self._events.id(one)}\nevent: {one.kind}\ndata: {data}\n\n"


def chosen(events: Events, asked: str | None) -> list[str]:
    """The kinds that a query names, separated by commas; all of them without one.

    Raises:
        Problem: there is no such kind.
    """
    known = events.kinds
    kinds = list(known) if asked is None else list(dict.fromkeys(asked.split(",")))
    if not set(kinds) <= set(known):
        raise wrong_parameter("kinds", f"some of {', '.join(known)}, separated by commas")
    return kinds


def shown(event: Event) -> dict[str, Any]:
    """What an event says, secrets hidden."""
    if event.kind == REQUEST:
        return request_row(event)
    return {"at": logs.timestamp(event.at), **_masked(event.said)}


def request_row(event: Event) -> dict[str, Any]:
    """A request that is over."""
    said = Recent(*event.said)
    name = said.name
    return {
        "request_id": str(said.number),
        "at": logs.timestamp(event.at - said.took_s),
        "principal": said.principal,
        "session": said.session and said.session[:8],  # its id is as good as a key
        "method": logs.mask(said.method[:MAX_NAME]),
        "server": said.server,
        "name": name and logs.mask(name[:MAX_NAME]),
        "outcome": said.outcome,
        "code": said.code,
        "duration_ms": round(said.took_s * 1000, 3),
        "upstream_ms": round(said.upstream_s * 1000, 3),
        "revision": said.revision,
    }


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return logs.mask(value)
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value
