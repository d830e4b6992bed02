"""The end of a gateway in the background: what may finish, what is said meanwhile, what is cut."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes import stdio_server as scripted_child
from fakes.cli import Shell, background, configured, place, running
from fakes.edge import PATIENCE_S, until
from fakes.gateway import stdio_server
from only1mcp.cli import daemon

CHILD = stdio_server("child", sys.executable, scripted_child.__file__)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with background(tmp_path) as shell:
        yield shell


@asynccontextmanager
async def calling(shell: Shell, count: int) -> AsyncIterator[None]:
    """While a call is under way that takes so many times 0.3 s; it ends well."""
    arguments = json.dumps({"count": count, "pause": 0.3})
    argv = ("call", "child__progress", arguments, "--url", running(shell).url)
    async with asyncio.timeout(3 * PATIENCE_S):
        call = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "only1mcp", *argv), stdout=PIPE, stderr=PIPE
        )
        assert call.stdout is not None
        assert call.stderr is not None
        first = await call.stderr.readline()
        yield
        out = await call.stdout.read()
        assert await call.wait() == 0, first + await call.stderr.read()
        assert out.strip()


async def test_calls_under_way_finish_before_it_ends(shell: Shell) -> None:
    configured(shell, CHILD)
    assert shell("start", "--port", "0").code == 0
    async with calling(shell, 4):
        stopped = await asyncio.to_thread(shell, "stop")
    assert stopped.code == 0, stopped.err


async def test_while_it_drains_that_is_what_is_said(shell: Shell) -> None:
    configured(shell, CHILD)
    assert shell("start", "--port", "0").code == 0
    here = running(shell)
    async with calling(shell, 8):
        os.kill(here.pid, signal.SIGTERM)
        await until(lambda: running(shell).ending)
        status = await asyncio.to_thread(shell, "status", "--json")
        again = await asyncio.to_thread(shell, "start")
    assert (status.code, status.json["pid"], status.json["status"]) == (0, here.pid, "draining")
    assert again.code == 1
    assert again.err == (
        f"error: 'default' is stopping (pid {here.pid}): calls under way may finish, for 30 s at "
        "most; another `only1mcp stop` ends them\n"
    )


def test_one_that_hangs_is_killed_only_by_force(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "CLOSE_S", 0.1)
    configured(shell, drain_timeout=0)
    assert shell("start", "--port", "0").code == 0
    here = running(shell)
    os.kill(here.pid, signal.SIGSTOP)
    found = shell("stop")
    assert found.code == 1
    assert f"(pid {here.pid}) has not ended within 0 s; `only1mcp stop --force` kills it" in (
        found.err
    )
    monkeypatch.setattr(daemon, "CLOSE_S", PATIENCE_S)
    assert shell("stop", "--force").code == 0
    assert place(shell).look() is None
