"""Questions in mid-call (elicitation, sampling, roots) across the eras.

    legacy client ◄─ request on the call's stream ── unfold ◄─ input_required ── modern server
    modern client ◄─ input_required, sealed state ── park ◄──── request ──────── legacy server
    modern client ◄─ input_required, state resealed ◄────────── input_required ─ modern server

A parked call stays open at the server while the client answers, without its turn there; it is
resumed, never repeated.
Bounds  MAX_PARKED calls, MAX_PARKED_EACH of one client that has a name, STATE_TTL_S each;
        MAX_ROUNDS of questions per unfolded call.
Source  MCP 2026-07-28 basic/patterns/mrtr; 2025-11-25 client/elicitation, sampling, roots.
"""

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from msgspec import Raw

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message, questions
from only1mcp.protocol.errors import (
    ClientRefused,
    InvalidParams,
    McpError,
    OverLimit,
    Overloaded,
    ServerFault,
    ServerProtocolError,
    UpstreamError,
)
from only1mcp.protocol.message import Params, as_raw
from only1mcp.relay.parked import Asked, Parked
from only1mcp.relay.related import Related
from only1mcp.relay.seal import STATE_TTL_S, Claims, Seal, digest
from only1mcp.upstream.base import Call, Callee, NotificationSink, QuestionSink
from only1mcp.upstream.turns import InTurn

log = logging.getLogger("only1mcp.bridge")

MAX_PARKED: Final = 1024
MAX_PARKED_EACH: Final = 256
MAX_ROUNDS: Final = 10
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 0.25
_INPUT: Final = b'"input_required"'


def asks(result: bytes) -> Params | None:
    """The members of an input_required result; None for any other."""
    if result.find(_INPUT) < 0:  # find: see dispatch.modern_meta
        return None
    members = message.members(result)
    return members if message.text(members.get("resultType")) == "input_required" else None


def asker(caller: Asked, ids: Related) -> QuestionSink:
    """Between legacy peers a question goes on, if the client takes such; `ids` says how the
    tasks in it, and in the answer, are called."""

    async def ask(method: str, params: Raw, tell: NotificationSink) -> bytes:
        questions.check(method, message.members(params), caller.capabilities)
        told = ids.telling(tell)
        return ids.answer(await caller.ask(method, bytes(ids.question(params)), told))

    return ask


class Bridge:
    """The questions of all calls under way."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seal = Seal()
        self._parked: dict[int, Parked] = {}
        self._each: Counter[str] = Counter()  # of them, by whose they are
        self._ids = itertools.count(1)
        self._tasks = Tasks()

    def __len__(self) -> int:
        return len(self._parked)

    def place(self, params: Params) -> str:
        """The replica whose question a retry answers; empty if there is none to go back to."""
        state = message.text(params.get("requestState", message.NO_RAW))
        if state is None:
            return ""
        with suppress(InvalidParams):  # refused later, in words that fit
            return self._seal.read(state).place
        return ""

    # --- modern client, modern server: only the state is wrapped ---

    async def pass_on(self, upstream: Callee, call: Call, caller: Asked) -> bytes:
        """The server's own questions reach the client as they are; the state comes back here."""
        call.params = params = dict(call.params or {})  # the request keeps its own
        if (state := params.pop("requestState", None)) is not None:
            claims = self._open(state, upstream, call, caller)
            if claims.parked is not None:
                raise InvalidParams("requestState belongs to another call")
            if claims.inner is not None:
                params["requestState"] = as_raw(claims.inner)
        result = await upstream.call(call)
        asked = asks(result)
        if asked is None:
            return result
        inner = message.text(asked.get("requestState"))
        asked["requestState"] = as_raw(self._sealed(upstream.server, call, caller, inner=inner))
        return message.encode(asked)

    # --- legacy client, modern server: unfold ---

    async def unfold(self, upstream: Callee, call: Call, caller: Asked) -> bytes:
        """Ask the client what the server wants to know and call again, until it is complete.

        Raises:
            ServerProtocolError: more than MAX_ROUNDS of questions.
            ClientRefused: the client refused what has no form of refusal in an answer.
        """
        original = dict(call.params or {})
        pause_s = FIRST_PAUSE_S
        for round in range(MAX_ROUNDS):
            try:
                result = await upstream.call(call)
            except ServerFault as fault:
                if round:
                    fault.after_a_part()
                raise
            asked = asks(result)
            if asked is None:
                return result
            call.params = dict(original)
            if wanted := message.members(asked.get("inputRequests", message.NO_RAW)):
                call.params["inputResponses"] = await _answers(wanted, caller)
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            if "requestState" in asked:
                call.params["requestState"] = asked["requestState"]
        raise ServerProtocolError(
            upstream.server,
            f"server '{upstream.server}' asked more than {MAX_ROUNDS} times in one call",
        )

    # --- modern client, legacy server: park ---

    async def park(self, upstream: InTurn, call: Call, caller: Asked) -> bytes:
        """Call, and turn the server's questions into input_required results.

        Raises:
            InvalidParams: a retry whose state is forged, expired or of another call, or whose
                answers are no objects.
            Overloaded: too many are parked, or there was no turn; a retry may come again.
        """
        call.params = params = dict(call.params or {})  # the request keeps its own
        state = params.pop("requestState", None)
        answers = questions.answers(params)
        claims = None if state is None else self._open(state, upstream, call, caller)
        if claims is None or claims.parked is None:  # after -32042 the call is made anew
            parked = self._begin(upstream, call, caller)
        else:
            parked = await self._resume(claims, answers, caller, upstream)
        try:
            await parked.turn()
        except asyncio.CancelledError:  # the client hung up: that cancels the call
            self._forget(parked)
            raise
        if parked.running.done():
            self._forget(parked)
            return self._ended(parked.running.result(), upstream, call, caller)
        parked.rest(self._clock() + STATE_TTL_S)
        sealed = self._sealed(upstream.server, call, caller, parked=parked.id)
        wanted = {key: one.wanted for key, one in parked.open.items()}
        return message.encode(
            {"resultType": "input_required", "inputRequests": wanted, "requestState": sealed}
        )

    def sweep(self) -> None:
        """End the calls whose client did not come back in time."""
        now = self._clock()
        for parked in [one for one in self._parked.values() if one.expires_at <= now]:
            log.info("server %s: a question was not answered in time", parked.server)
            self._forget(parked)

    async def close(self) -> None:
        """Cancel every parked call."""
        for parked in list(self._parked.values()):
            self._forget(parked)
        await self._tasks.close()

    def _ended(self, found: bytes | McpError, upstream: Callee, call: Call, caller: Asked) -> bytes:
        """The end of a parked call; -32042 asks the client to visit URLs and call again."""
        if isinstance(found, UpstreamError) and found.own_code == questions.URL_REQUIRED:
            wanted = questions.urls(found, upstream.server, caller.capabilities)
            sealed = self._sealed(upstream.server, call, caller)
            return message.encode(
                {"resultType": "input_required", "inputRequests": wanted, "requestState": sealed}
            )
        if isinstance(found, McpError):
            raise found
        return found

    def _begin(self, upstream: InTurn, call: Call, caller: Asked) -> Parked:
        hint = "answer or abandon some; try again later"
        if len(self._parked) >= MAX_PARKED:
            said = f"{MAX_PARKED} calls wait for answers of their clients already"
            raise Overloaded(upstream.server, said, hint=hint)
        if call.who and self._each[call.who] >= MAX_PARKED_EACH:
            said = f"{MAX_PARKED_EACH} calls of yours wait for your answers already"
            raise OverLimit(upstream.server, said, hint=hint)
        parked = Parked(next(self._ids), upstream, call.who, caller)
        call.on_question = parked.asked
        call.on_notification = parked.notify
        parked.run(self._tasks.start(_value(upstream.call(call)), f"parked {upstream.server}"))
        self._parked[parked.id] = parked
        self._each[call.who] += 1
        return parked

    async def _resume(
        self, claims: Claims, answers: Params, caller: Asked, upstream: InTurn
    ) -> Parked:
        """The call goes on; that it waits for its turn counts for `upstream`, who comes back."""
        parked = self._parked.get(claims.parked or 0)
        if parked is None:
            raise InvalidParams(
                "the call that asked is over; requestState is no longer valid",
                {"hint": "make the call anew"},
            )
        if parked.caller is not None:
            raise InvalidParams("this call is being resumed already")
        parked.awake(caller)
        before_s = parked.waited_s
        try:
            await parked.take_turn()
        except Overloaded:
            parked.rest(self._clock() + STATE_TTL_S)
            raise
        except asyncio.CancelledError:
            self._forget(parked)
            raise
        finally:
            upstream.waited_s += parked.waited_s - before_s
        parked.resume(answers)
        return parked

    def _forget(self, parked: Parked) -> None:
        if self._parked.pop(parked.id, None) is not None:
            self._each[parked.who] -= 1
            if not self._each[parked.who]:
                del self._each[parked.who]
        parked.end()

    # --- state ---

    def _open(self, state: Raw, upstream: Callee, call: Call, caller: Asked) -> Claims:
        text = message.text(state)
        if text is None:
            raise InvalidParams("requestState must be a string")
        params = call.params or {}
        claims = self._seal.open(text, caller.principal, call.method, params, self._clock())
        if claims.server != upstream.server:  # its tool may have the same name, and arguments
            raise InvalidParams("requestState belongs to another call")
        return claims

    def _sealed(
        self,
        server: str,
        call: Call,
        caller: Asked,
        *,
        inner: str | None = None,
        parked: int | None = None,
    ) -> str:
        expires_at = self._clock() + STATE_TTL_S
        mark = digest(call.params or {})
        place = "" if parked is not None or call.place == server else call.place
        claims = Claims(
            *(server, caller.principal, call.method, mark, expires_at, inner, parked, place)
        )
        return self._seal.seal(claims)


async def _value(answer: Coroutine[Any, Any, bytes]) -> bytes | McpError:
    """The result, or the error as a value: it is the client's, and no surprise to the log."""
    try:
        return await answer
    except McpError as error:
        return error


async def _answers(wanted: Params, caller: Asked) -> Raw:
    """Every question put to a legacy client at once; the `inputResponses` for the retry."""
    found = await asyncio.gather(*(_value(_ask(one, caller)) for one in wanted.values()))
    answers: Params = {}
    for key, answer in zip(wanted, found, strict=True):
        if isinstance(answer, McpError):
            raise answer
        answers[key] = Raw(answer)
    return as_raw(answers)


async def _ask(wanted: Raw, caller: Asked) -> bytes:
    members = message.members(wanted)
    method = message.text(members.get("method")) or ""
    params = message.members(members.get("params", message.NO_RAW))
    questions.check(method, params, caller.capabilities)
    try:
        return await caller.ask(method, message.encode(questions.to_legacy(method, params)))
    except ClientRefused:
        if (refusal := questions.REFUSALS.get(method)) is not None:
            return refusal
        raise
