"""Servers that fail for a while, flap, or fail in part, through the front door: what is tried, what
clients hear of it, and who bears it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate
from itertools import pairwise
from math import ceil
from pathlib import Path
from time import monotonic, time

import pytest

from fakes.edge import until
from fakes.gateway import http_server, stdio_server
from fakes.ledger import QUICK, Front, fault, front
from fakes.mirror import Asked, Mirror, Refused, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.wire import Json, Session

pytestmark = pytest.mark.timeout(120)

CHANGED = "notifications/tools/list_changed"
UNASKED: Json = {"health_check": {"enabled": False}}


class Ill(Mirror):
    """A modern server that answers calls and probes with HTTP 500 while it is `ill`."""

    def __init__(self, name: str = "ill") -> None:
        super().__init__(name, modern=True, tools={})
        self.lists["tools"] = [tool("add")]
        self.ill = False
        self.probed_at: list[float] = []
        self.on("tools/call", self._call)
        self.on("server/discover", self._discover)

    async def _call(self, asked: Asked) -> bytes:
        self._fail()
        return self.text(self.name)

    async def _discover(self, asked: Asked) -> bytes:
        self.probed_at.append(monotonic())
        self._fail()
        return self.hello(asked.method)

    def _fail(self) -> None:
        if self.ill:
            raise Refused(b"", 500)


# --- the breaker ---


async def test_a_breaker_is_closed_by_its_probe_and_never_by_a_call(tmp_path: Path) -> None:
    ill = Ill()
    async with over_http(ill) as url:
        breaker = {"circuit_breaker": {"open": 0.3, "failure_threshold": 3}}
        async with front(tmp_path, http_server("one", url, **breaker, **UNASKED)) as door:
            ill.ill, ill.probed_at = True, []
            for number in range(3):
                assert fault(await door.call("add", key=number)) == (-31003, "unknown")
            began = monotonic()
            while len(ill.probed_at) < 3:
                assert fault(await door.call("add", key="never")) == (-31004, "not_sent")
                (replica,) = (await door.row())["replicas"]
                assert replica["breaker"] in ("open", "half_open")
                assert monotonic() - began < 60
                await asyncio.sleep(0.02)
            assert len(ill.calls()) == 3, "no call was made to find out"
            times = [began, *ill.probed_at]
            gaps = [after - before for before, after in pairwise(times)]
            for number, gap in enumerate(gaps):
                assert gap > 0.3 * 2**number * 0.5 - 0.1, "one probe a period, and longer each time"
            ill.ill = False
            await door.works()
            (replica,) = (await door.row())["replicas"]
            assert (replica["breaker"], replica["reason"]) == ("closed", "")
            assert len(ill.probed_at) == 4
            assert len(ill.calls()) == 4


@pytest.mark.parametrize("error", [None, b'{"code":-32000,"message":"not so fast"}'])
@pytest.mark.parametrize("date", [False, True])
async def test_a_server_that_asks_for_a_pause_gets_it(
    tmp_path: Path, error: bytes | None, date: bool
) -> None:
    busy = Mirror("busy", modern=True, tools={})
    busy.lists["tools"] = [tool("add")]

    async def later(asked: Asked) -> bytes:
        until = formatdate(ceil(time()) + 2, usegmt=True)  # of whole seconds
        raise Refused(error or b"", 429, retry_after=until if date else "2")

    busy.on("tools/call", later)
    async with over_http(busy) as url:
        entry = http_server("one", url, **UNASKED)
        async with front(tmp_path, entry) as door:
            began = monotonic()
            first = await door.call("add")
            assert first["error"]["code"] == (-31001 if error is None else -32000)
            for _ in range(5):
                refused = await door.call("add")
                assert fault(refused) == (-31004, "not_sent")
                assert "has asked for a pause" in refused["error"]["message"]
                assert 0 < refused["error"]["data"]["retryAfterMs"] <= 2001 + 1000 * date
            assert len(busy.calls()) == 1
            busy.on("tools/call", _fine)
            await door.works()
            assert monotonic() - began > 1.9


async def _fine(asked: Asked) -> bytes:
    return b'{"resultType":"complete","content":[]}'


@pytest.mark.parametrize("path", [None, "/health"])
async def test_checks_find_an_ill_server_and_find_it_well(tmp_path: Path, path: str | None) -> None:
    ill = Ill()
    async with over_http(ill, page=lambda: 503 if ill.ill else 200) as url:
        checks = {"health_check": {**QUICK, "path": path}}
        async with front(tmp_path, http_server("one", url, **checks)) as door:
            await door.shows(health="healthy")
            ill.ill = True
            row = await door.shows(health="unhealthy")
            assert "500" in row["replicas"][0]["reason"] or "503" in row["replicas"][0]["reason"]
            answer = await door.call("add")
            assert fault(answer) == (-31001, "not_sent")
            assert "is unhealthy" in answer["error"]["message"]
            assert ill.calls() == []
            ill.ill = False
            await door.shows(health="healthy")
            assert "result" in await door.call("add")
            states = [line for line in door.running.log if "server one is " in line]
            words = [line.split("server one is ")[1].split(":")[0] for line in states]
            assert words == ["degraded", "unhealthy", "degraded", "healthy"]


# --- an outage does not flap ---


@asynccontextmanager
async def heard(session: Session) -> AsyncIterator[list[str]]:
    """The methods of all that a session is told, as they come."""
    methods: list[str] = []
    async with session.resuming() as stream:

        async def collect() -> None:
            while (found := await stream.next()) is not None:
                methods.append(found.get("method", ""))

        task = asyncio.get_running_loop().create_task(collect())
        try:
            yield methods
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_a_server_that_flaps_is_not_announced_each_time(tmp_path: Path) -> None:
    flap, steady = Mirror("flap"), Mirror("steady")
    flap.lists["tools"] = steady.lists["tools"] = [tool("add")]
    async with AsyncExitStack() as stack:
        entries = [
            stdio_server(one.name, *await stack.enter_async_context(over_stdio(one)))
            for one in (flap, steady)
        ]
        door = await stack.enter_async_context(front(tmp_path, *entries))
        session = await door.wire.open()
        methods = await stack.enter_async_context(heard(session))
        downs = []
        for number in range(3):
            flap.hang_up()
            downs.append(monotonic())
            await door.shows("flap", restarts=number + 1, state="ready")
            names = {one["name"] for one in (await session.ask("tools/list"))["result"]["tools"]}
            assert names == {"flap__add", "steady__add"}
        assert flap.runs == 4
        assert methods.count(CHANGED) <= 1, "of the start"
        took = monotonic() - downs[-1]
        assert took > 0.5 * 4 * 0.8, "the back-off has grown"


async def test_a_server_that_stays_down_is_hidden_with_one_word(tmp_path: Path) -> None:
    gone, steady = Mirror("gone", modern=True, tools={}), Mirror("steady", modern=True, tools={})
    gone.lists["tools"] = steady.lists["tools"] = [tool("add")]
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(AsyncExitStack())
        url = await alone.enter_async_context(over_http(gone))
        other = await stack.enter_async_context(over_http(steady))
        entries = [
            http_server("gone", url, stale_lists="1s", health_check=QUICK),
            http_server("steady", other),
        ]
        door = await stack.enter_async_context(front(tmp_path, *entries))
        session = await door.wire.open()
        methods = await stack.enter_async_context(heard(session))
        await alone.aclose()
        answer = await session.ask("tools/call", {"name": "gone__add", "arguments": {}})
        assert answer["error"]["code"] == -31001, "a call of what is still listed says why"
        await door.shows("gone", state="waiting")
        await door.running.said("gone: down for too long, its lists are hidden")
        await until(lambda: CHANGED in methods)
        names = [one["name"] for one in (await session.ask("tools/list"))["result"]["tools"]]
        assert names == ["steady__add"]
        port = int(url.split(":")[2].split("/")[0])
        await stack.enter_async_context(over_http(gone, port))
        await door.shows("gone", state="ready")
        await until(lambda: methods.count(CHANGED) == 2)
        names = [one["name"] for one in (await session.ask("tools/list"))["result"]["tools"]]
        assert names == ["gone__add", "steady__add"]
        assert methods.count(CHANGED) == 2


# --- a group in trouble ---


@asynccontextmanager
async def group(folder: Path, members: Sequence[Ill], **settings: object) -> AsyncIterator[Front]:
    """A gateway before one server with these replicas, all of them up."""
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(over_http(one)) for one in members]
        replicas = [{"transport": {"type": "http", "url": url}} for url in urls]
        entry = {"id": "one", "replicas": replicas, **UNASKED, **settings}
        door = await stack.enter_async_context(front(folder, entry))
        await door.replicas(lambda all: {one["state"] for one in all} == {"ready"})
        yield door


async def test_a_replica_that_fails_at_once_is_no_black_hole(tmp_path: Path) -> None:
    members = [Ill(name) for name in "abcd"]
    settings = {"load_balancing": {"policy": "p2c_ewma"}, "circuit_breaker": {"open": "60s"}}
    async with group(tmp_path, members, **settings) as door:
        members[0].ill = True
        failed = 0
        for number in range(400):
            answer = await door.call("add", key=number)
            if "error" in answer:
                assert fault(answer) == (-31003, "unknown")
                failed += 1
        assert 1 <= failed <= 5, "until its breaker opened"
        assert len(members[0].calls()) == failed
        assert all(one.calls() for one in members)


async def test_when_too_few_are_well_all_share_the_load(tmp_path: Path) -> None:
    members = [Ill(name) for name in "abcd"]
    async with group(tmp_path, members, health_check=QUICK) as door:
        for one in members[1:]:
            one.ill = True
        await door.running.said("too few replicas are well, so all get calls")
        before = [len(one.calls()) for one in members]
        answers = [await door.call("add") for _ in range(12)]
        assert sum("result" in answer for answer in answers) == 3
        assert [len(one.calls()) for one in members] == [count + 3 for count in before]


async def test_calls_that_fail_everywhere_leave_half_of_the_group(tmp_path: Path) -> None:
    members = [Ill(name) for name in "abcd"]
    async with group(tmp_path, members, circuit_breaker={"open": "60s"}) as door:
        for one in members[1:]:
            one.ill = True
        for _ in range(60):
            await door.call("add")
        answers = [await door.call("add") for _ in range(40)]
        assert sum("result" in answer for answer in answers) == 20
        had = sorted(len(one.calls()) for one in members[1:])
        assert had[:2] == [5, 5], "left alone since their breakers opened"


async def test_who_comes_back_to_a_group_begins_slowly(tmp_path: Path) -> None:
    members = [Ill(name) for name in "abc"]
    settings = {
        "circuit_breaker": {"open": 0.2, "max_open": 1, "failure_threshold": 1},
        "load_balancing": {"slow_start": "1h"},
    }
    async with group(tmp_path, members, **settings) as door:
        members[0].ill = True
        while "result" in await door.call("add"):
            pass
        members[0].ill = False
        await door.replicas(lambda all: {one["breaker"] for one in all} == {"closed"})
        before = len(members[0].calls())
        answers = [last_text(await door.call("add")) for _ in range(63)]
        assert 1 <= answers.count("a") <= 6, "a tenth of its weight, not a third"
        assert len(members[0].calls()) - before == answers.count("a")


def last_text(answer: Json) -> str:
    """Who has answered."""
    found: str = answer["result"]["content"][0]["text"]
    return found
