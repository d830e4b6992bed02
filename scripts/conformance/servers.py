"""The four servers of the proof, and one gateway in front of those that are wanted."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from fakes.gateway import gateway, http_server
from peers.servers import LISTENING, everything_legacy, everything_modern, started
from scripts.conformance.legs import gateway_id
from scripts.conformance.node import MANIFEST, NODE, ROOT, package
from scripts.peers import FASTMCP_PYTHON, FASTMCP_SERVER

ON_A_FREE_PORT: Final = (
    "import sys; sys.path.insert(0, {folder!r})\n"
    "import uvicorn\n"
    "from server import build_app\n"
    "uvicorn.run(build_app(), host='127.0.0.1', port=0)"
)
"""Started as a program, FastMCP's server does not say which port it got."""


def fastmcp() -> AbstractAsyncContextManager[str]:
    """The URL of FastMCP's conformance server."""
    program = ON_A_FREE_PORT.format(folder=str(FASTMCP_SERVER.parent))
    return _over_http([str(FASTMCP_PYTHON), "-c", program])


def server_everything() -> AbstractAsyncContextManager[str]:
    """The URL of the npm everything-server, kept to the loopback interface."""
    loopback = ["--require", str(MANIFEST / "loopback.cjs")]
    program = [str(package("server-everything")), "streamableHttp"]
    return _over_http([str(NODE / "node"), *loopback, *program])


START: Final[Mapping[str, Callable[[], AbstractAsyncContextManager[str]]]] = {
    "mcp-2.3.0": everything_modern,
    "mcp-1.30.0": everything_legacy,
    "fastmcp-4.1.2": fastmcp,
    "server-everything": server_everything,
}


class Addresses(NamedTuple):
    """Where each server is reached: by itself, and through the gateway."""

    direct: dict[str, str]
    through: dict[str, str]


@asynccontextmanager
async def behind_a_gateway(names: Iterable[str], folder: Path) -> AsyncIterator[Addresses]:
    """Run the servers `names` and a gateway with all of them; what it says is kept in `folder`."""
    async with AsyncExitStack() as stack:
        direct = {name: await stack.enter_async_context(START[name]()) for name in names}
        entries = [http_server(gateway_id(name), url) for name, url in direct.items()]
        running = await stack.enter_async_context(gateway({"servers": entries}, folder))
        stack.callback(lambda: (folder / "gateway.log").write_text("\n".join(running.log)))
        await running.ready(*map(gateway_id, direct))
        yield Addresses(direct, {name: running.server(gateway_id(name)) for name in direct})


@asynccontextmanager
async def _over_http(argv: list[str]) -> AsyncIterator[str]:
    async with started(argv, ROOT, LISTENING) as base:
        yield f"{base}/mcp"
