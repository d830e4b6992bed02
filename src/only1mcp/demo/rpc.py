"""What the demo servers share: JSON-RPC messages, argument checks and tool results.

Source  JSON-RPC 2.0; MCP 2025-11-25 server/tools "Error Handling": bad arguments of a tool are
        a result with isError, which a model can read and correct; the rest is a JSON-RPC error.
"""

import json
from math import inf
from typing import Any, Final

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602

Json = dict[str, Any]
"""A JSON object."""

RequestId = str | int
"""The two types an id may have; "1" and 1 are different ids."""


class Fault(Exception):
    """A JSON-RPC error to answer with; `status` is the HTTP status it travels with."""

    def __init__(self, code: int, message: str, data: Any = None, status: int = 400) -> None:
        super().__init__(message)
        self.error: Json = {"code": code, "message": message}
        if data is not None:
            self.error["data"] = data
        self.status = status


class ToolFailure(Exception):
    """A tool could not do its job; the text becomes a result with isError."""


def decode(text: bytes) -> Any:
    """The JSON value in `text`.

    Raises:
        Fault: it is not UTF-8, not JSON, or nested too deep (-32700).
    """
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise Fault(PARSE_ERROR, f"this is not JSON: {error}") from None


def encode(message: Any) -> bytes:
    """`message` as one line of JSON; everything beyond ASCII is escaped."""
    return json.dumps(message, separators=(",", ":")).encode()


def check_message(message: Any) -> Json:
    """`message` itself, when it is a request, a notification or a response.

    Raises:
        Fault: it is none of these (-32600), or its params are no object (-32602).
    """
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise Fault(INVALID_REQUEST, 'a message is one JSON object with "jsonrpc": "2.0"')
    if "id" in message and id_of(message) is None:
        raise Fault(INVALID_REQUEST, "an id is a string or an integer")
    if not isinstance(message.get("method"), str) and not is_response(message):
        raise Fault(INVALID_REQUEST, "a message needs a method, a result or an error")
    params = message.get("params", {})
    if not isinstance(params, dict) or not isinstance(params.get("_meta", {}), dict):
        raise Fault(INVALID_PARAMS, "params, and _meta in it, must be objects")
    return message


def is_response(message: Json) -> bool:
    """Whether `message` answers a request (which none of the demo servers sends)."""
    return "method" not in message and ("result" in message or "error" in message)


def id_of(message: Any) -> RequestId | None:
    """The id of `message`, or None when it has none that can be read."""
    value = message.get("id") if isinstance(message, dict) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def answer(id: RequestId, result: Json) -> Json:
    """The answer to the request with this id."""
    return {"jsonrpc": "2.0", "id": id, "result": result}


def failure(id: RequestId | None, fault: Fault) -> Json:
    """The error answer; the id is left out when it could not be read."""
    known: Json = {} if id is None else {"id": id}
    return {"jsonrpc": "2.0", **known, "error": fault.error}


def notification(method: str, params: Json | None = None) -> Json:
    """A message that asks for no answer."""
    return {"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})}


def one_page(params: Json) -> None:
    """Refuse a cursor: our lists fit on one page, so we never gave one out."""
    if "cursor" in params:
        raise Fault(INVALID_PARAMS, "unknown cursor: this list has only one page")


def schema(required: list[str], **properties: Json) -> Json:
    """JSON Schema of an object: these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def by_name(*tools: Json) -> dict[str, Json]:
    """These tools, to be found by name and listed in this order."""
    return {tool["name"]: tool for tool in tools}


def tool_arguments(params: Json, tools: dict[str, Json]) -> Json:
    """The arguments of a `tools/call`, checked against the tool's inputSchema.

    Raises:
        Fault: there is no such tool, or the arguments are no object (-32602).
        ToolFailure: an argument is missing, unknown or out of its range.
    """
    name, arguments = params.get("name"), params.get("arguments", {})
    if not isinstance(name, str) or name not in tools:
        raise Fault(INVALID_PARAMS, f"unknown tool {name!r}; there are: {', '.join(tools)}")
    if not isinstance(arguments, dict):
        raise Fault(INVALID_PARAMS, "arguments must be an object")
    if problems := _problems(arguments, tools[name]["inputSchema"]):
        raise ToolFailure(f"{name}: {'; '.join(problems)}")
    return arguments


def _problems(arguments: Json, schema: Json) -> list[str]:
    rules = schema["properties"]
    missing = [f"{name!r} is missing" for name in schema["required"] if name not in arguments]
    unknown = [
        f"{name!r} is no argument; there are: {', '.join(rules) or 'none'}"
        for name in arguments
        if name not in rules
    ]
    wrong = [
        f"{name!r} does not fit {json.dumps(rule)}"
        for name, rule in rules.items()
        if name in arguments and not _fits(arguments[name], rule)
    ]
    return missing + unknown + wrong


def _fits(value: Any, rule: Json) -> bool:
    """Whether `value` obeys `rule`: the few keywords of JSON Schema that the demos use."""
    types = {"string": str, "integer": int, "number": int | float}
    if isinstance(value, bool) or not isinstance(value, types[rule["type"]]):
        return False
    if "enum" in rule and value not in rule["enum"]:
        return False
    if isinstance(value, str):
        return bool(rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", inf))
    return bool(rule.get("minimum", -inf) <= value <= rule.get("maximum", inf))


def told(text: str, structured: Any = None) -> Json:
    """A tool result: text for people and models, the same as data for programs."""
    result: Json = {"content": [{"type": "text", "text": text}]}
    if structured is not None:
        result["structuredContent"] = structured
    return result


def failed(failure: ToolFailure) -> Json:
    """The tool result that says what went wrong."""
    return {**told(str(failure)), "isError": True}
