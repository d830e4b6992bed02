"""What the gateway started ends with it, even when it is killed with -9."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes import small_gateway
from fakes.children import lives, serving, until, wait_gone
from only1mcp.upstream import warden as warden_module
from only1mcp.upstream.warden import Warden

pytest_plugins = ["fakes.orphans"]
pytestmark = pytest.mark.usefixtures("no_orphans", "short_grace")


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps, in a session of its own."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def descriptors(pid: int | None) -> list[int]:
    """What process `pid` has open."""
    return sorted(int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir())


@pytest.mark.parametrize("loop", small_gateway.LOOPS)
def test_kill_9_of_the_gateway_leaves_nothing(loop: str) -> None:
    argv = [sys.executable, "-m", "fakes.small_gateway", loop]
    folder = Path(small_gateway.__file__).parents[1]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=folder) as gateway:
        assert gateway.stdout is not None
        found = json.loads(gateway.stdout.readline())
        everyone = [*found["children"], *found["grandchildren"], found["warden"]]
        assert len(everyone) == 9
        assert all(map(lives, everyone))
        gateway.kill()
    assert wait_gone(everyone) == []


async def test_closing_it_ends_what_is_still_registered() -> None:
    warden = Warden()
    warden.start()
    with sleeper() as one, sleeper() as other:
        warden.add(one.pid)
        warden.add(other.pid)
        warden.remove(other.pid)
        await warden.close()
        assert wait_gone([one.pid]) == []
        assert lives(other.pid)


async def test_one_process_serves_all() -> None:
    warden = Warden()
    warden.start()
    pid = warden.pid
    warden.start()
    assert warden.pid == pid
    await warden.close()
    await warden.close()
    warden.start()
    assert warden.pid is None


async def test_a_warden_that_dies_is_replaced_and_told_everything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warden = Warden()
    with sleeper() as early, sleeper() as late:
        warden.add(early.pid)
        warden.start()
        first = warden.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: warden.pid is None)
        warden.add(late.pid)
        await until(lambda: warden.pid is not None)
        assert warden.pid != first
        await warden.close()
        assert wait_gone([early.pid, late.pid]) == []
    assert [one.levelno for one in caplog.records] == [logging.WARNING]


async def test_a_gateway_without_a_warden_works(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    warden = Warden()
    warden.start()
    warden.add(os.getpid())
    warden.let_go(os.getpid())
    warden.remove(os.getpid())
    assert warden.pid is None
    await warden.close()
    assert "no warden" in caplog.text


async def test_a_stuck_warden_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warden_module, "CLOSE_S", 0.1)
    warden = Warden()
    warden.start()
    pid = warden.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await warden.close()
    assert await asyncio.to_thread(wait_gone, [pid]) == []


async def test_no_child_holds_our_pipe_to_it() -> None:
    async with serving() as first, serving() as second:
        for server in (first, second):
            assert descriptors(server.pid) == [0, 1, 2]


async def test_it_ignores_signals_that_are_meant_for_the_gateway() -> None:
    warden = Warden()
    warden.start()
    pid = warden.pid
    assert pid is not None
    ignored = Path(f"/proc/{pid}/status")

    def ready() -> bool:
        line = next(one for one in ignored.read_text().splitlines() if one.startswith("SigIgn"))
        return bool(int(line.split()[1], 16) & (1 << (signal.SIGTERM - 1)))

    await until(ready)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    assert lives(pid)
    assert os.getsid(pid) == pid
    await warden.close()
