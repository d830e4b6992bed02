"""What is answered without asking a server again: the settings of the cache and of sharing.

Units   durations are seconds after reading, sizes are bytes.
"""

from typing import Annotated

from pydantic import Field

from only1mcp.config.resilience import Count
from only1mcp.config.values import Duration, Model, Pattern


class ToolTier(Model):
    """L1: lists of tools, and results of the tools in `cache.tools`."""

    ttl: Annotated[Duration, Field(gt=0, le=86_400)] = 300.0
    """How long a list holds if its server does not say; list_changed ends it at once."""
    capacity: Annotated[Count, Field(ge=1, le=100_000)] = 1000
    """Results kept at most; the one not used for the longest time goes first."""


class ResourceTier(Model):
    """L2: lists of resources and templates, and what `resources/read` gave."""

    ttl: Annotated[Duration, Field(gt=0, le=86_400)] = 1800.0
    """How long an answer holds if its server does not say; updated, list_changed and a tool call
    that may write end it at once."""
    capacity: Annotated[Count, Field(ge=1, le=100_000)] = 500
    """Resources kept at most; the one not used for the longest time goes first."""


class PromptTier(Model):
    """L3: lists of prompts, and what `prompts/get` gave."""

    ttl: Annotated[Duration, Field(gt=0, le=86_400)] = 7200.0
    """How long an answer holds if its server does not say; list_changed and a tool call that may
    write end it at once."""
    capacity: Annotated[Count, Field(ge=1, le=100_000)] = 200
    """Prompts kept at most; the one not used for the longest time goes first."""


class CachedTool(Model):
    """Tools whose results may be answered from the cache."""

    match: Pattern
    """Shell pattern of `SERVER__TOOL`: the server's id and its own name of the tool, whatever
    `naming` makes of it."""
    ttl: Annotated[Duration, Field(gt=0, le=86_400)] = 60.0
    """How long a result holds."""


class Cache(Model):
    """Answers that are kept: resources, prompts, and the tools listed here."""

    enabled: bool = True
    """False keeps nothing: each list is asked for again as well."""
    max_bytes: Annotated[Count, Field(ge=65_536, le=1 << 40)] = 67_108_864
    """Of all kept answers together. One larger than a quarter of it is not kept. The lists are
    not in it: they are the catalogue and always there."""
    l1: ToolTier = ToolTier()
    """Tools."""
    l2: ResourceTier = ResourceTier()
    """Resources."""
    l3: PromptTier = PromptTier()
    """Prompts."""
    tools: tuple[CachedTool, ...] = ()
    """Tools whose calls may be answered from the cache; the first that matches counts."""
    stale: Annotated[Duration, Field(ge=0, le=86_400)] = 600.0
    """How long after its time an answer may still be given while its server fails us. 0s: never."""
    debug_headers: bool = False
    """Say on each HTTP answer that is no stream how it came about, `X-Only1MCP-Cache: hit`, `miss`,
    `stale` or `bypass`, and its `Age`."""


class Batching(Model):
    """Requests that are sent once for all who ask the same, or together."""

    enabled: bool = True
    """Equal requests under way at the same time make one call, without any delay. It goes for
    what may be cached, per principal. False: each makes its own."""
    window: Annotated[Duration, Field(ge=0, le=10)] = 0.0
    """Gather such requests to one server and method for so long, and send them together: as one
    JSON-RPC array where the server speaks 2025-03-26, else at once one after the other."""
    max_size: Annotated[Count, Field(ge=1, le=1000)] = 100
    """So many are sent before the window is over."""


class Sharing(Model):
    """Whose answers of one server are."""

    shared: bool = False
    """True: whatever it answers is the same for everybody, so all callers share it. False: an
    answer is its caller's, unless the server says `cacheScope: public`."""
