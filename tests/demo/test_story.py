"""The tool that asks back: question, answer, and answers that are none."""

from typing import Any

import pytest
from mcp_types.methods import validate_server_result

from only1mcp.demo import story
from only1mcp.demo.rpc import Fault

FORMS: Any = {"elicitation": {"form": {}}}
WORDS = {"adjective": "shy", "animal": "yak", "food": "soup"}


def tell(response: Any = None, state: Any = "moon") -> Any:
    """What a retry with this answer gets."""
    responses = {} if response is None else {"words": response}
    return story.tell({"inputResponses": responses, "requestState": state}, FORMS)


@pytest.mark.parametrize("capabilities", [FORMS, {"elicitation": {}}])
def test_the_first_call_is_answered_with_a_question(capabilities: Any) -> None:
    result = story.tell({}, capabilities)
    validate_server_result("tools/call", "2026-07-28", result)
    assert result["resultType"] == "input_required"
    assert result["requestState"] in story.STORIES
    question = result["inputRequests"]["words"]
    assert question["method"] == "elicitation/create"
    assert question["params"]["requestedSchema"]["required"] == list(WORDS)


@pytest.mark.parametrize(
    "capabilities", [{}, {"sampling": {}}, {"elicitation": {"url": {}}}, {"elicitation": None}]
)
def test_a_client_without_forms_is_told_what_it_needs(capabilities: Any) -> None:
    with pytest.raises(Fault) as fault:
        story.tell({}, capabilities)
    assert fault.value.status == 400
    assert fault.value.error["code"] == -32021
    assert fault.value.error["data"] == {"requiredCapabilities": FORMS}


@pytest.mark.parametrize("state", list(story.STORIES))
def test_the_words_make_the_story_that_was_chosen(state: str) -> None:
    text = tell({"action": "accept", "content": {**WORDS, "more": 1}}, state)["content"][0]["text"]
    assert text == story.STORIES[state].format(**WORDS)


def test_words_are_only_words() -> None:
    content = {**WORDS, "animal": "{food} {0.__class__}"}
    text = tell({"action": "accept", "content": content})["content"][0]["text"]
    assert "{food} {0.__class__}" in text


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_the_user_may_say_no(action: str) -> None:
    assert tell({"action": action})["content"][0]["text"] == "No words, no story."


@pytest.mark.parametrize(
    "response",
    [
        None,
        {},
        {"action": "accept"},
        {"action": "accept", "content": None},
        {"action": "accept", "content": {"animal": "yak"}},
        {"action": "accept", "content": {**WORDS, "food": 5}},
    ],
)
def test_missing_words_are_asked_for_again(response: Any) -> None:
    result = tell(response, "train")
    assert (result["resultType"], result["requestState"]) == ("input_required", "train")


@pytest.mark.parametrize("response", [5, "yes", [], None])
@pytest.mark.parametrize("state", ["mars", None, ["moon"], "moon"])
def test_what_is_not_ours_is_refused(response: Any, state: Any) -> None:
    with pytest.raises(Fault) as fault:
        story.tell({"inputResponses": {"words": response}, "requestState": state}, FORMS)
    assert fault.value.error["code"] == -32602


def test_answers_are_an_object() -> None:
    with pytest.raises(Fault):
        story.tell({"inputResponses": []}, FORMS)
