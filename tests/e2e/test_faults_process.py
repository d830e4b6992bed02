"""Programs that crash, hang, cannot be started or leave others behind, through the front door.

What ran is in the ledger of the server: no call twice, whatever happened in between.
"""

import asyncio
import signal
from pathlib import Path
from time import monotonic

import psutil
import pytest

from fakes.children import wait_gone
from fakes.edge import until
from fakes.gateway import gateway, stdio_server
from fakes.ledger import QUICK, Front, Ledger, fault, front, resume
from fakes.wire import Json, last

pytestmark = pytest.mark.timeout(120)

LARGE = "x" * 2_000_000
"""More than a pipe takes at once, so its line does not end before somebody reads."""


async def test_a_program_killed_in_mid_call(tmp_path: Path) -> None:
    ledger, others = Ledger(tmp_path), Ledger(tmp_path, "others")
    beside = [others.server(id) for id in ("two", "three", "four")]
    async with front(tmp_path, ledger.server(), *beside) as door:
        doomed = door.calling("add", key="doomed", seconds=60)
        await ledger.has("doomed")
        calls = [
            door.calling("add", ("two", "three", "four")[number % 3], key=str(number), seconds=0.2)
            for number in range(20)
        ]
        killed = await door.process()
        killed.kill()
        began = monotonic()
        assert fault(await doomed) == (-31003, "unknown")
        print(f"its caller knew after {(monotonic() - began) * 1000:.0f} ms")
        assert all("result" in answer for answer in await asyncio.gather(*calls))
        assert others.runs() == {str(number): 1 for number in range(20)}
        row = await door.another(killed)
        assert (row["restarts"], row["state"]) == (1, "ready")
        assert "result" in await door.call("add", key="after")
        assert ledger.runs() == {"doomed": 1, "after": 1}


async def test_a_program_that_dies_of_what_it_has_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    async with front(tmp_path, ledger.server()) as door:
        for number in range(3):
            answer = await door.call("die", key=f"read {number}".replace(" ", "-"))
            assert fault(answer) == (-31003, "unknown")
            assert "exited with code 7" in answer["error"]["message"]
            await door.shows(state="ready", restarts=number + 1)
        assert ledger.runs() == {f"read-{number}": 1 for number in range(3)}


async def test_a_program_killed_before_it_has_read_the_call(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    async with front(tmp_path, ledger.server()) as door:
        stopped = await door.process()
        stopped.suspend()
        try:
            call = door.calling("add", key="late", text=LARGE)
            await door.works_on(1)
        finally:
            stopped.kill()
        assert "result" in await call, "it was not sent, so it was sent once more"
        assert ledger.runs() == {"late": 1}
        assert (await door.row())["restarts"] == 1


async def test_a_crash_loop_is_given_up_and_says_why(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    servers = ledger.server("loop", "--dies", "3"), ledger.server("fine")
    async with front(tmp_path, *servers, ready=False) as door:
        await door.running.ready("fine")
        row = await door.shows("loop", state="failed")
        assert row["restarts"] == 4, "five starts"
        assert "exited with code 3" in row["reason"]
        assert "the disk is on fire" in row["reason"]
        assert (row["health"], await door.readyz()) == ("unhealthy", 200)
        spent = _cpu_s(door.running.process.pid)
        assert "result" in await door.call("add", "fine", key="fine")
        await asyncio.sleep(1)
        assert (await door.row("loop"))["restarts"] == 4
        assert _cpu_s(door.running.process.pid) - spent < 0.5, "it is not started in a storm"


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


async def test_a_command_that_cannot_be_run_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    plain = tmp_path / "plain.txt"
    plain.write_text("no program")
    servers = [
        stdio_server("missing", "no-such-command-at-all"),
        stdio_server("plain", str(plain)),
        stdio_server("shell", "sh", "-c", "no-such-command-at-all"),
    ]
    async with front(tmp_path, *servers, ready=False) as door:
        for id in ("missing", "plain", "shell"):
            row = await door.shows(id, state="failed")
            assert row["restarts"] == 0
            assert "PATH searched: /" in row["reason"]
        answer = await door.call("x", "missing")
        assert fault(answer) == (-31001, "not_sent")
        assert "PATH searched: /" in answer["error"]["message"]


async def test_a_hung_program_times_out_and_is_replaced(tmp_path: Path) -> None:
    ledger, other = Ledger(tmp_path), Ledger(tmp_path, "other")
    slow: Json = {"health_check": QUICK, "timeouts": {"call_idle": 1}}
    async with front(tmp_path, ledger.server(**slow), other.server("two")) as door:
        hung = await door.process()
        hung.suspend()
        try:
            began = monotonic()
            assert fault(await door.call("add", key="lost")) == (-31002, "unknown")
            took = monotonic() - began
            assert 0.9 < took < 15
            for number in range(20):
                assert "result" in await door.call("add", "two", key=str(number))
            row = await door.another(hung)
            assert not hung.is_running()
        finally:
            resume(hung)
        await door.shows(state="ready", health="healthy")
        assert row["restarts"] == 1
        assert "result" in await door.call("add", key="after")
        assert set(ledger.runs()) <= {"lost", "after"}
        assert set(ledger.runs().values()) == {1}


async def test_a_grandchild_that_holds_the_pipe_hides_no_death(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    async with front(tmp_path, ledger.server()) as door:
        left = int((await door.call("fork"))["result"]["content"][0]["text"])
        killed = await door.process()
        call = door.calling("add", key="doomed", seconds=60)
        await ledger.has("doomed")
        killed.send_signal(signal.SIGKILL)
        assert fault(await call) == (-31003, "unknown")
        await door.another(killed)
        assert wait_gone([left]) == [], "it was in the group of the dead"
        assert "result" in await door.call("add", key="after")
        again = int((await door.call("fork"))["result"]["content"][0]["text"])
    assert wait_gone([again]) == []


async def test_a_program_nobody_calls_is_stopped_and_started_by_the_next_call(
    tmp_path: Path,
) -> None:
    ledger = Ledger(tmp_path)
    async with front(tmp_path, ledger.server(idle_stop="1s")) as door:
        first = await door.process()
        await door.shows(state="idle", pid=None)
        await until(lambda: not first.is_running())
        names = {one["name"] for one in (await _tools(door))}
        assert "one__add" in names, "its tools are still there"
        assert "result" in await door.call("add", key="woken")
        assert ledger.runs() == {"woken": 1}


async def _tools(door: Front) -> list[Json]:
    found = await door.wire.modern("tools/list")
    tools: list[Json] = last(found)["result"]["tools"]
    return tools


async def test_a_program_gets_no_secret_of_the_gateway(tmp_path: Path) -> None:
    seen = tmp_path / "environment"
    script = f"env > {seen}; exec sleep 1000"
    server = stdio_server("nosy", "sh", "-c", script)
    server["transport"]["env"] = {"MINE": "given"}
    secret = {"GATEWAY_SECRET": "not-for-children"}
    async with gateway({"servers": [server]}, tmp_path, env=secret):
        await until(seen.exists)
        await until(lambda: "MINE=given" in seen.read_text())
        assert "not-for-children" not in seen.read_text()
        assert "PATH=" in seen.read_text()
