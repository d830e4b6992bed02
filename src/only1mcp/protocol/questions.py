"""What a server may ask a client in mid-call, and how the two eras spell it.

    legacy   a JSON-RPC request of the server       elicitation/create, sampling/createMessage,
    modern   an entry of `inputRequests`            roots/list

Source  MCP 2025-11-25 client/elicitation, client/sampling, client/roots; 2026-07-28
        basic/patterns/mrtr and changelog (elicitationId is gone).
"""

import secrets
from typing import Any, Final

from msgspec import Raw

from only1mcp.protocol import message
from only1mcp.protocol.errors import (
    InvalidParams,
    MethodNotFound,
    MissingCapability,
    ServerProtocolError,
    UpstreamError,
)
from only1mcp.protocol.message import Params, as_raw

ELICIT: Final = "elicitation/create"
SAMPLE: Final = "sampling/createMessage"
ROOTS: Final = "roots/list"
CAPABILITY: Final = {ELICIT: "elicitation", SAMPLE: "sampling", ROOTS: "roots"}
URL_REQUIRED: Final = -32042
"""URLElicitationRequired of 2025-11-25."""
REFUSALS: Final = {ELICIT: b'{"action":"cancel"}'}
"""How a refusal looks as an answer; the others have no such form."""
_ASKED_BY: Final = frozenset(CAPABILITY.values())


EVERYTHING: Final[dict[str, Any]] = {
    "elicitation": {"form": {}, "url": {}},
    "sampling": {"tools": {}, "context": {}},
    "roots": {},
}
"""What the gateway declares to a legacy server: whether a client can be asked is seen per call.

Without `listChanged`: a server that shares its connection would have to ask anew at once, outside
every call, and there is nobody to put that to."""


def check(method: str, params: Params, capabilities: dict[str, Any]) -> None:
    """Whether a client with these capabilities can be asked this.

    Raises:
        MethodNotFound: it declared nothing of the kind (the answer of 2025-11-25).
        InvalidParams: not in this mode, or not with these members.
    """
    declared = capabilities.get(CAPABILITY.get(method, ""))
    if not isinstance(declared, dict):
        raise MethodNotFound(f"the client does not take {method}")
    if method == ELICIT:
        mode = message.text(params.get("mode")) or "form"
        if mode not in _modes(declared):
            raise InvalidParams(f"the client does not take {method} in mode {mode}")
    if method == SAMPLE and "tools" in params and "tools" not in declared:
        raise InvalidParams("the client does not take sampling with tools")


def urls(error: UpstreamError, server: str, capabilities: dict[str, Any]) -> dict[str, Any]:
    """The `inputRequests` behind a legacy server's -32042: one visit per listed elicitation.

    Raises:
        MissingCapability: the client does not take URLs.
        ServerProtocolError: it lists none, or what is none: a repeat would only run it again.
    """
    declared = capabilities.get("elicitation")
    if not isinstance(declared, dict) or "url" not in declared:
        raise no_urls()
    fields = message.any_value(error.raw)
    data = fields.get("data")
    listed = data.get("elicitations") if isinstance(data, dict) else None
    if not isinstance(listed, list) or not listed or not all(map(_is_visit, listed)):
        said = f"server '{server}' wants URLs visited ({URL_REQUIRED}) and names none"
        raise ServerProtocolError(server, said)
    return {
        f"elicitation-{place}": {
            "method": ELICIT,
            "params": {key: value for key, value in one.items() if key != "elicitationId"},
        }
        for place, one in enumerate(listed, 1)
    }


def no_urls() -> MissingCapability:
    """What a client gets that cannot be asked to visit a URL, where the server wants that."""
    needed: dict[str, Any] = {"requiredCapabilities": {"elicitation": {"url": {}}}}
    return MissingCapability("the server wants the user to visit a URL", needed)


def _is_visit(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("url"), str)


def answers(params: Params) -> Params:
    """Take the `inputResponses` of a retry out of its params: the answer to each key.

    Raises:
        InvalidParams: they, or one of them, are no object.
    """
    given = params.pop("inputResponses", None)
    if given is None:
        return {}
    if not _is_object(given):
        raise InvalidParams("inputResponses must be an object")
    found = message.members(given)
    for key, answer in found.items():
        if not _is_object(answer):
            raise InvalidParams(f"inputResponses.{key} must be an object")
    return found


def _is_object(value: Raw) -> bool:
    return bytes(value).lstrip()[:1] == b"{"


def can_be_asked(capabilities: dict[str, Any]) -> bool:
    """Whether a client with these capabilities takes any question."""
    return not _ASKED_BY.isdisjoint(capabilities)


def _modes(declared: dict[str, Any]) -> frozenset[str]:
    """An empty object is the form mode of 2025-06-18."""
    return frozenset(declared) or frozenset(("form",))


def client_capabilities(declared: dict[str, Any]) -> dict[str, Any]:
    """What a legacy client declared, as a modern request says it."""
    found = {name: declared[name] for name in CAPABILITY.values() if name in declared}
    if "elicitation" in found and not found["elicitation"]:
        found["elicitation"] = {"form": {}}
    if "roots" in found:
        found["roots"] = {}
    return found


def to_modern(method: str, params: Params) -> Params:
    """A legacy server's question as an entry of `inputRequests`."""
    params.pop("_meta", None)
    params.pop("task", None)
    if method == ELICIT:
        params.pop("elicitationId", None)
    return params


def to_legacy(method: str, params: Params) -> Params:
    """A modern server's question for a legacy client; URL mode needs an id there."""
    if method == ELICIT and message.text(params.get("mode")) == "url":
        params.setdefault("elicitationId", as_raw(secrets.token_urlsafe(12)))
    return params
