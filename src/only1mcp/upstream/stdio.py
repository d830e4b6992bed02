"""A server that is a child process: MCP as lines of JSON on its stdin and stdout.

    call ──► Mux.begin ──► a line on stdin
    stdout ──► a message ──► Mux.take: an answer, progress, a notification, a question
           ──► anything else: noise, counted and dropped

All calls share one channel: upstream/mux.py tells whose each message is.
Source  MCP basic/transports "stdio".
"""

import asyncio
import logging
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Final

from only1mcp.config.servers import Stdio, Timeouts
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    McpError,
    Outcome,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.protocol.message import Params
from only1mcp.upstream.answer import is_plain
from only1mcp.upstream.base import (
    MAX_MESSAGE_BYTES,
    Call,
    Greeting,
    NotificationSink,
    Waiter,
)
from only1mcp.upstream.deadline import MAY_HAVE_RUN
from only1mcp.upstream.launch import NotStartable
from only1mcp.upstream.lines import Lines, messages
from only1mcp.upstream.mux import Mux
from only1mcp.upstream.pending import Pending
from only1mcp.upstream.probe import greet
from only1mcp.upstream.process import Child, Exit
from only1mcp.upstream.warden import Warden

log = logging.getLogger("only1mcp.stdio")

MAX_UNSENT_BYTES: Final = 64 * 1024 * 1024
"""Input that waits for the child; more is memory that a flood of calls would eat."""
MAX_WAITING_BYTES: Final = 1024 * 1024
UNREAD_S: Final = 2.0
"""This much input, and none of it taken for so long: nobody reads it."""
MAX_BAD_LINES: Final = 100  # in a row: whatever this is, it does not speak MCP
NOISE_LOG_S: Final = 60.0
ERROR_LINES: Final = 20  # of stderr, with an error
ERROR_LINE_LENGTH: Final = 300

_LOOK: Final = "run its command by hand to see what it needs"
_NOT_FOUND: Final = "check transport.command and transport.args, and PATH in transport.env"


class ServerDied(ServerLost):
    """The process ended; `exited` says how."""

    def __init__(self, server: str, text: str, exited: Exit, hint: str) -> None:
        super().__init__(server, text, hint=hint)
        self.exited = exited


class StdioServer:
    """One run of a stdio server; implements upstream/base.py `Upstream`.

    A new run is a new object. `noise` counts lines on stdout that are not MCP.
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
        self.who: str | None = None
        self.revision: str | None = None
        self.noise = 0
        self._transport = transport
        self._start_s = timeouts.start
        self._warden = warden
        self._child: Child | None = None
        self._greeted = False
        self._lines = Lines()
        self._bad_lines = 0  # in a row
        self._noise_logged = -inf
        self._accepted = 0  # bytes of input the child had taken when it last took some
        self._moved_at = monotonic()
        self._mux = Mux(server_id, self._say, on_notification, self._overdue)
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
        return len(self._mux) > 0

    @property
    def late(self) -> int:
        """Answers and progress of calls that had ended."""
        return self._mux.late

    @property
    def exited(self) -> Exit | None:
        """How the child ended, None while it runs."""
        return self._child.exited if self._child else None

    def stderr_tail(self, count: int = 100) -> list[str]:
        """The last lines the child wrote on stderr."""
        return self._child.tail.lines(count) if self._child else []

    async def connect(self) -> Greeting:
        """Start the child, find its era, shake hands; all within timeouts.start.

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
        except BaseException as fault:
            await self.close()
            if self.noise and isinstance(fault, ServerProtocolError):
                raise self._noisy(fault) from None
            raise
        self._greeted = True
        return self.greeting

    async def call(self, call: Call) -> bytes:
        """The result of `call`, as the bytes it came in. Cancelling the task cancels the call."""
        return await self._mux.answer(self._send(call))

    def begin(self, call: Call, waiter: Waiter) -> Pending:
        """Send it now, as `call` does: see upstream/base.py, AtOnce."""
        return self._send(call, waiter)

    def end(self, begun: Pending, result: bytes) -> bytes | None:
        """The result, if it is a plain one: then it is over."""
        if not is_plain(result, self.greeting.modern):
            return None
        for question in begun.questions.values():
            question.cancel()
        return result

    async def rest(self, begun: Pending, answer: "asyncio.Future[bytes]") -> bytes:
        """What `call` does from here on."""
        return await self._mux.answer(begun, answer)

    async def notify(self, method: str, params: Params | None = None) -> None:
        """Send a notification, if there is a child that reads."""
        self._say(message.notification(method, message.encode(params) if params else None))

    async def wait_lost(self) -> str:
        """Return why, once the child has ended or can no longer be talked to."""
        await self._lost.wait()
        return self._reason

    async def close(self) -> None:
        """End the child and everything it started. Bounded by 4 * GRACE_S; never raises."""
        hint = MAY_HAVE_RUN if self._greeted else None
        self._lose(
            "was stopped by the gateway", lambda text: ServerLost(self.server, text, hint=hint)
        )
        if self._stopping is not None:
            await asyncio.wait([self._stopping])

    # --- out ---

    def _send(self, call: Call, waiter: Waiter | None = None) -> Pending:
        child = self._child
        if child is None or self._lost.is_set():
            raise (self._unsent if self._greeted else self._fault)(self._reason)
        if not self._reads(child):
            raise ServerUnavailable(
                self.server,
                f"server '{self.server}' does not read its input",
                hint="it hangs or is overloaded: try again later, or restart it",
            )
        pending, body = self._mux.begin(call, waiter)
        pending.line_end = child.write(message.one_line(body) + b"\n")
        pending.said_before = child.tail.count
        return pending

    def _reads(self, child: Child) -> bool:
        """Whether the child takes its input: a burst may wait, but not without any progress."""
        now = monotonic()
        if child.accepted != self._accepted or child.unsent <= MAX_WAITING_BYTES:
            self._accepted, self._moved_at = child.accepted, now
        stuck = now - self._moved_at > UNREAD_S
        return child.unsent <= MAX_UNSENT_BYTES and not stuck

    def _say(self, line: bytes) -> None:
        """Send what nobody waits for; dropped when the child is gone or does not read."""
        child = self._child
        if child is not None and not self._lost.is_set() and self._reads(child):
            child.write(message.one_line(line) + b"\n")

    def _overdue(self, why: str, hint: str) -> ServerTimeout:
        text = f"server '{self.server}' {why}" if self._greeted else self._text(why)
        return ServerTimeout(self.server, text, hint=hint if self._greeted else None)

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
                self._mux.take(found, line)
                self._bad_lines = 0
        except McpError as error:
            self._on_noise(line, error)
        except Exception:  # a sink's fault must not cost the other calls their answers
            log.exception("server '%s': a message could not be handled", self.server)

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
            self._lose(what, lambda text: ServerLost(self.server, text, hint=MAY_HAVE_RUN))
        elif exited.config_fault and not self._greeted and child is not None:
            what = f"{what}, as commands that cannot be run do; PATH searched: {child.path}"
            self._lose(what, lambda text: NotStartable(self.server, text, hint=_NOT_FOUND))
        else:
            hint = MAY_HAVE_RUN if self._greeted else _LOOK
            self._lose(what, lambda text: ServerDied(self.server, text, exited, hint))

    def _lose(self, what: str, fault: Callable[[str], ServerFault]) -> None:
        """It is over: every call ends now, and so do the processes that are left."""
        if self._lost.is_set():
            return
        self._reason, self._fault = self._text(what), fault
        self._lost.set()
        self._lines = Lines()  # what it held may be large
        pending = self._mux.end()
        if self._child is not None:
            for one in pending:
                sent = not self._greeted or one.line_end <= self._child.accepted
                self._fail(one, fault if sent else self._unsent, self._child)
            self._stopping = self._tasks.start(self._child.stop(), f"stop {self.server}")

    def _fail(self, one: Pending, fault: Callable[[str], ServerFault], child: Child) -> None:
        """End a call; what the child has said since it began is for programs and people to read
        below the error, not in it."""
        error = fault(self._reason)
        if self._greeted and (lines := child.tail.since(one.said_before, ERROR_LINES)):
            error.data["stderr"] = [line[:ERROR_LINE_LENGTH] for line in lines]
        one.fail(error)

    def _unsent(self, text: str) -> ServerUnavailable:
        return ServerUnavailable(self.server, text, hint="the call did not reach it; repeat it")

    def _noisy(self, fault: ServerProtocolError) -> ServerProtocolError:
        """The fault of a start, with what may have led to it."""
        text = f"{fault.message}; {self.noise} lines on its stdout are not MCP"
        return ServerProtocolError(self.server, text, hint=_LOOK)

    def _text(self, what: str) -> str:
        """`what` happened, to whom; of a start also what it said of it, which is all there is."""
        text = f"server '{self.server}' ({self._transport.command}) {what}"
        if self._greeted:
            return text
        lines = [line[:ERROR_LINE_LENGTH] for line in self.stderr_tail(ERROR_LINES)]
        return "\n".join([f"{text}; the end of its stderr:", *lines]) if lines else text
