"""What the admin API answers, as types: its schemas and its page in docs/ come from here."""

from typing import Any, Literal

from only1mcp.config.values import Model


class Replica(Model):
    """One instance of a server."""

    id: str
    """Its command, or its URL."""
    state: str
    """starting, ready, idle, waiting, failed, disabled or stopped."""
    health: str
    """healthy, degraded, unhealthy or unknown."""
    reason: str
    """Why it is as it is; empty if all is well."""
    since: str
    """When its health became so."""
    breaker: str
    """closed, open or half_open."""
    weight: int
    """Its share of the calls."""
    in_flight: int
    """Calls it works on."""
    latency_ms: float
    """What a call takes there; 0 if nobody knows yet."""
    target: str
    """Command line or URL, without secrets."""
    restarts: int
    """How often it was started again."""
    pid: int | None
    """Of the program."""


class ServerRow(Model):
    """One server of the configuration, and how it is."""

    id: str
    """The id in the configuration."""
    state: str
    """starting, ready, idle, waiting, failed, disabled or stopped."""
    reason: str
    """Why; empty if all is well."""
    health: str
    """healthy, degraded, unhealthy or unknown."""
    since: str
    """When its health became so."""
    transport: str
    """stdio, http or sse."""
    target: str
    """Command line or URL, without secrets."""
    revision: str | None
    """Of MCP, as agreed with it."""
    era: str | None
    """legacy or modern."""
    revisions: list[str]
    """Every revision of MCP that it has spoken with us."""
    protocol: str
    """auto, legacy or modern, as configured."""
    restarts: int
    """How often its replicas were started again."""
    isolation: str
    """Who shares a connection to it."""
    pid: int | None
    """Of the program."""
    replicas: list[Replica]
    """Its instances."""
    tools: int
    """How many clients see."""
    prompts: int
    """How many clients see."""
    resources: int
    """How many clients see."""
    templates: int
    """How many clients see."""


class Clash(Model):
    """A name that two servers have."""

    kind: str
    """tools, prompts, resources or resourceTemplates."""
    name: str
    """What both would be called."""
    kept: str
    """The server whose entry clients see."""
    hidden: str
    """The server whose entry they do not."""
    hint: str
    """How to see both."""


class Dropped(Model):
    """An entry that clients would refuse."""

    kind: str
    """tools, prompts, resources or resourceTemplates."""
    server: str
    """Whose it is."""
    name: str
    """What it is called there."""
    reason: str
    """What is wrong with it."""


class Servers(Model):
    """All servers."""

    servers: list[ServerRow]
    """In the order of the configuration."""
    clashes: list[Clash]
    """Names that several have."""
    dropped: list[Dropped]
    """Entries that are left out."""


class OneServer(Model):
    """One server and its settings."""

    server: ServerRow
    """How it is."""
    config: dict[str, Any]
    """Its settings in force, secrets hidden."""


class Tool(Model):
    """One tool of one server."""

    server: str
    """Whose it is."""
    own: str
    """What the server calls it."""
    base: str
    """What it is called after tools.rename."""
    name: str | None
    """What clients of all servers call it, if they see it."""
    fate: str
    """shown, withheld, dropped or hidden."""
    reason: str
    """Why it is not shown; empty otherwise."""
    bytes: int
    """What it takes in the list of all servers."""


class Naming(Model):
    """How the names of several servers share one list."""

    mode: str
    """prefix, bare or on_conflict."""
    separator: str
    """Between server and tool."""
    max_length: int
    """Longest name shown."""


class Tools(Model):
    """Every tool that is listed."""

    tools: list[Tool]
    """In the order of servers and lists."""
    naming: Naming
    """How their names are made."""


class Entry(Model):
    """One resource, template or prompt."""

    kind: str
    """resources, resourceTemplates or prompts."""
    server: str
    """Whose it is."""
    own: str
    """What the server calls it: name, URI or URI template."""
    name: str
    """What clients of all servers call it."""


class Entries(Model):
    """What clients see of a kind."""

    entries: list[Entry]
    """In no particular order."""


class Session(Model):
    """One client with a session: those of 2026-07-28 have none."""

    id: str
    """The first 8 characters: the whole is as good as a key."""
    principal: str
    """Who opened it."""
    revision: str
    """Of MCP."""
    mount: str | None
    """The server it sees; null: all."""
    busy: bool
    """Whether a request is under way."""
    streams: bool
    """Whether it holds a stream open."""
    idle_s: float
    """Seconds since its last request."""


class Sessions(Model):
    """All sessions."""

    sessions: list[Session]
    """The oldest first."""


class RequestRow(Model):
    """One request that is over. Never with arguments."""

    id: str
    """The id of its event."""
    request_id: str
    """How log lines name it."""
    at: str
    """When it came."""
    principal: str
    """Who asked, by name."""
    session: str | None
    """The first 8 characters of its session."""
    method: str
    """Of MCP."""
    server: str | None
    """Whose it was; null: the gateway answered, or nobody."""
    name: str | None
    """Tool, prompt or URI, as its server calls it."""
    outcome: str
    """ok, tool_error, error or cancelled."""
    code: int | None
    """Of the JSON-RPC error."""
    duration_ms: float
    """From its arrival to its answer."""
    upstream_ms: float
    """How long servers had it."""
    revision: str
    """Of MCP."""


class Requests(Model):
    """The latest requests."""

    requests: list[RequestRow]
    """The newest first."""


class Fault(Model):
    """One thing to mend in the configuration."""

    path: str
    """File, environment variable or option."""
    line: int
    """From 1; 0: not in a file."""
    column: int
    """From 1."""
    where: str
    """Key path."""
    message: str
    """What is wrong."""
    hint: str | None
    """What to do."""
    severity: Literal["error", "warning"]
    """A warning prevents nothing."""


class Configuration(Model):
    """The configuration in force."""

    file: str | None
    """Where it was read."""
    config: dict[str, Any]
    """All of it, secrets hidden."""


class Checked(Model):
    """The file of the configuration as it is now, beside what is in force."""

    file: str | None
    """Which; null: there is none."""
    faults: list[Fault]
    """What is wrong with it, or odd."""
    restart: list[str]
    """Settings of it that act when the gateway is started anew."""


class Changes(Model):
    """What a change of the configuration has changed."""

    added: list[str]
    """Servers that are new."""
    removed: list[str]
    """Servers that are gone."""
    changed: list[str]
    """Servers that get other connections."""
    adjusted: list[str]
    """Servers that keep their connections."""
    reordered: bool
    """Whether servers stand in another order."""
    settings: list[str]
    """Settings that act at once."""
    restart: list[str]
    """Settings that act when the gateway is started anew."""
    warnings: list[Fault]
    """What is odd about the configuration."""


class ServerHealth(Model):
    """How one server is."""

    id: str
    """The id in the configuration."""
    state: str
    """starting, ready, idle, waiting, failed, disabled or stopped."""
    health: str
    """healthy, degraded, unhealthy or unknown."""
    since: str
    """When its health became so."""
    reason: str
    """Why; empty if all is well."""


class Health(Model):
    """The state of the whole."""

    status: Literal["ok", "degraded", "draining"]
    """In a word."""
    servers: list[ServerHealth]
    """Each server that is enabled."""


class System(Model):
    """The process of the gateway and its machine."""

    version: str
    """Of the gateway."""
    python: str
    """Its version."""
    platform: str
    """Operating system and machine."""
    pid: int
    """Of the gateway."""
    uptime_s: float
    """Seconds since it was started."""
    cpu_s: float
    """Seconds of processor time it has used."""
    memory_bytes: int
    """Resident memory."""
    open_files: int
    """File descriptors."""
    connections: int
    """Clients connected by HTTP."""
    in_flight: int
    """HTTP requests under way."""
    sessions: int
    """Clients with a session."""
    followers: int
    """Who follows the events."""


class Restarted(Model):
    """The server is being started."""

    id: str
    """Which."""


class Problem(Model):
    """What went wrong (RFC 9457)."""

    type: str
    """about:blank: the status says it all."""
    title: str
    """The status in words."""
    status: int
    """Of HTTP."""
    detail: str
    """The cause."""
    place: str
    """Where: file, line and column, or a key; empty if there is no place."""
    next: str
    """What to do about it."""
    faults: list[Fault]
    """All that is wrong with the configuration."""


class Refusal(Model):
    """The listener refused the request before it reached the admin API."""

    error: str
    """Why, and what to do."""
