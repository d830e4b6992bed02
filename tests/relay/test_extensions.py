"""Whose a task or a method beyond the core is, and what is offered of them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from msgspec import Raw

from fakes.listings import listing, server
from only1mcp.catalog.catalog import Catalog
from only1mcp.catalog.view import View
from only1mcp.config.model import Naming
from only1mcp.protocol import message, tasks
from only1mcp.protocol.errors import InvalidParams, McpError, MethodNotFound, ServerLost
from only1mcp.protocol.message import Params, as_raw
from only1mcp.protocol.methods import METHODS
from only1mcp.protocol.tasks import EXTENSION, RELATED
from only1mcp.relay import extensions
from only1mcp.relay.handed import TASK, VISIT, Handed, Holder, Owner, Thing

MODERN: Any = {"extensions": {EXTENSION: {}}}
LEGACY: Any = {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}}
GET = METHODS["tasks/get"]


class Client:
    """Who asks: modern, unless it has a session."""

    def __init__(self, session: str | None = None, principal: str = "me") -> None:
        self.session = session
        self.principal = principal
        self.capabilities: dict[str, Any] = MODERN
        self.headers: Mapping[bytes, bytes] | None = None


def view(mount: str | None = None, **declared: Any) -> View:
    """The view of servers that declare these capabilities."""
    listings = {id: listing(capabilities=said) for id, said in declared.items()}
    found = Catalog.build([server(id) for id in declared], listings, Naming()).view(mount)
    assert found is not None
    return found


def thing(place: str, id: str, kind: str = TASK) -> Thing:
    return Thing(place, None, kind, id)


def holder(client: Client, handed: Handed | None = None, *, alone: bool = False) -> Holder:
    owner = Owner(client.principal, client.session)
    return Holder(Handed() if handed is None else handed, owner, lambda server: None, alone=alone)


def target(place: View, client: Client, id: Any = "one.x", handed: Handed | None = None) -> Any:
    """Where a client finds a task; without `handed`, the only one there is."""
    params: Params = {"taskId": as_raw(id)}
    mine = holder(client, handed, alone=handed is None)
    found = extensions.task_target(GET, params, place, client, mine)
    return found.server, found.name, json.loads(bytes(params["taskId"]))


# --- what is offered ---


def offered(place: View, *, modern: bool = True) -> dict[str, Any]:
    return extensions.offered(place, modern=modern)


def test_extensions_are_offered_where_one_server_can_be_meant() -> None:
    one: Any = {"extensions": {EXTENSION: {"a": 1}, "x/skills": {}, "x/both": {}}}
    two: Any = {"extensions": {EXTENSION: {}, "x/both": {}}}
    assert offered(view(one=one, two=two)) == {EXTENSION: {}}
    assert offered(view("one", one=one, two=two)) == one["extensions"]
    assert offered(view(one=one, two=MODERN)).keys() == one["extensions"].keys()
    assert offered(view(one={"extensions": 7})) == {}
    old: Any = {"experimental": {"x": {"a": 1}}}
    assert offered(view(one=old, two={"experimental": {}}), modern=False) == old["experimental"]
    assert offered(view(one=old, two=old), modern=False) == {}
    assert offered(view(one=one), modern=False) == {}


def test_tasks_of_2025_are_offered_together() -> None:
    assert (
        extensions.offered_tasks(view(one={"tasks": {"list": {}}}, two=LEGACY)) == LEGACY["tasks"]
    )
    assert extensions.offered_tasks(view("one", one={}, two=LEGACY)) == {}


# --- whose it is ---


def test_the_id_says_whose_it_is() -> None:
    assert target(view(one=MODERN, two=MODERN), Client(), "two.a.b") == ("two", "a.b", "a.b")
    assert target(view("one", one=MODERN), Client(), "a.b") == ("one", "a.b", "a.b")
    assert target(view(one=LEGACY), Client("s")) == ("one", "x", "x")


@pytest.mark.parametrize("mount", [None, "one"])
def test_the_id_says_which_replica_has_it(mount: str | None) -> None:
    handed, params = Handed(), {"taskId": message.as_raw("one@f00.a")}
    handed.note(thing("one@f00", "a"), Owner("me", None))
    handed.note(thing("one@f11", "a"), Owner("somebody", None))
    mine = holder(Client(), handed)
    found = extensions.task_target(GET, params, view(mount, one=MODERN), Client(), mine)
    assert (found.server, found.name, found.place) == ("one", "a", "one@f00")
    assert message.text(params["taskId"]) == "a"
    with pytest.raises(InvalidParams, match="unknown task"):
        target(view(mount, one=MODERN), Client(), "one@f11.a", handed)


@pytest.mark.parametrize(
    ("declared", "client", "error"),
    [
        ({}, Client(), -32601),
        (LEGACY, Client(), -32601),  # of the other era
        (MODERN, Client("s"), -32601),
    ],
)
def test_a_server_has_tasks_in_its_era_or_not_at_all(
    declared: Any, client: Client, error: int
) -> None:
    with pytest.raises(McpError) as caught:
        target(view(one=declared), client)
    assert caught.value.code == error


def test_a_modern_client_declares_it_in_each_request() -> None:
    client = Client()
    client.capabilities = {}
    with pytest.raises(McpError) as caught:
        target(view(one=MODERN), client)
    assert caught.value.code == -32021


@pytest.mark.parametrize("id", ["none.x", "x", "two.x", 7])
def test_an_id_of_nobody(id: Any) -> None:
    with pytest.raises(InvalidParams):
        target(view(one=MODERN, two={}), Client(), id)


def test_a_task_of_another_principal_is_unknown() -> None:
    handed = Handed()
    handed.note(thing("one", "x"), Owner("somebody", None))
    with pytest.raises(InvalidParams, match=r"unknown task: one\.x"):
        target(view(one=MODERN), Client(), handed=handed)
    handed.note(thing("one", "x"), Owner("me", "another session"))
    assert target(view(one=MODERN), Client(), handed=handed)[0] == "one"


def test_a_task_that_is_not_remembered_is_of_nobody() -> None:
    with pytest.raises(InvalidParams, match=r"unknown task: one\.x"):
        target(view(one=MODERN), Client(), handed=Handed())


def test_other_methods_are_for_the_only_server_with_extensions() -> None:
    skills: Any = {"extensions": {"x/skills": {}}}
    client = Client()
    client.headers = {b"mcp-name": b"=?base64?w7w=?="}
    found = extensions.other_target("skills/get", view(a=skills, b=MODERN), client, modern=True)
    assert (found.server, found.name) == ("a", "ü")
    legacy = view(a={"experimental": {"x": {}}}, b={"experimental": {}})
    assert extensions.other_target("x/y", legacy, Client("s"), modern=False).server == "a"


@pytest.mark.parametrize(
    ("declared", "modern"),
    [
        ({"a": MODERN}, True),
        ({"a": {"experimental": {"x": {}}}}, True),
        ({"a": {"extensions": {"x": {}}}}, False),
    ],
)
def test_where_no_server_has_any_the_method_is_unknown(declared: Any, modern: bool) -> None:
    with pytest.raises(MethodNotFound) as caught:
        extensions.other_target("x/y", view(**declared), Client(), modern=modern)
    assert caught.value.data is None


def test_where_several_have_some_the_path_must_say_which() -> None:
    some: Any = {"extensions": {"x": {}}}
    with pytest.raises(MethodNotFound) as caught:
        extensions.other_target("x/y", view(a=some, b=some), Client(), modern=True)
    assert "a, b" in caught.value.data["hint"]


# --- ids on their way ---


def test_a_new_task_is_its_callers() -> None:
    handed, client = Handed(), Client(principal="ann")
    made = b'{"resultType":"task","taskId":"x"}'
    row = METHODS["tools/call"]
    found = extensions.respelt(made, row, "one", view(one=MODERN), client, holder(client, handed))
    assert json.loads(found)["taskId"] == "one.x"
    assert handed.owner(thing("one", "x")) == Owner("ann", None)
    at_home = view("one", one=MODERN)
    assert extensions.respelt(made, row, "one", at_home, client, holder(client, handed)) is made


def test_a_task_is_over_when_a_result_says_so() -> None:
    handed, client = Handed(), Client("s", "ann")
    mine, place = holder(client, handed), view("one", one=LEGACY)

    def answered(method: str, found: Any) -> set[str | None]:
        result = json.dumps(found).encode()
        extensions.respelt(result, METHODS[method], "one", place, client, mine)
        return handed.at_work("one")

    assert answered("tools/call", {"task": {"taskId": "x", "status": "working"}}) == {None}
    assert answered("tasks/get", {"taskId": "x", "status": "input_required"}) == {None}
    assert answered("tasks/get", {"taskId": "x", "status": "completed"}) == set()
    assert answered("tools/call", {"task": {"taskId": "y", "status": "failed"}}) == set()
    assert answered("tools/call", {"task": {"taskId": "z", "status": "working"}}) == {None}
    assert answered("tasks/result", {"_meta": {RELATED: {"taskId": "z"}}}) == set()


def test_a_question_may_hand_out_a_visit() -> None:
    handed, client = Handed(), Client("s", "ann")
    extensions.note_question(as_raw({"elicitationId": "e"}), "one", holder(client, handed))
    assert handed.owner(thing("one", "e", VISIT)) == Owner("ann", "s")


# --- the list ---


async def listed(
    place: View, handed: Handed, pages: Mapping[str, Any], *, alone: bool = False
) -> list[str]:
    """The ids that the list shows; a page is its ids, then the next cursor; errors are raised."""

    async def ask(name: str, params: Params) -> bytes:
        page = pages[name + (message.text(params.get("cursor")) or "")]
        if isinstance(page, McpError):
            raise page
        ids, cursor = page
        more = {} if cursor is None else {"nextCursor": cursor}
        return json.dumps({"tasks": [{"taskId": id} for id in ids], **more}).encode()

    def places(server: str) -> list[str]:
        return sorted({name for name in pages if tasks.server(name) == server}) or [server]

    client = Client("s")
    mine = holder(client, handed, alone=alone)
    found = await extensions.task_list(place, client, mine, ask, places)
    return [one["taskId"] for one in json.loads(found)["tasks"]]


async def test_the_list_holds_what_is_the_clients_own() -> None:
    handed = Handed()
    for name, id, principal in (("one", "a", "me"), ("one", "b", "other"), ("two", "c", "me")):
        handed.note(thing(name, id), Owner(principal, None))
    pages = {"one": (["a", "b"], "2"), "one2": (["nobody's"], None), "two": (["c"], None)}
    place = view(one=LEGACY, two=LEGACY)
    assert await listed(place, handed, pages) == ["one.a", "two.c"]
    assert await listed(place, handed, pages, alone=True) == ["one.a", "one.nobody's", "two.c"]
    assert await listed(view("two", two=LEGACY), handed, pages) == ["c"]


async def test_a_server_that_fails_hides_no_other() -> None:
    handed = Handed()
    handed.note(thing("two", "c"), Owner("me", None))
    pages = {"one": ServerLost("one", "gone"), "two": (["c"], None)}
    assert await listed(view(one=LEGACY, two=LEGACY), handed, pages) == ["two.c"]
    with pytest.raises(ServerLost):
        await listed(view("one", one=LEGACY), handed, pages)


async def test_replicas_have_tasks_of_their_own() -> None:
    handed = Handed()
    handed.note(thing("one@f00", "a"), Owner("me", None))
    handed.note(thing("one@f11", "a"), Owner("other", None))
    handed.note(thing("one@f11", "b"), Owner("me", None))
    pages = {"one@f00": (["a"], None), "one@f11": (["a", "b"], None)}
    both = ["one@f00.a", "one@f11.b"]
    assert await listed(view(one=LEGACY), handed, pages) == both
    assert await listed(view("one", one=LEGACY), handed, pages) == both
    broken = pages | {"one@f00": ServerLost("one", "gone")}
    assert await listed(view(one=LEGACY), handed, broken) == ["one@f11.b"]


async def test_a_list_that_never_ends_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "MAX_PAGES", 3)
    pages = {"one": (["a"], "again"), "oneagain": (["a"], "again")}
    assert await listed(view("one", one=LEGACY), Handed(), pages, alone=True) == ["a"] * 3


def test_the_name_that_goes_on_is_none_where_none_came() -> None:
    found = extensions.other_target("x/y", view(a={"extensions": {"x": {}}}), Client(), modern=True)
    assert (found.name, found.raw_name) == ("", Raw(b'""'))
