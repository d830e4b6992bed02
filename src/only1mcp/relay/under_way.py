"""A call without a task: sent in the turn of the loop in which its request is read, answered in
the turn in which the answer is.

    begin ──► sent ──► plain result ──► the client has it
                └────► anything else: an error, a question for the client, a deadline, a client
                       that cancels ──► a task, which goes on from here as relay/call.py would

Most calls are such: to one server of the client's era, connected, with a turn and a connection
free. What is done for them, and in which order, is what `relay/call.py` does.
Cost    seven tenths of the instructions of a call with a task (`python -m bench.instructions`,
        once with `cache.debug_headers`, which want a task).
"""

import asyncio
import logging
from time import perf_counter
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from only1mcp.catalog.view import Target
from only1mcp.policy.access import ANONYMOUS
from only1mcp.protocol import questions
from only1mcp.protocol.errors import McpError
from only1mcp.protocol.message import NO_RAW
from only1mcp.protocol.methods import METHODS, Method
from only1mcp.relay import targets, watch
from only1mcp.relay.admission import FIRST
from only1mcp.relay.bridge import asker
from only1mcp.relay.request import Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.translate import as_it_is, outgoing, related
from only1mcp.upstream.base import Call, Greeting
from only1mcp.upstream.roster import Live
from only1mcp.upstream.standing import Counted

log = logging.getLogger("only1mcp.relay")

DIRECT: Final = {name: METHODS[name] for name in ("tools/call", "prompts/get", "resources/read")}
"""The methods of calls that can be so."""
_TOOLS_CALL: Final = METHODS["tools/call"]
MAX_WAYS: Final = 10_000
"""Each is that of a listed name, in one way to write it as JSON."""


class Client(Protocol):
    """The edge's side of a call under way."""

    def answered(self, result: bytes) -> None:
        """It is over: the result as JSON text."""

    def failed(self) -> None:
        """It is over, by a fault of ours."""

    def go_on(self) -> None:
        """It needs a task, which gives the request to `relay`, as any other."""


class Way(NamedTuple):
    """Where calls of one tool, prompt or resource go while a snapshot lasts."""

    target: Target
    live: Live


def begin(request: Request, snapshot: Snapshot, client: Client) -> "UnderWay | None":
    """Send a request to its server now; None: it takes a task from the beginning."""
    began, watching, answers = perf_counter(), snapshot.watch, snapshot.answers
    row = DIRECT.get(request.method)
    if row is None or answers.debug:
        return None
    if watching is not None:
        if watching.tracer is not None:
            return None
        if watching.tell and request.named is None:
            request.named = watch.name(request)
    if row.name in answers.methods and (request.target is None or request.wanted is not None):
        return None
    try:
        if (under_way := _prepared(request, row, snapshot, client, began)) is None:
            return None
        return under_way if under_way.send() else None
    except McpError:  # nothing was sent, and the task will meet it again
        return None


def _prepared(
    request: Request, row: Method, snapshot: Snapshot, client: Client, began: float
) -> "UnderWay | None":
    params, caller, modern = request.params, request.caller, request.modern
    way = _way(request, row, snapshot)
    if way is None or "requestState" in params or "inputResponses" in params:
        return None
    target, live = way
    if live.several:
        replica = targets.replica(request, target, live, None, FIRST, snapshot)
    else:
        replica = live.pick()
    request.replica = replica
    counted = replica.calls
    # one that is not isolated and speaks the client's era is everybody's: Replica.shares
    if counted is None or (greeting := counted.upstream.greeting).modern != modern:
        return None
    call = outgoing(request, target, greeting, replica, snapshot)
    if not modern and questions.can_be_asked(caller.capabilities):
        call.on_question = asker(caller, related(replica.place, request, snapshot))
    return UnderWay(request, row, snapshot, client, began, call, counted, live)


def _way(request: Request, row: Method, snapshot: Snapshot) -> Way | None:
    """Whose it is; `params` then name it as that server does."""
    if request.target is not None:  # and they do already
        return _open(request.target, snapshot)
    member = row.target or ""
    key = row.name, request.view.server, bytes(request.params.get(member, NO_RAW))
    if (way := snapshot.ways.get(key)) is not None:
        request.params[member] = way.target.raw_name
        request.target = way.target
        return way
    target = request.target = targets.listed(request, row, snapshot)
    way = None if target is None else _open(target, snapshot)
    if way is not None and way.target.entry is not None and len(snapshot.ways) < MAX_WAYS:
        snapshot.ways[key] = way
    return way


def _open(target: Target, snapshot: Snapshot) -> Way | None:
    """The way to a target, if calls of it may be without a task."""
    live = snapshot.servers[target.server]
    if target.needs_task or target.header_params or live.config.isolation != "shared":
        return None
    return Way(target, live)


class UnderWay(msgspec.Struct, eq=False):
    """One call that was sent. It waits for its answer, and is what a task may go on with: see
    Waiter and Callee in upstream/base.py."""

    request: Request
    row: Method
    snapshot: Snapshot
    client: Client | None
    taken_on: float
    """When the request was taken on, on the clock of perf_counter."""
    outgoing: Call
    counted: Counted
    live: Live
    begun: Any = None
    """What the transport knows it by, once it was sent, ..."""
    began: float = 0.0
    """... and when that was."""
    payer: str | None = None
    """Among whose requests it is counted."""
    answer: asyncio.Future[Any] | None = None
    """For the task that goes on with it."""

    def send(self) -> bool:
        """Send it, if there is a turn, a place among all requests and a connection."""
        gate, live, principal = self.snapshot.gate, self.live, self.request.caller.principal
        payer = None if principal == ANONYMOUS else principal
        if gate.enter(payer) is not None:
            return False
        turn = live.turns.enter()
        try:
            if turn:
                self.begun = self.counted.begin(self.outgoing, self)
        finally:
            if self.begun is None:
                gate.leave(payer)
                if turn:
                    live.turns.end()
        if self.begun is None:
            return False
        live.repeats.total += 1
        self.request.replica = None  # another attempt chooses anew
        self.payer = payer
        self.began = perf_counter()
        return True

    # --- while it has no task ---

    def done(self) -> bool:
        """Whether nobody waits any more."""
        return self.client is None and (self.answer is None or self.answer.done())

    def set_result(self, answer: Any, /) -> None:
        """The answer as the transport has it."""
        if self.answer is None:
            result = self.counted.end(self.begun, answer)
            if result is not None:
                self._end(result)
                return
            self.go_on()
        if self.answer is not None:
            self.answer.set_result(answer)

    def set_exception(self, fault: Exception, /) -> None:
        """There will be no answer."""
        self.go_on()
        if self.answer is not None:
            self.answer.set_exception(fault)

    def go_on(self) -> None:
        """From the next turn of the loop on it is in a task."""
        client, self.client = self.client, None
        if client is not None:
            self.answer = asyncio.get_running_loop().create_future()
            self.request.under_way = self
            client.go_on()

    def _end(self, result: bytes) -> None:
        """Do what a task does after a plain result."""
        request, row, snapshot = self.request, self.row, self.snapshot
        request.upstream_s = perf_counter() - self.began
        client, self.client = self.client, None
        self.begun = None  # it may refer to us, as who waits for it
        assert client is not None
        self.live.turns.end()
        snapshot.gate.leave(self.payer)
        try:
            result = as_it_is(result, self.outgoing.place, request, row, snapshot)
            if row is _TOOLS_CALL and request.target is not None:
                snapshot.answers.wrote(request.target)
            if snapshot.watch is not None:
                watch.told(request, snapshot.watch, result, self.taken_on)
        except Exception:  # whoever reads the server's connection must not hear of it
            log.exception("request %s failed inside the gateway", request.method)
            client.failed()
            return
        client.answered(result)

    # --- for the task that goes on with it ---

    @property
    def server(self) -> str:
        """The id of its server."""
        return self.counted.server

    @property
    def greeting(self) -> Greeting:
        """What the server said of itself."""
        return self.counted.greeting

    async def call(self, call: Call) -> bytes:
        """The result."""
        assert self.answer is not None
        try:
            return await self.counted.rest(self.begun, self.answer)
        except McpError as error:
            raise error.with_traceback(None) from error.__cause__  # its frames have the answer
        finally:
            self.begun = self.answer = None
