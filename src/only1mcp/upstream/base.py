"""What the relay needs of a server, whatever carries its messages.

    Call ──► Upstream.call ──► result as JSON text, untouched
                  └─ notifications that belong to the call ──► Call.on_notification

Errors  UpstreamError: the server's own error. ServerUnavailable: never sent.
        ServerTimeout, ServerLost, ServerProtocolError, AnswerTooLarge: see protocol/errors.py.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import msgspec
from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.errors import McpError, UpstreamError
from only1mcp.protocol.message import Message, Params

if TYPE_CHECKING:
    from only1mcp.upstream.array import Array

MAX_MESSAGE_BYTES: Final = 32 * 1024 * 1024
"""Bound on one message from a server; a longer one is AnswerTooLarge."""

NotificationSink = Callable[[str, Raw], None]
"""Takes (method, params); must not block."""
QuestionSink = Callable[[str, Raw, NotificationSink], Awaitable[bytes]]
"""Takes (method, params) of a server's request, and what tells the server how far the client is;
its result as JSON text, or an McpError."""


class Call(msgspec.Struct):
    """One request to one server.

    `params` belongs to the call: the upstream may change it (its progress token, era keys).
    `name` is the server's own tool or prompt name, or the URI: header Mcp-Name in 2026-07-28.
    `on_question` answers requests of the server that belong to the call; without it, or when
    nothing says whose they are, they are refused.
    `mirrored` are the arguments a tool wants in headers too: (Mcp-Param-…, value) pairs.
    `on_resumable` hears None when the answer will come on a stream that can be resumed, and each
    time the server hangs up on it, in how many seconds it wants to be asked for the rest. We ask.
    `array` is of those that may go in one message with this one, where a server takes such.
    `trace` are the header lines that say which trace it is part of.
    `place` is where it goes: the server, and the replica if there are several.
    `idle_s` restarts with each message that belongs to the call; `max_s` does not.
    `who` is the client it is made for, "" if that has no name.
    `afterwards` takes its progress after the answer, if that is a task.
    """

    method: str
    params: Params | None = None
    name: str | None = None
    on_notification: NotificationSink | None = None
    idle_s: float = 60.0
    max_s: float = 600.0
    mirrored: tuple[tuple[str, str], ...] = ()
    on_question: QuestionSink | None = None
    on_resumable: Callable[[float | None], None] | None = None
    who: str = ""
    array: "Array | None" = None
    trace: bytes = b""
    place: str = ""
    afterwards: NotificationSink | None = None


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server said of itself, in either era.

    `capabilities` and `server_info` are the JSON objects as received. `gateways` are those that
    its answers come through: see relay/behind.py.
    """

    revision: str
    modern: bool
    capabilities: dict[str, object] = field(default_factory=dict)
    server_info: dict[str, object] = field(default_factory=dict)
    instructions: str | None = None
    gateways: tuple[str, ...] = ()


class Awaiting(Protocol):
    """Who waits for an answer: a future, or what needs none."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, answer: Any, /) -> None:
        """Here it is, as the transport has it."""

    def set_exception(self, fault: Exception, /) -> None:
        """There will be none, and why."""


class Waiter(Awaiting, Protocol):
    """Who waits without a task for the answer to a call; `AtOnce.end` or `AtOnce.rest` reads it."""

    def go_on(self) -> None:
        """It takes more than to wait: from the next turn of the loop on in a task."""


class Begun(Protocol):
    """A call that was sent by `AtOnce.begin`. `began` is when, on the clock of its replica, whose
    `permit` it has."""

    permit: int
    began: float


class Upstream(Protocol):
    """One live connection to one server: a child process, or an HTTP endpoint."""

    server: str
    greeting: Greeting
    who: str | None
    """Who has it alone; None: all share it."""

    @property
    def busy(self) -> bool:
        """Whether calls are running."""

    async def connect(self) -> Greeting:
        """Spawn or dial, find the era, shake hands. Bounded by the caller.

        Raises: ServerUnavailable, ServerTimeout, ServerLost, ServerProtocolError.
        """

    async def call(self, call: Call) -> bytes:
        """The result of `call`. Cancelling the awaiting task cancels the call at the server."""

    async def notify(self, method: str, params: Params | None = None) -> None:
        """Send a notification; a server that cannot be reached is not an error."""

    async def wait_lost(self) -> str:
        """Return the reason once the connection is known to be dead."""

    async def close(self) -> None:
        """End it and everything it started. Bounded; never raises."""


@runtime_checkable
class AtOnce(Protocol):
    """An Upstream that can send a call without a task."""

    def begin(self, call: Call, waiter: Waiter) -> Begun | None:
        """Send `call` now, if it need not wait for anything; None: nothing was sent.

        What has begun ends with one of `end` and `rest`.

        Raises: McpError, as `call`; nothing was sent then.
        """

    def end(self, begun: Any, answer: Any) -> bytes | None:
        """The result, if this is the answer that most calls get: then it is over, and nothing is
        handed out or asked in it. None: it is not, and `rest` has to look at it."""

    async def rest(self, begun: Any, answer: "asyncio.Future[Any]") -> bytes:
        """What `call` does from here on; `answer` is what its waiter gets."""


class Callee(Protocol):
    """What a call needs of a server: an Upstream, or something that stands before it."""

    @property
    def server(self) -> str:
        """Its id."""

    @property
    def greeting(self) -> Greeting:
        """What it said of itself."""

    async def call(self, call: Call) -> bytes:
        """See Upstream.call."""


async def put(question: Message, ask: QuestionSink, tell: NotificationSink) -> bytes:
    """Put a server's request to `ask`; the complete answer for the server, whatever happens."""
    try:
        return message.result(question.id, await ask(question.method, question.params, tell))
    except UpstreamError as error:  # the client's own, as it wrote it
        return message.error(question.id, error.raw)
    except McpError as error:
        return refusal(question, error)


def refusal(question: Message, error: McpError) -> bytes:
    """The answer to a server's request that is refused."""
    return message.error(
        question.id, message.encode({"code": error.code, "message": error.message})
    )
