"""`logs`: what was said, and what is said from now on."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from shutil import move

import pytest

from fakes.cli import Shell, heed_ctrl_c
from fakes.gateway import START_S
from only1mcp.cli.instance import Place, hold

JSON_LINE = json.dumps(
    {"ts": "2026-01-02T03:04:05.678+00:00", "level": "info", "logger": "l", "message": "m"}
)


@pytest.fixture
def log(shell: Shell) -> Path:
    """The log of the usual gateway, with three lines."""
    path = Place("default", {"HOME": str(shell.home)}).log
    path.parent.mkdir(parents=True)
    path.write_text(f"one\ntwo\n{JSON_LINE}\n")
    return path


@pytest.mark.usefixtures("log")
def test_the_last_lines_as_they_are(shell: Shell) -> None:
    assert shell("logs").out == f"one\ntwo\n{JSON_LINE}\n"
    assert shell("logs", "-n", "2").out == f"two\n{JSON_LINE}\n"
    assert shell("logs", "-n", "0").out == ""


@pytest.mark.usefixtures("log")
def test_for_people_on_a_terminal(shell: Shell) -> None:
    code = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    argv = [sys.executable, "-c", code, sys.executable, "-m", "only1mcp", "logs", "-n", "2"]

    async def run() -> bytes:
        env = {**os.environ, "HOME": str(shell.home), "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": ""}
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, env=env
        )
        async with asyncio.timeout(START_S):
            return (await process.communicate())[0]

    note, two, said = asyncio.run(run()).decode().split("\r\n")[:3]
    assert (note.partition(",")[0], two) == ("'default' does not run", "two")
    assert said.endswith(" info l: m")


def test_the_log_that_the_last_gateway_wrote(shell: Shell, tmp_path: Path) -> None:
    place = Place("default", {"HOME": str(shell.home)})
    (tmp_path / "own.log").write_text("mine\n")
    with hold(place, config="", log=str(tmp_path / "own.log"), folder=""):
        assert shell("logs") == (0, "mine\n", "")
    past = "'default' does not run, this is the log of its last run\n"
    assert shell("logs") == (0, "mine\n", past)


def test_no_log_is_a_failure(shell: Shell) -> None:
    found = shell("logs")
    assert found.code == 1
    assert "there is no log at" in found.err


def test_a_log_that_cannot_be_read_is_a_failure(shell: Shell) -> None:
    Place("default", {"HOME": str(shell.home)}).log.mkdir(parents=True)
    found = shell("logs")
    assert found.code == 1
    assert "error: cannot read" in found.err


@asynccontextmanager
async def following(shell: Shell) -> AsyncIterator[asyncio.StreamReader]:
    """What `logs -f` prints; it ends well when interrupted."""
    env = {**os.environ, "HOME": str(shell.home), "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": ""}
    argv = (sys.executable, "-m", "only1mcp", "logs", "-f", "-n", "1")
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=PIPE, env=env, preexec_fn=heed_ctrl_c
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            yield process.stdout
            process.send_signal(2)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


async def test_what_comes_is_shown_also_from_a_new_file(shell: Shell, log: Path) -> None:
    old = log.with_suffix(".1")
    async with following(shell) as said:
        assert await said.readline() == f"{JSON_LINE}\n".encode()
        append(log, "half")
        append(log, " a line\n")
        assert await said.readline() == b"half a line\n"
        move(log, old)
        append(old, "last of the old\n")
        append(log, "first of the new\n")
        assert await said.readline() == b"last of the old\n"
        assert await said.readline() == b"first of the new\n"
        os.truncate(log, 0)
        append(log, "cut\n")
        assert await said.readline() == b"cut\n"


@pytest.mark.usefixtures("log")
async def test_a_reader_that_has_enough_is_no_failure(shell: Shell) -> None:
    env = {**os.environ, "HOME": str(shell.home), "XDG_STATE_HOME": "", "XDG_CONFIG_HOME": ""}
    read, write = os.pipe()
    os.close(read)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "only1mcp", "logs"), stdout=write, stderr=PIPE, env=env
    )
    os.close(write)
    async with asyncio.timeout(START_S):
        _, err = await process.communicate()
    assert process.returncode == 0
    assert err == b"'default' does not run, this is the log of its last run\n"
