"""What the cache has done, for people and programs, and emptying it."""

from typing import Any

from only1mcp.catalog.listing import Kind
from only1mcp.policy.cache import Counts, Tier
from only1mcp.relay.answers import TIER_OF_KIND
from only1mcp.relay.fetch import METHOD_OF_KIND
from only1mcp.relay.snapshot import Snapshot


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


def clear(
    now: Snapshot, tier: str | None = None, server: str | None = None, method: str | None = None
) -> int:
    """Drop what fits, and let the lists that fit be asked for anew; how many answers went.

    What is on its way is not kept either.
    """
    kinds = [
        kind
        for kind in Kind
        if tier in (None, TIER_OF_KIND[kind]) and method in (None, METHOD_OF_KIND[kind])
    ]
    for id in now.servers:
        if server in (None, id):
            now.listings.end(id, kinds)
    return now.answers.store.clear(None if tier is None else Tier(tier), server, method)


def _tier(counts: Counts) -> dict[str, Any]:
    found = {name: getattr(counts, name) for name in Counts.__slots__}
    return {**found, "hit_rate": _rate(counts)}


def _rate(*counts: Counts) -> float | None:
    """Of those that were looked for; None: none was."""
    hits = sum(one.hits for one in counts)
    asked = hits + sum(one.misses for one in counts)
    return round(hits / asked, 4) if asked else None
