"""The configuration file as types: the schema, the reference page and `validate` come from here.

A Config is valid by construction and immutable, so a reload is `old == new`.
Units   durations are seconds (float) after reading; written `500ms`, `30s`, `5m`, `1h` or a
        number of seconds. Sizes are bytes.
Rule    a key is in the model only if it acts. What needs the machine (files, PATH) or more
        than one section is in `config/rules.py`.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    WithJsonSchema,
    model_validator,
)

_DURATION: Final = re.compile(r"^\s*(\d{1,15}(?:\.\d{1,30})?)\s*(ms|s|m|h)?\s*$", re.ASCII)
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_ENDLESS_S: Final = 1e15  # keeps infinity, NaN and what no float holds away from arithmetic
_HOST_NAME: Final = re.compile(r"^(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$", re.ASCII)
GATEWAY_HEADERS: Final = frozenset(
    ("accept", "connection", "content-length", "content-type", "host", "mcp-method", "mcp-name",
     "mcp-protocol-version", "mcp-session-id", "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
"""Request headers that belong to the connection or the protocol; nobody else may set them."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What a value must be, in words: for faults and the reference page."""

    words: str


def parse_duration(value: Any) -> float:
    """Seconds from `500ms`, `30s`, `5m`, `1h` or a number of seconds.

    Raises:
        ValueError: anything else, said in the words of the file.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ENDLESS_S:
        return float(value)
    if isinstance(value, str) and (match := _DURATION.match(value)):
        # Decimal keeps 1.1m at 66 s exactly, so that writing and reading agree
        return float(Decimal(match[1]) * Decimal(repr(_UNIT_S[match[2]])))
    raise ValueError("expected a duration such as 500ms, 30s, 5m or 1h")


def format_duration(seconds: float) -> str:
    """The shortest spelling that `parse_duration` reads back: 300 is `5m`, 0.5 is `500ms`."""
    exact = Decimal(repr(seconds))
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        if exact and exact % size == 0:
            return f"{int(exact / size)}{unit}"
    if exact and exact < 1:
        return f"{(exact * 1000).normalize():f}ms"
    return f"{exact.normalize():f}s"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener bound to `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def shared_targets(rename: dict[str, str]) -> list[tuple[str, str, str]]:
    """Pairs of tools given the same new name, as (first tool, second tool, name)."""
    first: dict[str, str] = {}
    return [
        (first[new], old, new) for old, new in rename.items() if first.setdefault(new, old) != old
    ]


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a whole number")
    return value


def _host(value: str) -> str:
    try:
        ip_address(value.strip("[]"))
    except ValueError:
        numeric = value.replace(".", "").isdigit()
        if numeric or len(value) > 253 or not _HOST_NAME.match(value):
            raise ValueError("expected an IP address or a host name") from None
    return value.strip("[]")


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:  # its text may repeat a password of the URL
        usable = False
    if not usable:
        raise ValueError("expected an http or https URL such as http://127.0.0.1:9001/mcp")
    return value


def _authority(value: str) -> str:
    """An origin or a host with optional port, as a Host or Origin header may name it."""
    parts = urlsplit(value if "://" in value else f"//{value}")
    if parts.netloc.startswith("["):
        ip_address(parts.hostname or "")
    if not (parts.hostname or "").removesuffix(".") or (parts.port or 0) > 65535:
        raise ValueError("expected a host name or an IP address")
    return value


def _bearer_token(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]{1,4096}", secret.get_secret_value()):
        raise ValueError("expected 1 to 4096 visible ASCII characters, without spaces")
    return secret


def _header_name(name: str) -> str:
    if name.lower() in GATEWAY_HEADERS:
        raise ValueError("the gateway sets this header itself")
    return name


def _header_value(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]{0,16384}", secret.get_secret_value()):
        raise ValueError("expected one line of at most 16384 Latin-1 characters")
    return secret


def _no_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("expected text without NUL characters")
    return value


def _secret_no_nul(secret: SecretStr) -> SecretStr:
    _no_nul(secret.get_secret_value())
    return secret


def _auth_form(value: Any) -> str:
    return "a word" if isinstance(value, str) else "a block"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": _DURATION.pattern}, {"type": "number"}]}
    ),
]
ServerId = Annotated[
    str,
    Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$"),
    Reads("1 to 32 lower case letters, digits and hyphens, not starting with a hyphen"),
]
Argument = Annotated[str, AfterValidator(_no_nul)]
Pattern = Annotated[str, Field(min_length=1, max_length=256), Reads("a shell pattern")]
ToolName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_./-]{1,128}$"),
    Reads("1 to 128 letters, digits and _ - . /"),
]
EnvName = Annotated[str, Field(pattern=r"^[^=\x00]+$"), Reads("a variable name without =")]
EnvValue = Annotated[SecretStr, AfterValidator(_secret_no_nul)]
HeaderName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$"),
    AfterValidator(_header_name),
    Reads("a header name"),
]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
Token = Annotated[SecretStr, AfterValidator(_bearer_token)]
Origin = Annotated[
    str,
    Field(
        max_length=300,
        pattern=r"^[A-Za-z][A-Za-z0-9+.-]*://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$",
    ),
    AfterValidator(_authority),
    Reads("an origin such as https://app.example, without a path"),
]
HostName = Annotated[
    str,
    Field(max_length=300, pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$"),
    AfterValidator(_authority),
    Reads("a host name such as mcp.example, without scheme or path"),
]
Url = Annotated[
    str, Field(pattern=r"^https?://[^\s/]+[^\s]*$", max_length=8192), AfterValidator(_url),
    Reads("an http or https URL such as http://127.0.0.1:9001/mcp"),
]  # fmt: skip
FilePath = Annotated[str, Field(min_length=1), AfterValidator(_no_nul), Reads("a file name")]


class Model(BaseModel):
    """House settings: immutable, a misspelt key is a fault, texts come from the docstrings."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an input may be a secret
    )


class Stdio(Model):
    """A child process that speaks MCP on its stdin and stdout."""

    type: Literal["stdio"] = "stdio"
    """Says that this is a program."""
    command: Annotated[str, Field(min_length=1), AfterValidator(_no_nul), Reads("a program")]
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
    """How to reach it: a program (type: stdio) or a URL (type: http; sse for HTTP+SSE of 2024)."""
    isolation: Literal["shared", "session", "principal"] = "shared"
    """Who shares one connection (stdio: one process): all clients, or each session or principal
    has its own, opened on demand and closed when idle. For servers that remember their client."""
    protocol: Literal["auto", "legacy", "modern"] = "auto"
    """Era: auto probes; legacy shakes hands (<= 2025-11-25), modern is 2026-07-28 and later."""
    tools: Tools = Tools()
    """Which of its tools clients see."""
    timeouts: Timeouts = Timeouts()
    """How long to wait for it."""


class Naming(Model):
    """How tools and prompts of several servers share one list on /mcp."""

    mode: Literal["prefix", "bare", "on_conflict"] = "prefix"
    """prefix: server__tool always. bare: the server's own name. on_conflict: bare unless two
    servers share it."""
    separator: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_-]{1,8}$"), Reads("1 to 8 letters, digits, _ or -")
    ] = "__"
    """Between server and tool."""
    max_length: Annotated[int, Field(ge=24, le=128), BeforeValidator(_not_bool)] = 64
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

    host: Annotated[str, AfterValidator(_host), Reads("an IP address or a host name")] = "127.0.0.1"
    """Address to bind; anything but loopback requires auth."""
    port: Annotated[int, Field(ge=1, le=65535), BeforeValidator(_not_bool)] = 8080
    """TCP port."""
    max_connections: Annotated[int, Field(ge=10, le=100_000), BeforeValidator(_not_bool)] = 10_000
    """Client connections at once; more are answered 503."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=1 << 30), BeforeValidator(_not_bool)] = (
        4_194_304
    )
    """Largest request body in bytes; larger is answered 413."""
    drain_timeout: Annotated[Duration, Field(ge=0, le=3600)] = 30.0
    """How long calls in flight may finish after SIGTERM."""
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
    tls: Tls | None = None
    """Certificate and key: serve HTTPS instead of HTTP."""


class Logging(Model):
    """What the gateway writes to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe message that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """auto: text on a terminal, JSON lines otherwise."""


class Config(Model):
    """The whole file."""

    server: Listener = Listener()
    """The endpoint that clients connect to."""
    servers: tuple[Server, ...] = ()
    """The MCP servers; may be empty on a first start."""
    naming: Naming = Naming()
    """How the names of several servers share one list."""
    logging: Logging = Logging()
    """What the gateway writes to stderr."""

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [server.id for server in self.servers]
        if twice := sorted({id for id in ids if ids.count(id) > 1}):
            raise ValueError(f"server ids must be unique; repeated: {', '.join(twice)}")
        return self
