"""A client that waits: when its answer becomes a stream, and how it comes back to one it lost.

All through the edge of a gateway with scripted servers; the bounds are in test_events.py.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.edge import until
from fakes.upstream import library, served, text, unheard
from fakes.wire import Session, Web, error, last, message, web
from only1mcp.gateway import Gateway
from only1mcp.protocol import message as protocol
from only1mcp.protocol.errors import InternalError
from only1mcp.protocol.message import as_raw
from only1mcp.server.caller import PRIME_S, SessionCaller
from only1mcp.upstream.base import Call, QuestionSink

CALL = {"name": "lib__find"}
POST = message("tools/call", CALL, id=7)
OLDER = ["2025-03-26", "2025-06-18"]
EVENTS = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def announce_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the server has come up is announced before a test begins."""
    monkeypatch.setattr("only1mcp.gateway.ANNOUNCE_S", 0)


class Script:
    """A tool that goes on when it is told; `said` counts what it has said."""

    def __init__(self) -> None:
        self.call: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
        self.done = asyncio.Event()

    async def __call__(self, call: Call) -> Any:
        self.call.set_result(call)
        await self.done.wait()
        return text("done")

    async def say(self, n: int) -> None:
        """A notification that belongs to the call."""
        call = await self.call
        assert call.on_notification is not None
        call.on_notification("notifications/progress", as_raw({"progress": n}))


@asynccontextmanager
async def client() -> AsyncIterator[tuple[Gateway, Web, Script]]:
    """A client of a gateway of one server, whose tool is a script."""
    script = Script()
    lib = library(answers={"tools/call": script})
    async with served(lib) as (gateway, url), web(url) as wire:
        await until(lambda: gateway._announcing is None)
        yield gateway, wire, script


def events_kept(gateway: Gateway, session: Session) -> int:
    """How many events are kept for a session; -1: there is no place for any."""
    events = gateway._sessions._sessions[session.id].events
    return -1 if events is None else events.count


async def asked(ask: QuestionSink) -> Any:
    """The answer to a question of the server."""
    return protocol.any_value(await ask("roots/list", as_raw({}), unheard))


def caller_of(gateway: Gateway) -> SessionCaller:
    """The one that waits."""
    (caller,) = gateway._streamable._waiting
    assert isinstance(caller, SessionCaller)
    return caller


# --- when there is a stream ---


async def test_an_answer_in_json_keeps_nothing() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open()
        script.done.set()
        response = await session.post(POST)
        assert response.headers["content-type"] == "application/json"
        assert events_kept(gateway, session) == -1
        assert gateway._streamable._memory.size == 0


async def test_a_stream_begins_with_an_id_and_every_message_has_one() -> None:
    async with client() as (_, wire, script):
        session = await wire.open()
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(session.post(POST))
            await script.say(1)
            script.done.set()
        lines = posting.result().text.splitlines()
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id:")]
    datas = [line.removeprefix("data: ") for line in lines if line.startswith("data:")]
    assert [id.rpartition("-")[2] for id in ids] == ["1", "2", "3"]
    assert len({id.rpartition("-")[0] for id in ids}) == 1
    assert datas[0] == ""
    assert "progress" in datas[1]
    assert "done" in datas[2]


@pytest.mark.parametrize("revision", OLDER)
async def test_clients_of_older_revisions_get_ids_but_no_empty_data(revision: str) -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open(revision)
        async with session.resuming() as listening:
            outlet = gateway._sessions._sessions[session.id].outlet
            assert outlet is not None
            outlet(protocol.notification("notifications/tools/list_changed"))
            assert await listening.next() != {}
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(session.post(POST))
            await script.say(1)
            caller_of(gateway).resumable(None)
            caller_of(gateway).resumable(0.1)  # what they would not understand
            script.done.set()
        found = posting.result().text
    assert "data: \n" not in found
    assert "retry" not in found
    assert found.count("\nid: ") + found.startswith("id: ") == 2
    assert last(posting.result())["id"] == 7


async def test_a_call_that_takes_long_becomes_one_to_come_back_to() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open()
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(session.post(POST))
            await script.call
            caller = caller_of(gateway)
            began = caller.last_sent
            gateway._streamable.sweep(began + PRIME_S - 0.1)
            assert events_kept(gateway, session) == -1  # not yet
            gateway._streamable.sweep(began + PRIME_S)
            assert caller.streaming
            assert events_kept(gateway, session) == 0  # an id alone is not kept
            script.done.set()
        assert posting.result().text.startswith("event: message\nid: ")


async def test_what_the_server_does_with_its_stream_we_do_with_ours() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open()
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(session.post(POST))
            tell = (await script.call).on_resumable
            assert tell is not None
            tell(None)
            assert caller_of(gateway).streaming
            tell(0.25)
            first = await posting
            assert "retry: 250\n" in first.text
            id = first.text.rpartition("id: ")[2].splitlines()[0]
            async with session.resuming(id) as stream:
                script.done.set()
                (answer,) = await stream.rest()
    assert answer["result"]["content"] == text("done")["content"]


# --- coming back ---


async def test_a_client_that_lost_its_stream_gets_the_rest_of_it() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open()
        async with session.calling(POST) as stream:
            await script.say(1)
            assert await stream.next() == {}
            first = await stream.next()
        exchange = caller_of(gateway)._exchange
        await until(lambda: exchange.closed)
        await script.say(2)
        async with session.resuming(stream.last_id) as again:
            second = await again.next()
            await script.say(3)
            third = await again.next()
            script.done.set()
            (answer,) = await again.rest()
    assert [one and one["params"]["progress"] for one in (first, second, third)] == [1, 2, 3]
    assert (answer["id"], answer["result"]["content"]) == (7, text("done")["content"])


async def test_a_client_that_comes_back_late_gets_the_answer() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open()
        async with session.calling(POST) as stream:
            await script.say(1)
            await stream.next()
        exchange = caller_of(gateway)._exchange
        await until(lambda: exchange.closed)
        script.done.set()
        await until(lambda: not gateway._streamable._waiting)
        async with session.resuming(stream.last_id) as again:
            progress, answer = await again.rest()
    assert (progress["method"], answer["id"]) == ("notifications/progress", 7)


async def test_a_question_waits_for_the_client_to_come_back() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open(roots={})
        async with session.calling(POST) as stream:
            await script.say(1)
            await stream.next()
        exchange = caller_of(gateway)._exchange
        await until(lambda: exchange.closed)
        ask = (await script.call).on_question
        assert ask is not None
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(asked(ask))
            async with session.resuming(stream.last_id) as again:
                await again.next()
                question = await again.next()
                assert question is not None
                assert question["method"] == "roots/list"
                answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"roots": []}}
                await session.post(answer)
                assert await asking == {"roots": []}
                script.done.set()
                assert len(await again.rest()) == 1


async def test_a_client_that_left_before_it_had_an_id_is_asked_nothing() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open(roots={})
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(session.post(POST))
            call = await script.call
            exchange = caller_of(gateway)._exchange
            posting.cancel()
        await until(lambda: exchange.closed)
        assert call.on_question is not None
        with pytest.raises(InternalError, match="has left"):
            await call.on_question("roots/list", as_raw({}), unheard)
        await script.say(1)
        script.done.set()
        await until(lambda: not gateway._streamable._waiting)
        assert events_kept(gateway, session) == -1


async def test_two_streams_of_one_session_are_two() -> None:
    scripts: dict[int, Script] = {1: Script(), 2: Script()}

    async def find(call: Call) -> Any:
        assert call.params is not None
        which = protocol.any_value(call.params["arguments"])["n"]
        return await scripts[which](call)

    async with served(library(answers={"tools/call": find})) as (_, url), web(url) as wire:
        session = await wire.open()
        posts = {n: message("tools/call", {**CALL, "arguments": {"n": n}}, id=n) for n in scripts}
        ids: dict[int, str] = {}
        for n, post in posts.items():
            async with session.calling(post) as stream:
                await scripts[n].say(n)
                await stream.next()
                ids[n] = stream.last_id
        for n, script in scripts.items():
            await script.say(n * 10)
        for script in scripts.values():
            script.done.set()
        for n in (2, 1):
            async with session.resuming(ids[n]) as again:
                *progress, answer = await again.rest()
            assert [one["params"]["progress"] for one in progress] == [n, n * 10]
            assert answer["id"] == n


async def test_the_sessions_own_stream_is_resumed_and_its_former_connection_ends() -> None:
    async with client() as (gateway, wire, _):
        session = await wire.open()
        ours = gateway._sessions._sessions[session.id]
        async with session.resuming() as first:
            assert await first.next() == {}
            async with session.resuming(first.last_id) as second:
                assert await first.next() is None
                assert ours.outlet is not None
                ours.outlet(protocol.notification("notifications/a"))
                assert await second.next() == message("notifications/a")
        await until(lambda: ours.end_stream is None)
        ours.outlet(protocol.notification("notifications/b"))  # nobody is there
        async with session.resuming(second.last_id) as third:
            assert await third.next() == message("notifications/b")


@pytest.mark.parametrize("id", ["1", "00000000-1-1", "x" * 5000])
async def test_an_id_that_nothing_is_kept_for_is_refused(id: str) -> None:
    async with client() as (_, wire, _script):
        session = await wire.open()
        headers = session.headers | EVENTS | {"Last-Event-ID": id}
        never = await wire.http.get(wire.url, headers=headers)
        async with session.resuming() as listening:
            await listening.next()
            refused = await wire.http.get(wire.url, headers=headers)
    for response in (never, refused):
        assert error(response) == (400, -32600)
        assert "Last-Event-ID" in last(response)["error"]["message"]
        assert last(response)["error"]["data"]["hint"]


async def test_an_id_is_good_in_its_own_session_alone() -> None:
    tokens = {"auth": {"tokens": ["t-ann", "t-bob"]}}

    async def find(call: Call) -> Any:
        assert call.on_notification is not None
        call.on_notification("notifications/progress", as_raw({"progress": 1}))
        return text("secret")

    async with served(library(answers={"tools/call": find}), server=tokens) as (_, url):
        ann, bob = ({"headers": {"Authorization": f"Bearer t-{name}"}} for name in ("ann", "bob"))
        async with web(url, **ann) as hers, web(url, **bob) as his:
            session, another, stranger = await hers.open(), await hers.open(), await his.open()
            for one in (another, stranger):
                await one.post(POST)  # they have streams of the same numbers
            id = (await session.post(POST)).text.partition("id: ")[2].splitlines()[0]
            asking = EVENTS | {"Last-Event-ID": id}
            get = hers.http.get
            assert error(await get(url, headers=another.headers | asking)) == (400, -32600)
            get = his.http.get
            assert error(await get(url, headers=stranger.headers | asking)) == (400, -32600)
            assert error(await get(url, headers=session.headers | asking)) == (404, -32600)
            async with session.resuming(id) as again:
                assert len(await again.rest()) == 2


async def test_what_is_kept_goes_with_the_session() -> None:
    async with client() as (gateway, wire, script):
        session = await wire.open()
        async with asyncio.TaskGroup() as group:
            posting = group.create_task(session.post(POST))
            await script.say(1)
            assert gateway._streamable._memory.size > 0
            await wire.http.delete(wire.url, headers=session.headers)
        assert error(posting.result()) == (200, -32800)
        assert gateway._streamable._memory.size == 0
