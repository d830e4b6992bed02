"""Who hears of what belongs to no request: sessions and listens, each its own copy, once."""

import asyncio
import json
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import PATIENCE_S
from fakes.listings import listing, server
from only1mcp.catalog.catalog import Catalog
from only1mcp.config.model import Naming
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol import message, tasks
from only1mcp.protocol.errors import Draining, InvalidParams, InvalidRequest
from only1mcp.protocol.subscription import ACKNOWLEDGED, FLAGS, TAG_KEY, UPDATED
from only1mcp.relay import audience
from only1mcp.relay.audience import Audience, changes
from only1mcp.relay.handed import TASK, VISIT, Holder, Owner, Thing

TOOLS, PROMPTS, RESOURCES = FLAGS.values()
LOG = "notifications/message"


def catalog(**tools: list[str]) -> Catalog:
    """Two servers that have these tools."""
    listings = {id: listing(tools=tools.get(id, [])) for id in ("one", "two")}
    return Catalog.build([server(id) for id in listings], listings, Naming())


class Member:
    """A session and what came on its stream."""

    def __init__(self, id: str, mount: str | None = None, principal: str = "me") -> None:
        self.id = id
        self.mount = mount
        self.principal = principal
        self.least: int | None = 0
        self.heard: list[Any] = []
        self.outlet: Any = lambda body: self.heard.append(json.loads(body))

    def wants(self, method: str, params: Raw) -> bool:
        """Everything that is an object."""
        return bool(message.members(params))


class Client:
    """A modern client and the frames that came."""

    def __init__(self, frames: list[tuple[str, Any]], principal: str = "me") -> None:
        self.capabilities: dict[str, Any] = {}
        self.principal = principal
        self.frames = frames

    def notify(self, method: str, params: Raw) -> None:
        """Keep it."""
        self.frames.append((method, message.any_value(params)))


class Hall:
    """An audience, its sessions and what its listens have got."""

    def __init__(self, *members: Member) -> None:
        self.members = {one.id: one for one in members}
        self.catalog = catalog(one=["a"], two=["b"])
        self.audience = Audience(
            dict.fromkeys(("one", "two")),  # type: ignore[arg-type]
            self.members.values,
            self.members.get,
            lambda live, method, params, place="", who=None: None,
            one_principal=len({one.principal for one in members}) < 2,
        )
        self.tasks = Tasks()

    def listen(
        self,
        id: str = "1",
        mount: str | None = None,
        principal: str = "me",
        **notifications: Any,
    ) -> tuple[asyncio.Task[bytes], list[tuple[str, Any]]]:
        """Begin a listen; its task, and its frames as they come."""
        frames: list[tuple[str, Any]] = []
        view = self.catalog.view(mount)
        assert view is not None
        params = {"notifications": message.as_raw(notifications)}

        coroutine = self.audience.listen(
            Raw(id.encode()), params, view, Client(frames, principal), self.holder(principal)
        )
        return self.tasks.start(coroutine, "listen"), frames

    def holder(self, principal: str = "me") -> Holder:
        """What this client has been handed."""
        alone, owner = self.audience.one_principal, Owner(principal, None)
        return Holder(self.audience.handed, owner, lambda place: None, alone=alone)


async def test_sessions_hear_of_lists_that_differ() -> None:
    everything, one, two = Member("a"), Member("b", "one"), Member("c", "two")
    silent = Member("d")
    silent.outlet = None
    hall = Hall(everything, one, two, silent)
    hall.audience.announce(hall.catalog, catalog(one=["a", "c"], two=["b"]))
    said = [{"jsonrpc": "2.0", "method": TOOLS}]
    assert (everything.heard, one.heard, two.heard) == (said, said, [])


async def test_listens_hear_of_the_kinds_they_asked_for() -> None:
    hall = Hall()
    _, tools = hall.listen("1", toolsListChanged=True)
    _, prompts = hall.listen('"1"', promptsListChanged=True)
    _, other = hall.listen("2", "two", toolsListChanged=True)
    await asyncio.sleep(0)
    hall.audience.announce(hall.catalog, catalog(one=[], two=["b"]))
    assert tools[1:] == [(TOOLS, {"_meta": {TAG_KEY: 1}})]
    assert [frame[0] for frame in (*prompts, *other)] == [ACKNOWLEDGED] * 2
    assert prompts[0][1]["_meta"] == {TAG_KEY: "1"}
    await hall.tasks.close()
    assert len(hall.audience) == 0


async def test_listens_hear_what_a_server_says_though_its_list_is_as_before() -> None:
    member = Member("a")
    hall = Hall(member)
    _, all_servers = hall.listen(toolsListChanged=True)
    _, other = hall.listen(mount="two", toolsListChanged=True)
    await asyncio.sleep(0)
    for _ in range(2):
        hall.audience.said("one", TOOLS)
        hall.audience.said("one", PROMPTS)
    for _ in range(2):  # once told, it is told
        hall.audience.announce(hall.catalog, hall.catalog)
    assert [method for method, _ in all_servers] == [ACKNOWLEDGED, TOOLS]
    assert [method for method, _ in other] == [ACKNOWLEDGED]
    assert member.heard == []
    await hall.tasks.close()


async def test_a_kind_that_a_mount_does_not_have_is_not_acknowledged() -> None:
    hall = Hall()
    listings = {"one": listing(tools=["a"], capabilities={"tools": {}})}
    hall.catalog = Catalog.build([server("one")], listings, Naming())
    _, frames = hall.listen(mount="one", toolsListChanged=True, promptsListChanged=True)
    await asyncio.sleep(0)
    assert frames[0][1]["notifications"] == {"toolsListChanged": True}
    await hall.tasks.close()


async def test_the_end_is_a_result_and_then_there_are_no_more() -> None:
    hall = Hall()
    task, _ = hall.listen('"x"', toolsListChanged=True)
    await asyncio.sleep(0)
    hall.audience.end_listens()
    async with asyncio.timeout(PATIENCE_S):
        result = await task
    assert json.loads(result) == {"resultType": "complete", "_meta": {TAG_KEY: "x"}}
    view = hall.catalog.all
    with pytest.raises(Draining):
        await hall.audience.listen(
            Raw(b"1"), {"notifications": Raw(b"{}")}, view, Client([]), hall.holder()
        )


async def test_listens_end_with_their_principal_and_their_mount() -> None:
    hall = Hall()
    mine, _ = hall.listen()
    theirs, _ = hall.listen(principal="you")
    there, _ = hall.listen(mount="two")
    await asyncio.sleep(0)
    hall.audience.end_others({"me"}, {"one"})
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.wait([theirs, there])
    assert not mine.done()
    hall.listen()  # others may come
    hall.audience.end_others(None, {"one"})
    await asyncio.sleep(0)
    assert not mine.done()
    await hall.tasks.close()


async def test_listens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "MAX_LISTENS", 1)
    hall = Hall()
    hall.listen()
    await asyncio.sleep(0)
    with pytest.raises(InvalidRequest, match="holds 1 listens"):
        await hall.audience.listen(
            Raw(b"1"), {"notifications": Raw(b"{}")}, hall.catalog.all, Client([]), hall.holder()
        )
    await hall.tasks.close()


async def test_a_listen_without_a_filter_is_refused() -> None:
    hall = Hall()
    with pytest.raises(InvalidParams):
        await hall.audience.listen(Raw(b"1"), {}, hall.catalog.all, Client([]), hall.holder())


async def test_log_messages_of_no_call_go_to_those_who_want_them() -> None:
    here, elsewhere, mute = Member("a", "one"), Member("b", "two"), Member("c")
    mute.least = None
    hall = Hall(here, elsewhere, mute)
    hall.audience.hear("one", LOG, Raw(b'{"level":"info"}'))
    hall.audience.hear("one", LOG, Raw(b"[]"))
    hall.audience.hear("one", "notifications/zzz", Raw(b"{}"))
    assert [one["params"] for one in here.heard] == [{"level": "info"}]
    assert elsewhere.heard == mute.heard == []


async def test_log_messages_of_no_call_go_to_nobody_when_there_are_several_principals() -> None:
    mine, theirs = Member("a"), Member("b", principal="you")
    hall = Hall(mine, theirs)
    hall.audience.hear("one", LOG, Raw(b'{"level":"info"}'))
    assert mine.heard == theirs.heard == []


async def test_an_update_goes_to_the_session_that_subscribed() -> None:
    mine, theirs = Member("a"), Member("b")
    hall = Hall(mine, theirs)
    owners = {"a", "gone"}
    hall.audience.subscriptions.owners = lambda server, uri: owners  # type: ignore[method-assign, assignment, return-value]
    hall.audience.hear("one", UPDATED, Raw(b'{"uri":"a://b","_meta":{"%b":3}}' % TAG_KEY.encode()))
    assert mine.heard == [{"jsonrpc": "2.0", "method": UPDATED, "params": {"uri": "a://b"}}]
    assert theirs.heard == []


def test_changes_are_of_what_a_mount_shows() -> None:
    before, now = catalog(one=["a"]), catalog(one=["b"])
    assert changes(before, now, None) == changes(before, now, "one") == [TOOLS]
    assert changes(before, now, "two") == []


# --- what was handed to one client ---

STATUS, VISITED = "notifications/tasks/status", "notifications/elicitation/complete"


async def test_news_of_what_was_handed_out_reach_its_session_alone() -> None:
    ann, bob = Member("ann"), Member("bob", mount="one")
    hall = Hall(ann, bob)
    handed = hall.audience.handed
    for id, session in (("t", "ann"), ("u", "bob"), ("v", None), ("w", "gone")):
        handed.note(Thing("one", None, TASK, id), Owner("me", session))
    handed.note(Thing("one", None, VISIT, "e"), Owner("me", "ann"))
    handed.note(Thing("one", "bob", VISIT, "e"), Owner("me", "bob"))
    for id in ("t", "u", "v", "w", "of nobody"):
        hall.audience.hear("one", STATUS, message.as_raw({"taskId": id, "status": "working"}))
    hall.audience.hear("one", VISITED, message.as_raw({"elicitationId": "e"}))
    hall.audience.hear("one", VISITED, Raw(b"[]"))
    assert [one["params"] for one in ann.heard] == [
        {"taskId": "one.t", "status": "working"},
        {"elicitationId": "e"},
    ]
    assert [one["params"] for one in bob.heard] == [{"taskId": "u", "status": "working"}]
    ann.outlet = None
    hall.audience.hear("one", STATUS, message.as_raw({"taskId": "t"}))


async def test_what_is_said_of_a_task_before_its_client_knows_it_comes_after_the_answer() -> None:
    ann, bob = Member("ann"), Member("bob")
    hall = Hall(ann, bob)
    for status in ("working", "completed"):
        hall.audience.hear("one", STATUS, message.as_raw({"taskId": "t", "status": status}))
    hall.audience.hear("one", STATUS, message.as_raw({"taskId": "t", "status": "failed"}), "", "me")
    hall.audience.handed.note(Thing("one", None, TASK, "t"), Owner("me", "ann"))
    assert ann.heard == [], "the answer goes out in this turn of the loop"
    await asyncio.sleep(0)
    hall.audience.handed.note(Thing("one", None, TASK, "t"), Owner("me", "ann"))
    await asyncio.sleep(0)
    assert [one["params"] for one in ann.heard] == [{"taskId": "one.t", "status": "completed"}]
    assert bob.heard == []
    assert hall.audience.handed.at_work("one") == {None}, "the task was handed out once more"


@pytest.mark.parametrize("params", [b"", b"[1]", b"{}", b'{"taskId":7}', b'{"taskId":"x"}'])
async def test_news_of_a_task_of_nobody_reach_nobody(params: bytes) -> None:
    hall = Hall(Member("a"))
    _, frames = hall.listen(toolsListChanged=True)
    await asyncio.sleep(0)
    hall.audience.hear("one", tasks.CHANGED, Raw(params), "one", None)
    assert [method for method, _ in frames] == [ACKNOWLEDGED]
    await hall.tasks.close()
