"""Results for clients of older revisions: only what they would refuse is changed.

    structuredContent that is no object    before 2026-07-28  left out; said as text if nothing is
    resource_link blocks                   before 2025-06-18  a text block with the link
    audio blocks                           before 2025-03-26  a text block that says what was there

Unknown members are harmless to clients, so they stay; types a client does not know are not.
Source  schema of each revision, "ContentBlock" and "CallToolResult".
"""

from typing import Any, Final

from only1mcp.protocol import message
from only1mcp.protocol.message import Params, as_raw
from only1mcp.protocol.methods import R2025_03_26, R2025_06_18, R2026_07_28

_STRUCTURED: Final = b'"structuredContent"'
_LINK: Final = b'"resource_link"'
_AUDIO: Final = b'"audio"'


def tool_result(result: bytes, revision: str) -> bytes:
    """The result of `tools/call` for a client of `revision`.

    Cost  two or three substring tests for a result that needs no change.
    """
    if revision >= R2026_07_28:
        return result
    structured = _STRUCTURED in result
    links = revision < R2025_06_18 and _LINK in result
    audio = revision < R2025_03_26 and _AUDIO in result
    if not (structured or links or audio):
        return result
    members = message.members(result)
    changed = structured and _without_foreign_structure(members)
    if (links or audio) and _plain_blocks(members, revision):
        changed = True
    return message.encode(members) if changed else result


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


def _said(block: Params, revision: str) -> str | None:
    kind = message.text(block.get("type"))
    if kind == "resource_link":
        name, uri = message.text(block.get("name")), message.text(block.get("uri"))
        return f"{name or 'resource'}: {uri}"
    if kind == "audio" and revision < R2025_03_26:
        return f"[audio, {message.text(block.get('mimeType')) or 'unknown type'}]"
    return None
