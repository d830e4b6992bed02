"""The tasks that messages between legacy peers belong to, as each side calls them."""

import json
from typing import Any

import pytest
from msgspec import Raw

from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.tasks import RELATED
from only1mcp.relay.handed import TASK, VISIT, Handed, Holder, Owner, Thing
from only1mcp.relay.related import Related
from only1mcp.upstream.base import Call

PLAIN = Raw(b'{ "message" : "?" }')


def related(mount: str | None = None, place: str = "one") -> tuple[Related, Handed]:
    """Between ann and a place where the task `a` is hers, `b` somebody else's."""
    handed = Handed()
    handed.note(Thing(place, None, TASK, "a"), Owner("ann", "1"))
    handed.note(Thing(place, None, TASK, "b"), Owner("bob", "2"))
    mine = Holder(handed, Owner("ann", "1"), lambda place: None, alone=False)
    return Related(place, mount, mine), handed


def meta(id: Any) -> dict[str, Any]:
    return {"_meta": {RELATED: {"taskId": id}, "x": 10**30}}


def test_what_the_server_says_has_the_id_that_the_client_knows() -> None:
    ids, handed = related()
    heard: list[Any] = []
    tell = ids.told(lambda method, params: heard.append(json.loads(bytes(params))))
    tell("notifications/message", as_raw({"data": 1, **meta("a")}))
    tell("notifications/message", Raw(b"[7]"))
    assert heard == [{"data": 1, **meta("one.a")}, [7]]
    asked = ids.question(as_raw({"elicitationId": "e", **meta("a")}))
    assert json.loads(bytes(asked)) == {"elicitationId": "e", **meta("one.a")}
    assert handed.owner(Thing("one", None, VISIT, "e")) == Owner("ann", "1")
    assert ids.question(PLAIN) is PLAIN


def test_what_the_client_says_has_the_servers_own_id() -> None:
    ids, _ = related()
    found = ids.request({"name": as_raw("x"), "_meta": as_raw(meta("one.a")["_meta"])})
    assert json.loads(bytes(as_raw(found))) == {"name": "x", **meta("a")}
    assert json.loads(ids.answer(json.dumps(meta("one.a")).encode())) == meta("a")
    assert json.loads(ids.answer(json.dumps(meta("two.a")).encode())) == meta("two.a")
    for odd in (b'{"_meta":7,"taskId":"one.a"}', b'[{"taskId":1}]', b'"taskId"'):
        assert ids.answer(odd) == odd


@pytest.mark.parametrize("id", ["a", "two.a", "one.b", "one.none", "one@f00.a", "."])
def test_a_task_that_is_not_its_own_is_refused(id: str) -> None:
    with pytest.raises(InvalidParams, match="unknown task"):
        related()[0].request({"_meta": as_raw(meta(id)["_meta"])})


@pytest.mark.parametrize("value", [{}, {RELATED: 7}, {RELATED: {"taskId": 7}}, {"x": RELATED}])
def test_what_names_no_task_stays(value: Any) -> None:
    params = {"_meta": as_raw(value)}
    assert related()[0].request(params) is params


def test_on_the_mount_of_one_replica_ids_are_the_servers_own() -> None:
    ids, _ = related("one")
    heard: list[Any] = []
    sink = lambda method, params: heard.append(params)  # noqa: E731
    assert ids.told(sink) is sink
    assert ids.request({"_meta": as_raw(meta("a")["_meta"])})["_meta"]
    with pytest.raises(InvalidParams, match="unknown task"):
        ids.request({"_meta": as_raw(meta("b")["_meta"])})
    assert ids.answer(b"{}") == b"{}"


def test_of_several_replicas_the_mount_tells_which() -> None:
    ids, _ = related("one", "one@f00")
    found = ids.request({"_meta": as_raw(meta("one@f00.a")["_meta"])})
    assert json.loads(bytes(found["_meta"])) == meta("a")["_meta"]


def test_a_call_for_a_task_is_heard_of_afterwards() -> None:
    ids, _ = related()
    heard: list[Any] = []

    def later(method: str, params: Raw) -> None:
        heard.append((method, json.loads(bytes(params))))

    plain, task = Call("tools/call", {}), Call("tools/call", {"task": Raw(b"{}")})
    ids.bind(plain, later)
    assert plain.afterwards is None
    ids.bind(task, later)
    assert task.afterwards is not None
    task.afterwards("notifications/progress", as_raw(meta("a")))
    assert heard == [("notifications/progress", meta("one.a"))]


@pytest.mark.parametrize(
    "spelt",
    ["io.modelcontextprotocol\\/related-task", "io.modelcontextprotocol/relat\\u0065d-task"],
)
def test_an_escape_does_not_hide_the_task(spelt: str) -> None:
    """Some libraries escape slashes, and whoever wants another's task may escape anything."""
    ids, _ = related()
    theirs, mine = (
        Raw(b'{"%b":{"task\\u0049d":"%b"}}' % (spelt.encode(), id)) for id in (b"one.b", b"one.a")
    )
    with pytest.raises(InvalidParams, match="unknown task"):
        ids.request({"_meta": theirs})
    own = json.loads(bytes(as_raw(ids.request({"_meta": mine}))))
    assert own == {"_meta": {RELATED: {"taskId": "a"}}}
