"""A scripted server that takes calls without a task: each waits until the test answers it.

lib = direct()                                 as `library`
under_way.begin(request, snapshot, client)     lib.sent[-1] is the call
lib.answer(b"{}")                              a plain result, as most calls get
lib.answer(UpstreamError(...))                 anything else than bytes takes a task
lib.drop(ServerLost(...))                      the connection is gone
Waiting()                                      waits for the answer of a transport instead
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from fakes.upstream import FakeUpstream, library
from only1mcp.gateway import Gateway
from only1mcp.protocol.errors import McpError
from only1mcp.upstream.base import Call, Waiter


class Waiting:
    """Waits without a task; `heard` is the answer, or of which kind the fault is."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def done(self) -> bool:
        """It waits for one."""
        return bool(self.heard)

    def set_result(self, answer: object, /) -> None:
        """Hear it."""
        self.heard.append(answer)

    def set_exception(self, fault: Exception, /) -> None:
        """Hear its kind."""
        self.heard.append(type(fault))

    def go_on(self) -> None:
        """Hear that a task is needed."""
        self.heard.append("go on")


@dataclass
class Sent:
    """One call that was sent without a task."""

    call: Call
    waiter: Waiter
    permit: int = 0
    began: float = 0.0


class Direct(FakeUpstream):
    """What it is asked with a task it answers from its table, as ever."""

    full = False
    """No connection is idle."""
    refusal: McpError | None = None
    """What is wrong with the next call."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.waiting: list[Sent] = []

    def begin(self, call: Call, waiter: Waiter) -> Sent | None:
        """Take it, if there is room."""
        if self.refusal is not None:
            raise self.refusal
        if self.full:
            return None
        self.sent.append(call)
        self.waiting.append(Sent(call, waiter))
        return self.waiting[-1]

    def end(self, begun: Sent, answer: Any) -> bytes | None:
        """Bytes are plain results."""
        return answer if isinstance(answer, bytes) else None

    async def rest(self, begun: Sent, answer: "asyncio.Future[Any]") -> bytes:
        """The answer, or the error that it is."""
        try:
            found = await answer
        except asyncio.CancelledError:
            self.cancelled.append(begun.call.method)
            raise
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, bytes) else json.dumps(found).encode()

    def answer(self, answer: Any) -> None:
        """Of the call that waits longest; like a connection, not if nobody wants it any more."""
        waiter = self.waiting.pop(0).waiter
        if not waiter.done():
            waiter.set_result(answer)

    def drop(self, fault: McpError) -> None:
        """There will be no answer to it."""
        self.waiting.pop(0).waiter.set_exception(fault)


def direct(
    id: str = "lib", answers: dict[str, Any] | None = None, *, modern: bool = False
) -> Direct:
    """A `library` that is one of these."""
    usual = library(id, answers, modern=modern)
    capabilities = usual.greeting.capabilities
    return Direct(id, usual.answers, modern=modern, capabilities=capabilities)


def owed(gateway: Gateway) -> list[int]:
    """What calls under way owe: places among all requests; and turns, and what the replicas count,
    of each server."""
    servers = gateway.roster.servers.values()
    turns = [one.turns.in_flight for one in servers]
    counted = [sum(replica.in_flight for replica in one.replicas) for one in servers]
    return [gateway._gate.inside, *turns, *counted]
