"""Who handed out a link: URIs that no list holds, remembered from results.

A tool may answer with a `resource_link` to a URI that appears in no `resources/list`; the
server that gave it is the one to ask for it (MCP 2025-06-18 server/tools "Resource Links").
"""

from collections import OrderedDict
from typing import Final

MAX_LINKS: Final = 10_000  # ~2 MB with usual URIs; the oldest unused is forgotten first
MAX_LINK_LENGTH: Final = 2048  # characters; a longer URI is not remembered


class Owners:
    """A bounded table URI -> server id. It outlives the catalogues that use it."""

    __slots__ = ("_links",)

    def __init__(self) -> None:
        self._links: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._links)

    def learn(self, uri: str, server: str) -> None:
        """`server` has just handed out `uri`; the latest to do so is asked."""
        if len(uri) > MAX_LINK_LENGTH:
            return
        self._links[uri] = server
        self._links.move_to_end(uri)
        if len(self._links) > MAX_LINKS:
            self._links.popitem(last=False)

    def get(self, uri: str) -> str | None:
        """The server that handed out `uri`."""
        server = self._links.get(uri)
        if server is not None:
            self._links.move_to_end(uri)
        return server
