"""A tool that works only as a task of 2025-11-25, for a client that has not asked for one.

    tools/call with `task` ──► the task ──► tasks/result ──► the result, as of any other tool
    the client has left, or its time is up ──► tasks/cancel

The client never learns of the task: what names it is left out. It may be silent for as long as
a call may last at all, for that is what tasks are for.
Source  MCP 2025-11-25 basic/utilities/tasks "Tool-Level Negotiation".
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from time import monotonic
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from only1mcp.protocol import tasks
from only1mcp.protocol.errors import McpError, ServerFault, ServerTimeout
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call, Callee, NotificationSink, QuestionSink

CANCEL_S: Final = 2.0
"""How long a server may take to hear that nobody wants its task any more."""


class Carried:
    """A connection on which tools are called as tasks, and their results waited for."""

    __slots__ = ("_callee", "greeting", "server")

    def __init__(self, callee: Callee) -> None:
        self.server = callee.server
        self.greeting = callee.greeting
        self._callee = callee

    async def call(self, call: Call) -> bytes:
        """The result of the tool. See Upstream.call."""
        ends = monotonic() + call.max_s
        call = replace(call, on_notification=_told(call.on_notification))
        params = {**(call.params or {}), "task": Raw(b"{}")}
        made = await self._callee.call(
            replace(call, params=params, afterwards=call.on_notification)
        )
        if (id := tasks.made(made)) is None:
            return made
        left_s = ends - monotonic()
        wait = replace(call, method="tasks/result", params={"taskId": as_raw(id)}, name=id)
        wait = replace(wait, mirrored=(), idle_s=left_s, max_s=left_s)
        wait.on_question = _asked(call.on_question)
        try:
            return bytes(tasks.unrelated(Raw(await self._callee.call(wait))))
        except ServerFault as fault:
            fault.after_a_part()
            if isinstance(fault, ServerTimeout):
                await self._cancel(wait)
            raise
        except asyncio.CancelledError:
            await self._cancel(wait)
            raise

    async def _cancel(self, wait: Call) -> None:
        """Nobody waits for the task any more."""
        cancel = Call("tasks/cancel", wait.params, wait.name, idle_s=CANCEL_S, max_s=CANCEL_S)
        with suppress(McpError):  # it may have ended just now
            await self._callee.call(replace(cancel, place=wait.place, who=wait.who))


def _told(sink: NotificationSink | None) -> NotificationSink | None:
    if sink is None:
        return None

    def tell(method: str, params: Raw) -> None:
        sink(method, tasks.unrelated(params))

    return tell


def _asked(ask: QuestionSink | None) -> QuestionSink | None:
    if ask is None:
        return None

    def asked(method: str, params: Raw, tell: NotificationSink) -> Awaitable[bytes]:
        return ask(method, tasks.unrelated(params), tell)

    return asked
