"""A server that is a child process: MCP as lines of JSON on its stdin and stdout.

    call ──► own id, own progress token ──► stdin
    stdout ──► answer ────────► the call with that id
           ──► progress ──────► the call with that token
           ──► notification ──► the server-wide sink
           ──► request ───────► answered here
           ──► anything else: noise, counted and dropped

All calls share one channel, so ids and tokens are ours, and answers find their call by them.
Source  MCP basic/transports "stdio"; basic/utilities progress, cancellation, ping.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from only1mcp.config.model import Stdio, Timeouts
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    McpError,
    MethodNotFound,
    Outcome,
    ParseError,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.protocol.message import NO_RAW, Message, Params
from only1mcp.upstream.base import (
    MAX_MESSAGE_BYTES,
    Call,
    Greeting,
    NotificationSink,
    put,
    refusal,
)
from only1mcp.upstream.deadline import Deadlines
from only1mcp.upstream.launch import NotStartable
from only1mcp.upstream.lines import Lines, is_text, messages
from only1mcp.upstream.pending import Pending
from only1mcp.upstream.probe import greet
from only1mcp.upstream.process import Child, Exit
from only1mcp.upstream.warden import Warden

log = logging.getLogger("only1mcp.stdio")

MAX_UNSENT_BYTES: Final = 1024 * 1024
"""Beyond what the pipe holds (64 KiB). More waiting means that nobody reads it."""
MAX_BAD_LINES: Final = 100  # in a row: whatever this is, it does not speak MCP
NOISE_LOG_S: Final = 60.0
ERROR_LINES: Final = 20  # of stderr, in an error
ERROR_LINE_LENGTH: Final = 300

_GREETINGS: Final = ("initialize", "server/discover")
"""Never cancelled: before the era is known a server need not understand a notification."""
_LOOK: Final = "run its command by hand to see what it needs"
_NOT_FOUND: Final = "check transport.command and transport.args, and PATH in transport.env"
_REPEAT: Final = "the call may have run; look before you repeat it"


class ServerDied(ServerLost):
    """The process ended; `exited` says how."""

    def __init__(self, server: str, text: str, exited: Exit, hint: str) -> None:
        super().__init__(server, text, hint=hint)
        self.exited = exited


class StdioServer:
    """One run of a stdio server; implements upstream/base.py `Upstream`.

    A new run is a new object. `noise` counts lines on stdout that are not MCP, `late` the
    answers and progress of calls that had ended.
    """

    greeting: Greeting

    def __init__(
        self,
        server_id: str,
        transport: Stdio,
        timeouts: Timeouts,
        protocol: str,
        on_notification: NotificationSink,
        warden: Warden,
    ) -> None:
        self.server = server_id
        self.protocol = protocol
        self.revision: str | None = None
        self.noise = 0
        self.late = 0
        self._transport = transport
        self._start_s = timeouts.start
        self._on_notification = on_notification
        self._warden = warden
        self._child: Child | None = None
        self._greeted = False
        self._lines = Lines()
        self._bad_lines = 0  # in a row
        self._noise_logged = -inf
        self._ids = itertools.count(1)
        self._pending: dict[bytes, Pending] = {}  # by id, as JSON text
        self._deadlines = Deadlines(self._pending.values(), monotonic)
        self._lost = asyncio.Event()
        self._reason = f"server '{server_id}' is not connected"
        self._fault: Callable[[str], ServerFault] = self._unsent
        self._tasks = Tasks()
        self._stopping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, None before it runs."""
        return self._child.pid if self._child else None

    @property
    def busy(self) -> bool:
        """Whether calls are running."""
        return bool(self._pending)

    @property
    def exited(self) -> Exit | None:
        """How the child ended, None while it runs."""
        return self._child.exited if self._child else None

    def stderr_tail(self, count: int = 100) -> list[str]:
        """The last lines the child wrote on stderr."""
        return self._child.tail.lines(count) if self._child else []

    async def connect(self) -> Greeting:
        """Start the child, find its era, shake hands; bounded by timeouts.start for each step.

        Raises:
            NotStartable: the command cannot be run.
            ServerDied: it ended; has `exited`.
            ServerUnavailable, ServerTimeout, ServerLost, ServerProtocolError.
        """
        try:
            self._warden.start()
            self._child = Child(
                *(self.server, self._transport, self._warden), self._on_output, self._on_end
            )
            self._child.spawn()
            self.greeting = await greet(self, self.protocol, self._start_s)
        except BaseException:
            await self.close()
            raise
        self._greeted = True
        return self.greeting

    async def call(self, call: Call) -> bytes:
        """The result of `call`, as the bytes it came in. Cancelling the task cancels the call."""
        pending = self._send(call)
        try:
            return await pending.answer
        except asyncio.CancelledError:
            self._give_up(pending, "the client cancelled the request")
            raise
        finally:
            for question in pending.questions:
                question.cancel()

    async def notify(self, method: str, params: Params | None = None) -> None:
        """Send a notification, if there is a child that reads."""
        self._say(message.notification(method, message.encode(params) if params else None))

    async def wait_lost(self) -> str:
        """Return why, once the child has ended or can no longer be talked to."""
        await self._lost.wait()
        return self._reason

    async def close(self) -> None:
        """End the child and everything it started. Bounded by 4 * GRACE_S; never raises."""
        self._lose("was stopped by the gateway", lambda text: ServerLost(self.server, text))
        if self._stopping is not None:
            await asyncio.wait([self._stopping])

    # --- out ---

    def _send(self, call: Call) -> Pending:
        child = self._child
        if child is None or self._lost.is_set():
            raise (self._unsent if self._greeted else self._fault)(self._reason)
        if child.unsent > MAX_UNSENT_BYTES:
            raise ServerUnavailable(
                self.server,
                f"server '{self.server}' does not read its input",
                hint="it hangs or is overloaded: try again later, or restart it",
            )
        id = next(self._ids)
        pending = Pending(id, call, self._expire)
        line = message.one_line(message.request(id, call.method, pending.params))
        pending.line_end = child.write(line + b"\n")
        self._pending[b"%d" % id] = pending
        self._deadlines.watch(pending.due)
        return pending

    def _say(self, line: bytes) -> None:
        """Send what nobody waits for; dropped when the child is gone or does not read."""
        child = self._child
        if child is not None and not self._lost.is_set() and child.unsent <= MAX_UNSENT_BYTES:
            child.write(message.one_line(line) + b"\n")

    def _give_up(self, pending: Pending, reason: str) -> None:
        """Forget a call whose answer nobody waits for any more, and tell the child."""
        if self._pending.pop(b"%d" % pending.id, None) and pending.call.method not in _GREETINGS:
            params = message.encode({"requestId": pending.id, "reason": reason})
            self._say(message.notification("notifications/cancelled", params))

    def _expire(self, pending: Pending) -> None:
        """The deadline of `pending` has passed."""
        call = pending.call
        if monotonic() >= pending.ends:
            why = f"took longer than {call.max_s:g} s for {call.method}"
        else:
            why = f"sent nothing for {call.idle_s:g} s during {call.method}"
        self._give_up(pending, why)
        text = f"server '{self.server}' {why}" if self._greeted else self._text(why)
        pending.fail(ServerTimeout(self.server, text, hint=_REPEAT if self._greeted else None))

    # --- in ---

    def _on_output(self, data: bytes) -> None:
        if self._lost.is_set():
            return
        for line in self._lines.feed(data):
            self._on_line(line)
        if self._lines.held > MAX_MESSAGE_BYTES:
            self._lose(
                f"sent a message of more than {MAX_MESSAGE_BYTES >> 20} MiB and was stopped",
                lambda text: AnswerTooLarge(self.server, text, outcome=Outcome.UNKNOWN),
            )

    def _on_line(self, line: bytes) -> None:
        try:
            for found in messages(line):
                self._on_message(found, line)
        except McpError as error:
            self._on_noise(line, error)
        except Exception:  # a sink's fault must not cost the other calls their answers
            log.exception("server '%s': a message could not be handled", self.server)

    def _on_message(self, found: Message, line: bytes) -> None:
        if not found.method:
            self._on_answer(found, line)
        elif found.jsonrpc != "2.0" or not is_text(line):
            raise ParseError("not a JSON-RPC message")
        elif found.id:
            self._on_request(found)
        elif found.method == "notifications/progress":
            self._on_progress(found)
        elif found.method == "notifications/message" and len(self._pending) == 1:
            self._attribute(found)
        else:
            self._on_notification(found.method, found.params)
        self._bad_lines = 0

    def _on_answer(self, found: Message, line: bytes) -> None:
        if not found.id or not (found.result or found.error):
            raise ParseError("neither a method nor an answer")
        pending = self._pending.pop(bytes(found.id), None)
        if pending is None:
            self.late += 1
        elif not is_text(line):
            text = f"server '{self.server}' sent an answer that is not UTF-8"
            pending.fail(ServerProtocolError(self.server, text))
        else:
            pending.settle(found)

    def _on_progress(self, found: Message) -> None:
        """Ours is the token the child knows; the client gets its own back, as it wrote it."""
        params = message.members(found.params)
        pending = self._pending.get(bytes(params.get("progressToken", NO_RAW)))
        if pending is None or not pending.token:
            self.late += 1
            return
        pending.progress(found.method, params)

    def _attribute(self, found: Message) -> None:
        """A log line while exactly one call runs is that call's."""
        (only,) = self._pending.values()
        sink = only.call.on_notification or self._on_notification
        sink(found.method, found.params)

    def _on_request(self, found: Message) -> None:
        """A request of the server. The channel does not say whose it is: it is put to a client
        only when exactly one call could have asked, and refused otherwise, never guessed."""
        if found.method == "ping":
            self._say(message.result(found.id, b"{}"))
            return
        asking = [one for one in self._pending.values() if one.call.on_question is not None]
        if len(asking) == 1:
            one = asking[0]
            task = self._tasks.start(self._put(one, found), f"question of {self.server}")
            one.questions.add(task)
            return
        why = f"{found.method}: {len(asking)} calls could have asked, so no client is asked"
        self._say(refusal(found, MethodNotFound(why)))

    async def _put(self, pending: Pending, found: Message) -> None:
        assert pending.call.on_question is not None
        pending.asking(True)
        try:
            self._say(await put(found, pending.call.on_question))
        finally:
            pending.asking(False)
            self._deadlines.watch(pending.due)

    def _on_noise(self, line: bytes, error: McpError) -> None:
        self.noise += 1
        self._bad_lines += 1
        now = monotonic()
        if now - self._noise_logged >= NOISE_LOG_S:
            self._noise_logged = now
            log.warning(
                "server '%s': line %d on its stdout that is not MCP (%s): %r",
                *(self.server, self.noise, error, line[:ERROR_LINE_LENGTH]),
            )
        if self._bad_lines >= MAX_BAD_LINES:
            self._lose(
                f"wrote {MAX_BAD_LINES} lines in a row that are not MCP and was stopped",
                lambda text: ServerProtocolError(
                    self.server, text, hint="its stdout must carry MCP only; see its log"
                ),
            )

    # --- the end ---

    def _on_end(self, what: str) -> None:
        child, exited = self._child, self.exited
        if exited is None:
            self._lose(what, lambda text: ServerLost(self.server, text, hint=_REPEAT))
        elif exited.config_fault and not self._greeted and child is not None:
            what = f"{what}, as commands that cannot be run do; PATH searched: {child.path}"
            self._lose(what, lambda text: NotStartable(self.server, text, hint=_NOT_FOUND))
        else:
            hint = _REPEAT if self._greeted else _LOOK
            self._lose(what, lambda text: ServerDied(self.server, text, exited, hint))

    def _lose(self, what: str, fault: Callable[[str], ServerFault]) -> None:
        """It is over: every call ends now, and so do the processes that are left."""
        if self._lost.is_set():
            return
        self._reason, self._fault = self._text(what), fault
        self._lost.set()
        self._deadlines.close()
        self._lines = Lines()  # what it held may be large
        pending = list(self._pending.values())
        self._pending.clear()
        if self._child is not None:
            for one in pending:
                sent = not self._greeted or one.line_end <= self._child.accepted
                one.fail((fault if sent else self._unsent)(self._reason))
            self._stopping = self._tasks.start(self._child.stop(), f"stop {self.server}")

    def _unsent(self, text: str) -> ServerUnavailable:
        return ServerUnavailable(self.server, text, hint="the call did not reach it; repeat it")

    def _text(self, what: str) -> str:
        """`what` happened, to whom, and what it said of it."""
        text = f"server '{self.server}' ({self._transport.command}) {what}"
        lines = [line[:ERROR_LINE_LENGTH] for line in self.stderr_tail(ERROR_LINES)]
        return "\n".join([f"{text}; the end of its stderr:", *lines]) if lines else text
