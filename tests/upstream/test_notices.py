"""What a server is told of calls that were given up, if it listens and if it does not."""

import asyncio
import json

from only1mcp.observe.tasks import Tasks
from only1mcp.upstream.notices import LANES, MAX_WAITING, Notices


class Server:
    """Takes each message when it is told to."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.free = asyncio.Semaphore(0)
        self.tasks = Tasks()
        self.notices = Notices(self.tasks, self.deliver)

    async def deliver(self, body: bytes) -> None:
        found = json.loads(body)
        assert found["method"] == "notifications/cancelled"
        self.told.append(found["params"]["requestId"])
        await self.free.acquire()

    async def takes(self, count: int) -> None:
        """It answers so many notices."""
        for _ in range(count):
            self.free.release()
        for _ in range(5 * count + 5):
            await asyncio.sleep(0)


async def test_who_listens_is_told_of_each_call_in_turn() -> None:
    server = Server()
    for id in range(10):
        server.notices.cancel(id)
    await server.takes(10)
    assert server.told == list(range(10))
    server.notices.cancel(10)
    await server.takes(1)
    assert server.told[-1] == 10
    await server.tasks.close()


async def test_who_hangs_has_few_notices_waiting_for_it() -> None:
    server = Server()
    for id in range(1000):
        server.notices.cancel(id)
        await asyncio.sleep(0)
    assert server.told == list(range(LANES))
    assert len(server.tasks) == LANES
    await server.takes(1000)
    assert server.told[LANES:] == list(range(1000 - MAX_WAITING, 1000)), "the oldest are forgotten"
    await server.tasks.close()
