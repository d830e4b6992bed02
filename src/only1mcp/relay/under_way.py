"""A call without a task: sent in the turn of the loop in which its request is read, answered in
the turn in which the answer is.

    begin ──► sent ──► plain result ──► the client has it
                └────► anything else: an error, a question for the client, a deadline, a client
                       that cancels ──► a task, which goes on from here as relay/call.py would

Most calls are such: to one server of the client's era, connected, with a turn and a connection
free. What is done for them, and in which order, is what `relay/call.py` does.
Cost    half the instructions of a call with a task (`python -m bench.instructions`).
"""

import asyncio
import logging
from time import perf_counter
from typing import Any, Final, Protocol

from only1mcp.policy.access import ANONYMOUS
from only1mcp.protocol import questions
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.methods import METHODS, Method
from only1mcp.relay import targets, watch
from only1mcp.relay.admission import FIRST
from only1mcp.relay.bridge import asker
from only1mcp.relay.request import Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.translate import is_plain, outgoing, related, returned
from only1mcp.upstream.base import Begun, Call, Greeting
from only1mcp.upstream.roster import Live
from only1mcp.upstream.standing import Counted

log = logging.getLogger("only1mcp.relay")

DIRECT: Final = {name: METHODS[name] for name in ("tools/call", "prompts/get", "resources/read")}
"""The methods of calls that can be so."""
_TOOLS_CALL: Final = METHODS["tools/call"]


class Client(Protocol):
    """The edge's side of a call under way."""

    def answered(self, result: bytes) -> None:
        """It is over: the result as JSON text."""

    def go_on(self) -> None:
        """It needs a task, which gives the request to `relay`, as any other."""


def begin(request: Request, snapshot: Snapshot, client: Client) -> "UnderWay | None":
    """Send a request to its server now; None: it takes a task from the beginning."""
    began, watching, answers = perf_counter(), snapshot.watch, snapshot.answers
    row = DIRECT.get(request.method)
    if row is None or answers.debug or (watching is not None and watching.tracer is not None):
        return None
    if row.name in answers.methods and (request.target is None or request.wanted is not None):
        return None
    if watching is not None and watching.tell and request.named is None:
        request.named = watch.name(request)
    try:
        return _begin(request, row, snapshot, client, began)
    except McpError:  # nothing was sent, and the task will meet it again
        return None


def _begin(
    request: Request, row: Method, snapshot: Snapshot, client: Client, began: float
) -> "UnderWay | None":
    target = request.target
    if target is None:
        target = request.target = targets.listed(request, row, snapshot)
    if target is None or target.needs_task or target.header_params:
        return None
    live, params = snapshot.servers[target.server], request.params
    if live.config.isolation != "shared" or "requestState" in params or "inputResponses" in params:
        return None
    replica = request.replica = targets.replica(request, target, live, None, FIRST, snapshot)
    counted = replica.calls
    if counted is None or not replica.shares(request.modern):
        return None
    greeting, caller = counted.greeting, request.caller
    if greeting.modern != request.modern:
        return None
    call = outgoing(request, target, greeting, replica, snapshot)
    if not request.modern and questions.can_be_asked(caller.capabilities):
        call.on_question = asker(caller, related(replica.place, request, snapshot))
    under_way = UnderWay(request, row, snapshot, client, began)
    return under_way if under_way.send(call, counted, live) else None


class UnderWay:
    """One call that was sent. It waits for its answer, and is what a task may go on with: see
    Waiter and Callee in upstream/base.py."""

    __slots__ = (
        "_answer",
        "_begun",
        "_client",
        "_counted",
        "_request",
        "_row",
        "_snapshot",
        "began",
        "gate_caller",
        "live",
        "outgoing",
        "taken_on",
    )  # fmt: skip

    def __init__(
        self, request: Request, row: Method, snapshot: Snapshot, client: Client, began: float
    ) -> None:
        self._request = request
        self._row = row
        self._snapshot = snapshot
        self._client: Client | None = client
        self._answer: asyncio.Future[Any] | None = None
        self.taken_on = began
        """When the request was taken on, on the clock of perf_counter."""

    def send(self, call: Call, counted: Counted, live: Live) -> bool:
        """Send it, if there is a turn, a place among all requests and a connection."""
        gate, principal = self._snapshot.gate, self._request.caller.principal
        caller = None if principal == ANONYMOUS else principal
        if gate.enter(caller) is not None:
            return False
        begun = None
        if live.turns.enter():
            try:
                begun = counted.begin(call, self)
            finally:
                if begun is None:
                    live.turns.end()
        if begun is None:
            gate.leave(caller)
            return False
        live.repeats.total += 1
        self._begun: Begun = begun
        self._counted, self.live, self.outgoing, self.gate_caller = counted, live, call, caller
        self.began = perf_counter()
        return True

    # --- while it has no task ---

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self._answer is not None and self._answer.done()

    def set_result(self, answer: Any, /) -> None:
        """The answer as the transport has it."""
        if self._answer is None:
            result = self._counted.plain(self._begun, answer)
            if result is not None and is_plain(result, self._request):
                self._end(result)
                return
            self.go_on()
        if self._answer is not None:
            self._answer.set_result(answer)

    def set_exception(self, fault: Exception, /) -> None:
        """There will be no answer."""
        self.go_on()
        if self._answer is not None:
            self._answer.set_exception(fault)

    def go_on(self) -> None:
        """From the next turn of the loop on it is in a task."""
        client, self._client = self._client, None
        if client is not None:
            self._answer = asyncio.get_running_loop().create_future()
            self._request.under_way = self
            client.go_on()

    def _end(self, result: bytes) -> None:
        """Do what a task does after a plain result."""
        request, row, snapshot, live = self._request, self._row, self._snapshot, self.live
        request.upstream_s = perf_counter() - self.began
        self._counted.end(self._begun, result)
        live.turns.end()
        snapshot.gate.leave(self.gate_caller)
        place = self.outgoing.place
        result = returned(result, request.modern, place, request, row, snapshot)
        if row is _TOOLS_CALL and request.target is not None:
            snapshot.answers.wrote(request.target)
        if snapshot.watch is not None:
            watch.told(request, snapshot.watch, result, self.taken_on)
        client, self._client = self._client, None
        assert client is not None
        client.answered(result)

    # --- for the task that goes on with it ---

    @property
    def server(self) -> str:
        """The id of its server."""
        return self._counted.server

    @property
    def greeting(self) -> Greeting:
        """What the server said of itself."""
        return self._counted.greeting

    async def call(self, call: Call) -> bytes:
        """The result."""
        assert self._answer is not None
        return await self._counted.rest(self._begun, self._answer)
