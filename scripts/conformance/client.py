"""The gateway as client of the suite: a command that the suite starts with its URL.

    python -m scripts.conformance.client URL

A gateway with that URL as its only server, and the official client in front of the gateway.
The exit code is that of the client.
"""

import asyncio
import contextlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from fakes.gateway import Running, gateway, http_server
from scripts.peers import CONFORMANCE_CLIENT

UP_S: Final = 5.0
"""For the gateway to reach the suite; it may be one that refuses the first requests."""
ID: Final = "suite"


async def up_or_refused(running: Running) -> None:
    """Wait until the gateway has made up its mind about the suite."""
    with contextlib.suppress(AssertionError):
        await running.said(rf"(ready|failed) +{ID} ", timeout_s=UP_S)


async def drive(url: str, folder: Path) -> int:
    """Run the official client through a gateway in front of `url`."""
    async with gateway({"servers": [http_server(ID, url)]}, folder) as running:
        await up_or_refused(running)
        argv = [sys.executable, str(CONFORMANCE_CLIENT), running.server(ID)]
        client = await asyncio.create_subprocess_exec(*argv)
        code = await client.wait()
    print(*running.log, sep="\n", file=sys.stderr)
    return code


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        sys.exit(asyncio.run(drive(sys.argv[1], Path(folder))))
