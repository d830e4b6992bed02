"""What a gateway loses of a result: everything the stub sent, looked for in what arrived."""

import json
from collections.abc import Callable
from typing import Any, Final

Ask = Callable[[str, dict[str, Any]], bytes]
"""Sends one request; gives the bytes of the message that answers it, an error too."""

Checks = dict[str, Callable[[Any], bool]]
"""Whether each thing is in a value."""
META: Final = {"com.example/asked": "kept"}
RESULT: Final[Checks] = {
    "text": lambda r: bool(_block(r, "text")["text"]),
    "`_meta` of the result": lambda r: r["_meta"]["com.example/result"] == "kept",
    "unknown member of the result": lambda r: r["x-later"] == "kept",
    "structuredContent": lambda r: r["structuredContent"]["unicode"] == "\u00e9",
    "integer above 2^53": lambda r: r["structuredContent"]["big"] == "9007199254740993",
    "spelling of 1.50": lambda r: r["structuredContent"]["spelled"] == "1.50",
    "`_meta` of a block": lambda r: _block(r, "text")["_meta"]["com.example/block"] == "kept",
    "annotations of a block": lambda r: _block(r, "text")["annotations"]["priority"] == "0.5",
    "unknown member of a block": lambda r: _block(r, "text")["x-later"] == "kept",
    "image and audio": lambda r: bool(_block(r, "image")["data"] and _block(r, "audio")["data"]),
    "resource link": lambda r: _block(r, "resource_link")["size"] == "7",
    "embedded resource with `_meta`": lambda r: bool(_block(r, "resource")["resource"]["_meta"]),
}
ARGUMENTS: Final[Checks] = {
    "argument 2^53 + 1 arrives": lambda r: "9007199254740993" in _block(r, "text")["text"],
    "unknown argument arrives": lambda r: "'kept'" in _block(r, "text")["text"],
    "`_meta` of the request arrives": lambda r: "with _meta" in _block(r, "text")["text"],
}
LISTED: Final[Checks] = {
    "title of a tool": lambda t: t["title"] == "A probe",
    "annotations of a tool": lambda t: t["annotations"]["readOnlyHint"] is True,
    "outputSchema": lambda t: t["outputSchema"]["type"] == "object",
    "icons": lambda t: t["icons"][0]["mimeType"] == "image/png",
    "`_meta` of a tool": lambda t: t["_meta"]["com.example/tool"] == "kept",
    "unknown member of a tool": lambda t: t["x-later"] == "kept",
}
REFUSED: Final[Checks] = {
    "code of an error": lambda e: e["code"] == "-32042",
    "data of an error": lambda e: e["data"]["why"] == "kept",
}
QUESTIONS: Final = (*RESULT, *ARGUMENTS, *LISTED, *REFUSED)


def fidelity(ask: Ask, name: Callable[[str], str], call: Callable[..., Any]) -> dict[str, bool]:
    """What arrived of each thing. `name` makes the shown name of a tool, `call` the params."""
    found: dict[str, bool] = {}
    arguments = {"number": 9007199254740993, "x": "kept"}
    result = part(ask("tools/call", {**call("probe", arguments), "_meta": META}), "result")
    found |= kept(RESULT | ARGUMENTS, result)
    tools: list[dict[str, Any]] = part(ask("tools/list", {}), "result").get("tools", [])
    probe = next((tool for tool in tools if tool.get("name") == name("probe")), {})
    found |= kept(LISTED, probe)
    found |= kept(REFUSED, part(ask("tools/call", call("refuse", {})), "error"))
    return found


def kept(checks: Checks, value: Any) -> dict[str, bool]:
    """Which of the checks hold for `value`."""
    return {name: _holds(check, value) for name, check in checks.items()}


def part(answer: bytes, member: str) -> dict[str, Any]:
    """One member of a message; numbers stay as they are spelled."""
    for line in answer.splitlines():
        text = line.removeprefix(b"data:").strip()
        if text[:1] == b"{":
            found = json.loads(text, parse_int=str, parse_float=str)
            if member in found:
                return dict(found[member])
    return {}


def _holds(check: Callable[[Any], bool], value: Any) -> bool:
    try:
        return check(value)
    except (KeyError, IndexError, TypeError, StopIteration):
        return False


def _block(result: dict[str, Any], kind: str) -> Any:
    return next(block for block in result["content"] if block["type"] == kind)
