"""Who wants to hear of which task: one listen per connection, and its end."""

import asyncio
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import PATIENCE_S
from fakes.listings import listing, server
from fakes.upstream import FakeUpstream, attach
from only1mcp.catalog.catalog import Catalog
from only1mcp.config.model import Naming
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message, tasks
from only1mcp.protocol.errors import ServerLost, UpstreamError
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.subscription import ACKNOWLEDGED, LISTEN, TAG_KEY, Filter
from only1mcp.relay import listening, task_listens
from only1mcp.relay.audience import Listen
from only1mcp.relay.handed import TASK, Thing
from only1mcp.relay.task_listens import TaskListens
from only1mcp.upstream.base import Call
from only1mcp.upstream.replica import Replica
from only1mcp.upstream.roster import Live

A, B = Thing("one", None, TASK, "a"), Thing("one", None, TASK, "b")
GONE = UpstreamError(b"{}", -32602, "no such task")


class Desk:
    """Task listens over one modern server that agrees to `agreed`, None: to everything."""

    def __init__(self) -> None:
        self.agreed: list[str] | None = None
        self.mute = False
        self.ends: list[asyncio.Future[None]] = []
        self.told: list[tuple[str, Any]] = []
        self.upstream = FakeUpstream("one", {LISTEN: self._listen}, modern=True)
        self.live = Live(server("one"), _never, _quietly)
        attach(self.live, self.upstream)
        self.servers = {"one": self.live}
        self.held = TaskListens(self.servers, self._tell)
        self.view = Catalog.build([server("one")], {"one": listing()}, Naming()).all

    async def _listen(self, call: Call) -> dict[str, str]:
        assert call.params is not None and call.on_notification is not None
        wanted = message.any_value(call.params["notifications"])
        agreed = wanted["taskIds"] if self.agreed is None else self.agreed
        if not self.mute:
            call.on_notification(ACKNOWLEDGED, as_raw({"notifications": {"taskIds": agreed}}))
        end = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        await end
        return {"resultType": "complete"}

    def _tell(
        self, live: Live, method: str, params: Raw, place: str = "", who: str | None = None
    ) -> None:
        self.told.append((method, message.any_value(params)))

    def client(self, frames: list[tuple[str, Any]] | None = None) -> Listen:
        """A listen of a client, and where its frames go."""
        kept = [] if frames is None else frames

        def send(method: str, params: Raw) -> None:
            kept.append((method, message.any_value(params)))

        return Listen(Raw(b"1"), "me", self.view, Filter(), send)

    @property
    def filters(self) -> list[Any]:
        """Of all listens at the server so far."""
        return [params["notifications"] for params in self.upstream.asked(LISTEN)]


def _never(live: Live, replica: Replica, era: str) -> FakeUpstream:
    raise AssertionError("nobody connects here")


async def _quietly(upstream: object) -> None:
    """Nobody needs to hear of a greeting."""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "FIRST_PAUSE_S", 0.001)


async def settled(desk: Desk) -> None:
    """Wait until nothing is under way."""
    async with asyncio.timeout(PATIENCE_S):
        while running := desk.held._tasks._tasks:
            await asyncio.wait(running)


async def test_the_server_sees_the_union_of_what_is_wanted_and_then_nothing() -> None:
    desk = Desk()
    one, two = desk.client(), desk.client()
    assert await desk.held.watch(one, [A], 1) == {A}
    assert await desk.held.watch(two, [A, B], 1) == {A, B}
    assert set(desk.held.owners(A)) == {one, two}
    assert desk.filters == [{"taskIds": ["a"]}, {"taskIds": ["a", "b"]}]
    meta = desk.upstream.asked(LISTEN)[0]["_meta"]
    assert meta["io.modelcontextprotocol/clientCapabilities"] == tasks.declared()
    for owner in (one, two):
        desk.held.end(owner)
    await settled(desk)
    assert desk.held.owners(A) == ()
    assert desk.upstream.cancelled == [LISTEN, LISTEN]
    await desk.held.close()


async def test_what_the_server_does_not_agree_to_is_not_granted() -> None:
    desk = Desk()
    desk.agreed = ["b", "never asked"]
    assert await desk.held.watch(desk.client(), [A, B], 1) == {B}
    assert desk.held.owners(A) == ()
    await desk.held.close()


@pytest.mark.parametrize("how", ["refuses", "is mute", "is down", "is gone"])
async def test_a_server_that_cannot_be_heard_grants_nothing(how: str) -> None:
    desk = Desk()
    match how:
        case "refuses":
            desk.upstream.answers[LISTEN] = GONE
        case "is mute":
            desk.mute = True
        case "is down":
            attach(desk.live, None)
        case "is gone":
            desk.servers.clear()
    assert await desk.held.watch(desk.client(), [A], 0.01) == set()
    assert desk.held.owners(A) == ()
    await desk.held.close()


async def test_who_asks_for_what_the_server_refuses_does_not_spoil_it_for_the_next() -> None:
    desk = Desk()

    async def strict(call: Call) -> dict[str, str]:
        assert call.params is not None
        if "a" in message.any_value(call.params["notifications"])["taskIds"]:
            raise GONE
        return await desk._listen(call)

    desk.upstream.answers[LISTEN] = strict
    bad, good = desk.client(), desk.client()
    found = await asyncio.gather(desk.held.watch(bad, [A], 1), desk.held.watch(good, [B], 1))
    assert [set(one) for one in found] == [set(), {B}]
    assert (desk.held.owners(A), set(desk.held.owners(B))) == ((), {good})
    await desk.held.close()


async def test_a_connection_has_so_many_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_listens, "MAX_WATCHED", 1)
    desk = Desk()
    assert await desk.held.watch(desk.client(), [A, B], 1) == {A}
    assert await desk.held.watch(desk.client(), [A], 1) == {A}
    await desk.held.close()


async def test_a_client_that_gives_up_in_between_leaves_nothing() -> None:
    desk = Desk()
    desk.mute = True
    running = Tasks()
    watching = running.start(desk.held.watch(desk.client(), [A], 5), "watch")
    await asyncio.sleep(0)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert desk.held.owners(A) == ()
    assert not desk.held._held
    await desk.held.close()


@pytest.mark.parametrize("answer", [{"taskId": "a", "status": "working"}, GONE])
async def test_after_a_loss_the_task_is_asked_for_or_the_listen_ends(answer: Any) -> None:
    desk = Desk()
    desk.upstream.answers["tasks/get"] = answer
    owner = desk.client()
    await desk.held.watch(owner, [A], 1)
    desk.ends[0].set_exception(ServerLost("one", "broken"))
    async with asyncio.timeout(PATIENCE_S):
        while not desk.told and not owner.ended.is_set():  # noqa: ASYNC110 - the retry says so
            await asyncio.sleep(0)
    assert desk.told == ([] if answer is GONE else [(tasks.CHANGED, answer)])
    assert owner.ended.is_set() is (answer is GONE)
    await desk.held.close()


@pytest.mark.parametrize("how", ["it refuses", "it is no longer configured"])
async def test_a_server_that_takes_no_listen_after_a_loss_ends_them_all(how: str) -> None:
    desk = Desk()
    owner = desk.client()
    await desk.held.watch(owner, [A], 1)
    if how == "it refuses":
        desk.upstream.answers[LISTEN] = GONE
    else:
        desk.servers.clear()
    desk.ends[0].set_result(None)
    async with asyncio.timeout(PATIENCE_S):
        await owner.ended.wait()
    await desk.held.close()


async def test_what_comes_before_the_acknowledgement_is_said_after_it() -> None:
    frames: list[tuple[str, Any]] = []
    listen = Desk().client(frames)
    listen.tell_of_task("a", Raw(b'{"taskId":"a","status":"working"}'))
    listen.tell_of_task("a", Raw(b'{"taskId":"a","status":"completed"}'))
    listen.tell_of_task("b", Raw(b'{"taskId":"b"}'))
    assert frames == []
    listen.acknowledge(Filter(tasks=("a",)))
    listen.tell_of_task("b", Raw(b'{"taskId":"b"}'))
    meta = {TAG_KEY: 1}
    assert frames == [
        (ACKNOWLEDGED, {"notifications": {"taskIds": ["a"]}, "_meta": meta}),
        (tasks.CHANGED, {"taskId": "a", "status": "completed", "_meta": meta}),
    ]


async def test_who_comes_while_a_listen_is_opened_again_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the new listen was not asked for says nothing about it."""
    desk = Desk()
    desk.upstream.answers["tasks/get"] = {"taskId": "a", "status": "working"}
    owner, late = desk.client(), desk.client()
    await desk.held.watch(owner, [A], 1)
    (where,) = desk.held._desks
    one = desk.held._desks[where]
    desk.held._enter(late, Thing(A.place, A.who, A.kind, "later"))
    asked = Filter(tasks=("a",))
    await desk.held._catch_up(where, one, asked, asked)
    assert not late.ended.is_set()
    await desk.held._catch_up(where, one, asked, Filter())
    assert owner.ended.is_set()
    assert not late.ended.is_set()
    await desk.held.close()
