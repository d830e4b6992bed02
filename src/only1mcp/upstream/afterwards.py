"""Calls that were answered with a task: their progress goes on after the answer.

    answer has a task ──keep──► our id ──► the client's token, and who takes what comes
    progress of a call that is over ──► whoever that is

Bounds  MAX_KEPT per connection, the longest unheard is forgotten first.
Source  MCP 2025-11-25 basic/utilities/tasks "Task Progress Notifications": the token is valid as
        long as the task.
"""

from collections import OrderedDict
from typing import Final

from msgspec import Raw

from only1mcp.protocol import progress
from only1mcp.protocol.message import Params
from only1mcp.upstream.base import Call, NotificationSink

MAX_KEPT: Final = 1000
_TASK: Final = b'"taskId"'


class Afterwards:
    """The progress tokens of one connection that outlive their calls."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, tuple[Raw, NotificationSink]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, id: int, token: Raw, call: Call, result: Raw | bytes) -> None:
        """The call with this id, and this token of its client, has ended with `result`."""
        if call.afterwards is None or not token or _TASK not in bytes(result):
            return
        self._kept[b"%d" % id] = token, call.afterwards
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def progress(self, params: Params) -> bool:
        """Hand progress on under the client's own token; whether it was of a task."""
        ours = progress.token(params)
        if (kept := self._kept.get(ours)) is None:
            return False
        self._kept.move_to_end(ours)
        token, sink = kept
        sink(progress.PROGRESS, progress.restored(params, token))
        return True
