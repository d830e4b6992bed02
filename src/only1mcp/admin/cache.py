"""What the cache has done, and emptying it.

GET  cache         counters, in all and by tier
POST cache/clear   {"tier", "server", "method"}, each optional: what fits all of them goes
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from only1mcp.config.values import Model

Text = Annotated[str, Field(max_length=256)]
Method = Literal[
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "prompts/list",
    "prompts/get",
]
"""What has a tier (policy/cache.py)."""


class Filter(BaseModel):
    """What is to go; None: whatever it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier: Literal["l1", "l2", "l3"] | None = None
    server: Text | None = None
    method: Method | None = None


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


class Tier(Model):
    """One tier of the cache."""

    hits: int
    """Answers that were there."""
    misses: int
    """Answers that were not."""
    stale: int
    """Answers given after their time, because the server could not be asked."""
    evictions: int
    """Dropped for want of room."""
    expiries: int
    """Dropped because their time was up."""
    invalidations: int
    """Dropped because the server said that they had changed."""
    entries: int
    """How many are kept."""
    bytes: int
    """What they take."""
    hit_rate: float | None
    """Of those that were looked for; null: none was."""
    capacity: int
    """How many may be kept."""
    ttl_seconds: float
    """How long, unless their server says it."""


class Windows(Model):
    """Calls that travel together (`batching.window`)."""

    flushed: int
    """Windows that have closed."""
    calls: int
    """Calls that have waited in one."""
    arrays: int
    """Arrays that were sent."""
    waiting: int
    """Calls that wait now."""


class Cache(Model):
    """What the answers that are kept have saved."""

    enabled: bool
    """Whether any are kept."""
    bytes: int
    """What all of them take."""
    max_bytes: int
    """What they may take."""
    hit_rate: float | None
    """Of all that were looked for; null: none was."""
    tiers: dict[str, Tier]
    """l1, l2 and l3."""
    calls: int
    """Calls to servers made for the cache."""
    shared: int
    """Requests that shared the call of another."""
    windows: Windows
    """Calls that travel together."""


class Cleared(Model):
    """The cache was emptied."""

    cleared: int
    """How many answers went."""
