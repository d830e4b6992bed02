"""`demo`: the gateway with three bundled servers, and what to try with it."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import which
from typing import Final

from only1mcp.cli.run import in_loop, overrides, serve
from only1mcp.cli.say import Exit, Failure, fail, note
from only1mcp.config.load import ConfigError, load
from only1mcp.config.model import Config, Listener
from only1mcp.config.servers import Http, Server, Stdio
from only1mcp.observe import logs

DEMO_START_S: Final = 10.0
_HTTP_SERVERS: Final = ("clock", "text")


def run_demo(host: str | None, port: int | None) -> int:
    """`only1mcp demo`."""
    logs.configure("warning", "text")
    try:
        return in_loop(_demo(host, port))
    except Failure as error:
        return fail(error)


async def _demo(host: str | None, port: int | None) -> int:
    listener = _listener(host, port)
    async with _demo_servers() as (clock, text):
        config = Config(
            server=listener,
            servers=(
                Server(
                    id="notes",
                    transport=Stdio(command=sys.executable, args=("-m", "only1mcp.demo.notes")),
                ),
                Server(id="clock", transport=Http(url=clock)),
                Server(id="text", transport=Http(url=text)),
            ),
        )
        return await serve(config, port, _what_to_try, people=True)


def _listener(host: str | None, port: int | None) -> Listener:
    try:
        return load(None, {}, overrides(host, port)).config.server
    except ConfigError as error:
        raise Failure(str(error), Exit.USAGE) from None


@contextlib.asynccontextmanager
async def _demo_servers() -> AsyncIterator[tuple[str, str]]:
    """The two HTTP demo servers as children that end with us."""
    children = []
    try:
        urls = []
        for name in _HTTP_SERVERS:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", f"only1mcp.demo.{name}", "--port", "0", "--with-parent",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
            children.append(child)
        for name, child in zip(_HTTP_SERVERS, children, strict=True):
            urls.append(await _url(name, child))
        yield urls[0], urls[1]
    finally:
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        for child in children:
            await child.wait()


async def _url(name: str, child: asyncio.subprocess.Process) -> str:
    """Where it listens: the last word of its first line."""
    assert child.stdout is not None
    line = ""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEMO_START_S):
            line = (await child.stdout.readline()).decode()
    if "http://" not in line:
        raise Failure(f"the demo server {name} did not start: {line.strip() or 'no output'}")
    return line.split()[-1]


def _what_to_try(url: str) -> None:
    note(
        _TRY.replace("<url>", url)
        .replace("<only1mcp>", _command())
        .replace("<path>", str(Path(sys.argv[0]).absolute()))
    )


def _command() -> str:
    """How this very program is called again: it need not be on PATH."""
    return "only1mcp" if which("only1mcp") else sys.argv[0]


_TRY: Final = """
Try, in another terminal:

  <only1mcp> servers --url <url>
  <only1mcp> tools --url <url>
  <only1mcp> call notes__add_note '{"title": "hello", "text": "from only1mcp"}' --url <url>
  <only1mcp> call clock__countdown '{"seconds": 3}' --url <url>

  curl -s <url>/mcp -H 'Content-Type: application/json' \\
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/list' \\
    -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
         "io.modelcontextprotocol/protocolVersion": "2026-07-28",
         "io.modelcontextprotocol/clientCapabilities": {}}}}'

In the configuration of an MCP client that takes a URL:

  {"mcpServers": {"only1mcp": {"url": "<url>/mcp"}}}

Your own servers: `<only1mcp> config init`, then `<only1mcp> run`, or `<only1mcp> start` for the
background; a client that starts commands takes
{"mcpServers": {"only1mcp": {"command": "<path>", "args": ["stdio"]}}}.

Ctrl-C stops it all.
"""
