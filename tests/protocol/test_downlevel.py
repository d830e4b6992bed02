"""Results for older clients: what they would refuse is changed, all else stays."""

import json
from typing import Any

import pytest

from only1mcp.protocol.downlevel import tool_result
from only1mcp.protocol.methods import ALL

TEXT = {"type": "text", "text": "hi"}
LINK = {"type": "resource_link", "uri": "a://b", "name": "b"}
AUDIO = {"type": "audio", "data": "", "mimeType": "audio/wav"}


def told(revision: str, **result: Any) -> Any:
    return json.loads(tool_result(json.dumps(result).encode(), revision))


@pytest.mark.parametrize("revision", ALL)
def test_what_every_revision_knows_is_not_even_parsed(revision: str) -> None:
    raw = b'{ "content" : [ {"type":"text","text":"hi"} ] , "own" : 1e400 }'
    assert tool_result(raw, revision) is raw


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
