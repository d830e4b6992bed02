"""Ids of tasks in `_meta` of what passes between a legacy client and a legacy server.

    request                         the server's own id; a task of another client is refused
    notification, question, result  the id that the client knows
    answer to a question, progress  the server's own id again

Source  MCP 2025-11-25 basic/utilities/tasks "Related Task Metadata".
"""

from contextlib import suppress

from msgspec import Raw

from only1mcp.protocol import message, tasks
from only1mcp.protocol.errors import InvalidParams, McpError
from only1mcp.protocol.message import Params, as_raw
from only1mcp.relay import extensions
from only1mcp.relay.handed import TASK, Holder
from only1mcp.upstream.base import Call, NotificationSink


class Related:
    """Between one client, on one mount, and one place (protocol/tasks.py)."""

    __slots__ = ("_alike", "_mine", "_place")

    def __init__(self, place: str, mount: str | None, mine: Holder) -> None:
        self._place = place
        self._alike = mount == place  # both sides know tasks by the same ids
        self._mine = mine

    def bind(self, call: Call, later: NotificationSink | None) -> None:
        """Respell a call and what is told of it; `later` takes what comes after its answer."""
        call.params = self.request(call.params or {})
        if call.on_notification is not None:
            call.on_notification = self.told(call.on_notification)
        if later is not None and "task" in call.params:
            call.afterwards = self.told(later)

    def request(self, params: Params) -> Params:
        """The params of a client's request, as the server knows the task.

        Raises:
            InvalidParams: the task is none of this client's.
        """
        meta = params.get("_meta", message.NO_RAW)
        if not tasks.names_related(meta):
            return params
        id = tasks.related(as_raw({"_meta": meta}))
        if id is None:
            return params
        own = self._own(id)
        if own is None or not self._mine.has(self._place, TASK, own):
            raise InvalidParams(f"unknown task: {id}", {"hint": "it may have expired"})
        return message.members(tasks.respelt_related(as_raw(params), lambda _: own))

    def told(self, sink: NotificationSink) -> NotificationSink:
        """Passes notifications of the server on to `sink`, as the client knows the task."""
        if self._alike:
            return sink

        def tell(method: str, params: Raw) -> None:
            with suppress(McpError):  # params that are no object: nobody's
                params = tasks.respelt_related(params, self._shown)
            sink(method, params)

        return tell

    def question(self, params: Raw) -> Raw:
        """A question of the server; what it hands out with it is remembered as the client's."""
        extensions.note_question(params, self._place, self._mine)
        return params if self._alike else tasks.respelt_related(params, self._shown)

    def answer(self, result: bytes) -> bytes:
        """The client's answer to a question."""
        if self._alike:
            return result
        with suppress(InvalidParams):  # one of another form is the server's to judge
            return bytes(tasks.respelt_related(Raw(result), lambda id: self._own(id) or id))
        return result

    def telling(self, sink: NotificationSink) -> NotificationSink:
        """Passes notifications of the client on to `sink`, as the server knows the task."""

        def tell(method: str, params: Raw) -> None:
            sink(method, Raw(self.answer(bytes(params))))

        return sink if self._alike else tell

    def _shown(self, own: str) -> str:
        return tasks.shown(self._place, own)

    def _own(self, id: str) -> str | None:
        if self._alike:
            return id
        place, own = tasks.owner(id)
        return own if place == self._place else None
