"""What the cache has done, and emptying it.

GET  cache         counters, in all and by tier
POST cache/clear   {"tier", "server", "method"}, each optional: what fits all of them goes
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from only1mcp.catalog.listing import Kind
from only1mcp.policy.cache import Counts, Tier
from only1mcp.relay.answers import TIER_OF_KIND
from only1mcp.relay.fetch import METHOD_OF_KIND
from only1mcp.relay.snapshot import Snapshot

Text = Annotated[str, Field(max_length=256)]


class Filter(BaseModel):
    """What is to go; None: whatever it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier: Tier | None = None
    server: Text | None = None
    method: Text | None = None


class BadFilter(ValueError):
    """It cannot be read; the text says why."""


def read_filter(body: bytes) -> Filter:
    """The filter in the body of a request; an empty body is an empty filter.

    Raises:
        BadFilter: it is none.
    """
    try:
        return Filter.model_validate_json(body) if body.strip() else Filter()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = f"{place}: {first['msg']}" if place else first["msg"]
        raise BadFilter(f"{said}; known are tier (l1, l2, l3), server and method") from None


def describe(now: Snapshot) -> dict[str, Any]:
    """All counters since the start."""
    answers, settings = now.answers, now.config.cache
    store, windows = answers.store, answers.windows
    tiers = {tier.value: _tier(store.counts[tier]) for tier in Tier}
    for name, tier in tiers.items():
        of = getattr(settings, name)
        tier |= {"capacity": of.capacity, "ttl_seconds": of.ttl}
    return {
        "enabled": settings.enabled,
        "bytes": store.bytes,
        "max_bytes": settings.max_bytes,
        "hit_rate": _rate(*store.counts.values()),
        "tiers": tiers,
        "calls": answers.calls,
        "shared": answers.shared,
        "windows": {
            "flushed": windows.windows,
            "calls": windows.gathered,
            "arrays": windows.arrays,
            "waiting": windows.waiting,
        },
    }


def clear(now: Snapshot, wanted: Filter) -> int:
    """Drop what fits, and let the lists that fit be asked for anew; how many answers went.

    What is on its way is not kept either.
    """
    kinds = [
        kind
        for kind in Kind
        if wanted.tier in (None, TIER_OF_KIND[kind])
        and wanted.method in (None, METHOD_OF_KIND[kind])
    ]
    for server in now.servers:
        if wanted.server in (None, server):
            now.listings.end(server, kinds)
    return now.answers.store.clear(wanted.tier, wanted.server, wanted.method)


def _tier(counts: Counts) -> dict[str, Any]:
    found = {name: getattr(counts, name) for name in Counts.__slots__}
    return {**found, "hit_rate": _rate(counts)}


def _rate(*counts: Counts) -> float | None:
    """Of those that were looked for; None: none was."""
    hits = sum(one.hits for one in counts)
    asked = hits + sum(one.misses for one in counts)
    return round(hits / asked, 4) if asked else None
