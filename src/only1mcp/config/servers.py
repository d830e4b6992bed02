"""One server of the configuration: how it is reached, and what of it clients see."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from only1mcp.config.cache import Sharing
from only1mcp.config.resilience import (
    CircuitBreaker,
    Concurrency,
    Count,
    HealthCheck,
    LoadBalancing,
    Retry,
)
from only1mcp.config.values import (
    Argument,
    Duration,
    EnvName,
    EnvValue,
    FilePath,
    HeaderName,
    HeaderValue,
    Model,
    Pattern,
    Reads,
    ServerId,
    ToolName,
    Url,
    no_nul,
)


def shared_targets(rename: dict[str, str]) -> list[tuple[str, str, str]]:
    """Pairs of tools given the same new name, as (first tool, second tool, name)."""
    first: dict[str, str] = {}
    return [
        (first[new], old, new) for old, new in rename.items() if first.setdefault(new, old) != old
    ]


class Stdio(Model):
    """A child process that speaks MCP on its stdin and stdout."""

    type: Literal["stdio"] = "stdio"
    """Says that this is a program."""
    command: Annotated[str, Field(min_length=1), AfterValidator(no_nul), Reads("a program")]
    """Program to start, looked up on PATH; never a shell line."""
    args: tuple[Argument, ...] = ()
    """Arguments, passed as they are."""
    env: dict[EnvName, EnvValue] = {}
    """Extra environment. Apart from these a child gets only HOME, PATH and the like."""
    cwd: FilePath | None = None
    """Working directory, relative to the configuration file; default is the gateway's own."""


class Http(Model):
    """A server reached over Streamable HTTP."""

    type: Literal["http"] = "http"
    """Says that this is a URL."""
    url: Url
    """The server's MCP endpoint, e.g. http://127.0.0.1:9001/mcp."""
    headers: dict[HeaderName, HeaderValue] = {}
    """Sent with every request to this server, e.g. Authorization."""


class Sse(Model):
    """A server reached over HTTP+SSE, the transport of 2024-11-05."""

    type: Literal["sse"] = "sse"
    """Says that this is the URL of an event stream."""
    url: Url
    """The server's event stream, e.g. http://127.0.0.1:9001/sse; it says where to post."""
    headers: dict[HeaderName, HeaderValue] = {}
    """Sent with every request to this server, e.g. Authorization."""


Transport = Annotated[Stdio | Http | Sse, Field(discriminator="type")]


class Instance(Model):
    """One of several interchangeable instances of a server."""

    transport: Transport
    """How to reach it, as in a server."""
    weight: Annotated[Count, Field(ge=1, le=256)] = 1
    """Its share of the calls, for the policies that go by weight."""


class Tools(Model):
    """Which tools of a server clients see, and under which names."""

    allow: tuple[Pattern, ...] = ("*",)
    """Shell patterns of tools to offer, matched against the server's own names."""
    deny: tuple[Pattern, ...] = ()
    """Shell patterns of tools to withhold; wins over allow."""
    rename: dict[Annotated[str, Field(min_length=1)], ToolName] = {}
    """The server's name for a tool to the name shown, before the prefix."""

    @model_validator(mode="after")
    def _new_names_differ(self) -> Self:
        if clash := shared_targets(self.rename):
            old, other, new = clash[0]
            raise ValueError(f"tools {old!r} and {other!r} are both renamed to {new!r}")
        return self


class Timeouts(Model):
    """How long to wait for one server."""

    start: Annotated[Duration, Field(gt=0, le=3600)] = 60.0
    """Spawn or dial, find the era and shake hands. Generous: a first `npx` downloads."""
    call_idle: Annotated[Duration, Field(gt=0, le=86400)] = 60.0
    """A call without any message from the server. Progress restarts it, which a server sends only
    for a client that has asked for it with a `progressToken`."""
    call_max: Annotated[Duration, Field(gt=0, le=86400)] = 600.0
    """A whole call, progress or not."""
    list: Annotated[Duration, Field(gt=0, le=600)] = 15.0
    """One page of a list."""


class Server(Model):
    """One MCP server behind the gateway."""

    id: ServerId
    """Short name; joins tool names, so lower case, digits and hyphens, no underscore."""
    enabled: bool = True
    """False keeps the entry and does not start it."""
    transport: Transport | None = None
    """How to reach it: a program (type: stdio) or a URL (type: http; sse for HTTP+SSE of 2024)."""
    replicas: Annotated[
        tuple[Instance, ...], Field(max_length=64), Reads("a list of replicas")
    ] = ()
    """Instead of transport: instances of this server that can stand in for each other. Calls are
    spread over those that are well, lists and subscriptions are those of one of them."""
    load_balancing: LoadBalancing = LoadBalancing()
    """Which replica gets a call; nothing to choose with one."""
    isolation: Literal["shared", "session", "principal"] = "shared"
    """Who shares one connection (stdio: one process): all clients, or each session or principal
    has its own, opened on demand and closed when idle. For servers that remember their client.
    A client of 2026-07-28 has no session: its token tells it apart (docs/eras.md). Lists and
    resource subscriptions stay those of one shared connection."""
    protocol: Literal["auto", "legacy", "modern"] = "auto"
    """Era: auto probes; legacy shakes hands (<= 2025-11-25), modern is 2026-07-28 and later.
    A server that has both is spoken to in the era of each client; a process that clients share,
    in 2026-07-28 with all of them (docs/eras.md)."""
    tools: Tools = Tools()
    """Which of its tools clients see."""
    timeouts: Timeouts = Timeouts()
    """How long to wait for it."""
    cache: Sharing = Sharing()
    """Whose its kept answers are."""
    concurrency: Concurrency = Concurrency()
    """How many calls it runs at once, and how many may wait."""
    retry: Retry = Retry()
    """When a request to it is repeated."""
    health_check: HealthCheck = HealthCheck()
    """How the gateway finds out whether it is well while nobody calls it. A program that fails
    its checks is ended and started anew."""
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    """When it is left alone for a while because calls fail; each replica has its own."""
    stale_lists: Annotated[Duration, Field(ge=0, le=86400)] = 600.0
    """How long its last lists are still shown while it is down; then clients see its tools no
    more. Lists that come and go with a server that flaps cost clients their prompt caches."""
    idle_stop: Annotated[Duration, Field(ge=0, le=86400)] = 0.0
    """Stop the program after so long without a call; the next call starts it, its lists stay.
    0s never stops it. For type: stdio only."""

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The replicas; `transport` alone is one."""
        return self.replicas or ((Instance(transport=self.transport),) if self.transport else ())

    @model_validator(mode="after")
    def _is_reached_in_one_way(self) -> Self:
        if (self.transport is None) is not bool(self.replicas):
            raise ValueError("a server has either transport or replicas")
        programs = all(isinstance(one.transport, Stdio) for one in self.instances)
        if self.idle_stop and not programs:
            raise ValueError("idle_stop is for programs (type: stdio)")
        if self.health_check.path and not all(
            isinstance(one.transport, Http) for one in self.instances
        ):
            raise ValueError("health_check.path is for URLs (type: http)")
        return self
