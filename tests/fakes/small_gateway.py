"""Hardly a gateway: starts scripted servers with a grandchild each, and waits to be killed.

python small_gateway.py asyncio|uvloop
stdout  {"children": [...], "grandchildren": [...], "warden": PID}
"""

import asyncio
import json
import sys

import uvloop

from fakes.children import details, script, server_of
from only1mcp.upstream.warden import Warden

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
SERVERS = (
    ((), False),  # ends with its input
    (("--stubborn",), False),  # has to be killed
    ((), True),  # ends, but its grandchild has left the session
    (("--stubborn",), True),
)


async def main() -> None:
    """Start the servers and wait."""
    warden = Warden()
    servers = [server_of(script(*options), warden) for options, _ in SERVERS]
    await asyncio.gather(*(server.connect() for server in servers))
    grandchildren = [
        (await details(server, "fork_child", detached=detached))["pid"]
        for server, (_, detached) in zip(servers, SERVERS, strict=True)
    ]
    children = [server.pid for server in servers]
    found = {"children": children, "grandchildren": grandchildren, "warden": warden.pid}
    print(json.dumps(found), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=LOOPS[sys.argv[1]]) as runner:
        runner.run(main())
