"""One call to a child process that waits for its answer among many on the same pipe.

Units   seconds of the monotonic clock.
"""

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic

from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.errors import McpError, UpstreamError
from only1mcp.protocol.message import NO_RAW, Message, Params, as_raw
from only1mcp.upstream import answer
from only1mcp.upstream.base import Call


class Pending:
    """The call, its id on the pipe, its deadline, and the future that its caller awaits.

    `params` go to the server; `token` is the client's own progress token, falsy if none.
    `line_end` is where its request ends in all input of the child, `said_before` how many lines
    the child had written on stderr before it.
    """

    __slots__ = (
        "_on_expiry", "answer", "asked", "call", "due", "ends", "id", "line_end", "params",
        "questions", "said_before", "token",
    )  # fmt: skip

    def __init__(self, id: int, call: Call, on_expiry: Callable[["Pending"], None]) -> None:
        now = monotonic()
        self.id = id
        self.call = call
        self.params, self.token = own_token(call.params, id)
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.line_end = self.said_before = 0
        self.asked = 0  # questions of the server that wait for the client
        self.questions: dict[bytes, asyncio.Task[None]] = {}
        self.ends = now + call.max_s
        self.due = min(now + call.idle_s, self.ends)
        self._on_expiry = on_expiry

    def progress(self, method: str, params: Params) -> None:
        """Hand progress on under the client's own token; the idle clock starts again."""
        self.due = min(monotonic() + self.call.idle_s, self.ends)
        if self.call.on_notification is not None:
            params["progressToken"] = self.token
            self.call.on_notification(method, as_raw(params))

    def asking(self, begun: bool) -> None:
        """The server waits for its client, so it is not idle: no idle deadline meanwhile."""
        self.asked += 1 if begun else -1
        idle_s = inf if self.asked else self.call.idle_s
        self.due = min(monotonic() + idle_s, self.ends)

    def expire(self) -> None:
        """Its deadline has passed."""
        self._on_expiry(self)

    def settle(self, found: Message) -> None:
        """Its answer has come."""
        try:
            result = answer.result(found)
        except UpstreamError as error:
            self.fail(error)
            return
        if not self.answer.done():
            self.answer.set_result(result)

    def fail(self, error: McpError) -> None:
        """End it, unless who waited for it has left."""
        if not self.answer.done():
            self.answer.set_exception(error)


def own_token(params: Params | None, id: int) -> tuple[Params | None, Raw]:
    """`params` with our id as progress token, and the client's token; falsy if it gave none.

    The caller's dict stays as it is: the same call may go to another server.
    """
    meta = bytes(params.get("_meta", NO_RAW)) if params else b""
    # an escape may spell it, too; find: see dispatch.modern_meta
    if not meta or (meta.find(b"progressToken") < 0 and meta.find(b"\\") < 0):
        return params, NO_RAW
    members = message.members(meta)
    token = members.get("progressToken", NO_RAW)
    if not token or bytes(token) == b"null":  # some clients write out what they leave out
        return params, NO_RAW
    members["progressToken"] = as_raw(id)
    return {**(params or {}), "_meta": as_raw(members)}, token
