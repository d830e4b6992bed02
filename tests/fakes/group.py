"""A server whose replicas are fakes, in a `Live` without a gateway."""

from collections.abc import Callable
from typing import Any

from fakes.edge import until
from fakes.upstream import FakeUpstream
from only1mcp.config.servers import Http, Server
from only1mcp.protocol.errors import ServerUnavailable
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.live import Live
from only1mcp.upstream.replica import Replica, State


async def unheard(upstream: Upstream) -> None:
    """Nobody listens to greetings here."""


def url(port: int) -> Http:
    """A place that is never dialled."""
    return Http(url=f"http://127.0.0.1:{port}/mcp")


class Group:
    """A server whose replicas are these fakes."""

    def __init__(self, *fakes: FakeUpstream, **settings: Any) -> None:
        self.fakes = fakes
        self.joins: list[Upstream | None] = []
        self.refuse: list[Exception] = []  # what the next joins raise
        self.seen: list[str] = []
        self.held = False
        ports = range(1, len(fakes) + 1)
        entry = {"id": "one", "replicas": [{"transport": url(port)} for port in ports], **settings}
        self.live = Live(Server.model_validate(entry), self._make, unheard)

    def _make(self, live: Live, replica: Replica, era: str) -> FakeUpstream:
        return self.fakes[live.replicas.index(replica)]

    async def join(self, live: Live) -> None:
        """What the gateway does with the replica that leads."""
        self.joins.append(live.upstream)
        if self.refuse:
            raise self.refuse.pop(0)

    def start(self) -> None:
        """Start it."""
        notice = lambda live: self.seen.append(str(live.state))  # noqa: E731
        self.live.start(self.join, notice, lambda live: self.held)

    async def all_ready(self) -> None:
        """Wait until every replica is up."""
        await until(lambda: {one.state for one in self.live.replicas} == {State.READY})

    def picks(self, count: int = 12, **how: Any) -> list[int]:
        """How often each replica is picked."""
        chosen = [self.live.pick(**how) for _ in range(count)]
        return [chosen.count(one) for one in self.live.replicas]


Start = Callable[..., Any]
"""Starts a group; see the fixture `group` in tests/upstream/conftest.py."""


def refusing() -> FakeUpstream:
    """A replica that cannot be reached."""
    fake = FakeUpstream("one")
    fake.refuse = ServerUnavailable("one", "refused")
    return fake
