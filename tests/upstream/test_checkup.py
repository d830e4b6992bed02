"""What time brings to a replica, with a clock that the test turns."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from fakes.clock import Clock
from fakes.edge import until
from fakes.http_server import HttpServer, Request, Wire
from fakes.upstream import FakeUpstream
from only1mcp.config.servers import Http, Server, Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.breaker import State
from only1mcp.protocol.errors import ServerBusy, ServerTimeout, UpstreamError
from only1mcp.upstream.checkup import Checkup
from only1mcp.upstream.standing import Standing

SILENT = ServerTimeout("one", "no answer to ping")
NO_PING = UpstreamError(b"{}", -32601, "no ping")
LATER = ServerBusy("one", "429", retry_after_ms=1)
PROGRAM = Stdio(command="none")
URL = Http(url="http://127.0.0.1:1/mcp")
CHECK = {"interval": 10, "timeout": 1}


class Checked(Standing):
    """A replica whose checks run; time passes when the test says so."""

    def __init__(self, fake: FakeUpstream, transport: Any, **settings: Any) -> None:
        self.changes = 0
        self.given_up: list[str] = []
        self.time = Clock()
        self.fake = fake
        check = {**CHECK, **settings.pop("health_check", {})}
        entry = {"id": "one", "transport": transport, "health_check": check, **settings}
        config = Server.model_validate(entry)
        super().__init__(config, "one", 1, self.time)
        self.renew()
        self.health.heard_at = 0.0
        self.checkup = Checkup(self, transport, self.given_up.append)

    def changed(self) -> None:
        self.changes += 1
        self.checkup.stir()

    @property
    def asked(self) -> list[str]:
        """What it has been asked so far."""
        return [method for method, _ in self.fake.calls]

    async def pass_time(self, at: float) -> None:
        """Let time go to `at`, and what is due happen."""
        self.time.now = max(self.time.now, at)
        if self.time.now >= self.checkup.next_at():
            await self.checkup.look(self.fake)

    async def next_check(self) -> None:
        """Until the next health check has been made."""
        due = self.health.due_at
        await self.pass_time(due)
        assert self.health.due_at != due


def checked(answers: Any = None, transport: Any = URL, **settings: Any) -> Checked:
    """A replica that has just been connected."""
    modern = settings.pop("modern", False)
    return Checked(FakeUpstream("one", answers, modern=modern), transport, **settings)


@pytest.mark.parametrize(("modern", "method"), [(False, "ping"), (True, "server/discover")])
async def test_it_is_asked_in_its_era(modern: bool, method: str) -> None:
    one = checked({method: {}}, modern=modern)
    await one.next_check()
    await one.next_check()
    assert one.asked == [method, method]
    assert one.health.status == "healthy"


async def test_a_real_answer_spares_a_check() -> None:
    one = checked({"ping": {}})
    one.health.heard_at = one.health.due_at - 1
    await one.next_check()
    assert one.asked == []


async def test_three_failed_checks_make_it_unhealthy_and_two_good_ones_healthy() -> None:
    one = checked({"ping": SILENT})
    seen = []
    for _ in range(3):
        await one.next_check()
        seen.append((one.health.status, one.usable, one.health.reason))
    one.fake.answers["ping"] = {}
    for _ in range(2):
        await one.next_check()
        seen.append((one.health.status, one.usable, one.health.reason))
    assert seen == [
        ("degraded", True, "no answer to ping"),
        ("degraded", True, "no answer to ping"),
        ("unhealthy", False, "no answer to ping"),
        ("degraded", False, "answers again"),
        ("healthy", True, ""),
    ]
    assert one.changes == 4
    assert one.given_up == []  # it is an endpoint: others look after it


@pytest.mark.parametrize("fault", [NO_PING, LATER])
async def test_who_refuses_a_ping_is_alive(fault: Exception) -> None:
    one = checked({"ping": fault})
    await one.next_check()
    assert (one.asked, one.health.status) == (["ping"], "healthy")


async def test_a_program_that_fails_three_checks_is_given_up() -> None:
    one = checked({"ping": SILENT}, PROGRAM)
    for _ in range(3):
        assert one.given_up == []
        await one.next_check()
    assert one.given_up == ["it failed 3 health checks: no answer to ping"]


async def test_a_program_that_works_is_not_asked() -> None:
    one = checked({"ping": SILENT}, PROGRAM)
    one.in_flight = 1
    await one.next_check()
    assert (one.asked, one.health.status) == ([], "healthy")
    one.in_flight = 0
    await one.next_check()
    assert one.asked == ["ping"]


async def test_checks_can_be_turned_off() -> None:
    one = checked({"ping": SILENT}, health_check={"enabled": False})
    await one.pass_time(one.time.now + 10_000)
    assert one.asked == []


# --- the breaker ---


async def test_an_open_breaker_is_closed_by_one_good_probe() -> None:
    one = checked({"ping": {}}, health_check={"enabled": False})
    one.breaker._open("for the test", one.time.now)
    one.changed()
    await one.pass_time(one.breaker.retry_at - 0.1)
    assert (one.asked, one.breaker.state) == ([], State.OPEN)
    await one.pass_time(one.breaker.retry_at)
    assert (one.asked, one.breaker.state) == (["ping"], State.CLOSED)
    assert one.changes == 2


async def test_while_it_is_open_nothing_else_is_asked() -> None:
    one = checked({"ping": SILENT}, circuit_breaker={"open": 100, "max_open": 100})
    one.breaker._open("for the test", one.time.now)
    one.changed()
    await one.pass_time(one.health.due_at + 1)  # a check would be due
    assert one.asked == []
    await one.pass_time(one.breaker.retry_at)
    assert (one.asked, one.breaker.state) == (["ping"], State.OPEN)
    assert one.breaker.reason == "its probe failed: no answer to ping"
    assert one.health.status == "degraded"  # it hears of the probe, too


async def test_a_program_that_hangs_behind_an_open_breaker_is_given_up() -> None:
    one = checked({"ping": SILENT}, PROGRAM)
    one.breaker._open("for the test", one.time.now)
    one.changed()
    for _ in range(3):
        await one.pass_time(one.breaker.retry_at)
    assert one.asked == ["ping"] * 3
    assert one.given_up == ["it failed 3 health checks: no answer to ping"]


async def test_without_checks_a_probe_decides_about_the_breaker_alone() -> None:
    one = checked({"ping": SILENT}, health_check={"enabled": False})
    one.breaker._open("for the test", one.time.now)
    for _ in range(4):
        await one.pass_time(one.breaker.retry_at)
    one.fake.answers["ping"] = {}
    await one.pass_time(one.breaker.retry_at)
    assert (one.breaker.state, one.health.status, one.usable) == ("closed", "healthy", True)


async def test_a_probe_that_is_cut_short_is_no_verdict() -> None:
    one = checked({"ping": ZeroDivisionError("ours")})
    one.breaker._open("for the test", one.time.now)
    one.time.now = one.breaker.retry_at
    with pytest.raises(ZeroDivisionError):
        await one.checkup.look(one.fake)
    assert (one.breaker.state, one.breaker.retry_at) == (State.OPEN, one.time.now)


async def test_a_pause_ends_in_its_time() -> None:
    one = checked({"ping": {}}, health_check={"enabled": False})
    one.breaker.pause(one.time.now + 5, one.time.now)
    one.changed()
    await one.pass_time(one.time.now + 4)
    assert (one.changes, one.open_since is None) == (1, False)
    await one.pass_time(one.time.now + 1)
    assert (one.changes, one.open_since) == (2, None)
    assert one.asked == []


async def test_it_waits_for_what_is_next_and_looks_again_when_stirred() -> None:
    one, tasks = checked({"ping": {}}), Tasks()
    tasks.start(one.checkup.run(one.fake), "checks")
    await asyncio.sleep(0)
    one.breaker._open("for the test", one.time.now)
    one.time.now = one.breaker.retry_at
    one.changed()
    await until(lambda: one.breaker.state is State.CLOSED)
    assert one.asked == ["ping"]
    await tasks.close()


# --- slow start ---


async def test_who_is_back_grows_into_its_weight() -> None:
    one = checked({"ping": {}}, health_check={"enabled": False}, load_balancing={"slow_start": 10})
    one.slow_start, one.back_since = 0.1, one.time.now
    began, seen = one.time.now, []
    for after_s in (0, 3, 5, 9, 10):
        await one.pass_time(began + after_s)
        seen.append(one.slow_start)
    assert seen == [0.1, 0.3, 0.5, 0.9, 1.0]
    assert one.back_since is None


# --- a page of its own ---


@pytest.mark.parametrize(
    ("status", "fault"), [(200, ""), (204, ""), (503, "its health check answers HTTP 503")]
)
async def test_a_page_is_asked_instead(status: int, fault: str) -> None:
    paths = []

    async def script(request: Request, wire: Wire) -> None:
        paths.append(f"{request.method} {request.target} {request.headers.get('x-key')}")
        await wire.answer(status)

    async with HttpServer(script) as server:
        transport = Http(url=f"{server.url}/mcp?a=1", headers={"X-Key": SecretStr("k")})
        one = checked({}, transport, health_check={"path": "/up?deep=1"})
        await one.next_check()
        await one.checkup.close()
        assert (paths, one.asked) == (["GET /up?deep=1 k"], [])
        assert one.health.reason.endswith(fault)
        assert (one.health.status == "healthy") is not bool(fault)


async def test_a_page_that_hangs_is_late() -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.gone()

    async with HttpServer(script) as server:
        transport = Http(url=f"{server.url}/mcp")
        one = checked({}, transport, health_check={"path": "/up", "timeout": 0.05})
        await one.next_check()
        await one.checkup.close()
    assert one.health.reason.endswith("no answer to its health check within 0.05 s")
