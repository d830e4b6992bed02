"""What a client wants to hear of: the filter of `subscriptions/listen`, its tags, and URIs.

Pure functions over `params`; both sides of the gateway use them.
Source  MCP 2026-07-28 basic/patterns/subscriptions; 2025-11-25 server/resources
        "Subscriptions"; schema: `updated` may name a sub-resource of what was subscribed.
        `taskIds`: SEP-2663 "Task Status Notifications".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.eras import META
from only1mcp.protocol.errors import InvalidParams
from only1mcp.protocol.message import Params, as_raw

LISTEN: Final = "subscriptions/listen"
SUBSCRIBE: Final = "resources/subscribe"
UNSUBSCRIBE: Final = "resources/unsubscribe"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
UPDATED: Final = "notifications/resources/updated"
TAG_KEY: Final = META + "subscriptionId"

FLAGS: Final = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
"""Member of a filter -> the notification it stands for."""
MAX_URIS: Final = 1000
"""Of one client or one listen; each is a request to a legacy server."""
MAX_TASKS: Final = 1000
"""Of one listen."""
_URIS: Final = "resourceSubscriptions"
_TASKS: Final = "taskIds"
_MAX_PARENTS: Final = 64  # of one URI; deeper ones are looked up from the nearest parents only


@dataclass(frozen=True, slots=True)
class Filter:
    """What to hear of: methods of FLAGS, resources, and tasks by their ids."""

    methods: frozenset[str] = frozenset()
    uris: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.methods or self.uris or self.tasks)

    def encoded(self) -> dict[str, Any]:
        """As in `params.notifications`: only what is wanted."""
        flags: dict[str, Any] = {flag: True for flag, one in FLAGS.items() if one in self.methods}
        lists = {_URIS: list(self.uris), _TASKS: list(self.tasks)}
        return flags | {name: one for name, one in lists.items() if one}


def wanted(params: Params) -> Filter:
    """The filter in the params of a listen.

    Raises:
        InvalidParams: there is none, it is none, or it is too long.
    """
    return _filter(params, MAX_URIS, MAX_TASKS)


def acknowledged(params: Params) -> Filter:
    """The filter in the params of an acknowledgement: of our own listen, which is for all clients.

    Raises:
        InvalidParams: there is none, or it is none.
    """
    return _filter(params, None, None)


def _filter(params: Params, uris: int | None, ids: int | None) -> Filter:
    raw = params.get("notifications", message.NO_RAW)
    if bytes(raw).lstrip()[:1] != b"{":
        raise InvalidParams("params.notifications must be an object")
    members = message.members(raw)
    methods = [FLAGS[flag] for flag in FLAGS if _flag(flag, members)]
    return Filter(frozenset(methods), _texts(_URIS, members, uris), _texts(_TASKS, members, ids))


def _flag(name: str, members: Params) -> bool:
    value = message.any_value(members.get(name, message.NO_RAW))
    if not isinstance(value, bool | None):
        raise InvalidParams(f"params.notifications.{name} must be true or false")
    return bool(value)


def _texts(member: str, members: Params, most: int | None) -> tuple[str, ...]:
    name = f"params.notifications.{member}"
    found = message.any_value(members.get(member, message.NO_RAW))
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InvalidParams(f"{name} must be an array of strings")
    if most is not None and len(found) > most:
        raise InvalidParams(f"{name} has {len(found)} entries; at most {most} are taken")
    return tuple(dict.fromkeys(found))


def tagged(params: Raw | bytes, id: Raw | bytes) -> Raw:
    """The params of a notification with the mark of the listen `id`, value and type kept."""
    members = message.members(params)
    meta = message.members(members.get("_meta", message.NO_RAW))
    meta[TAG_KEY] = Raw(bytes(id))
    members["_meta"] = as_raw(meta)
    return as_raw(members)


def untagged(params: Raw) -> Raw:
    """The params of a notification without the mark, which is of one hop only."""
    if TAG_KEY.encode() not in bytes(params):
        return params
    members = message.members(params)
    meta = message.members(members.pop("_meta", message.NO_RAW))
    meta.pop(TAG_KEY, None)
    if meta:
        members["_meta"] = as_raw(meta)
    return as_raw(members)


def tag(params: Raw) -> Raw:
    """The mark of a notification; falsy if it has none."""
    if TAG_KEY.encode() not in bytes(params):
        return message.NO_RAW
    members = message.members(params)
    meta = message.members(members.get("_meta", message.NO_RAW))
    return meta.get(TAG_KEY, message.NO_RAW)


def covering(uri: str) -> Iterator[str]:
    """`uri`, and what it may be a sub-resource of: each way to cut it at a separator."""
    yield uri
    start = uri.find(":") + 1
    cuts = [at for at in range(len(uri) - 1, start - 1, -1) if uri[at] in "/?#"]
    for at in cuts[:_MAX_PARENTS]:
        if at + 1 < len(uri):
            yield uri[: at + 1]
        yield uri[:at]
