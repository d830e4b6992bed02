"""Results for older clients: what they would refuse is changed, all else stays."""

import json
from typing import Any

import pytest

from only1mcp.protocol.downlevel import question, result
from only1mcp.protocol.errors import InvalidParams, MethodNotFound
from only1mcp.protocol.methods import ALL

TEXT = {"type": "text", "text": "hi"}
LINK = {"type": "resource_link", "uri": "a://b", "name": "b"}
AUDIO = {"type": "audio", "data": "", "mimeType": "audio/wav"}


def told(revision: str, method: str = "tools/call", **members: Any) -> Any:
    return json.loads(result(method, json.dumps(members).encode(), revision))


@pytest.mark.parametrize("revision", ALL)
def test_what_every_revision_knows_is_not_even_parsed(revision: str) -> None:
    raw = b'{ "content" : [ {"type":"text","text":"hi"} ] , "own" : 1e400 }'
    for method in ("tools/call", "tasks/result", "prompts/get", "resources/read"):
        assert result(method, raw, revision) is raw


@pytest.mark.parametrize("revision", ALL)
def test_an_object_is_structured_content_everywhere(revision: str) -> None:
    assert told(revision, content=[], structuredContent={"a": 1})["structuredContent"] == {"a": 1}


def test_other_structured_content_is_for_2026_only() -> None:
    assert told("2026-07-28", content=[], structuredContent=[1])["structuredContent"] == [1]
    assert told("2025-11-25", content=[TEXT], structuredContent=[1]) == {"content": [TEXT]}
    said = told("2025-11-25", content=[], structuredContent="x")
    assert said == {"content": [{"type": "text", "text": '"x"'}]}


def test_links_become_text_before_2025_06_18() -> None:
    assert told("2025-06-18", content=[LINK])["content"] == [LINK]
    assert told("2025-03-26", content=[TEXT, LINK])["content"] == [
        TEXT,
        {"type": "text", "text": "b: a://b"},
    ]


def test_audio_becomes_text_in_2024_11_05() -> None:
    assert told("2025-03-26", content=[AUDIO])["content"] == [AUDIO]
    assert told("2024-11-05", content=[AUDIO])["content"] == [
        {"type": "text", "text": "[audio, audio/wav]"}
    ]


def test_messages_of_prompts_are_of_the_same_blocks() -> None:
    link, audio = ({"role": "user", "content": one, "x": 10**30} for one in (LINK, AUDIO))
    plain = {"role": "user", "content": TEXT}
    get: Any = {"method": "prompts/get", "messages": [plain, link, audio], "y": 1}
    assert told("2025-06-18", **get)["messages"] == [plain, link, audio]
    said = {"content": {"type": "text", "text": "b: a://b"}}
    assert told("2025-03-26", **get) == {"messages": [plain, link | said, audio], "y": 1}
    heard = {"content": {"type": "text", "text": "[audio, audio/wav]"}}
    assert told("2024-11-05", **get)["messages"] == [plain, link | said, audio | heard]


@pytest.mark.parametrize("messages", ["x", [7], [{"content": [AUDIO]}], [{}], {"a": 1}])
def test_messages_that_are_none_are_the_clients_to_judge(messages: Any) -> None:
    raw = json.dumps({"messages": messages, "content": messages, "audio": "audio"}).encode()
    for method in ("prompts/get", "tools/call"):
        assert result(method, raw, "2024-11-05") is raw


# --- questions ---

FORM = "elicitation/create"
PLAIN = {"type": "object", "properties": {"a": {"type": "string", "enum": ["x"]}}}
TITLED = {"type": "string", "title": "T", "oneOf": [{"const": "x", "title": "X"}, {"const": "y"}]}
SEVERAL = {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}}


def asked(revision: str, method: str = FORM, **params: Any) -> Any:
    return json.loads(question(method, json.dumps(params).encode(), revision))


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("method", [FORM, "sampling/createMessage", "roots/list"])
def test_a_plain_question_stays_as_it_is(method: str, revision: str) -> None:
    raw = b'{ "message" : "?", "requestedSchema" : {"properties":{"a":{"maximum":1e400}}} }'
    assert question(method, raw, revision) is raw


def test_before_2025_11_25_there_is_no_mode() -> None:
    wanted: Any = {"message": "?", "requestedSchema": PLAIN}
    assert asked("2025-06-18", mode="form", **wanted) == wanted
    assert asked("2025-11-25", mode="form", **wanted) == {"mode": "form", **wanted}


def test_titles_of_values_are_names_of_an_enum_before_2025_11_25() -> None:
    found = asked("2025-06-18", requestedSchema={"type": "object", "properties": {"a": TITLED}})
    assert found["requestedSchema"]["properties"] == {
        "a": {"type": "string", "title": "T", "enum": ["x", "y"], "enumNames": ["X", "y"]}
    }


def test_a_choice_of_several_is_left_out_unless_it_must_be_made() -> None:
    schema: Any = {"properties": {"a": {"type": "string"}, "b": SEVERAL}, "required": ["a"]}
    found = asked("2025-06-18", requestedSchema=schema)
    assert found["requestedSchema"] == {"properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert asked("2025-11-25", requestedSchema=schema)["requestedSchema"] == schema
    with pytest.raises(InvalidParams, match="several: b"):
        asked("2025-06-18", requestedSchema={**schema, "required": ["a", "b"]})


@pytest.mark.parametrize("schema", [None, 7, [], {"properties": []}, {"properties": {"a": 7}}])
def test_a_schema_that_is_none_is_the_clients_to_judge(schema: Any) -> None:
    assert asked("2025-06-18", requestedSchema=schema) == {"requestedSchema": schema}


def test_a_message_has_one_block_before_2025_11_25() -> None:
    one, several = {"role": "user", "content": [TEXT]}, {"role": "user", "content": [TEXT, TEXT]}
    found = asked("2025-06-18", "sampling/createMessage", messages=[one, {"content": TEXT}])
    assert found["messages"] == [{"role": "user", "content": TEXT}, {"content": TEXT}]
    with pytest.raises(InvalidParams, match="several blocks"):
        asked("2025-06-18", "sampling/createMessage", messages=[several])
    kept = asked("2025-11-25", "sampling/createMessage", messages=[several])
    assert kept["messages"] == [several]


def sampled(revision: str, *contents: Any) -> list[Any]:
    messages = [{"role": "user", "content": one} for one in contents]
    raw = json.dumps({"messages": messages, "maxTokens": 1}).encode()
    found = json.loads(question("sampling/createMessage", raw, revision))
    return [one["content"] for one in found["messages"]]


def test_audio_to_sample_becomes_text_in_2024_11_05() -> None:
    assert sampled("2025-03-26", AUDIO, [AUDIO]) == [AUDIO, AUDIO]
    text = {"type": "text", "text": "[audio, audio/wav]"}
    assert sampled("2024-11-05", TEXT, AUDIO, [AUDIO]) == [TEXT, text, text]


def test_results_of_tools_to_sample_have_objects_for_structure_before_2026() -> None:
    used = {"type": "tool_result", "toolUseId": "1", "content": [TEXT], "structuredContent": [1]}
    kept = {name: one for name, one in used.items() if name != "structuredContent"}
    fine = used | {"structuredContent": {"a": 1}}
    assert sampled("2025-11-25", used, [TEXT, used], fine) == [kept, [TEXT, kept], fine]


@pytest.mark.parametrize(
    ("method", "revision"),
    [
        ("elicitation/create", "2025-03-26"),
        ("elicitation/create", "2024-11-05"),
        ("tasks/get", "2025-11-25"),
        ("roots/list", "2026-07-28"),
    ],
)
def test_what_a_revision_lacks_is_not_asked(method: str, revision: str) -> None:
    with pytest.raises(MethodNotFound, match=f"{revision} takes no {method}"):
        question(method, b"{}", revision)
