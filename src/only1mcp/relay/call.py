"""The hot path: carry one client request to one server and bring its answer back.

In      Request: parsed, authenticated, size-checked by server/.
Out     the result as JSON text, without envelope; server/ alone knows ids and bytes.
Cost    one table row, one name look-up, one await; the payload is never parsed when client
        and server are of the same era.
Source  docs/life-of-a-request.md.
"""

import asyncio
from collections.abc import Coroutine
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from only1mcp.catalog.listing import Kind
from only1mcp.catalog.pages import NO_PROMISE
from only1mcp.catalog.view import Target, View
from only1mcp.config.servers import Stdio
from only1mcp.policy.access import ANONYMOUS
from only1mcp.protocol import eras, message, questions, tasks
from only1mcp.protocol.errors import (
    InvalidParams,
    MethodNotFound,
    ServerFault,
    ServerTimeout,
    UpstreamError,
)
from only1mcp.protocol.message import Params
from only1mcp.protocol.methods import METHODS, Method, Route, known
from only1mcp.protocol.subscription import SUBSCRIBE, UNSUBSCRIBE
from only1mcp.relay import extensions, targets, whose
from only1mcp.relay.admission import FIRST, Before, after, once_more, refuse
from only1mcp.relay.bridge import asker
from only1mcp.relay.carried import Carried
from only1mcp.relay.request import Caller, Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.subscriptions import Place
from only1mcp.relay.traced import Traced
from only1mcp.relay.translate import outgoing, related, returned
from only1mcp.relay.wanted import Fetch, Wanted
from only1mcp.upstream.base import Call, Callee
from only1mcp.upstream.roster import Replica
from only1mcp.upstream.turns import InTurn, Turns

if TYPE_CHECKING:
    from only1mcp.relay.under_way import UnderWay

_KIND_OF: Final = {row.value: row for row in Kind}
_TOOLS_CALL: Final = METHODS["tools/call"]
_LIST, _LOCAL, _TASKS = Route.LIST, Route.LOCAL, Route.TASKS
_OTHER = Route.OTHER  # a member of an enumeration is slow to get at


def at_hand(request: Request, snapshot: Snapshot) -> bytes | None:
    """The answer to `request` if nobody has to be asked for it; None: `relay` will have it."""
    row, answers = known(request.method, request.revision), snapshot.answers
    if row is None:
        return None
    if row.route is _LIST:
        kind = _KIND_OF[row.items or ""]
        view = snapshot.listings.current(request.view, kind)
        if view is None or "cursor" in request.params:
            return None
        answers.listed(kind, hit=True, caller=request.caller)
        return _page(view, kind, None, request, snapshot)
    wanted = _looked_up(request, row, snapshot)
    if wanted is not None and answers.holds(wanted):
        return answers.kept(wanted)
    request.wanted = wanted
    return None


async def relay(request: Request, snapshot: Snapshot) -> bytes:
    """Answer `request` from `snapshot`, the one consistent view it started with.

    Raises:
        MethodNotFound, InvalidParams, ResourceNotFound: nobody offers that.
        UpstreamError: the server's own error, passed on unchanged.
        ServerFault: the server failed us; says whether the call may have run.
    """
    row = known(request.method, request.revision)
    if row is None or row.route is _LOCAL:
        raise MethodNotFound(f"unknown method {request.method}")
    if row.route is _LIST:
        return await _list(request, row, snapshot)
    if (sent := request.under_way) is not None:
        return await _go_on(request, row, sent, snapshot)
    answers, cached = snapshot.answers, row.name in snapshot.answers.methods
    wanted = _sought(request, row, snapshot) if cached else None
    if wanted is not None and (kept := answers.kept(wanted)) is not None:
        return kept
    target = request.target
    gate, who = snapshot.gate, request.caller.principal
    caller = None if who == ANONYMOUS else who
    if (bound := gate.enter(caller)) is not None:
        refuse(bound, gate)
    try:
        if row.route is _TASKS:
            return await _task_list(request, row, snapshot)
        if target is None:
            target = await targets.find(request, row, snapshot)
            wanted = _wanted(request, row, target, snapshot) if cached else None
        request.target = target
        if snapshot.servers[target.server].upstream is None:
            await targets.wake(target, snapshot)
        if row.name in (SUBSCRIBE, UNSUBSCRIBE):
            return await _subscribe(request, row, target, snapshot)
        if wanted is not None:
            return await answers.ask(wanted)
        return await _attempts(request, row, target, snapshot)
    finally:
        gate.leave(caller)


def _sought(request: Request, row: Method, snapshot: Snapshot) -> Wanted | None:
    """As `_looked_up`, unless `at_hand` has looked."""
    if request.target is None:
        return _looked_up(request, row, snapshot)
    wanted, request.wanted = request.wanted, None  # it names the request: not for ever
    return wanted


def _looked_up(request: Request, row: Method, snapshot: Snapshot) -> Wanted | None:
    """Whose it is, as far as is known now, and what the cache has to do with it."""
    target = request.target = targets.listed(request, row, snapshot)
    return _wanted(request, row, target, snapshot)


def _wanted(
    request: Request, row: Method, target: Target | None, snapshot: Snapshot
) -> Wanted | None:
    """The request as the cache sees it; None: it has nothing to do with it."""
    if target is None:
        return None
    call = partial(_as, request, row, target, snapshot)
    return snapshot.answers.reader.read(request, row, snapshot.servers[target.server], target, call)


async def _as(
    request: Request,
    row: Method,
    target: Target,
    snapshot: Snapshot,
    caller: Caller,
    fetch: Fetch | None,
) -> bytes:
    """The call for the cache: in the name of `caller`, and `fetch` hears of the result."""
    mine = replace(request, params=dict(request.params), caller=caller, fetch=fetch)
    try:
        return await _attempts(mine, row, target, snapshot)
    finally:
        request.upstream_s, request.waited_s = mine.upstream_s, mine.waited_s


async def _go_on(request: Request, row: Method, sent: "UnderWay", snapshot: Snapshot) -> bytes:
    """The rest of a call that was sent without a task: see relay/under_way.py."""
    request.under_way, target = None, request.target
    assert target is not None
    began = monotonic() - (perf_counter() - sent.taken_on)
    try:
        first = _rest(request, row, sent, snapshot)
        return await _attempts(request, row, target, snapshot, first, began)
    finally:
        snapshot.gate.leave(sent.payer)


async def _rest(request: Request, row: Method, sent: "UnderWay", snapshot: Snapshot) -> bytes:
    call = sent.outgoing
    try:
        result = await _answer(call, sent, request, row, snapshot)
    finally:
        request.upstream_s += perf_counter() - sent.began
        sent.live.turns.end()
    return returned(result, request.modern, call.place, request, row, snapshot)


async def _attempts(
    request: Request,
    row: Method,
    target: Target,
    snapshot: Snapshot,
    first: Coroutine[Any, Any, bytes] | None = None,
    began: float = 0.0,
) -> bytes:
    """The call, and once more where that is safe; `first`: it was sent then, at `began`."""
    live = snapshot.servers[target.server]
    if first is None:
        first, began = _call(request, row, target, snapshot), monotonic()
        live.repeats.total += 1
    try:
        try:
            return await first
        except ServerFault as fault:
            if "requestState" in request.params:  # it goes on with a call: with that, or with none
                raise
            before = await once_more(fault, live, row, target.name, began)
            if before is None:
                raise
            request.waited_s = before.spent_s - request.upstream_s
            with after(fault):
                return await _call(request, row, target, snapshot, before)
    finally:
        if row is _TOOLS_CALL and request.fetch is None:
            snapshot.answers.wrote(target)


async def _list(request: Request, row: Method, snapshot: Snapshot) -> bytes:
    cursor = request.params.get("cursor")
    start = message.text(cursor)
    if cursor is not None and start is None:
        raise InvalidParams("cursor must be a string")
    view, kind, listings = request.view, _KIND_OF[row.items or ""], snapshot.listings
    if start is None:  # a further page belongs to the list it was cut from
        view, hit = await listings.renewed(view, (kind,))
        snapshot.answers.listed(kind, hit=hit, caller=request.caller)
    return _page(view, kind, start, request, snapshot)


def _page(
    view: View, kind: Kind, cursor: str | None, request: Request, snapshot: Snapshot
) -> bytes:
    promise = snapshot.listings.promise(view, kind) if request.modern else NO_PROMISE
    return view.page(kind, cursor, request.modern, promise)


async def _task_list(request: Request, row: Method, snapshot: Snapshot) -> bytes:
    began = asyncio.get_running_loop().time()
    took: dict[str, tuple[float, float]] = {}  # of each place, at its server and waiting

    async def ask(place: str, params: Params) -> bytes:
        asked = replace(request, params=params)
        target = Target(tasks.server(place), "", message.NO_RAW, place=place)
        live = snapshot.servers[target.server]
        list_s = live.config.timeouts.list
        try:
            async with asyncio.timeout_at(began + list_s):
                if live.upstream is None:
                    await targets.wake(target, snapshot)
                return await _call(asked, row, target, snapshot)
        except TimeoutError:
            said = f"server '{target.server}' has not listed its tasks within {list_s:g} s"
            hint = "see timeouts.list of that server"
            raise ServerTimeout(target.server, said, hint=hint) from None
        finally:
            at_server_s, waited_s = took.get(place, (0.0, 0.0))
            took[place] = at_server_s + asked.upstream_s, waited_s + asked.waited_s

    def places(server: str) -> list[str]:
        return [one.place for one in snapshot.servers[server].replicas]

    mine = whose.holder(request.caller, snapshot)
    try:
        return await extensions.task_list(request.view, request.caller, mine, ask, places)
    finally:  # all are asked at once: the client waits for the slowest
        request.upstream_s, request.waited_s = max(took.values(), key=sum, default=(0.0, 0.0))


async def _subscribe(request: Request, row: Method, target: Target, snapshot: Snapshot) -> bytes:
    """One session of many that may want the same: the servers see only the first and the last."""
    owner, place = request.caller.session, Place(target.server, target.name)
    subscriptions = snapshot.audience.subscriptions
    if row.name == SUBSCRIBE:
        await subscriptions.subscribe(owner, place)
    else:
        await subscriptions.unsubscribe(owner, place)
    return b"{}"


async def _call(
    request: Request, row: Method, target: Target, snapshot: Snapshot, before: Before = FIRST
) -> bytes:
    """One attempt; `before` is what has been tried."""
    live = snapshot.servers[target.server]
    replica, upstream = await targets.connection(request, target, live, before, snapshot)
    modern, fetch, turns = upstream.greeting.modern, request.fetch, live.turns
    if row.route is _OTHER and modern != request.modern:
        raise MethodNotFound(f"unknown method {request.method}")
    call = outgoing(request, target, upstream.greeting, replica, snapshot, before.spent_s)
    if request.modern and not modern and (level := request.caller.log_level) is not None:
        await snapshot.levels.called(upstream.upstream, level)
    callee = _traced(upstream, replica, request)
    if target.needs_task and not modern and "task" not in (call.params or {}):
        callee = Carried(callee)
    in_turn = None
    if fetch is not None:
        in_turn = snapshot.answers.in_turn(callee, turns, call.who, upstream.upstream, fetch)
    if in_turn is None and row.asks and modern != request.modern:
        in_turn = InTurn(callee, turns, call.who)  # a client may think between two calls
    if in_turn is None:
        result = await _sent(call, callee, turns, request, row, snapshot)
    else:
        result = await _sent_in_turn(call, in_turn, request, row, snapshot)
    if fetch is not None:
        fetch.hear(result)
    return returned(result, modern, replica.place, request, row, snapshot)


async def _sent(
    call: Call,
    callee: Callee,
    turns: Turns,
    request: Request,
    row: Method,
    snapshot: Snapshot,
) -> bytes:
    """The answer to a call that has one turn from its beginning to its end."""
    if not turns.enter():
        request.waited_s += await turns.wait(call.who)
    began = perf_counter()
    try:
        return await _answer(call, callee, request, row, snapshot)
    finally:
        request.upstream_s += perf_counter() - began
        turns.end()


async def _sent_in_turn(
    call: Call, in_turn: InTurn, request: Request, row: Method, snapshot: Snapshot
) -> bytes:
    """The answer to a call that takes and gives back its turns itself."""
    began = perf_counter()
    try:
        return await _answer(call, in_turn, request, row, snapshot)
    finally:
        request.upstream_s += perf_counter() - began - in_turn.waited_s
        request.waited_s += in_turn.waited_s


def _traced(callee: Callee, replica: Replica, request: Request) -> Callee:
    if request.span is None:
        return callee
    return Traced(callee, request.span, pipe=isinstance(replica.transport, Stdio))


async def _answer(
    call: Call, upstream: Callee, request: Request, row: Method, snapshot: Snapshot
) -> bytes:
    """The server's answer, its own error as the client's era spells it."""
    try:
        if row.asks:
            return await _asked(call, upstream, request, snapshot)
        return await upstream.call(call)
    except UpstreamError as error:
        if upstream.greeting.modern == request.modern:
            if error.own_code == questions.URL_REQUIRED:
                mine = whose.holder(request.caller, snapshot)
                extensions.note_visits(error, call.place, mine)
            raise
        raise eras.error_across(error, call.method, modern=request.modern) from None


async def _asked(call: Call, upstream: Callee, request: Request, snapshot: Snapshot) -> bytes:
    """A call in which the server may ask the client; see relay/bridge.py for the four ways."""
    bridge, caller = snapshot.bridge, request.caller
    match request.modern, upstream.greeting.modern:
        case True, True:
            return await bridge.pass_on(upstream, call, caller)
        case False, True:
            return await bridge.unfold(upstream, call, caller)
        case True, False if questions.can_be_asked(caller.capabilities):
            assert isinstance(upstream, InTurn)  # as every call between the eras
            return await bridge.park(upstream, call, caller)
        case True, False:
            questions.answers(call.params or {})  # to no question; malformed ones are refused
        case False, False if questions.can_be_asked(caller.capabilities):
            call.on_question = asker(caller, related(call.place, request, snapshot))
    return await upstream.call(call)
