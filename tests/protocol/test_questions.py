"""Who can be asked what, and how each era spells it."""

import json
from typing import Any

import pytest

from only1mcp.protocol import message, questions
from only1mcp.protocol.errors import (
    InvalidParams,
    MethodNotFound,
    MissingCapability,
    ServerProtocolError,
    UpstreamError,
)
from only1mcp.protocol.message import Params, as_raw

ELICIT, SAMPLE, ROOTS = questions.ELICIT, questions.SAMPLE, questions.ROOTS


def params(**members: Any) -> Params:
    return {name: as_raw(value) for name, value in members.items()}


@pytest.mark.parametrize(
    ("method", "asked", "capabilities"),
    [
        (ELICIT, params(message="?"), {"elicitation": {}}),
        (ELICIT, params(mode="form"), {"elicitation": {"form": {}}}),
        (ELICIT, params(mode="url"), {"elicitation": {"url": {}}}),
        (SAMPLE, params(maxTokens=1), {"sampling": {}}),
        (SAMPLE, params(tools=[]), {"sampling": {"tools": {}}}),
        (ROOTS, {}, {"roots": {}}),
    ],
)
def test_declared_questions_pass(method: str, asked: Params, capabilities: dict[str, Any]) -> None:
    questions.check(method, asked, capabilities)


@pytest.mark.parametrize(
    ("method", "asked", "capabilities", "error"),
    [
        (ELICIT, params(), {"sampling": {}}, MethodNotFound),
        (ELICIT, params(mode="url"), {"elicitation": {}}, InvalidParams),
        (ELICIT, params(), {"elicitation": {"url": {}}}, InvalidParams),
        (SAMPLE, params(tools=[]), {"sampling": {}}, InvalidParams),
        (ROOTS, {}, {}, MethodNotFound),
        ("tools/list", {}, {"tools": {}}, MethodNotFound),
    ],
)
def test_undeclared_questions_are_refused(
    method: str, asked: Params, capabilities: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        questions.check(method, asked, capabilities)


def test_what_a_legacy_client_declared_in_modern_words() -> None:
    declared = {"elicitation": {}, "roots": {"listChanged": True}, "tasks": {}, "experimental": {}}
    assert questions.client_capabilities(declared) == {"elicitation": {"form": {}}, "roots": {}}


def test_url_mode_has_an_id_in_the_legacy_era_only() -> None:
    legacy = questions.to_legacy(ELICIT, params(mode="url", url="https://x"))
    assert message.text(legacy["elicitationId"])
    assert "elicitationId" not in questions.to_modern(ELICIT, legacy)


VISIT = {"url": "https://x/", "message": "m", "mode": "url"}


def urls_wanted(data: Any) -> UpstreamError:
    raw = json.dumps({"code": -32042, "message": "visit", "data": data}).encode()
    return UpstreamError(raw, -32042, "visit")


def test_urls_to_visit_become_questions() -> None:
    error = urls_wanted({"elicitations": [{**VISIT, "elicitationId": "e"}]})
    assert questions.urls(error, "one", {"elicitation": {"url": {}}}) == {
        "elicitation-1": {"method": ELICIT, "params": VISIT}
    }
    unable: list[dict[str, Any]] = [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}]
    for able in unable:
        with pytest.raises(MissingCapability):
            questions.urls(error, "one", able)


@pytest.mark.parametrize(
    "data",
    [
        *(None, [], 7, {}, {"elicitations": None}, {"elicitations": {}}, {"elicitations": []}),
        *({"elicitations": [7]}, {"elicitations": [VISIT, {}]}, {"elicitations": "x"}),
    ],
)
def test_urls_that_are_none_are_the_servers_fault(data: Any) -> None:
    with pytest.raises(ServerProtocolError, match="names none"):
        questions.urls(urls_wanted(data), "one", {"elicitation": {"url": {}}})


def test_the_answers_of_a_retry_are_taken_out_of_its_params() -> None:
    retry = params(name="t", inputResponses={"a": {"action": "accept"}, "b": {}})
    found = questions.answers(retry)
    assert {key: message.any_value(one) for key, one in found.items()} == {
        "a": {"action": "accept"},
        "b": {},
    }
    assert set(retry) == {"name"}
    assert questions.answers(retry) == {}


@pytest.mark.parametrize(
    "given", [None, 5, "x", [], [{}], {"a": 5}, {"a": None}, {"a": {}, "b": []}]
)
def test_answers_that_are_no_objects_are_refused(given: Any) -> None:
    with pytest.raises(InvalidParams, match=r"inputResponses(\.[ab])? must be an object"):
        questions.answers(params(inputResponses=given))
