"""`demo`: three servers, one endpoint, and what to try with it."""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest

from fakes.cli import Shell
from fakes.gateway import Running
from only1mcp.cli import demo
from only1mcp.cli.say import Failure


@asynccontextmanager
async def running(home: str) -> AsyncIterator[Running]:
    """`only1mcp demo --port 0` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "only1mcp", "demo", "--port", "0",
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "HOME": home},
    )  # fmt: skip
    found = Running(process)
    async with asyncio.TaskGroup() as group:
        group.create_task(found.read())
        try:
            yield found
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_first_minute(shell: Shell) -> None:
    async with running(str(shell.home)) as found:
        (listens,) = await found.said(r"listens on http")
        for id in ("notes", "clock", "text"):
            await found.ready(id)
        await found.said("Ctrl-C stops it all")
        children = psutil.Process(found.process.pid).children(recursive=True)
        assert len(children) >= 3

        url = re.search(r"http://\S+(?=/mcp)", listens)
        assert url is not None
        tried = [line for line in found.log if line.startswith("  ") and " call notes__" in line]
        _, *arguments = shlex.split(tried[0])  # as a user would paste it
        assert arguments[-2:] == ["--url", url[0]]
        called = await asyncio.to_thread(lambda: shell(*arguments))
        assert (called.code, bool(called.out)) == (0, True)

        assert await found.stop(signal.SIGINT) == 0
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
        assert not any("Traceback" in line for line in found.log)


def test_what_to_try_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    demo._what_to_try("http://127.0.0.1:1234")
    said = capsys.readouterr().err
    assert "<url>" not in said
    assert "<only1mcp>" not in said
    (body,) = re.findall(r"-d '(.*?)'\n", said, re.DOTALL)
    assert json.loads(body)["method"] == "tools/list"
    (config,) = re.findall(r'^ +(\{"mcpServers".*"url".*\})$', said, re.MULTILINE)
    assert json.loads(config)["mcpServers"]["only1mcp"] == {"url": "http://127.0.0.1:1234/mcp"}


@pytest.mark.parametrize("on_path", [None, "/usr/bin/only1mcp"])
def test_the_program_is_named_as_it_was_called(
    monkeypatch: pytest.MonkeyPatch, on_path: str | None
) -> None:
    monkeypatch.setattr(demo, "which", lambda name: on_path)
    monkeypatch.setattr(sys, "argv", [".venv/bin/only1mcp", "demo"])
    assert demo._command() == ("only1mcp" if on_path else ".venv/bin/only1mcp")


def test_a_host_that_is_none_is_said_before_anything_starts(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_demo_servers", None)
    found = shell("demo", "--host", "not a host")
    assert (found.code, found.out) == (2, "")
    assert "option server.host" in found.err


async def test_a_demo_server_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "_HTTP_SERVERS", ("no_such_module",))
    with pytest.raises(Failure, match="the demo server no_such_module did not start: no output"):
        async with demo._demo_servers():
            pass
    assert "No module named" in capfd.readouterr().err


async def test_a_demo_server_that_says_nothing_is_not_waited_for_and_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "DEMO_START_S", 0)
    with pytest.raises(Failure, match="the demo server clock did not start: no output"):
        async with demo._demo_servers():
            pass
    commands = [" ".join(one.cmdline()) for one in psutil.Process().children()]
    assert [command for command in commands if "only1mcp.demo" in command] == []
