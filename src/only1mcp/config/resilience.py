"""What keeps one server's trouble from becoming everybody's: the settings of `policy/`.

Units   durations are seconds after reading, shares are parts of one.
Source  the defaults are those of Envoy, HAProxy and Linkerd, lowered to the thin traffic of MCP.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from only1mcp.config.values import Duration, Model, Pattern, Reads, not_bool


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Count = Annotated[int, BeforeValidator(not_bool)]
Share = Annotated[float, BeforeValidator(_number)]


class LoadBalancing(Model):
    """Which replica of a server gets a call."""

    policy: Literal[
        "round_robin",
        "least_connections",
        "random",
        "weighted_random",
        "consistent_hash",
        "p2c_ewma",
    ] = "round_robin"
    """round_robin: in turn, by weight. least_connections: fewest calls in flight for its weight.
    random: any. weighted_random: any, by weight. consistent_hash: the same for the same
    `hash_key`. p2c_ewma: of two at random the one with less latency times calls in flight."""
    hash_key: Annotated[
        str,
        Field(pattern=r"^(session|principal|tool|argument:[^\x00-\x1f]{1,128})$"),
        Reads("session, principal, tool or argument:NAME"),
    ] = "session"
    """What consistent_hash goes by; argument:NAME is a member of a tool's arguments. A client
    without a session counts by its principal."""
    virtual_nodes: Annotated[Count, Field(ge=10, le=1000)] = 150
    """Points on the ring of consistent_hash per unit of weight: more spread keys more evenly and
    take more memory. 150 keeps the shares of equal replicas within a tenth or so."""
    slow_start: Annotated[Duration, Field(ge=0, le=3600)] = 30.0
    """A replica that comes back gets its full share only after this long, growing from a tenth:
    caches and pools are cold. 0s turns it off."""


class Concurrency(Model):
    """How many calls one server runs at once, and how many may wait for it."""

    max_in_flight: Annotated[Count, Field(ge=1, le=100_000)] = 128
    """Calls at once; 1 suits a server that works on one thing at a time. Equal requests that share
    a call take one turn, and no place in the queue."""
    queue: Annotated[Count, Field(ge=0, le=100_000)] = 256
    """Calls that wait for a turn, callers in rotation; more are refused at once (-31005)."""
    queue_timeout: Annotated[Duration, Field(gt=0, le=600)] = 5.0
    """Longest wait for a turn; then the call is refused (-31005) and has not run."""


class HealthCheck(Model):
    """How the gateway finds out whether a replica is well while nobody calls it."""

    enabled: bool = True
    """False: only real calls tell."""
    interval: Annotated[Duration, Field(ge=1, le=3600)] = 30.0
    """Between checks, give or take a fifth; an answered call counts as a check."""
    timeout: Annotated[Duration, Field(gt=0, le=60)] = 5.0
    """How long one check may take."""
    healthy_threshold: Annotated[Count, Field(ge=1, le=100)] = 2
    """Good checks in a row that make an unhealthy replica healthy."""
    unhealthy_threshold: Annotated[Count, Field(ge=1, le=100)] = 3
    """Failed checks in a row that make a replica unhealthy; before that it is degraded."""
    path: Annotated[
        str | None, Field(pattern=r"^/[!-~]{0,2047}$"), Reads("a path such as /health")
    ] = None
    """GET this path of an HTTP server, 2xx is good; none: server/discover or ping."""

    @model_validator(mode="after")
    def _a_check_ends_before_the_next(self) -> Self:
        if self.timeout >= self.interval:
            raise ValueError("timeout must be shorter than interval")
        return self


class CircuitBreaker(Model):
    """When a replica that fails is left alone for a while."""

    failure_threshold: Annotated[Count, Field(ge=1, le=1000)] = 5
    """Failures in a row that open the breaker: no connection, no answer, no MCP, HTTP 5xx. A
    server's own error and a client that leaves are no failures."""
    failure_rate: Annotated[Share, Field(gt=0, le=1)] = 0.5
    """Share of failures in `window` that opens it too, of `min_calls` calls or more."""
    min_calls: Annotated[Count, Field(ge=1, le=100_000)] = 20
    """Calls in `window` below which a share says nothing."""
    window: Annotated[Duration, Field(ge=1, le=3600)] = 30.0
    """How far back `failure_rate` looks."""
    open: Annotated[Duration, Field(gt=0, le=3600)] = 5.0
    """How long it stays open at first, give or take half; doubles each time. Then one health
    check decides, never a user's call."""
    max_open: Annotated[Duration, Field(gt=0, le=86_400)] = 300.0
    """Longest time it stays open; bounds a server's Retry-After as well."""

    @model_validator(mode="after")
    def _open_is_within_max_open(self) -> Self:
        if self.open > self.max_open:
            raise ValueError("open must not be longer than max_open")
        return self


class Retry(Model):
    """When the gateway repeats a request itself: at most once, and never what may have run."""

    budget: Annotated[Share, Field(ge=0, le=1)] = 0.2
    """Repeats per request over ten seconds, and always three: repeats must not become the load.
    0 turns them off."""
    idempotent_tools: tuple[Pattern, ...] = ()
    """Shell patterns of the server's own tool names that may run twice: these are repeated even
    if an answer was lost. What a server says of its tools is not relied on."""


class Limits(Model):
    """How much the gateway takes on at once, all servers together."""

    max_in_flight: Annotated[Count, Field(ge=1, le=1_000_000)] = 2048
    """Requests to servers at once, the waiting ones included, as are those that share the call of
    an equal one; more are refused (-31005, to modern clients with HTTP status 503)."""
    per_caller: Annotated[Count, Field(ge=1, le=1_000_000)] = 512
    """The same for one caller, which is a bearer token or the client on stdin; more are refused
    (-31005, status 429). Clients without a token cannot be told apart."""
