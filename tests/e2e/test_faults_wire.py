"""Connections that are refused, reset, stale or slow, through the front door.

A proxy between gateway and server does what networks do; what the server has been asked is the
oracle: a call that may have run is never sent twice.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from fakes.gateway import closed_port, http_server
from fakes.ledger import Front, Ledger, fault, front
from fakes.mirror import Asked, Mirror, tool
from fakes.mirror_http import over_http
from fakes.unruly import Unruly, unruly
from fakes.wire import Json, last

pytestmark = pytest.mark.timeout(120)

PATIENT: Json = {
    "circuit_breaker": {"failure_threshold": 1000, "min_calls": 100_000},
    "health_check": {"enabled": False},
}
"""Nothing but the calls of the test reaches the server, whatever has failed before."""


class Shelf(Mirror):
    """A modern server with one tool and one resource."""

    def __init__(self) -> None:
        super().__init__("shelf", modern=True)
        self.lists["tools"] = [tool("add")]
        self.lists["resources"] = [{"name": "r", "uri": "shelf://r"}]
        self.on("resources/read", self._read)

    async def _read(self, asked: Asked) -> bytes:
        content = b'"contents":[{"uri":"shelf://r","text":"what it holds"}]'
        return b'{"resultType":"complete","ttlMs":0,"cacheScope":"private",%b}' % content

    def asked_for(self, key: str) -> int:
        """How many calls with this key have come."""
        return sum(one.arguments.get("key") == key for one in self.calls())


@asynccontextmanager
async def behind(
    folder: Path, server: Mirror, *others: Json, **settings: object
) -> AsyncIterator[tuple[Front, Unruly]]:
    """A gateway that reaches `server`, as "one", through a proxy."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(server))
        proxy = await stack.enter_async_context(unruly(int(url.split(":")[2].split("/")[0])))
        entry = http_server("one", f"http://127.0.0.1:{proxy.port}/mcp", **settings)
        yield await stack.enter_async_context(front(folder, entry, *others)), proxy


async def read(door: Front) -> Json:
    """The answer to one resources/read."""
    return last(await door.wire.modern("resources/read", {"uri": "shelf://r"}))


async def test_a_port_where_nobody_listens(tmp_path: Path) -> None:
    with closed_port() as port:
        entry = http_server("one", f"http://127.0.0.1:{port}/mcp")
        async with front(tmp_path, entry, ready=False) as door:
            await door.shows(state="waiting")
            began = monotonic()
            answer = await door.call("add")
            print(f"refused after {monotonic() - began:.2f} s")
            assert fault(answer) == (-31001, "not_sent")
            assert "refused" in answer["error"]["message"]
            assert answer["error"]["data"]["retryAfterMs"] > 0


async def test_an_open_breaker_lets_nothing_through(tmp_path: Path) -> None:
    shelf = Shelf()
    settings = {"circuit_breaker": {"open": "60s"}, "health_check": {"enabled": False}}
    async with behind(tmp_path, shelf, **settings) as (door, proxy):
        proxy.cut_after = 0
        for number in range(5):
            assert fault(await door.call("add", key=str(number))) == (-31003, "unknown")
        row = await door.shows(health="healthy")
        assert row["replicas"][0]["breaker"] == "open"
        assert "5 failures in a row" in row["replicas"][0]["reason"]
        proxy.cut_after = None
        accepted, asked = proxy.accepted, len(shelf.asked)
        for _ in range(20):
            answer = await door.call("add", key="never")
            assert fault(answer) == (-31004, "not_sent")
            assert answer["error"]["data"]["retryAfterMs"] > 1000
        assert (proxy.accepted, len(shelf.asked)) == (accepted, asked)
        assert [shelf.asked_for(str(number)) for number in range(5)] == [1] * 5


async def test_an_answer_cut_anywhere_is_never_called_for_twice(tmp_path: Path) -> None:
    shelf = Shelf()
    async with behind(tmp_path, shelf, **PATIENT) as (door, proxy):
        whole = []
        for cut in [*range(0, 200, 8), 10_000]:
            proxy.cut_all()
            proxy.cut_after = cut
            answer = await door.call("add", key=f"at-{cut}")
            if "error" in answer:
                assert fault(answer) == (-31003, "unknown")
            assert shelf.asked_for(f"at-{cut}") == 1
            whole.append("result" in answer)
        assert whole == sorted(whole)
        assert 10 < whole.count(False) < len(whole)


async def test_a_read_that_is_cut_is_read_once_more(tmp_path: Path) -> None:
    shelf = Shelf()
    generous = {"retry": {"budget": 1}}
    async with behind(tmp_path, shelf, **PATIENT, **generous) as (door, proxy):
        for number, cut in enumerate(range(0, 200, 25)):
            proxy.cut_all()
            proxy.cut_once = cut
            assert "result" in await read(door)
            assert len(shelf.calls("resources/read")) == 2 * (number + 1)


async def test_a_server_that_closes_what_it_kept(tmp_path: Path) -> None:
    """It closes a moment after each answer, when the next request may be on its way."""
    shelf, moments = Shelf(), (0.0, 0.001, 0.002, 0.005)
    async with behind(tmp_path, shelf, **PATIENT, retry={"budget": 1}) as (door, proxy):
        for number in range(150):
            proxy.keeps_s = moments[number % 4]
            assert "result" in await read(door)
            answer = await door.call("add", key=str(number))
            assert "result" in answer or fault(answer) == (-31003, "unknown")
            assert shelf.asked_for(str(number)) <= 1
            await asyncio.sleep(moments[number % 3])
        assert len(shelf.calls("resources/read")) <= 300


async def test_a_server_of_one_byte_at_a_time_ends_with_its_deadline(tmp_path: Path) -> None:
    shelf, other = Shelf(), Ledger(tmp_path)
    limits = {"timeouts": {"call_max": 2, "call_idle": 2}, "concurrency": {"max_in_flight": 1}}
    async with behind(tmp_path, shelf, other.server("two"), **PATIENT, **limits) as (door, proxy):
        proxy.pace_s = 1.0
        began = monotonic()
        slow = door.calling("add", key="slow")
        await shelf.until(lambda: shelf.asked_for("slow") == 1)
        for number in range(10):
            assert "result" in await door.call("add", "two", key=str(number))
        assert fault(await slow) == (-31002, "unknown")
        assert 1.9 < monotonic() - began < 20
        proxy.pace_s = 0.0
        proxy.cut_all()
        assert "result" in await door.call("add", key="after"), "its place is free again"
        assert shelf.asked_for("slow") == 1


async def test_progress_keeps_a_call_alive_up_to_its_hard_end(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    limits: Json = {"timeouts": {"call_idle": 2, "call_max": 4}}
    async with front(tmp_path, ledger.server(**limits)) as door:
        session = await door.wire.open()

        async def progress(count: int) -> list[Json]:
            arguments = {"count": count, "pause": 0.3}
            params = {"name": "one__progress", "arguments": arguments}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
            params["_meta"] = {"progressToken": "mine"}
            async with session.calling(body) as stream:
                return await stream.rest()

        *told, answer = await progress(9)
        assert "result" in answer, "more than two seconds, and never two without a word"
        assert [one["params"]["progress"] for one in told] == list(range(1, 10))
        assert {one["params"]["progressToken"] for one in told} == {"mine"}

        *told, answer = await progress(1000)
        assert fault(answer) == (-31002, "unknown")
        assert "4 s" in answer["error"]["message"]
        values = [one["params"]["progress"] for one in told]
        assert values == list(range(1, len(values) + 1))
        assert len(values) >= 5
