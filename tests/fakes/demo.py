"""The bundled HTTP demo servers as processes."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def demo_http(name: str) -> AsyncIterator[str]:
    """Start `only1mcp.demo.{name}` on a free port; gives its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"only1mcp.demo.{name}", "--port", "0", "--with-parent",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = (await process.stdout.readline()).decode()
        yield line.split()[-1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
