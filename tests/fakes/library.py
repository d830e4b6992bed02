"""A scripted server whose lists and one resource change, and that tells who listens."""

from contextlib import suppress
from typing import Any, Final

from fakes.mirror import Asked
from fakes.teller import Teller

UPDATED: Final = "notifications/resources/updated"
TOOLS: Final = "notifications/tools/list_changed"
PROMPTS: Final = "notifications/prompts/list_changed"


class Library(Teller):
    """A server with one resource that tells its subscribers what they ask for."""

    def __init__(self, id: str) -> None:
        can = {"listChanged": True}
        kinds = {"tools": can, "prompts": can, "resources": {"subscribe": True, **can}}
        super().__init__(id, modern=id.startswith("modern"), **kinds)
        self.uri = f"{id}://shelf"
        self.lists["resources"] = [{"uri": self.uri, "name": "shelf"}]
        for method in ("resources/subscribe", "resources/unsubscribe"):
            self.on(method, self._agree)

    async def _agree(self, asked: Asked) -> bytes:
        return b"{}"

    async def says(self, method: str, **params: Any) -> None:
        """Announce something to whoever listens."""
        if not self.modern:
            await self.announce(method, **params)
        for asked in list(self.listens):
            with suppress(ConnectionError):  # one that was replaced, and has not noticed
                await self.tell(asked, method, **params)

    def is_heard(self, by: int = 1) -> bool:
        """Whether there are so many to announce something to."""
        return len(self.listens if self.modern else self.channels) >= by

    def subscribed(self) -> bool:
        """Whether it has been asked to watch its resource, and still is."""
        if self.modern:
            filters = [one.json["notifications"] for one in self.listens]
            return any(self.uri in one.get("resourceSubscriptions", ()) for one in filters)
        return len(self.calls("resources/subscribe")) > len(self.calls("resources/unsubscribe"))
