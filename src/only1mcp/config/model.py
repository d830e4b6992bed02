"""The configuration file as types: the schema, the reference page and `validate` come from here.

A Config is valid by construction and immutable, so a reload is `old == new`.
Units   durations are seconds (float) after reading; written `500ms`, `30s`, `5m`, `1h` or a
        number of seconds. Sizes are bytes.
Rule    a key is in the model only if it acts.
"""

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

_DURATION: Final = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*$")
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def parse_duration(value: Any) -> float:
    """Seconds from `500ms`, `30s`, `5m`, `1h` or a number of seconds.

    Raises:
        ValueError: anything else, said in the words of the file.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return float(match[1]) * _UNIT_S[match[2]]
    raise ValueError("expected a duration such as 500ms, 30s, 5m or 1h")


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _DURATION.pattern}, {"type": "number"}]}
    ),
]
ServerId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]


class Model(BaseModel):
    """House settings: immutable, a misspelt key is a fault, texts come from the docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Stdio(Model):
    """A child process that speaks MCP on its stdin and stdout."""

    type: Literal["stdio"] = "stdio"
    command: Annotated[str, Field(min_length=1)]
    """Program to start, looked up on PATH; never a shell line."""
    args: tuple[str, ...] = ()
    """Arguments, passed as they are."""
    env: dict[str, SecretStr] = {}
    """Extra environment. Apart from these a child gets only HOME, PATH and the like."""
    cwd: str | None = None
    """Working directory; default is the gateway's."""


class Http(Model):
    """A server reached over Streamable HTTP."""

    type: Literal["http"] = "http"
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
    """The server's MCP endpoint, e.g. http://127.0.0.1:9001/mcp."""
    headers: dict[str, SecretStr] = {}
    """Sent with every request to this server, e.g. Authorization."""


Transport = Annotated[Stdio | Http, Field(discriminator="type")]


class Tools(Model):
    """Which tools of a server clients see, and under which names."""

    allow: tuple[str, ...] = ("*",)
    """Shell patterns of tools to offer."""
    deny: tuple[str, ...] = ()
    """Shell patterns of tools to withhold; wins over allow."""
    rename: dict[str, str] = {}
    """The server's name for a tool to the name shown, before the prefix."""


class Timeouts(Model):
    """How long to wait for one server."""

    start: Annotated[Duration, Field(gt=0, le=3600)] = 60.0
    """Spawn or dial, find the era and shake hands. Generous: a first `npx` downloads."""
    call_idle: Annotated[Duration, Field(gt=0, le=86400)] = 60.0
    """A call without any message from the server; progress restarts it."""
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
    transport: Transport
    """How to reach it."""
    protocol: Literal["auto", "legacy", "modern"] = "auto"
    """Era: auto probes; legacy shakes hands (<= 2025-11-25), modern is 2026-07-28 and later."""
    tools: Tools = Tools()
    timeouts: Timeouts = Timeouts()


class Naming(Model):
    """How tools and prompts of several servers share one list on /mcp."""

    mode: Literal["prefix", "bare", "on_conflict"] = "prefix"
    """prefix: server__tool always. bare: the server's own name. on_conflict: bare unless two
    servers share it."""
    separator: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,8}$")] = "__"
    """Between server and tool."""
    max_length: Annotated[int, Field(ge=24, le=128)] = 64
    """Longest name shown; longer ones end in a short stable hash. Many clients refuse > 64."""


class Auth(Model):
    """Who may use the gateway."""

    tokens: Annotated[tuple[SecretStr, ...], Field(min_length=1)]
    """Accepted bearer tokens; best given as ${VARIABLE}."""


class Tls(Model):
    """HTTPS on the listener."""

    cert: str
    """PEM file: certificate, then its chain."""
    key: str
    """PEM file: private key."""


class Listener(Model):
    """The one endpoint."""

    host: str = "127.0.0.1"
    """Address to bind; anything but loopback requires auth."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """TCP port."""
    max_connections: Annotated[int, Field(ge=10, le=100_000)] = 10_000
    """Client connections at once; more are answered 503."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30)] = 4_194_304
    """Largest request body; larger is answered 413."""
    drain_timeout: Annotated[Duration, Field(ge=0, le=3600)] = 30.0
    """How long calls in flight may finish after SIGTERM."""
    allowed_origins: tuple[str, ...] = ()
    """Web origins that may call us, e.g. https://app.example; loopback origins always may."""
    allowed_hosts: tuple[str, ...] = ()
    """Host header names accepted besides loopback and `host`; guards against DNS rebinding."""
    auth: Auth | Literal["none"] | None = None
    """Bearer tokens; `none`, written out, opens a listener that is not on loopback."""
    tls: Tls | None = None


class Logging(Model):
    """What the gateway writes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"
    """auto: text on a terminal, JSON lines otherwise."""


class Config(Model):
    """The whole file."""

    server: Listener = Listener()
    servers: tuple[Server, ...] = ()
    """The MCP servers; may be empty on a first start."""
    naming: Naming = Naming()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [server.id for server in self.servers]
        if twice := sorted({id for id in ids if ids.count(id) > 1}):
            raise ValueError(f"server ids must be unique; repeated: {', '.join(twice)}")
        return self
