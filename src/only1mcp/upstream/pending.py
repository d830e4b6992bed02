"""One call to a child process that waits for its answer among many on the same pipe.

Units   seconds of the monotonic clock.
"""

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic

from only1mcp.protocol.errors import McpError, UpstreamError
from only1mcp.protocol.message import Message, Params
from only1mcp.protocol.progress import own_token, restored
from only1mcp.upstream import answer
from only1mcp.upstream.base import Call, Waiter


class Pending:
    """The call, its id on the pipe, its deadline, and who waits for its answer.

    `params` go to the server; `token` is the client's own progress token, falsy if none.
    `line_end` is where its request ends in all input of the child, `said_before` how many lines
    the child had written on stderr before it.
    """

    __slots__ = (
        "_on_expiry", "answer", "asked", "began", "call", "due", "ends", "id", "line_end", "params",
        "permit", "questions", "said_before", "token",
    )  # fmt: skip

    def __init__(
        self,
        id: int,
        call: Call,
        on_expiry: Callable[["Pending"], None],
        waiter: Waiter | None = None,
    ) -> None:
        """`waiter` waits for the answer instead of whoever awaits a future."""
        now = monotonic()
        self.id = id
        self.call = call
        self.params, self.token = own_token(call.params, id)
        self.answer: asyncio.Future[bytes] | Waiter = (
            asyncio.get_running_loop().create_future() if waiter is None else waiter
        )
        self.permit = 0
        self.began = 0.0
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
            self.call.on_notification(method, restored(params, self.token))

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
