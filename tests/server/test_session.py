"""Handshake sessions: bound to principal and mount, bounded in number and in time."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message
from only1mcp.protocol.errors import ClientRefused, InvalidParams, InvalidRequest
from only1mcp.protocol.message import Message
from only1mcp.server import session as module
from only1mcp.server.session import (
    CLIENT_CANCELLED,
    IDLE_S,
    Session,
    Sessions,
    TooManySessions,
    cancelled_id,
    client_capabilities,
    describe,
)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock)


def opened(
    sessions: Sessions, params: Any = None, principal: str = "ann", mount: str | None = None
) -> Session:
    """A new session."""
    return sessions.open("2025-11-25", params or {}, principal, mount)


def note(method: str, params: bytes = b"") -> Message:
    """A notification of the client."""
    return Message("2.0", method=method, params=Raw(params))


# --- whose it is ---


def test_a_session_is_found_by_its_owner_on_its_mount_only(sessions: Sessions) -> None:
    mine = opened(sessions, mount="lib")
    assert sessions.find(mine.id, "ann", "lib") is mine
    assert sessions.find(mine.id, "bob", "lib") is None
    assert sessions.find(mine.id, "ann", None) is None
    assert sessions.find(mine.id, "ann", "other") is None
    assert sessions.find("guessed", "ann", "lib") is None


def test_ids_are_long_and_never_the_same(sessions: Sessions) -> None:
    ids = {opened(sessions).id for _ in range(100)}
    assert len(ids) == len(sessions) == 100
    assert min(map(len, ids)) >= 32


@pytest.mark.parametrize(
    ("params", "declared"),
    [
        ({}, {}),
        ({"capabilities": Raw(b"null")}, {}),
        ({"capabilities": Raw(b"[1]")}, {}),
        (
            {"capabilities": Raw(b'{"roots":{"listChanged":true}}')},
            {"roots": {"listChanged": True}},
        ),
    ],
)
def test_what_the_client_declared(sessions: Sessions, params: Any, declared: Any) -> None:
    assert client_capabilities(params) == declared
    assert opened(sessions, params).capabilities == declared


# --- how long it lives ---


def test_an_idle_session_is_forgotten(sessions: Sessions, clock: Clock) -> None:
    left, used = opened(sessions), opened(sessions)
    clock.now += IDLE_S
    sessions.find(used.id, "ann", None)
    sessions.sweep()
    assert len(sessions) == 2  # to the second is not longer
    clock.now += 1
    sessions.sweep()
    assert list(sessions) == [used]
    assert sessions.find(left.id, "ann", None) is None


async def test_a_session_with_a_request_or_a_stream_is_not_idle(
    sessions: Sessions, clock: Clock
) -> None:
    busy, streaming = opened(sessions), opened(sessions)
    task = asyncio.current_task()
    assert task is not None
    key = busy.begin(Raw(b"1"), task)
    streaming.end_stream = lambda: None
    clock.now += 10 * IDLE_S
    sessions.sweep()
    assert list(sessions) == [busy, streaming]
    busy.end(key)
    streaming.end_stream = None
    sessions.sweep()
    assert list(sessions) == []


async def test_sessions_of_a_token_that_is_gone_end_once_nothing_runs_in_them(
    sessions: Sessions, clock: Clock
) -> None:
    idle, busy, other = opened(sessions), opened(sessions), opened(sessions, principal="bob")
    task = asyncio.current_task()
    assert task is not None
    key = busy.begin(Raw(b"1"), task)
    sessions.end_others({"bob"})
    assert sessions.get(idle.id) is None
    clock.now += 1
    sessions.sweep()
    assert list(sessions) == [busy, other], "the call may end by itself"
    assert [one["idle_s"] for one in describe(sessions, clock.now)] == [1.0, 1.0]
    sessions.end_others({"ann", "bob"})  # its token is back
    busy.end(key)
    sessions.sweep()
    assert list(sessions) == [busy, other]
    sessions.end_others({"ann"})
    assert list(sessions) == [busy]
    key = busy.begin(Raw(b"1"), task)
    sessions.end_others({"bob"})
    busy.end(key)
    sessions.sweep()
    assert list(sessions) == []


def test_there_are_only_so_many(
    sessions: Sessions, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SESSIONS", 2)
    first = opened(sessions)
    clock.now += 1
    second = opened(sessions)
    clock.now += 1
    third = opened(sessions)  # the one idle longest makes room
    assert list(sessions) == [second, third]
    assert sessions.find(first.id, "ann", None) is None
    second.end_stream = third.end_stream = lambda: None
    with pytest.raises(TooManySessions, match="holds 2 sessions"):
        opened(sessions)  # all are in use


# --- its requests ---


async def cancellable(session: Session, id: bytes, started: asyncio.Event) -> str:
    """A request that waits; says how it was ended."""
    task = asyncio.current_task()
    assert task is not None
    key = session.begin(Raw(id), task)
    started.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as cancel:
        return str(cancel.args[0])
    finally:
        session.end(key)
    return ""


async def waiting(
    group: asyncio.TaskGroup, session: Session, *ids: bytes
) -> list[asyncio.Task[str]]:
    """Requests that run."""
    tasks = []
    for id in ids:
        started = asyncio.Event()
        tasks.append(group.create_task(cancellable(session, id, started)))
        await started.wait()
    return tasks


async def test_an_id_in_use_is_refused_until_its_request_has_ended(sessions: Sessions) -> None:
    session = opened(sessions)
    task = asyncio.current_task()
    assert task is not None
    one = session.begin(Raw(b"1"), task)
    text = session.begin(Raw(b'"1"'), task)  # another id altogether
    assert session.busy
    for id in (b"1", b'"1"'):
        with pytest.raises(InvalidRequest, match="still running"):
            session.begin(Raw(id), task)
    session.end(one)
    assert session.begin(Raw(b"1"), task) == 1
    session.end(one)
    session.end(text)
    assert not session.busy


async def test_the_client_cancels_one_request(sessions: Sessions) -> None:
    session = opened(sessions)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        number, text = await waiting(group, session, b"1", b'"1"')
        session.told(note("notifications/cancelled", b'{"requestId":"1","reason":"why"}'))
        assert await text == CLIENT_CANCELLED
        assert not number.done()
        session.told(note("notifications/cancelled", b'{"requestId":1}'))
    assert number.result() == CLIENT_CANCELLED


async def test_progress_of_a_question_is_told_under_the_askers_own_token(
    sessions: Sessions,
) -> None:
    session, told, said = opened(sessions), list[Any](), list[Any]()
    tasks = Tasks()

    def hear(method: str, params: Raw) -> None:
        told.append((method, json.loads(bytes(params))))

    for own in (b'"7"', b"7", b"null"):
        asked = b'{"_meta":{"progressToken":%b}}' % own
        asking = session.ask("roots/list", asked, lambda body: said.append(json.loads(body)), hear)
        tasks.start(asking, "ask")
    silent = session.ask("roots/list", b"", lambda body: said.append(json.loads(body)), hear)
    tasks.start(silent, "ask")
    await asyncio.sleep(0)
    assert [one["params"]["_meta"]["progressToken"] for one in said[:3]] == [1, 2, None]
    for token in (b"1", b"2", b"3", b"4", b"0", b"-1", b'"1"', b"true", b"1" * 5000, b"1.0"):
        session.told(note("notifications/progress", b'{"progressToken":%b}' % token))
    for params in (b"", b"[1]", b"{}"):
        session.told(note("notifications/progress", params))
    await tasks.close()
    session.told(note("notifications/progress", b'{"progressToken":1}'))
    assert told == [
        ("notifications/progress", {"progressToken": "7"}),
        ("notifications/progress", {"progressToken": 7}),
    ]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (b'{"code":-1,"message":"no","zzz":[1]}', -1, "no"),
        (b'{"code":-32042}', -32042, ""),
        (b"[7]", 0, ""),
    ],
)
async def test_an_error_of_the_client_is_the_answer_as_it_wrote_it(
    sessions: Sessions, error: bytes, code: int, said: str
) -> None:
    session = opened(sessions)

    def refuse(body: bytes) -> None:
        session.told(Message("2.0", id=Raw(b"%d" % json.loads(body)["id"]), error=Raw(error)))

    with pytest.raises(ClientRefused) as refused:
        await session.ask("roots/list", b"", refuse, None)
    assert (refused.value.raw, refused.value.own_code, refused.value.message) == (error, code, said)


async def test_closing_cancels_what_the_client_still_asks_for(sessions: Sessions) -> None:
    session = opened(sessions)
    ended: list[str] = []
    session.end_stream = lambda: ended.append("stream")
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = await waiting(group, session, b"1", b"2")
        sessions.close(session)
    assert [task.result() for task in tasks] == [CLIENT_CANCELLED] * 2
    assert ended == ["stream"]
    assert sessions.find(session.id, "ann", None) is None


@pytest.mark.parametrize(
    "params", [b"", b"{}", b'{"requestId":null}', b'{"requestId":true}', b"[1]", b'{"requestId":9}']
)
def test_a_cancellation_of_nothing_is_ignored(sessions: Sessions, params: bytes) -> None:
    opened(sessions).told(note("notifications/cancelled", params))


@pytest.mark.parametrize("method", ["notifications/initialized", "notifications/zzz"])
def test_other_notifications_are_ignored(sessions: Sessions, method: str) -> None:
    incoming = note(method, b'{"requestId":1}')
    assert cancelled_id(incoming) is None
    opened(sessions).told(incoming)


# --- its log level ---


def test_log_messages_below_the_level_are_kept_back(sessions: Sessions) -> None:
    session = opened(sessions)
    debug, error = (Raw(b'{"level":"%b"}' % level) for level in (b"debug", b"error"))
    assert session.wants("notifications/message", debug)  # no level yet: all of them
    session.set_log_level({"level": Raw(b'"warning"')})
    assert not session.wants("notifications/message", debug)
    assert session.wants("notifications/message", error)
    assert session.wants("notifications/message", Raw(b'{"level":"new"}'))
    assert session.wants("notifications/progress", Raw(b"{}"))


@pytest.mark.parametrize("level", [b'"loud"', b"3", b"null", b""])
def test_an_unknown_level_is_invalid_and_changes_nothing(sessions: Sessions, level: bytes) -> None:
    session = opened(sessions)
    session.set_log_level({"level": Raw(b'"error"')})
    with pytest.raises(InvalidParams, match="level must be one of"):
        session.set_log_level({"level": Raw(level)} if level else {})
    assert not session.wants("notifications/message", Raw(b'{"level":"warning"}'))


def test_a_readable_cancellation_names_its_request() -> None:
    incoming = message.decode(b'{"method":"notifications/cancelled","params":{"requestId":"a"}}')
    assert cancelled_id(incoming) == "a"


def test_sessions_are_described_without_their_ids(sessions: Sessions, clock: Clock) -> None:
    one = sessions.open("2025-06-18", {}, "ann", "notes")
    clock.now += 2.5
    assert describe(sessions, clock.now) == [
        {
            "id": one.id[:8],
            "principal": "ann",
            "revision": "2025-06-18",
            "mount": "notes",
            "busy": False,
            "streams": False,
            "idle_s": 2.5,
        }
    ]
