"""How each gateway is started: as its own documents say for production, on one core.

A recipe gets the stub servers and gives an address. Where a program has a choice, the note of
its row says what was taken. Logs are kept down where there is an option for it, as ours are.
"""

import json
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import httpx2

from bench import nginx
from bench.nginx import free_port
from bench.peers import install
from bench.peers.install import Package
from only1mcp.bench import started
from only1mcp.bench.machine import said_version
from only1mcp.bench.processes import Program, running
from only1mcp.bench.started import http_server

Kind = Literal["proxy", "aggregator", "meta", "bridge"]
STDIO: Final = [sys.executable, "-m", "bench.peers.server", "--stdio"]
ROOT: Final = Path(__file__).resolve().parents[2]


class Site(NamedTuple):
    """Where a recipe works: a folder of its own, a core, the stub server over HTTP."""

    folder: Path
    core: int
    server: str

    @contextmanager
    def run(self, command: list[str], port: int, path: str, **env: str) -> Iterator["Up"]:
        """Start a program that will listen there."""
        own = {"HOME": str(self.folder), "PYTHONPATH": str(ROOT), **env}
        program = Program(command, self.core, env=own, cwd=self.folder)
        with running(program):
            program.wait_for(lambda _: nginx.listens(port))
            yield Up(program, f"http://127.0.0.1:{port}{path}")


class Up(NamedTuple):
    """A gateway that listens; `headers` go with each request."""

    program: Program
    url: str
    headers: Mapping[str, str] = MappingProxyType({})


Start = Callable[[Site], AbstractContextManager[Up]]


class Peer(NamedTuple):
    """One gateway in one setting."""

    name: str
    kind: Kind
    start: Start
    package: Package | None = None
    prefix: str = ""
    """Before the name of a tool."""
    sse: bool = False
    note: str = ""

    @property
    def version(self) -> str:
        """As installed."""
        if self.package is not None:
            return self.package.version
        if self.kind == "proxy":
            return said_version(self.name.partition(" ")[0].lower(), "-v") or "?"
        return "this tree"


def nginx_proxy(site: Site) -> AbstractContextManager[Any]:
    """proxy_pass with kept connections, one worker."""
    return nginx.proxy(site.core, site.server)


@contextmanager
def haproxy(site: Site) -> Iterator[Up]:
    """mode http, one thread, connections to the server kept and shared."""
    port = free_port()
    file = site.folder / "haproxy.cfg"
    file.write_text(f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend out
backend out
  server stub {site.server.split("/")[2]}
""")
    with site.run(["haproxy", "-f", str(file)], port, "/mcp") as up:
        yield up


@contextmanager
def only1mcp(site: Site) -> Iterator[Up]:
    """Nothing but the server in the file: every default."""
    with started.gateway(site.core, {"servers": [http_server("h", site.server)]}) as up:
        yield Up(*up)


@contextmanager
def only1mcp_child(site: Site) -> Iterator[Up]:
    """The same with a child process."""
    transport = {"type": "stdio", "command": STDIO[0], "args": STDIO[1:], "cwd": str(ROOT)}
    with started.gateway(site.core, {"servers": [{"id": "s", "transport": transport}]}) as up:
        yield Up(*up)


def fastmcp(site: Site) -> AbstractContextManager[Up]:
    """`fastmcp run` with a configuration of MCP servers."""
    port = free_port()
    file = site.folder / "mcp.json"
    # a second entry makes FastMCP prefix the names, as it does for anybody with two servers
    servers = {"h": {"url": site.server}, "h2": {"url": site.server}}
    file.write_text(json.dumps({"mcpServers": servers}))
    command = [install.FASTMCP.program("fastmcp"), "run", str(file), "--transport", "http"]
    options = ["--port", str(port), "--no-banner", "--log-level", "ERROR"]
    return site.run([*command, *options], port, "/mcp")


_CONNECTED: Final = """
import asyncio
from fastmcp import Client, FastMCP
from fastmcp.server import create_proxy
async def main():
    gateway = FastMCP("gateway")
    async with Client({server!r}) as client:
        gateway.mount(create_proxy(client), namespace="h")
        await gateway.run_async(transport="http", host="127.0.0.1", port={port},
                                show_banner=False, log_level="error")
asyncio.run(main())
"""


def fastmcp_connected(site: Site) -> AbstractContextManager[Up]:
    """FastMCP with a client that is connected once: fast, but all callers share its session."""
    port = free_port()
    file = site.folder / "connected.py"
    file.write_text(_CONNECTED.format(server=site.server, port=port))
    return site.run([install.FASTMCP.program("python"), str(file)], port, "/mcp")


_CONTEXTFORGE_LOAD: Final = {
    "RATE_LIMITING_ENABLED": "false",
    "USE_STATEFUL_SESSIONS": "true",
    "TOOL_RATE_LIMIT": "60000",
    "TOOL_CONCURRENT_LIMIT": "1000",
    "COMPRESSION_ENABLED": "false",
    "CORRELATION_ID_ENABLED": "false",
    "DISABLE_ACCESS_LOG": "true",
}
"""As the docker-compose.yml of its repository (IBM/mcp-context-forge), which is sized for load, has
them: "Tool configuration for high-concurrency load testing" and "Performance optimizations". By
default it lets a client make 100 calls a minute and answers the others with 429; its discussion
6449 names RATE_LIMITING_ENABLED for whoever limits rates elsewhere. With sessions it keeps its own
with the server, which halves what a call costs."""


@contextmanager
def contextforge(site: Site) -> Iterator[Up]:
    """`mcpgateway`, SQLite and memory cache; the server is registered and put in a virtual one."""
    port, secret = free_port(), secrets.token_hex(24)
    env = {
        "JWT_SECRET_KEY": secret,
        "AUTH_ENCRYPTION_SECRET": secrets.token_hex(24),
        "DATABASE_URL": f"sqlite:///{site.folder}/gateway.db",
        "CACHE_TYPE": "memory",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "MCPGATEWAY_ADMIN_API_ENABLED": "true",
        "MCPGATEWAY_UI_ENABLED": "false",
        "PLATFORM_ADMIN_EMAIL": "admin@example.com",
        "PLATFORM_ADMIN_PASSWORD": f"Aa1!{secret}",
        "LOG_LEVEL": "ERROR",
        **_CONTEXTFORGE_LOAD,
    }
    program = install.CONTEXTFORGE.program("mcpgateway")
    with site.run([program, "--host", "127.0.0.1", "--port", str(port)], port, "", **env) as up:
        token = _contextforge_token(site, env, secret)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=up.url, headers=headers, timeout=60, trust_env=False) as http:
            place = {"name": "h", "url": site.server, "transport": "STREAMABLEHTTP"}
            http.post("/gateways", json=place).raise_for_status()
            tools = [tool["id"] for tool in http.get("/tools").raise_for_status().json()]
            wanted = {"server": {"name": "all", "associated_tools": tools}}
            server = http.post("/servers", json=wanted).raise_for_status().json()["id"]
        yield Up(up.program, f"{up.url}/servers/{server}/mcp", headers)


def _contextforge_token(site: Site, env: dict[str, str], secret: str) -> str:
    python = install.CONTEXTFORGE.program("python")
    who = ["--username", "admin@example.com", "--exp", "600", "--secret", secret]
    module = "mcpgateway.utils.create_jwt_token"
    with running(Program([python, "-m", module, *who], site.core, env=env)) as program:
        program.process.wait(60)
        return program.said().strip().splitlines()[-1].strip()


def mcp_compose(site: Site) -> AbstractContextManager[Up]:
    """`mcp-compose serve` over Streamable HTTP."""
    port = free_port()
    file = site.folder / "compose.toml"
    file.write_text(f"""
[composer]
name = "c"
port = {port}
[transport]
stdio_enabled = false
streamable_http_enabled = true
[[servers.proxied.streamable-http]]
name = "h"
url = "{site.server}"
[ui]
enabled = false
""")
    command = [install.COMPOSE.program("mcp-compose"), "serve", "-c", str(file)]
    options = ["--host", "127.0.0.1", "--port", str(port), "-t", "streamable-http"]
    return site.run([*command, *options], port, "/mcp")


def mcp_hub(site: Site) -> AbstractContextManager[Up]:
    """mcp-hub: clients of the older transport only."""
    port = free_port()
    file = site.folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"h": {"url": site.server}}}))
    command = [install.MCP_HUB.program("mcp-hub"), "--port", str(port), "--config", str(file)]
    return site.run(command, port, "/mcp")


def mcp_hangar(site: Site) -> AbstractContextManager[Up]:
    """mcp-hangar over HTTP; tools are called through its own tool `hangar_call`."""
    port = free_port()
    file = site.folder / "hangar.yaml"
    servers = {"h": {"mode": "remote", "endpoint": site.server}}
    file.write_text(json.dumps({"mcp_servers": servers}))
    command = [install.HANGAR.program("mcp-hangar"), "-c", str(file), "serve", "--http"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "ERROR"]
    return site.run([*command, *options], port, "/mcp")


def mcp_proxy(site: Site) -> AbstractContextManager[Up]:
    """mcp-proxy of PyPI: one child, named."""
    port = free_port()
    command = [install.MCP_PROXY.program("mcp-proxy"), "--port", str(port), "--pass-environment"]
    named = ["--log-level", "ERROR", "--named-server", "s", " ".join(STDIO)]
    return site.run([*command, *named], port, "/servers/s/mcp")


def mcp_proxy_npm(site: Site) -> AbstractContextManager[Up]:
    """mcp-proxy of npm: one child for all sessions."""
    port = free_port()
    command = [install.MCP_PROXY_NPM.program("mcp-proxy"), "--port", str(port), "--"]
    return site.run([*command, *STDIO], port, "/mcp")


def supergateway(site: Site) -> AbstractContextManager[Up]:
    """supergateway with sessions, which is a child for each of them."""
    port = free_port()
    command = [install.SUPERGATEWAY.program("supergateway"), "--stdio", " ".join(STDIO)]
    options = ["--outputTransport", "streamableHttp", "--stateful", "--sessionTimeout", "60000"]
    quiet = ["--logLevel", "none", "--port", str(port)]
    return site.run([*command, *options, *quiet], port, "/mcp")


PEERS: Final = (
    Peer("nginx", "proxy", nginx_proxy, note="proxy_pass, one worker, kept connections"),
    Peer("HAProxy", "proxy", haproxy, note="mode http, one thread, http-reuse always"),
    Peer("Only1MCP", "aggregator", only1mcp, prefix="h__", note="all defaults"),
    Peer("FastMCP proxy", "aggregator", fastmcp, install.FASTMCP, "h_",
         note="`fastmcp run mcp.json`, the default: a session with the server for each request"),
    Peer("FastMCP proxy, connected", "aggregator", fastmcp_connected, install.FASTMCP, "h_",
         note="one connected client, mounted by hand; all callers share its session"),
    Peer("ContextForge", "aggregator", contextforge, install.CONTEXTFORGE, "h-",
         note="`mcpgateway`, SQLite, memory cache, no user interface, one worker, sessions, no "
              "limit of 100 calls a minute, and more as its docker-compose.yml has it for load"),
    Peer("mcp-compose", "aggregator", mcp_compose, install.COMPOSE, "h_",
         note="`mcp-compose serve -t streamable-http`"),
    Peer("mcp-hub", "aggregator", mcp_hub, install.MCP_HUB, "h__", sse=True,
         note="clients of HTTP+SSE only, so by a client of that transport"),
    Peer("mcp-hangar", "meta", mcp_hangar, install.HANGAR,
         note="`serve --http`; each call goes through the tool `hangar_call`"),
    Peer("Only1MCP, child", "bridge", only1mcp_child, prefix="s__", note="all defaults"),
    Peer("mcp-proxy (PyPI)", "bridge", mcp_proxy, install.MCP_PROXY, note="`--named-server`"),
    Peer("mcp-proxy (npm)", "bridge", mcp_proxy_npm, install.MCP_PROXY_NPM, note="all defaults"),
    Peer("supergateway", "bridge", supergateway, install.SUPERGATEWAY,
         note="`--stateful`: a child for each session"),
)  # fmt: skip
