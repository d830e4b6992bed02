"""A scripted server that tells whoever listens: what those of both kinds have in common."""

import json
from typing import Any, Final

from fakes.mirror import Asked, Mirror

LISTEN: Final = "subscriptions/listen"
ACK: Final = "notifications/subscriptions/acknowledged"
TAG: Final = "io.modelcontextprotocol/subscriptionId"


class Teller(Mirror):
    """`listens` are the listens that are open."""

    def __init__(self, id: str, **more: Any) -> None:
        super().__init__(id, **more)
        self.listens: list[Asked] = []
        self.on(LISTEN, self._listen)

    def agreed(self, wanted: Any) -> Any:
        """What it acknowledges of a filter: all of it."""
        return wanted

    async def tell(self, asked: Asked, method: str, **params: Any) -> None:
        """Say something on one listen."""
        await asked.notify(method, **params, _meta={TAG: json.loads(asked.id)})

    async def _listen(self, asked: Asked) -> bytes:
        self.listens.append(asked)
        await self.tell(asked, ACK, notifications=self.agreed(asked.json["notifications"]))
        await self.changed()
        try:
            await asked.cancelled.wait()
        finally:
            self.listens.remove(asked)
            await self.changed()
        return b'{"resultType":"complete"}'
