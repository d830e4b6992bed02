"""The configuration file as types: the schema, the reference page and `validate` come from here.

A Config is valid by construction and immutable, so a reload is `old == new`.
One server is in `config/servers.py`, the kinds of value are in `config/values.py`.
Rule    a key is in the model only if it acts. What needs the machine (files, PATH) or more
        than one section is in `config/rules.py`.
"""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from only1mcp.config.cache import Batching, Cache
from only1mcp.config.resilience import Count, Limits, Share
from only1mcp.config.servers import Server
from only1mcp.config.values import (
    Duration,
    FilePath,
    HeaderName,
    HeaderValue,
    HostName,
    Model,
    Origin,
    Reads,
    Token,
    Url,
    _auth_form,
    host_name,
    not_bool,
)


class Naming(Model):
    """How tools and prompts of several servers share one list on /mcp.

    Resources keep their URIs: of servers that list the same one, /mcp has that of the first.
    """

    mode: Literal["prefix", "bare", "on_conflict"] = "prefix"
    """prefix: server__tool always. bare: the server's own name. on_conflict: bare unless two
    servers share it."""
    separator: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]{1,8}$"), Reads("1 to 8 letters, digits, _ or -")
    ] = "__"
    """Between server and tool."""
    max_length: Annotated[int, Field(ge=24, le=128), BeforeValidator(not_bool)] = 64
    """Longest name shown; longer ones end in a short stable hash. Many clients refuse > 64."""


class Auth(Model):
    """Who may use the gateway."""

    tokens: Annotated[tuple[Token, ...], Field(min_length=1), Reads("a list of tokens")]
    """Accepted bearer tokens; best given as ${VARIABLE}. Several allow a change without a gap."""


class Tls(Model):
    """HTTPS on the listener."""

    cert: FilePath
    """PEM file: certificate, then its chain. Relative to the configuration file."""
    key: FilePath
    """PEM file: private key, without a passphrase. Relative to the configuration file."""


class Listener(Model):
    """The one endpoint."""

    host: Annotated[str, AfterValidator(host_name), Reads("an IP address or a host name")] = (
        "127.0.0.1"
    )
    """Address to bind; anything but loopback requires auth."""
    port: Annotated[int, Field(ge=1, le=65535), BeforeValidator(not_bool)] = 8080
    """TCP port."""
    max_connections: Annotated[int, Field(ge=10, le=100_000), BeforeValidator(not_bool)] = 10_000
    """Client connections at once; more are answered 503."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30), BeforeValidator(not_bool)] = (
        4_194_304
    )
    """Largest request body in bytes; larger is answered 413."""
    limits: Limits = Limits()
    """How many requests to servers are taken on at once."""
    drain_timeout: Annotated[Duration, Field(ge=0, le=3600)] = 30.0
    """How long calls in flight may finish after SIGTERM."""
    drain_delay: Annotated[Duration, Field(ge=0, le=300)] = 0.0
    """How long new connections are still taken after SIGTERM, while /readyz says 503 already. For
    a gateway behind a load balancer, which needs a few seconds to notice; 0s takes none."""
    allowed_origins: tuple[Origin, ...] = ()
    """Web origins that may call us, e.g. https://app.example; loopback origins always may."""
    allowed_hosts: tuple[HostName, ...] = ()
    """Host header names accepted besides loopback and `host`; guards against DNS rebinding."""
    auth: (
        Annotated[
            Annotated[Auth, Tag("a block")] | Annotated[Literal["none"], Tag("a word")],
            Discriminator(_auth_form),
        ]
        | None
    ) = None
    """Bearer tokens; `none`, written out, opens a listener that is not on loopback."""
    admin_tokens: tuple[Token, ...] = ()
    """Bearer tokens of admins, best given as ${VARIABLE}. With any, the admin API is theirs alone;
    without, whoever may use the gateway may see and restart servers, and nobody may change them."""
    metrics_tokens: tuple[Token, ...] = ()
    """Bearer tokens that open /metrics and nothing else, for Prometheus. With any, or with
    admin_tokens, it wants one of either; without, whoever may use the gateway may read it.
    The admin API has the same numbers, as it has the names, for who may use that: admin_tokens
    close it."""
    tls: Tls | None = None
    """Certificate and key: serve HTTPS instead of HTTP."""


class AccessLog(Model):
    """Who called what: one JSON line for each list, call, read or other request that goes to
    servers or is answered for them, once it is over, well or badly. What the gateway answers by
    itself has none (`initialize`, `server/discover`, `ping`, `logging/setLevel`,
    `subscriptions/listen`, notifications, pages that are not MCP), nor what is refused before: HTTP
    requests without a token count in `only1mcp_http_refused_total`."""

    enabled: bool = False
    """Write it. A line holds `ts` (when the request came), `request_id`, `principal`, `session`
    (its first 8 characters), `method`, `name` (tool, prompt or URI, as its client calls it),
    `server`, `outcome` (ok, tool_error, error, or cancelled by the client), `code` of an error
    (-31006: the gateway was stopping), `duration_ms`, `upstream_ms` (at the server), `revision` and
    `trace_id`; what is not there is left out."""
    file: FilePath | None = None
    """Where to: a file, relative to the configuration file; default is where log lines go."""
    arguments: bool = False
    """Also write the arguments of tools and prompts, which may hold anything; configured secrets
    are hidden. Of those longer than 16 KiB only the length is written, `arguments_bytes`."""


class Logging(Model):
    """What the gateway tells of its work."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """auto: text on a terminal, JSON lines otherwise."""
    file: FilePath | None = None
    """Write to this file, relative to the configuration file, instead of stderr. Move it away and
    send SIGUSR1, and a new one is begun."""
    access: AccessLog = AccessLog()
    """Who called what."""


class Metrics(Model):
    """Numbers of what the gateway does, for Prometheus: docs/metrics.md names them all."""

    enabled: bool = True
    """Count requests and serve /metrics and /api/v1/admin/metrics; false: both answer 404."""
    tools: Annotated[Count, Field(ge=0, le=2000)] = 500
    """How many tools have a label of their own; the rest share `_other`. Each costs about forty
    lines of every scrape once it has been called; 0: tools are not told apart."""


class Tracing(Model):
    """Spans of requests and of their calls to servers, sent to an OpenTelemetry collector."""

    enabled: bool = False
    """Trace. Needs the extra `otel`: pip install 'only1mcp[otel]'."""
    endpoint: Url = "http://127.0.0.1:4318/v1/traces"
    """Where the collector takes spans by OTLP over HTTP."""
    headers: dict[HeaderName, HeaderValue] = {}
    """HTTP headers for the collector, such as a token."""
    sample: Annotated[Share, Field(ge=0, le=1)] = 1.0
    """Share of requests that are traced; a client that says whether it traces decides that."""
    service_name: Annotated[str, Field(min_length=1, max_length=100)] = "only1mcp"
    """The name of this gateway in traces."""


class Dashboard(Model):
    """`only1mcp tui`, attached to this gateway."""

    refresh: Annotated[Duration, Field(ge=0.1, le=3600)] = 1.0
    """Between two looks of a dashboard; its --refresh goes before this."""


class HotReload(Model):
    """Whether a change of this file acts without a restart. SIGHUP and the admin API always do."""

    enabled: bool = True
    """Watch the file. What is not valid is refused as a whole, and what was in force stays."""
    debounce: Annotated[Duration, Field(ge=0.05, le=60)] = 0.5
    """How long the file must have been left alone before it is read: editors write in steps."""


class Config(Model):
    """The whole file."""

    server: Listener = Listener()
    """The endpoint that clients connect to."""
    servers: tuple[Server, ...] = ()
    """The MCP servers; may be empty on a first start."""
    naming: Naming = Naming()
    """How the names of several servers share one list."""
    cache: Cache = Cache()
    """Answers that are kept."""
    batching: Batching = Batching()
    """Requests that share one call, or travel together."""
    logging: Logging = Logging()
    """What the gateway tells of its work."""
    metrics: Metrics = Metrics()
    """Numbers of its work."""
    tracing: Tracing = Tracing()
    """Spans of its work."""
    tui: Dashboard = Dashboard()
    """How dashboards look at it."""
    hot_reload: HotReload = HotReload()
    """Whether a change of this file acts without a restart."""

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        count = Counter(server.id for server in self.servers)
        if twice := sorted(id for id, times in count.items() if times > 1):
            raise ValueError(f"server ids must be unique; repeated: {', '.join(twice)}")
        return self
