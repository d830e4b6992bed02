"""Many calls on one channel: ids and progress tokens of our own, and whose each message is.

    begin ──► own id, own progress token ──► the request to write
    take  ──► answer ────────► the call with that id
          ──► progress ──────► the call with that token, also after its answer was a task
          ──► log message ───► the only call that can be at work, else the server-wide sink
          ──► tagged ────────► acknowledgement: the listen with that id; else as the next
          ──► notification ──► the server-wide sink
          ──► request ───────► the client of the only call that could have asked, else refused

Errors  ParseError from `take`: no MCP message.
Source  MCP basic/utilities progress, cancellation, ping.
"""

import asyncio
import itertools
from collections.abc import Callable
from time import monotonic
from typing import Final

from msgspec import Raw

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message, subscription
from only1mcp.protocol.errors import (
    MethodNotFound,
    ParseError,
    ServerFault,
    ServerLost,
    ServerProtocolError,
)
from only1mcp.protocol.message import NO_RAW, Message
from only1mcp.protocol.methods import FROM_SERVERS, QUESTIONS, Fate, fate
from only1mcp.protocol.progress import token
from only1mcp.protocol.subscription import ACKNOWLEDGED, LISTEN
from only1mcp.upstream import traffic
from only1mcp.upstream.afterwards import Afterwards
from only1mcp.upstream.askers import GivenUp, asker, take_back
from only1mcp.upstream.base import Call, NotificationSink, Waiter, put, refusal
from only1mcp.upstream.deadline import Deadlines, overrun
from only1mcp.upstream.lines import is_text
from only1mcp.upstream.pending import Pending

MAX_QUESTIONS: Final = 256
"""Of the server, waiting for clients at once; more are refused."""
_GREETINGS: Final = ("initialize", "server/discover")
"""Never cancelled: before the era is known a server need not understand a notification."""


class Mux:
    """The calls that wait on one channel. `late` counts answers and progress of ended calls."""

    __slots__ = (
        "_afterwards", "_deadlines", "_given_up", "_ids", "_on_notification", "_overdue",
        "_pending", "_questions", "_say", "_server", "late",
    )  # fmt: skip

    def __init__(
        self,
        server: str,
        say: Callable[[bytes], None],
        on_notification: NotificationSink,
        overdue: Callable[[str, str], ServerFault],
    ) -> None:
        """`say` sends what nobody waits for; `overdue` makes a late call's error of the reason and
        the next step."""
        self.late = 0
        self._server = server
        self._say = say
        self._on_notification = on_notification
        self._overdue = overdue
        self._ids = itertools.count(1)
        self._pending: dict[bytes, Pending] = {}  # by id, as JSON text
        self._deadlines = Deadlines(self._pending.values(), monotonic)
        self._given_up = GivenUp(monotonic)
        self._afterwards = Afterwards()
        self._questions = Tasks()

    def __len__(self) -> int:
        return len(self._pending)

    # --- out ---

    def begin(self, call: Call, waiter: Waiter | None = None) -> tuple[Pending, bytes]:
        """The call, now waiting, and its request as JSON text."""
        id = next(self._ids)
        pending = Pending(id, call, self._expire, waiter)
        body = message.request(id, call.method, pending.params)
        self._pending[b"%d" % id] = pending
        self._deadlines.watch(pending.due)
        return pending, body

    async def answer(
        self, pending: Pending, future: "asyncio.Future[bytes] | None" = None
    ) -> bytes:
        """Its result as JSON text. Cancelling the task cancels the call at the server.

        `future`: that of a waiter, which has waited until now.
        """
        if future is not None:
            pending.answer = future
        try:
            assert isinstance(pending.answer, asyncio.Future)
            return await pending.answer
        except asyncio.CancelledError:
            self._give_up(pending, "the client cancelled the request")
            raise
        finally:
            for question in pending.questions.values():
                question.cancel()
            del pending  # it has the error, whose traceback has this frame

    def _give_up(self, pending: Pending, reason: str) -> None:
        """Forget a call whose answer nobody waits for any more, and tell the server."""
        id = b"%d" % pending.id
        if self._pending.pop(id, None) and pending.call.method not in _GREETINGS:
            params = message.encode({"requestId": pending.id, "reason": reason})
            self._say(message.notification("notifications/cancelled", params))
            self._given_up.note(id, pending.call)

    def _expire(self, pending: Pending) -> None:
        """The deadline of `pending` has passed."""
        whole = monotonic() >= pending.ends
        why, hint = overrun(self._server, pending.call, whole=whole)
        self._give_up(pending, why)
        pending.fail(self._overdue(why, hint))

    # --- in ---

    def take(self, found: Message, text: bytes) -> None:
        """Hand on one message of the server; `text` is what it stood in.

        Raises:
            ParseError: it is neither a request, nor a notification, nor an answer.
        """
        if not found.method:
            self._on_answer(found, text)
        elif found.jsonrpc != "2.0" or not is_text(text):
            raise ParseError("not a JSON-RPC message")
        elif found.id:
            self._on_request(found)
        else:
            self._on_told(found)

    def _on_told(self, found: Message) -> None:
        mark = subscription.tag(found.params)
        match fate(FROM_SERVERS, found.method):
            case Fate.PROGRESS:
                self._on_progress(found)
            case Fate.HOP:
                self._on_cancelled(found)
            case _ if mark:
                self._on_listen(found, mark)
            case Fate.CALL:
                self._attribute(found)
            case _:
                self._on_notification(found.method, found.params)

    def _on_answer(self, found: Message, text: bytes) -> None:
        if not found.id or not (found.result or found.error):
            raise ParseError("neither a method nor an answer")
        pending = self._pending.pop(bytes(found.id), None)
        if pending is None:
            self.late += 1
            self._given_up.answered(bytes(found.id))
            traffic.of(self._server).late += 1
        elif not is_text(text):
            fault = f"server '{self._server}' sent an answer that is not UTF-8"
            pending.fail(ServerProtocolError(self._server, fault))
        else:
            self._afterwards.keep(pending.id, pending.token, pending.call, found.result)
            pending.settle(found)

    def _on_progress(self, found: Message) -> None:
        """Ours is the token the server knows; the client gets its own back, as it wrote it."""
        params = message.members(found.params)
        pending = self._pending.get(token(params))
        if pending is not None and pending.token:
            pending.progress(found.method, params)
        elif not self._afterwards.progress(params):
            self.late += 1

    def _attribute(self, found: Message) -> None:
        """A log line while exactly one call runs is that call's; a listen is none."""
        calls = [one.call for one in self._pending.values() if one.call.method != LISTEN]
        alone = len(calls) == 1 and not self._given_up.apart_from(calls[0].who)
        only = calls[0].on_notification if alone else None
        sink = only or self._on_notification
        sink(found.method, found.params)

    def _on_listen(self, found: Message, mark: Raw) -> None:
        """A frame of a listen: what follows its acknowledgement is about the server as a whole."""
        pending = self._pending.get(bytes(mark))
        if pending is None:
            self.late += 1
        elif found.method != ACKNOWLEDGED:
            self._on_notification(found.method, found.params)
        elif pending.call.on_notification is not None:
            pending.call.on_notification(found.method, found.params)

    def _on_cancelled(self, found: Message) -> None:
        """A server takes a question back, or ends a listen; nothing else is its to cancel."""
        id = bytes(message.members(found.params).get("requestId", NO_RAW))
        pending = self._pending.get(id)
        if pending is not None and pending.call.method == LISTEN:
            del self._pending[id]
            pending.fail(ServerLost(self._server, f"server '{self._server}' ended {LISTEN}"))
            return
        take_back(found.params, self._pending.values())

    def _on_request(self, found: Message) -> None:
        if fate(QUESTIONS, found.method) is Fate.HOP:
            self._say(message.result(found.id, b"{}"))
            return
        one = asker(found, self._pending.values(), self._given_up)
        if len(self._questions) >= MAX_QUESTIONS:
            one = f"{MAX_QUESTIONS} questions of this server wait already"
        if isinstance(one, str):
            self._say(refusal(found, MethodNotFound(f"{found.method}: {one}")))
            return
        task = self._questions.start(self._put(one, found), f"question of {self._server}")
        one.questions[bytes(found.id)] = task

    async def _put(self, pending: Pending, found: Message) -> None:
        assert pending.call.on_question is not None
        pending.asking(True)
        try:
            self._say(await put(found, pending.call.on_question, self._tell))
        finally:
            pending.questions.pop(bytes(found.id), None)
            pending.asking(False)
            self._deadlines.watch(pending.due)

    def _tell(self, method: str, params: Raw) -> None:
        self._say(message.notification(method, params))

    # --- the end ---

    def end(self) -> list[Pending]:
        """The channel is lost: stop the clock; the calls that still waited, to be failed."""
        self._deadlines.close()
        left = list(self._pending.values())
        self._pending.clear()
        return left
