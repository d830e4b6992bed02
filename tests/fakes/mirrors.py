"""Several mirrors behind one gateway."""

from contextlib import AsyncExitStack
from typing import Any

from fakes.gateway import http_server, stdio_server
from fakes.mirror import Mirror, over_stdio
from fakes.mirror_http import over_http


async def entry(stack: AsyncExitStack, id: str, mirror: Mirror, **more: Any) -> dict[str, Any]:
    """The entry of a server that is `mirror`: over HTTP if its id ends so, else on stdio."""
    if id.endswith("http"):
        return http_server(id, await stack.enter_async_context(over_http(mirror)), **more)
    return stdio_server(id, *await stack.enter_async_context(over_stdio(mirror)), **more)
