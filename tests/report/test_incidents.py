"""Incidents are what went wrong and when it was well again, the newest first."""

from typing import Any

import pytest

from fakes.answers_of_gateway import DEAD, REPLICA, answers, event
from only1mcp.report.incidents import incidents

WHERE = {"server": "b", "replica": "b"}


def what(kind: str, **said: Any) -> list[str]:
    """What is told of one event."""
    past = {"memory": [], "events": [event(1, kind, **said)]}
    return [one.what for one in incidents(answers(past=past))]


def test_the_newest_comes_first() -> None:
    assert [(one.at[11:16], one.where, one.what) for one in incidents(answers())] == [
        ("11:07", "b", "failed: no file"),
        ("11:05", "a", "started again (3 so far)"),
    ]


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [
        ("server", {"state": "ready", "reason": ""}, []),
        ("server", {"state": "waiting", "reason": ""}, ["waiting"]),
        (
            "health",
            {"health": "unhealthy", "was": "healthy", "reason": "no answer"},
            ["unhealthy: no answer"],
        ),
        ("health", {"health": "healthy", "was": "degraded", "reason": ""}, ["healthy again"]),
        ("health", {"health": "healthy", "was": "unknown", "reason": ""}, []),
        ("breaker", {"breaker": "open", "reason": "5 failures"}, ["breaker opened: 5 failures"]),
        ("breaker", {"breaker": "half_open", "reason": ""}, []),
        ("breaker", {"breaker": "closed", "reason": ""}, ["breaker closed"]),
        ("moon", {}, []),
    ],
)
def test_what_is_one(kind: str, said: dict[str, Any], expected: list[str]) -> None:
    assert what(kind, **WHERE, **said) == expected


def test_a_file_that_was_refused() -> None:
    assert what("reload", ok=False, faults=["o.yaml:3:1: no"]) == [
        "the file was refused: o.yaml:3:1: no"
    ]
    assert what("reload", ok=True, faults=[]) == []


def test_replicas_are_told_apart_where_there_are_several() -> None:
    said = {"server": "b", "replica": "http://b2", "breaker": "open", "reason": ""}
    past = {"memory": [], "events": [event(1, "breaker", **said)]}
    assert [one.where for one in incidents(answers(past=past))] == ["b"]
    two = {"servers": [{**DEAD, "replicas": [REPLICA, REPLICA]}], "clashes": [], "dropped": []}
    assert [one.where for one in incidents(answers(past=past, servers=two))] == ["b, http://b2"]
    assert incidents(answers(past=None)) == []
