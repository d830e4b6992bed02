"""Ids of tasks: respelt where they stand, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from only1mcp.protocol import tasks
from only1mcp.protocol.errors import MissingCapability

FLAT = {"resultType": "task", "taskId": "a", "status": "working", "ttlMs": None, "x": 10**30}
RELATED = {tasks.RELATED: {"taskId": "a"}, "other": {"taskId": "a"}}


def respell(own: str) -> str:
    return f"s.{own}"


def respelt(result: Any, method: str, *, modern: bool = False) -> Any:
    raw = json.dumps(result).encode()
    found = tasks.respelt_result(raw, method, respell, modern=modern)
    return "as it was" if found is raw else json.loads(found)


@given(st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,31}\Z"), st.text())
def test_a_shown_id_comes_apart_again(server: str, id: str) -> None:
    assert tasks.owner(tasks.shown(server, id)) == (server, id)


def test_an_id_that_nobody_showed_has_no_server() -> None:
    assert tasks.owner("plain") == ("", "plain")


def test_a_task_of_2026_is_flat() -> None:
    assert respelt(FLAT, "tools/call", modern=True) == FLAT | {"taskId": "s.a"}
    assert respelt(FLAT, "tasks/get", modern=True) == FLAT | {"taskId": "s.a"}


def test_a_task_of_2025_is_in_task() -> None:
    made = {"task": {"taskId": "a", "status": "working"}, "_meta": {"k": 1}}
    assert respelt(made, "tools/call") == made | {"task": {"taskId": "s.a", "status": "working"}}
    assert respelt({"taskId": "a", "status": "x"}, "tasks/cancel")["taskId"] == "s.a"


def test_a_result_names_its_task_in_meta() -> None:
    found = respelt({"content": [], "taskId": "mine", "_meta": RELATED}, "tasks/result")
    meta = RELATED | {tasks.RELATED: {"taskId": "s.a"}}
    assert found == {"content": [], "taskId": "mine", "_meta": meta}


@pytest.mark.parametrize(
    ("method", "modern", "result"),
    [
        ("tools/call", True, {"content": [], "taskId": "of the tool"}),
        ("tools/call", False, {"content": [], "taskId": "of the tool"}),
        ("tools/call", False, {"content": [{"type": "text", "text": '"taskId"'}]}),
        ("tasks/cancel", True, {"resultType": "complete"}),
        ("tasks/get", False, {"taskId": 7}),
        ("tasks/result", False, {"content": [], "_meta": {"other": {"taskId": "a"}}}),
        ("tools/call", False, {"task": "of the tool", "x": {"taskId": "a"}}),
        ("tools/call", False, {"_meta": 7, "x": {"taskId": "a"}}),
        ("tasks/result", False, [{"taskId": "a"}]),
    ],
)
def test_what_is_no_id_of_a_task_stays(method: str, modern: bool, result: Any) -> None:
    assert respelt(result, method, modern=modern) == "as it was"


def test_a_status_and_a_question_are_respelt() -> None:
    status = tasks.respelt_status(Raw(b'{"taskId": "a", "status": "completed"}'), respell)
    assert json.loads(bytes(status)) == {"taskId": "s.a", "status": "completed"}
    asked = {"message": "?", "_meta": RELATED}
    found = tasks.respelt_related(Raw(json.dumps(asked).encode()), respell)
    assert json.loads(bytes(found))["_meta"][tasks.RELATED] == {"taskId": "s.a"}
    plain = Raw(b'{"message": "?"}')
    assert tasks.respelt_related(plain, respell) is plain


@pytest.mark.parametrize(
    ("result", "id"),
    [
        ({"task": {"taskId": "a"}}, "a"),
        ({"task": {"taskId": 7}}, None),
        ({"task": "taskId"}, None),
        ({"content": [], "structuredContent": {"taskId": "a"}}, None),
        (["taskId"], None),
    ],
)
def test_a_result_may_be_a_task(result: Any, id: str | None) -> None:
    assert tasks.made(json.dumps(result).encode()) == id


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"a": 1, "_meta": RELATED}, {"a": 1, "_meta": {"other": {"taskId": "a"}}}),
        ({"_meta": {tasks.RELATED: 1}, "a": 1}, {"a": 1}),
        ({"_meta": {"x": tasks.RELATED}}, None),
        ([tasks.RELATED], None),
    ],
)
def test_the_task_can_be_left_out(params: Any, found: Any) -> None:
    raw = Raw(json.dumps(params).encode())
    out = tasks.unrelated(raw)
    assert (out is raw) if found is None else json.loads(bytes(out)) == found


def test_what_tasks_get_says_is_news() -> None:
    got = json.dumps(FLAT | {"resultType": "complete", "_meta": {"x": 1}}).encode()
    assert json.loads(bytes(tasks.as_news(got))) == {
        name: value for name, value in FLAT.items() if name != "resultType"
    }


@pytest.mark.parametrize("declared", [{}, {"extensions": {}}, {"extensions": [tasks.EXTENSION]}])
def test_who_has_not_declared_it_is_told_what_to_declare(declared: Any) -> None:
    with pytest.raises(MissingCapability) as caught:
        tasks.check_declared(declared)
    needed: Any = {"extensions": {tasks.EXTENSION: {}}}
    assert caught.value.data == {"requiredCapabilities": needed}
    tasks.check_declared(needed)
