"""Tasks: calls that go on after their answer. Their ids say where that is: on an endpoint of many
the server, and of a server with several replicas the one that has it.

    place   search, or search@5d41402a: a server, or one replica of it
    id      search.17, or search@5d41402a.17

    2026-07-28   extension io.modelcontextprotocol/tasks: flat, the id at the top of the object
    2025-11-25   experimental core: in `task`, at the top, or beside a result in `_meta`

Pure; only the id is respelt, every other byte stays.
Source  SEP-2663; MCP 2025-11-25 basic/utilities/tasks.
"""

from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2s
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.errors import InvalidParams, MissingCapability
from only1mcp.protocol.message import Params, as_raw

EXTENSION: Final = "io.modelcontextprotocol/tasks"
RELATED: Final = "io.modelcontextprotocol/related-task"
STATUS: Final = "notifications/tasks/status"
"""Of 2025-11-25."""
CHANGED: Final = "notifications/tasks"
"""Of the extension, to who listens: the task as `tasks/get` has it."""
_SIGN: Final = b'"taskId"'
_RELATED: Final = RELATED.encode()
_OVER: Final = ("completed", "failed", "cancelled")
_SEPARATOR: Final = "."
_REPLICA: Final = "@"

Respell = Callable[[str], str]
"""From the server's own id to the one the client sees, or back."""


def place(server: str, replica: str) -> str:
    """Names a replica in ids: the same as long as its URL or command is."""
    return f"{server}{_REPLICA}{blake2s(replica.encode(), digest_size=4).hexdigest()}"


def server(place: str) -> str:
    """The server of a place."""
    return place.partition(_REPLICA)[0]


def shown(place: str, id: str) -> str:
    """The id of a task on an endpoint of many; a place has no full stop."""
    return f"{place}{_SEPARATOR}{id}"


def owner(id: str) -> tuple[str, str]:
    """Place and own id of a shown one; an empty place for what is none."""
    place, found, own = id.partition(_SEPARATOR)
    return (place, own) if found else ("", id)


def declared() -> dict[str, Any]:
    """The capabilities of a client that uses the extension."""
    return {"extensions": {EXTENSION: {}}}


def check_declared(capabilities: dict[str, Any]) -> None:
    """Whether a modern client may use the extension.

    Raises:
        MissingCapability: it has not declared it for this request (SEP-2663 "Capabilities").
    """
    extensions = capabilities.get("extensions")
    if not isinstance(extensions, dict) or EXTENSION not in extensions:
        needed = {"requiredCapabilities": declared()}
        raise MissingCapability(f"the request does not declare the extension {EXTENSION}", needed)


def respelt_result(result: bytes, method: str, respell: Respell, *, modern: bool) -> bytes:
    """A result of `method` with the ids of tasks in it respelt; the same bytes if there is none."""
    if _SIGN not in result:
        return result
    with suppress(InvalidParams):  # a result of another form is the client's to judge
        members = message.members(result)
        if _respell(members, method, respell, modern=modern):
            return message.encode(members)
    return result


def _respell(members: Params, method: str, respell: Respell, *, modern: bool) -> bool:
    match method:
        case "tools/call" if modern:
            return message.text(members.get("resultType")) == "task" and _top(members, respell)
        case "tools/call":
            return _inside(members, "task", respell) or _related(members, respell)
        case "tasks/result":
            return _related(members, respell)
        case _:
            return _top(members, respell)


def made(result: bytes) -> str | None:
    """The id of the task of 2025-11-25 that a result says was made; None if it is another."""
    if _SIGN not in result:
        return None
    with suppress(InvalidParams):
        task = message.members(message.members(result).get("task", message.NO_RAW))
        return message.text(task.get("taskId"))
    return None


def unrelated(text: Raw) -> Raw:
    """Params or a result without the task that they belong to."""
    if RELATED.encode() not in bytes(text):
        return text
    with suppress(InvalidParams):
        members = message.members(text)
        meta = message.members(members.get("_meta", message.NO_RAW))
        if meta.pop(RELATED, None) is not None:
            members["_meta"] = as_raw(meta)
            if not meta:
                del members["_meta"]
            return as_raw(members)
    return text


def is_over(found: bytes) -> bool:
    """Whether an object that tells of a task says that it has ended."""
    with suppress(InvalidParams):  # of another form: it tells of none
        members = message.members(found)
        task = message.members(members["task"]) if "task" in members else members
        return message.text(task.get("status")) in _OVER
    return False


def as_news(got: bytes) -> Raw:
    """A result of `tasks/get` as the params of a notification that says the same."""
    members = message.members(got)
    for name in ("resultType", "_meta"):
        members.pop(name, None)
    return as_raw(members)


def respelt_status(params: Raw, respell: Respell) -> Raw:
    """The params of a status notification, respelt."""
    members = message.members(params)
    return as_raw(members) if _top(members, respell) else params


def respelt_related(params: Raw, respell: Respell) -> Raw:
    """Params or a result that may belong to a task, respelt."""
    if not _may_hold(bytes(params), _SIGN):
        return params
    members = message.members(params)
    return as_raw(members) if _related(members, respell) else params


def names_related(text: Raw) -> bool:
    """Whether there may be the id of a task in it that it belongs to."""
    return _may_hold(bytes(text), _RELATED)


def _may_hold(text: bytes, sign: bytes) -> bool:
    """An escape may spell any letter, and some libraries escape slashes."""
    return text.find(sign) >= 0 or text.find(b"\\") >= 0


def related(params: Raw) -> str | None:
    """The id of the task that a message of a server belongs to; None if it names none."""
    if not names_related(params):
        return None
    with suppress(InvalidParams):
        meta = message.members(message.members(params).get("_meta", message.NO_RAW))
        task = message.members(meta.get(RELATED, message.NO_RAW))
        return message.text(task.get("taskId"))
    return None


def _top(members: Params, respell: Respell) -> bool:
    own = message.text(members.get("taskId"))
    if own is None or (other := respell(own)) == own:
        return False
    members["taskId"] = as_raw(other)
    return True


def _inside(members: Params, name: str, respell: Respell) -> bool:
    inner = message.members(members.get(name, message.NO_RAW))
    if not _top(inner, respell):
        return False
    members[name] = as_raw(inner)
    return True


def _related(members: Params, respell: Respell) -> bool:
    meta = message.members(members.get("_meta", message.NO_RAW))
    if not _inside(meta, RELATED, respell):
        return False
    members["_meta"] = as_raw(meta)
    return True
