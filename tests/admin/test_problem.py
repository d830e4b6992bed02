"""What went wrong, for programs."""

import json
from http import HTTPStatus

from only1mcp.admin.answers import Problem as Shape
from only1mcp.admin.problem import Problem, no_server, of_faults, wrong_parameter
from only1mcp.config.faults import Fault

ERROR = Fault("o.yaml", 3, 7, "servers[0].id", "too long", "shorten it")
WARNING = Fault("o.yaml", 1, 1, "", "odd", None, "warning")


def said(problem: Problem) -> Shape:
    """The answer, which has the shape of the document."""
    response = problem.response()
    assert response.media_type == "application/problem+json"
    return Shape.model_validate(json.loads(bytes(response.body)))


def test_cause_place_and_next_step() -> None:
    problem = Problem(HTTPStatus.CONFLICT, "no room", "wait", place="a.b", headers={"X": "1"})
    found = said(problem)
    assert (found.status, found.title, found.detail) == (409, "Conflict", "no room")
    assert (found.place, found.next, found.faults) == ("a.b", "wait", [])
    assert problem.response().headers["x"] == "1"


def test_of_many_faults_the_first_error_is_named() -> None:
    found = said(of_faults((WARNING, ERROR, ERROR), "mend it"))
    assert found.detail == "servers[0].id: too long (and 1 more)"
    assert (found.place, found.next) == ("o.yaml:3:7", "shorten it")
    assert len(found.faults) == 3


def test_a_fault_without_a_line_or_a_hint() -> None:
    found = said(of_faults((Fault("option x", 0, 0, "", "wrong"),), "mend it"))
    assert (found.place, found.detail, found.next) == ("option x", "wrong", "mend it")


def test_what_was_sent_is_repeated_within_bounds() -> None:
    assert len(said(no_server("x" * 5000)).detail) < 200
    assert said(wrong_parameter("limit", "a number")).place == "limit"
