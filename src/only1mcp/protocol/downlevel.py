"""Results and questions for clients of older revisions: only what they would refuse is changed.

    structuredContent that is no object    before 2026-07-28  left out; said as text if nothing is
    resource_link blocks                   before 2025-06-18  a text block with the link
    audio blocks                           before 2025-03-26  a text block that says what was there
    mode of an elicitation                 before 2025-11-25  left out
    a choice of values with titles         before 2025-11-25  enum and enumNames
    a choice of several values             before 2025-11-25  left out; refused if it is required
    several blocks in a sampling message   before 2025-11-25  one as it is; refused if more

Blocks are looked for in results of tools, in the messages of prompts and in those of sampling.
Unknown members are harmless to clients, so they stay; types a client does not know are not.
Source  schema of each revision, "ContentBlock", "CallToolResult", "PrimitiveSchemaDefinition"
        and "SamplingMessage".
"""

from contextlib import suppress
from typing import Any, Final

from only1mcp.protocol import message
from only1mcp.protocol.errors import InvalidParams, McpError, MethodNotFound
from only1mcp.protocol.message import Params, as_raw
from only1mcp.protocol.methods import (
    QUESTIONS,
    R2025_03_26,
    R2025_06_18,
    R2025_11_25,
    R2026_07_28,
)
from only1mcp.protocol.questions import ELICIT, SAMPLE

METHODS: Final = frozenset(("tools/call", "tasks/result", "prompts/get"))
"""Whose results differ from revision to revision."""
_STRUCTURED: Final = b'"structuredContent"'
_LINK: Final = b'"resource_link"'
_AUDIO: Final = b'"audio"'


def result(method: str, result: bytes, revision: str) -> bytes:
    """The result of `method` for a client of `revision`.

    Cost  two or three substring tests for a result that needs no change.
    """
    if revision >= R2026_07_28 or method not in METHODS:
        return result
    if revision >= R2025_06_18 and result.find(_STRUCTURED) < 0:  # find: see dispatch.modern_meta
        return result
    with suppress(McpError):  # a result of another form is the client's to judge
        if method != "prompts/get":
            return _tool_result(result, revision)
        if _has_foreign_blocks(result, revision):
            members = message.members(result)
            return message.encode(members) if _plain_texts(members, revision) else result
    return result


def _tool_result(result: bytes, revision: str) -> bytes:
    structured = result.find(_STRUCTURED) >= 0
    foreign = _has_foreign_blocks(result, revision)
    if not (structured or foreign):
        return result
    members = message.members(result)
    changed = structured and _without_foreign_structure(members)
    if foreign and _plain_blocks(members, revision):
        changed = True
    return message.encode(members) if changed else result


def _has_foreign_blocks(text: bytes, revision: str) -> bool:
    """Whether there may be content of a type that the revision lacks."""
    links = revision < R2025_06_18 and text.find(_LINK) >= 0
    return links or (revision < R2025_03_26 and text.find(_AUDIO) >= 0)


def _without_foreign_structure(members: Params) -> bool:
    """Leave structuredContent out unless it is an object; True if it went."""
    value = members.get("structuredContent")
    if value is None or bytes(value).lstrip()[:1] == b"{":
        return False
    del members["structuredContent"]
    if not message.objects(members.get("content", message.NO_RAW)):
        members["content"] = as_raw([{"type": "text", "text": bytes(value).decode()}])
    return True


def _plain_blocks(members: Params, revision: str) -> bool:
    """Put text for content blocks the client does not know; True if there was one."""
    blocks: list[Any] = list(message.objects(members.get("content", message.NO_RAW)))
    changed = False
    for place, block in enumerate(blocks):
        if (text := _said(block, revision)) is not None:
            blocks[place] = {"type": "text", "text": text}
            changed = True
    if changed:
        members["content"] = as_raw(blocks)
    return changed


def _plain_texts(members: Params, revision: str) -> bool:
    """The same for messages of one block each; True if there was one."""
    messages: list[Any] = list(message.objects(members.get("messages", message.NO_RAW)))
    changed = False
    for one in messages:
        content = one.get("content", message.NO_RAW)
        if bytes(content).lstrip()[:1] != b"{":
            continue
        if (text := _said(message.members(content), revision)) is not None:
            one["content"] = as_raw({"type": "text", "text": text})
            changed = True
    if changed:
        members["messages"] = as_raw(messages)
    return changed


def _said(block: Params, revision: str) -> str | None:
    kind = message.text(block.get("type"))
    if kind == "resource_link":
        name, uri = message.text(block.get("name")), message.text(block.get("uri"))
        return f"{name or 'resource'}: {uri}"
    if kind == "audio" and revision < R2025_03_26:
        return f"[audio, {message.text(block.get('mimeType')) or 'unknown type'}]"
    return None


def question(method: str, params: bytes, revision: str) -> bytes:
    """The params of a server's question for a client of `revision`.

    Raises:
        MethodNotFound: the revision does not have it.
        InvalidParams: the revision has no form for it.
    """
    row = QUESTIONS.get(method)
    if row is None or revision not in row.revisions:
        raise MethodNotFound(f"a client of {revision} takes no {method}")
    if method == ELICIT and revision < R2025_11_25:
        members = message.members(params)
        return message.encode(members) if _plain_form(members) else params
    if method == SAMPLE:
        members = message.members(params)
        return message.encode(members) if _plain_sampling(members, revision) else params
    return params


def _plain_sampling(members: Params, revision: str) -> bool:
    if revision >= R2025_11_25:
        return _plain_tool_results(members)
    one_each = _plain_messages(members)
    return _plain_texts(members, revision) or one_each


def _plain_tool_results(members: Params) -> bool:
    """What tools said without structure that is no object; True if one had such."""
    if _STRUCTURED not in bytes(members.get("messages", message.NO_RAW)):
        return False
    messages: list[Any] = list(message.objects(members["messages"]))
    changed = False
    for one in messages:
        content = one.get("content", message.NO_RAW)
        several = bytes(content).lstrip()[:1] == b"["
        blocks = message.objects(content) if several else [message.members(content)]
        found = [_without_foreign_structure(block) for block in blocks if _is_tool_result(block)]
        if any(found):
            one["content"] = as_raw(blocks if several else blocks[0])
            changed = True
    if changed:
        members["messages"] = as_raw(messages)
    return changed


def _is_tool_result(block: Params) -> bool:
    return message.text(block.get("type")) == "tool_result"


def _plain_form(members: Params) -> bool:
    """A form with one plain value for each question; True if it was another."""
    changed = members.pop("mode", None) is not None
    schema = message.any_value(members.get("requestedSchema", message.NO_RAW))
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return changed
    plain = {name: _plain_choice(one) for name, one in properties.items()}
    if plain == properties:
        return changed
    required = schema.get("required")
    for name in [name for name, one in plain.items() if one is None]:
        if isinstance(required, list) and name in required:
            raise InvalidParams(f"the client's revision has no choice of several: {name}")
        del plain[name]
    members["requestedSchema"] = as_raw({**schema, "properties": plain})
    return True


def _plain_choice(one: Any) -> Any:
    """A property as revision 2025-06-18 has it; None for a choice of several values."""
    if not isinstance(one, dict):
        return one
    if one.get("type") == "array":
        return None
    choices = one.get("oneOf")
    if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
        return one
    values = [each.get("const") for each in choices]
    titles = [each.get("title", each.get("const")) for each in choices]
    kept = {name: value for name, value in one.items() if name != "oneOf"}
    return {**kept, "enum": values, "enumNames": titles}


def _plain_messages(members: Params) -> bool:
    """Messages of one block each; True if one was in an array."""
    messages: list[Any] = list(message.objects(members.get("messages", message.NO_RAW)))
    changed = False
    for one in messages:
        if bytes(one.get("content", message.NO_RAW)).lstrip()[:1] != b"[":
            continue
        blocks = message.objects(one["content"])
        if len(blocks) != 1:
            raise InvalidParams("the client's revision has no message of several blocks")
        one["content"] = as_raw(blocks[0])
        changed = True
    if changed:
        members["messages"] = as_raw(messages)
    return changed
