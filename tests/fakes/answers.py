"""A gateway over one scripted library, asked by callers with names, on a clock of the test."""

import json
from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw

from fakes.upstream import Heard, ask
from only1mcp.gateway import Gateway
from only1mcp.policy.cache import Counts, Tier
from only1mcp.protocol.errors import ServerLost, UpstreamError

READ: Final = "resources/read"
A: Final = {"uri": "lib://a"}
OWN_ERROR: Final = UpstreamError(b'{"code":-32603,"message":"boom"}', -32603, "boom")
LOST: Final = ServerLost("lib", "gone")


class Clock:
    """Stands until it is moved."""

    def __init__(self, gateway: Gateway) -> None:
        self.now = 1000.0
        gateway._answers._clock = lambda: self.now


def numbered(**more: Any) -> Callable[[Any], Any]:
    """Results that differ: 1, 2, 3."""
    count = 0

    def answer(call: Any) -> Any:
        nonlocal count
        count += 1
        return {"contents": [], "count": count, **more}

    return answer


def client(principal: str = "test", session: str | None = None, **capabilities: Any) -> Heard:
    """A caller of that name."""
    one = Heard()
    one.principal = principal
    one.session = session
    one.capabilities = capabilities
    return one


async def read(gateway: Gateway, caller: Heard | None = None, **more: Any) -> Any:
    """Which reading of lib://a a client gets."""
    return (await ask(gateway, READ, A, caller=caller, **more))["count"]


def counts(gateway: Gateway, tier: Tier = Tier.L2) -> Counts:
    """What has happened in a tier."""
    return gateway._answers.store.counts[tier]


def raw(value: Any) -> Raw:
    """A JSON value as a member."""
    return Raw(json.dumps(value).encode())
