"""All clients come back at once: fault 32 of the catalogue, before one real gateway process."""

import asyncio
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.shop import READ, Shop, before, reading, text, until
from fakes.wire import Json, headers_of, modern

pytestmark = pytest.mark.timeout(90)


async def test_five_thousand_clients_at_once_are_one_call(tmp_path: Path, many_files: None) -> None:
    """All come back after a restart, and want the lists and the same resource. For whom
    there is no room (`server.limits.max_in_flight`) hears when to come again, and is served."""
    shop, loop = Shop(), asyncio.get_running_loop()
    for declared in shop.capabilities.values():  # else lists are looked at again after 5 s
        declared["listChanged"] = True
    async with before(tmp_path, shop) as (running, wire):
        shop.shut()
        port = int(running.url.rsplit(":", 1)[1])
        async with asyncio.TaskGroup() as group:
            rush = [Rushing(port, number) for number in range(5000)]
            clients = [group.create_task(one.run()) for one in rush]
            async with asyncio.timeout(60):
                while sum(one.refused > 0 for one in rush) < 5000 - 2048:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
            await until(running, lambda page: page["calls"] + page["shared"] == 2048)
            began = loop.time()
            shop.opened.set()
        assert loop.time() - began < 10  # 4 s where all of this shares two busy cores
        assert {one.result() for one in clients} == {"1"}
        assert len(shop.calls(READ)) == 1
        kinds = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
        assert [len(shop.calls(kind)) for kind in kinds] == [1, 1, 1, 1]
        assert text(await reading(wire)) == "1"


@pytest.fixture
def many_files() -> Iterator[None]:
    """Leave to open as many files as this machine lets us, for the gateway too."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        if 0 <= limits[0] < 6000:  # below 0: as many as it likes
            resource.setrlimit(resource.RLIMIT_NOFILE, (6000, limits[1]))
    except ValueError:
        pytest.skip(f"needs 6000 open files, the hard limit is {limits[1]} (ulimit -Hn)")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class Rushing:
    """One client on a connection of its own: lists, then reads, and again if it is told to."""

    def __init__(self, port: int, id: int) -> None:
        self.port = port
        self.id = id
        self.refused = 0

    async def run(self) -> str:
        """What it read."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await _post(reader, writer, "prompts/list", {}, self.id)
            while True:
                head, found = await _post(reader, writer, READ, {"uri": "shop://a"}, self.id)
                assert found["id"] == self.id
                if not head.startswith("http/1.1 503"):
                    return str(found["result"]["contents"][0]["text"])
                self.refused += 1
                await asyncio.sleep(int(head.split("retry-after: ")[1].split("\r\n")[0]))
        finally:
            writer.close()


async def _post(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, params: Json, id: int
) -> tuple[str, Any]:
    message = modern(method, params, id=id)
    body = json.dumps(message).encode()
    lines = {
        **headers_of(message),
        "Host": "127.0.0.1",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
    async with asyncio.timeout(60):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        return head, json.loads(await reader.readexactly(length))
