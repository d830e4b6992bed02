"""What the gateway takes on, and what it sends once more.

    refuse     a request that the gate of all requests keeps out
    once_more  a request whose server failed it: wait until it may be sent again, or give up
    after      the error of the second attempt, as true as that of the first

The decisions are those of `policy/limit.py` and `policy/retry.py`.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from time import monotonic
from typing import Final, NamedTuple, NoReturn

from only1mcp.policy.limit import SOON_S, Bound, Gate
from only1mcp.policy.retry import Fate, fate, pause_s, repeats
from only1mcp.protocol.errors import CircuitOpen, OverLimit, Overloaded, ServerFault
from only1mcp.protocol.methods import Method
from only1mcp.upstream.roster import Live

RETURN_S: Final = 2.0
"""How long a request waits for a server that is being started again."""


def refuse(bound: Bound, gate: Gate) -> NoReturn:
    """Refuse a request that a gate keeps out.

    Raises:
        Overloaded: always.
    """
    gate.refused[bound] += 1
    hint = f"nothing was sent; repeat it in {SOON_S:g} s or later"
    after_ms = int(SOON_S * 1000)
    if bound is Bound.CALLER:
        said = f"{gate.per_caller} requests of yours are under way (server.limits.per_caller)"
        raise OverLimit("gateway", said, hint=hint, retry_after_ms=after_ms)
    said = f"{gate.most} requests are under way (server.limits.max_in_flight)"
    raise Overloaded("gateway", said, hint=hint, retry_after_ms=after_ms)


class Before(NamedTuple):
    """What a request has behind it when it is sent once more."""

    spent_s: float
    tried: tuple[str, ...] = ()
    """Replicas that have failed it."""


FIRST: Final = Before(0.0)


async def once_more(
    fault: ServerFault, live: Live, row: Method, name: str, began: float
) -> Before | None:
    """Wait until a request that ended in `fault` may be sent again, to another replica if there
    is one, which needs no pause. None: it may not be, or not in time.

    `name` is what it names there; `began` is when it was taken on, on the monotonic clock.
    """
    settings = live.config
    if isinstance(fault, Overloaded | CircuitOpen):  # of the server as a whole: no other replica
        return None
    what = fate(fault)
    repeatable = row.repeatable or _is_idempotent(name, settings.retry.idempotent_tools)
    if not repeats(repeatable, what, 1):
        return None
    tried = (fault.data["replica"],) if "replica" in fault.data else ()
    after_s = pause_s(1, random.random())  # noqa: S311
    if live.takes_calls(besides=tried):
        after_s = 0.0
    elif what is Fate.BUSY:
        after_s = (fault.retry_after_ms or 0) / 1000
    ends_at = began + settings.timeouts.call_max
    now = monotonic()
    if after_s >= min(ends_at - now, settings.timeouts.call_idle) or not live.repeats.spend(now):
        return None
    if after_s and live.upstream is not None:
        await asyncio.sleep(after_s)
    if live.upstream is None and not await live.returns(RETURN_S):
        return None
    return Before(monotonic() - began, tried)


@contextmanager
def after(first: ServerFault) -> Iterator[None]:
    """The second attempt; that it was not sent does not undo that the first may have run.

    Raises:
        ServerFault: that of the second, or `first`.
    """
    try:
        yield
    except ServerFault as second:
        if first.may_have_run and not second.may_have_run:
            raise first from second
        raise


def _is_idempotent(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
