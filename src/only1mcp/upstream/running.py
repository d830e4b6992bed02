"""One call on its way: its own id and progress token, its deadline, what its stream brings.

Ids and progress tokens are ours on every hop, so two clients that choose the same ones never
meet; the client's token comes back in the notifications that are handed on.
Units   seconds of the clock passed in.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    InvalidParams,
    ParseError,
    ServerFault,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.protocol.message import Message
from only1mcp.protocol.methods import FROM_SERVERS, Fate, fate
from only1mcp.protocol.progress import PROGRESS, number, own_token, restored, token
from only1mcp.protocol.sse import Event, Parser
from only1mcp.upstream.afterwards import Afterwards
from only1mcp.upstream.answer import id_is_open
from only1mcp.upstream.base import Call, Waiter
from only1mcp.upstream.connection import Connection, Response
from only1mcp.upstream.deadline import overrun
from only1mcp.upstream.dial import Endpoint
from only1mcp.upstream.http import HttpPool
from only1mcp.upstream.listen import FIRST_PAUSE_S, last_id, messages_in, told_s

MAX_BARREN_RESUMES: Final = 3  # in a row, without a new event
UNBOUND: Final = frozenset((Fate.HOP, Fate.SERVER, Fate.OWNER))
"""Fates of what is not of the call on whose stream it comes."""


class Owner(Protocol):
    """What a call needs of the connection that it is one of."""

    @property
    def endpoint(self) -> Endpoint:
        """Where the server is."""

    @property
    def clock(self) -> Callable[[], float]:
        """Gives seconds."""

    def on_stray(self, found: Message, /) -> None:
        """Takes what is no call's."""

    def on_request(self, found: Message, of: "Running", /) -> None:
        """Takes a request of the server that came on the stream of a call."""


class Running(msgspec.Struct, eq=False):
    """A call and what is known of its answer. `answer` is set by the stream, if there is one."""

    owner: Owner
    call: Call
    id: int
    raw_id: Raw
    body: bytes
    """The request."""
    token: Raw
    """The client's own progress token, falsy if it has none."""
    due: float
    ends: float
    """Later it cannot become due."""
    waiter: Waiter | None
    """Waits for the answer instead of a task."""
    permit: int = 0
    began: float = 0.0
    sent: bool = False
    events: Parser | None = None
    modern: bool = False
    """The era it was sent in, ..."""
    session: bytes | None = None
    """... the session, ..."""
    connection: Connection | None = None
    """... and the connection, if it was without a task."""
    answer: Message | None = None
    asked: int = 0
    """Questions of the server that wait for the client."""
    questions: dict[bytes, asyncio.Task[None]] = msgspec.field(default_factory=dict)
    task: asyncio.Task[Any] | None = None
    cancelling: int = 0
    expired: bool = False

    def take_task(self) -> None:
        """From now on the task that is running waits for the answer."""
        self.waiter = None
        self.task = task = asyncio.current_task()
        self.cancelling = task.cancelling() if task is not None else 0

    def end(self) -> None:
        """It has been answered: nobody waits, and nothing that refers to us is kept."""
        self.waiter = self.task = self.connection = None
        for question in self.questions.values():
            question.cancel()

    # --- deadline ---

    def expire(self) -> None:
        """End the call where it stands: in the queue, in the dial, or waiting for its answer."""
        if self.waiter is not None:  # it takes a task to say so to everybody
            self.waiter.go_on()
            asyncio.get_running_loop().call_soon(self._cancel)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self.task is not None and not self.expired:
            self.expired = True
            self.task.cancel()

    def has_expired(self) -> bool:
        """Whether the cancellation just caught is that of `expire`, and of nobody else.

        Source  asyncio.timeout, which counts requests for cancellation in the same way.
        """
        return self.expired and self.task is not None and self.task.uncancel() <= self.cancelling

    def overdue(self) -> ServerFault:
        """The error for a call that has expired."""
        server, call = self.owner.endpoint.server, self.call
        whole = self.owner.clock() >= self.ends
        if not self.sent:
            limit_s = call.max_s if whole else call.idle_s
            cause = f"no connection was free for {call.method} within {limit_s:g} s"
            hint = f"see timeouts of server '{server}' (call_idle, call_max; for lists: list)"
            return ServerUnavailable(server, self.owner.endpoint.say(cause), hint=hint)
        did, hint = overrun(server, call, whole=whole)
        return ServerTimeout(server, self.owner.endpoint.say(f"it {did}"), hint=hint)

    def asking(self, begun: bool) -> None:
        """The server waits for its client, so it is not idle: no idle deadline meanwhile."""
        self.asked += 1 if begun else -1
        self._touch()

    def _touch(self) -> None:
        idle_s = inf if self.asked else self.call.idle_s
        self.due = min(self.owner.clock() + idle_s, self.ends)

    # --- its stream ---

    def on_event(self, event: Event) -> bool:
        """Take one event of the stream; True: it was the answer."""
        try:
            messages = messages_in(event)
        except ParseError as error:
            cause = self.owner.endpoint.say(f"an event of its stream is no message: {error}")
            raise ServerProtocolError(self.owner.endpoint.server, cause) from None
        if not event.data and event.id:
            self._resumable(None)
        for found in messages:
            self._touch()
            if found.method:
                self.take(found)
            elif found.id == self.raw_id or (found.error and id_is_open(found)):
                self.answer = found
        return self.answer is not None

    def hung_up(self) -> None:
        """The server has ended a stream in good order, before the answer: it wants to be polled."""
        if last_id(self):
            self._resumable(told_s(self, FIRST_PAUSE_S))

    def _resumable(self, retry_s: float | None) -> None:
        if self.call.on_resumable is not None and not self.modern:
            self.call.on_resumable(retry_s)

    def take(self, found: Message) -> None:
        """A notification of the call goes to its caller; all else is not the call's."""
        if found.id:
            self.owner.on_request(found, self)
            return
        whose = fate(FROM_SERVERS, found.method)
        if whose in UNBOUND or (whose is Fate.PROGRESS and not self.progress(found.params)):
            self.owner.on_stray(found)
        elif whose is not Fate.PROGRESS and self.call.on_notification is not None:
            self.call.on_notification(found.method, found.params)

    def progress(self, params: Raw) -> bool:
        """Hand progress on under the caller's own token, without that it asked for none; whether
        it was this call's."""
        self._touch()
        with suppress(InvalidParams):
            members = message.members(params)
            if token(members) != bytes(self.raw_id):
                return False
            if self.token and self.call.on_notification is not None:
                self.call.on_notification(PROGRESS, restored(members, self.token))
        return True


def run(owner: Owner, call: Call, id: int, waiter: Waiter | None = None) -> Running:
    """A call that begins now; without a waiter the task that is running waits for its answer."""
    params, token = own_token(call.params, id)
    body = message.request(id, call.method, params)
    now, idle_s, max_s = owner.clock(), call.idle_s, call.max_s
    due = now + (idle_s if idle_s < max_s else max_s)
    one = Running(owner, call, id, Raw(b"%d" % id), body, token, due, now + max_s, waiter)
    if waiter is None:
        one.take_task()
    return one


async def resume(
    running: Running, fault: ServerLost, pool: HttpPool, head: Callable[[bytes], bytes]
) -> Response:
    """Go on with a stream that broke before the answer; the deadline of the call bounds it all.

    Raises:
        ServerLost: `fault`, if the server does not go on with it.
    """
    barren = 0
    while barren < MAX_BARREN_RESUMES:
        await asyncio.sleep(told_s(running, FIRST_PAUSE_S))
        seen = last_id(running)
        with suppress(ServerLost):
            try:
                response = await pool.request(running, head(seen))
            except ServerUnavailable as unreachable:
                raise fault from unreachable
            if running.answer is not None:
                return response
            if not response.stream:
                break
            running.hung_up()
        barren = barren + 1 if last_id(running) == seen else 0
    raise fault


def stray_progress(params: Raw, running: Mapping[int, Running], afterwards: Afterwards) -> None:
    """Progress outside the stream of its call, as some servers send it, or after its answer;
    `running` is by id."""
    with suppress(InvalidParams):
        members = message.members(params)
        ours = number(members)
        if ours is not None and (one := running.get(ours)) is not None:
            one.progress(params)
        else:
            afterwards.progress(members)
