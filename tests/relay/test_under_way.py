"""A call without a task: sent now or not at all, and whatever ends it, nothing of it is left."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from fakes.answers import client
from fakes.at_once import Direct, direct, owed
from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Heard, gateway_of, library, request
from only1mcp.gateway import Gateway
from only1mcp.observe.access import Finished
from only1mcp.observe.watch import Watch
from only1mcp.protocol.errors import (
    InvalidParams,
    McpError,
    ServerLost,
    ServerUnavailable,
    UpstreamError,
)
from only1mcp.protocol.message import NO_RAW
from only1mcp.protocol.methods import NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.relay import under_way
from only1mcp.relay.call import at_hand, relay
from only1mcp.relay.request import Request
from only1mcp.relay.snapshot import Snapshot
from only1mcp.relay.under_way import begin
from only1mcp.relay.watch import watched

CALL = "tools/call"
FIND: dict[str, Any] = {"name": "lib__find"}
PLAIN = b'{"content":[]}'
REPEATED: dict[str, Any] = {"retry": {"idempotent_tools": ["find"]}}
OWN_ERROR = UpstreamError(b'{"code":7,"message":"no"}', 7, "no")


class Edge:
    """The client's side of one call, as an edge is it: a task only where the relay wants one."""

    def __init__(self, asked: Request, snapshot: Snapshot) -> None:
        self.asked = asked
        self.snapshot = snapshot
        self.answers: list[bytes] = []
        self.failures = 0
        self.task: asyncio.Task[bytes] | None = None
        self.sent = begin(asked, snapshot, self) is not None

    def answered(self, result: bytes) -> None:
        self.answers.append(result)

    def failed(self) -> None:
        self.failures += 1

    def go_on(self) -> None:
        assert self.task is None, "it has gone on already"
        watch = self.snapshot.watch
        rest = watched(self.asked, self.snapshot, watch) if watch else relay(*self._both)
        self.task = asyncio.get_running_loop().create_task(rest)

    @property
    def _both(self) -> tuple[Request, Snapshot]:
        return self.asked, self.snapshot

    async def end(self) -> Any:
        """What came of it in the task, an error as its class."""
        assert self.task is not None, "it was answered without one"
        try:
            async with asyncio.timeout(PATIENCE_S):
                return json.loads(await self.task)
        except McpError as error:
            return type(error)


@asynccontextmanager
async def asking(
    *servers: FakeUpstream, method: str = CALL, params: Any = FIND, **more: Any
) -> AsyncIterator[tuple[Gateway, Edge]]:
    """One call; at the end nothing of it is left."""
    told = {name: more.pop(name) for name in ("revision", "mount", "caller") if name in more}
    async with gateway_of(*servers, **more) as gateway:
        yield gateway, Edge(request(gateway, method, params, **told), gateway.snapshot())
        assert set(owed(gateway)) == {0}


# --- sent and answered at once ---


@pytest.mark.parametrize("era", [NEWEST_LEGACY, NEWEST_MODERN])
async def test_it_is_sent_and_answered_without_a_task(era: str) -> None:
    lib = direct(modern=era == NEWEST_MODERN)
    tasks = len(asyncio.all_tasks())
    async with asking(lib, revision=era) as (gateway, edge):
        assert edge.sent
        assert owed(gateway) == [1, 1, 1]
        (call,) = lib.sent[-1:]
        assert (call.method, call.name, bytes((call.params or {})["name"])) == (
            *(CALL, "find"),
            b'"find"',
        )
        lib.answer(PLAIN)
        assert (edge.answers, edge.task) == ([PLAIN], None)
        (live,) = gateway.roster.servers.values()
        assert (live.repeats.total, live.replicas[0].breaker.admits(live.clock())) == (1, True)
    assert len(asyncio.all_tasks()) == tasks


async def test_a_name_that_was_looked_up_for_the_cache_is_no_other_ones() -> None:
    """The cache looks first, and then `params` bear the server's own name: nobody's else."""
    lib = direct()
    async with gateway_of(lib, cache={"tools": [{"match": "other__*"}]}) as gateway:
        snapshot = gateway.snapshot()
        asked = request(gateway, CALL, FIND)
        assert at_hand(asked, snapshot) is None
        assert (asked.target is not None, asked.wanted) == (True, None)
        edge = Edge(asked, snapshot)
        assert edge.sent
        lib.answer(PLAIN)
        assert [key for key in snapshot.ways if key[2] == b'"find"'] == []


async def test_the_same_name_on_another_mount_is_another_servers() -> None:
    one, two = direct("one"), direct("two")
    async with gateway_of(one, two) as gateway:
        snapshot = gateway.snapshot()
        for mount, server in (("one", one), ("two", two), ("one", one)):
            before = len(server.sent)
            edge = Edge(request(gateway, CALL, {"name": "find"}, mount=mount), snapshot)
            assert edge.sent
            assert len(server.sent) == before + 1
            server.answer(PLAIN)
        assert {(key[1], way.live.id) for key, way in snapshot.ways.items()} == {
            ("one", "one"),
            ("two", "two"),
        }


@pytest.mark.parametrize("name", [b'"lib__find"', b'"lib__\\u0066ind"'])
async def test_however_a_name_is_written_the_server_gets_its_own(name: bytes) -> None:
    lib = direct()
    async with gateway_of(lib) as gateway:
        for _ in range(2):  # looked up, then known
            edge = Edge(request(gateway, CALL, b'{"name":%b}' % name), gateway.snapshot())
            assert edge.sent
            assert bytes((lib.sent[-1].params or {})["name"]) == b'"find"'
            lib.answer(PLAIN)


async def test_a_tool_that_is_gone_is_not_found_by_a_way_of_before() -> None:
    lib = direct()
    async with gateway_of(lib) as gateway:
        Edge(request(gateway, CALL, FIND), gateway.snapshot())
        lib.answer(PLAIN)
        lib.answers["tools/list"] = {"tools": []}
        gateway._listings.changed(gateway.roster.servers["lib"])
        await until(lambda: gateway.snapshot().catalog.all.tool("lib__find") is None)
        assert not Edge(request(gateway, CALL, FIND), gateway.snapshot()).sent


async def test_what_a_server_tells_meanwhile_reaches_the_client() -> None:
    lib, heard = direct(), Heard()
    async with asking(lib, caller=heard):
        notify = lib.sent[-1].on_notification
        assert notify is not None
        notify("notifications/progress", NO_RAW)
        lib.answer(PLAIN)
    assert heard.notes == [("notifications/progress", None)]


# --- not sent: it takes a task, and nothing is owed ---


@pytest.mark.parametrize(
    ("method", "params", "more"),
    [
        ("tools/list", {}, {}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "lib__greet"}}, {}),
        (CALL, {"name": "lib__none"}, {}),
        (CALL, {"name": 7}, {}),
        (CALL, {**FIND, "requestState": "x"}, {}),
        (CALL, FIND, {"revision": NEWEST_MODERN}),
        (CALL, FIND, {"entries": {"lib": {"isolation": "session"}}}),
        (CALL, FIND, {"server": {"limits": {"max_in_flight": 1}}, "busy": True}),
        (CALL, FIND, {"entries": {"lib": {"concurrency": {"max_in_flight": 1}}}, "busy": True}),
    ],
)
async def test_what_is_not_as_most_calls_are(method: str, params: Any, more: Any) -> None:
    lib, busy = direct(), more.pop("busy", False) if more.get("busy") else False
    told = {"revision": more.pop("revision")} if "revision" in more else {}
    async with gateway_of(lib, **more) as gateway:
        if busy:
            assert Edge(request(gateway, CALL, FIND), gateway.snapshot()).sent
        before, sent = owed(gateway), len(lib.sent)
        assert not Edge(request(gateway, method, params, **told), gateway.snapshot()).sent
        assert (owed(gateway), len(lib.sent)) == (before, sent)
        assert sum(gateway._gate.refused.values()) == 0, "who refuses counts"
        if busy:
            lib.answer(PLAIN)


async def test_a_server_without_an_idle_connection_is_called_in_a_task() -> None:
    lib = direct()
    lib.full = True
    async with asking(lib) as (_, edge):
        assert not edge.sent
        assert json.loads(await relay(edge.asked, edge.snapshot))["content"][0]["text"] == "called"


async def test_a_replica_that_was_chosen_and_is_lost_before_the_task_begins_is_not_called() -> None:
    lib = direct()
    lib.full = True
    async with asking(lib) as (gateway, edge):
        assert edge.asked.replica is not None
        lib.refuse = ServerUnavailable("lib", "down")
        lib.lose("gone")
        await until(lambda: gateway.roster.servers["lib"].calls is None)
        with pytest.raises(ServerUnavailable):
            await relay(edge.asked, edge.snapshot)


async def test_a_call_that_cannot_be_written_owes_nothing() -> None:
    lib = direct()
    lib.refusal = InvalidParams("params must be an object")
    async with asking(lib) as (gateway, edge):
        assert not edge.sent
        assert owed(gateway) == [0, 0, 0]


async def test_a_server_of_another_kind_has_its_calls_in_tasks() -> None:
    async with asking(library()) as (_, edge):
        assert not edge.sent


# --- it goes on in a task ---


async def test_an_error_is_told_in_a_task() -> None:
    lib = direct()
    async with asking(lib) as (gateway, edge):
        lib.answer(OWN_ERROR)
        assert owed(gateway) == [1, 1, 1], "until then"
        assert await edge.end() is UpstreamError
        assert edge.answers == []


async def test_a_result_that_has_to_be_looked_at_is() -> None:
    lib = direct()
    async with asking(lib) as (_, edge):
        lib.answer({"content": [], "x": 1})
        assert await edge.end() == {"content": [], "x": 1}


async def test_an_answer_in_the_turn_in_which_it_goes_on_is_the_answer() -> None:
    lib = direct()
    async with asking(lib) as (_, edge):
        lib.waiting[0].waiter.go_on()
        lib.answer(PLAIN)
        assert edge.answers == [], "the task tells it"
        assert await edge.end() == json.loads(PLAIN)


async def test_that_it_goes_on_is_said_once() -> None:
    lib = direct()
    async with asking(lib) as (_, edge):
        lib.waiting[0].waiter.go_on()
        lib.waiting[0].waiter.go_on()
        lib.drop(ServerLost("lib", "gone"))
        assert await edge.end() is ServerLost


async def test_the_server_hears_that_it_is_cancelled() -> None:
    lib = direct()
    async with asking(lib) as (_, edge):
        lib.waiting[0].waiter.go_on()
        assert edge.task is not None
        await asyncio.sleep(0)
        edge.task.cancel()
        await asyncio.wait([edge.task])
        assert edge.task.cancelled()
        assert lib.cancelled == [CALL]
        lib.answer(PLAIN)  # too late: nobody is told


@pytest.mark.parametrize(("settings", "repeats"), [({}, 0), (REPEATED, 1)])
async def test_a_lost_call_is_repeated_if_that_is_safe(settings: Any, repeats: int) -> None:
    lib = direct()
    async with asking(lib, entries={"lib": settings}) as (gateway, edge):
        lib.drop(ServerLost("lib", "gone"))
        ended = await edge.end()
        assert (ended is ServerLost) is (repeats == 0)
        assert len(lib.asked(CALL)) == repeats
        assert gateway.roster.servers["lib"].repeats.total == 1, "one request, however often sent"


async def test_another_attempt_chooses_its_replica_anew() -> None:
    """The one that failed is left alone by then."""
    lib = direct()
    settings = {"circuit_breaker": {"failure_threshold": 1}, **REPEATED}
    async with asking(lib, entries={"lib": settings}) as (_, edge):
        lib.drop(ServerLost("lib", "gone"))
        assert await edge.end() is ServerLost
        assert lib.asked(CALL) == []


async def test_the_other_replica_has_the_other_attempt() -> None:
    pair = direct(), direct()
    async with asking(*pair, entries={"lib": REPEATED}) as (_, edge):
        first, second = sorted(pair, key=lambda one: -len(one.waiting))
        first.drop(ServerLost("lib", "gone"))
        assert (await edge.end())["content"][0]["text"] == "called"
        assert (len(first.asked(CALL)), len(second.asked(CALL))) == (0, 1)


@pytest.mark.parametrize("answer", [PLAIN, OWN_ERROR, {"content": []}])
async def test_a_call_that_is_over_is_gone(answer: Any) -> None:
    """Without the garbage collector, which would have to stop everybody for it."""
    lib = direct()
    async with asking(lib) as (_, edge):
        waiter = lib.waiting[0].waiter
        lib.answer(answer)
        if edge.task is not None:
            await edge.end()
        assert isinstance(waiter, under_way.UnderWay)
        assert (waiter.client, waiter.begun, waiter.answer) == (None, None, None)
        assert waiter.done(), "and nobody is told any more"


# --- who hears of it ---


async def finished(lib: Direct, answer: Any, **watch: Any) -> Finished:
    """What is told of one call."""
    told: list[Finished] = []
    async with gateway_of(lib) as gateway:
        snapshot = replace(gateway.snapshot(), watch=Watch(tell=(told.append,)))
        params = {**FIND, "arguments": {"a": 1}}
        caller = client("ann", "session")
        edge = Edge(request(gateway, CALL, params, caller=caller), snapshot)
        if edge.sent:
            lib.answer(answer)
        else:
            lib.answers[CALL] = answer
            edge.go_on()
        if edge.task is not None:
            await asyncio.wait([edge.task])
    (one,) = told
    return one


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (PLAIN, "ok"),
        (b'{"content":[],"isError":true}', "tool_error"),
        (b'{"content":[],"isError":false}', "ok"),
        (OWN_ERROR, "error"),
    ],
)
async def test_the_same_is_told_of_it_as_of_a_call_with_a_task(answer: Any, outcome: str) -> None:
    without, with_one = direct(), direct()
    with_one.full = True
    found, wanted = await finished(without, answer), await finished(with_one, answer)
    assert found.outcome == outcome
    assert 0 < found.upstream_s <= found.duration_s
    measured: Any = {"number": 0, "at": 0.0, "duration_s": 0.0, "upstream_s": 0.0}
    assert replace(found, **measured) == replace(wanted, **measured)


async def test_a_fault_of_ours_after_the_answer_is_told_and_stays_here(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bytes:
        raise RuntimeError("a bug")

    monkeypatch.setattr(under_way, "as_it_is", broken)
    lib = direct()
    async with asking(lib) as (_, edge):
        lib.answer(PLAIN)
        assert (edge.failures, edge.answers, edge.task) == (1, [], None)
    assert "tools/call failed inside the gateway" in caplog.text
