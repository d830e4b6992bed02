"""How a child process ends, or cannot start: noticed at once, explained, and nothing is left."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from fakes import stdio_server
from fakes.children import (
    call,
    details,
    executable,
    lives,
    script,
    server_of,
    serving,
    text,
    until,
    wait_gone,
)
from only1mcp.config.servers import Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import (
    AnswerTooLarge,
    Outcome,
    ServerFault,
    ServerLost,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.upstream import stdio
from only1mcp.upstream.deadline import MAY_HAVE_RUN
from only1mcp.upstream.launch import NotStartable
from only1mcp.upstream.process import Exit
from only1mcp.upstream.stdio import ServerDied
from only1mcp.upstream.warden import Warden

pytest_plugins = ["fakes.orphans"]
pytestmark = pytest.mark.usefixtures("no_orphans", "short_grace")


async def fault_of_start(transport: Stdio, start_s: float = 10.0) -> ServerFault:
    """What connecting to `transport` fails with."""
    warden = Warden()
    with pytest.raises(ServerFault) as caught:
        await server_of(transport, warden, start_s=start_s).connect()
    await warden.close()
    return caught.value


# --- death in the middle of a call ---


async def test_kill_9_ends_the_call_at_once_and_says_so() -> None:
    async with serving() as server:
        asking = asyncio.gather(server.call(call("sleep", seconds=60)), return_exceptions=True)
        await text(server, "echo", text="the call above is under way")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        killed = time.monotonic()
        (fault,) = await asking
        assert time.monotonic() - killed < 0.2
        assert isinstance(fault, ServerDied)
        assert fault.exited == server.exited == Exit(signal=signal.SIGKILL)
        assert fault.message.startswith("server 'fake' (")
        assert "was killed by SIGKILL" in fault.message
        assert fault.data["outcome"] == Outcome.UNKNOWN
        assert await server.wait_lost() == fault.message


@pytest.mark.parametrize("count", [0, 30])
async def test_a_crash_is_explained_with_what_stderr_has_said_since_the_call(count: int) -> None:
    async with serving("--stderr", "starting, with a warning") as server:
        await until(lambda: server.stderr_tail() != [])
        with pytest.raises(ServerDied) as caught:
            await server.call(call("crash_after", bytes=count, code=9))
        assert caught.value.message.endswith("exited with code 9")
        assert "\n" not in caught.value.message
        assert caught.value.data["stderr"] == ["the disk is on fire"]
        assert caught.value.exited == Exit(code=9)
        assert server.stderr_tail() == ["starting, with a warning", "the disk is on fire"]
        assert await server.wait_lost() == caught.value.message


async def test_an_answer_written_just_before_the_end_counts() -> None:
    for _ in range(5):
        async with serving() as server:
            assert await text(server, "answer_and_exit") == "last words"
            assert "exited with code 0" in await server.wait_lost()


async def test_what_did_not_reach_it_is_told_from_what_may_have_run() -> None:
    tasks = Tasks()
    async with serving() as server:
        await text(server, "stop_reading")
        child = server._child
        assert child is not None
        before = child.queued
        small = tasks.start(server.call(call("echo", text="in the pipe")), "small")
        large = tasks.start(server.call(call("echo", text="x" * 300_000)), "large")
        after = tasks.start(server.call(call("echo", text="behind it")), "after")
        await until(lambda: child.accepted > before + 1000 and child.unsent > 0)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        ends = await asyncio.gather(small, large, after, return_exceptions=True)
    assert [type(one) for one in ends] == [ServerDied, ServerUnavailable, ServerUnavailable]
    assert [getattr(one, "may_have_run", None) for one in ends] == [True, False, False]


async def test_calls_after_the_end_are_refused_with_its_reason() -> None:
    async with serving() as server:
        with pytest.raises(ServerDied):
            await server.call(call("crash_after"))
        with pytest.raises(ServerUnavailable, match="exited with code 1") as caught:
            await server.call(call("echo"))
        assert not caught.value.may_have_run
        await server.notify("notifications/whatever")


# --- pipes ---


async def test_a_grandchild_that_holds_the_pipe_hides_nothing() -> None:
    async with serving() as server:
        grandchild = (await details(server, "fork_child"))["pid"]
        asking = asyncio.gather(server.call(call("hang")), return_exceptions=True)
        await text(server, "echo", text="the call above is under way")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        async with asyncio.timeout(1):
            assert isinstance((await asking)[0], ServerDied)
        await server.close()
        assert not lives(grandchild)


@pytest.mark.parametrize(
    ("tool", "what"), [("close_output", "closed its output"), ("close_input", "closed its input")]
)
async def test_a_server_without_its_pipes_is_lost(tool: str, what: str) -> None:
    async with serving() as server:
        asking = asyncio.gather(server.call(call(tool)), return_exceptions=True)
        async with asyncio.timeout(5):
            while not server._lost.is_set():  # a write shows that stdin is closed
                await server.notify("notifications/anyone/there")
                await asyncio.sleep(0.01)
        assert what in await server.wait_lost()
        await asking


async def test_an_endless_line_ends_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "MAX_MESSAGE_BYTES", 1 << 20)
    async with serving() as server:
        with pytest.raises(AnswerTooLarge, match="more than 1 MiB and was stopped") as caught:
            await server.call(call("big", bytes=3 << 20, endless=True))
        assert caught.value.data["outcome"] == Outcome.UNKNOWN
        await server.close()
        assert server._lines.held == 0


async def test_a_flood_on_stderr_disturbs_nobody() -> None:
    async with serving("--flood") as server:
        for number in range(50):
            assert await text(server, "echo", text=str(number)) == str(number)
        tail = server.stderr_tail()
        assert len(tail) <= 101
        assert set(tail[1:-1]) == {"all work and no play makes a dull server"}


# --- the end we want ---


async def test_a_server_ends_when_its_input_does() -> None:
    async with serving() as server:
        pid = server.pid
        child = server._child
        assert child is not None
        before = child.accepted
        asking = asyncio.gather(server.call(call("sleep", seconds=60)), return_exceptions=True)
        await until(lambda: child.accepted > before)
        await server.close()
        assert pid is not None
        assert not lives(pid)
        assert server.exited == Exit(code=0)
        fault = (await asking)[0]
        assert isinstance(fault, ServerLost)
        assert "was stopped by the gateway" in fault.message
        assert fault.data["hint"] == MAY_HAVE_RUN
        assert "was stopped by the gateway" in await server.wait_lost()
        await server.close()


@pytest.mark.parametrize("detached", [False, True])
async def test_grandchildren_end_with_it(detached: bool) -> None:
    async with serving() as server:
        grandchild = (await details(server, "fork_child", detached=detached))["pid"]
        assert lives(grandchild)
        await server.close()
        assert not lives(grandchild)


async def test_a_server_that_ignores_everything_is_killed() -> None:
    async with serving("--stubborn") as server:
        await server.close()
        assert server.exited == Exit(signal=signal.SIGKILL)


async def test_a_stopped_server_times_out_and_is_ended() -> None:
    async with serving() as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        late = call("echo", text="anyone?")
        late.idle_s = 0.2
        with pytest.raises(ServerTimeout):
            await server.call(late)
        await server.close()
        assert server.exited is not None


async def test_no_descriptor_is_left_open() -> None:
    async with serving():
        pass
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    for _ in range(3):
        async with serving() as server:
            await text(server, "echo")
        await fault_of_start(script("--exit", "1"))
        await fault_of_start(Stdio(command="no-such-command"))
    assert len(os.listdir("/proc/self/fd")) <= len(before)  # noqa: PTH208


# --- a start that fails ---


async def test_a_crash_at_the_start_names_command_code_and_stderr() -> None:
    fault = await fault_of_start(script("--stderr", "no API key", "--exit", "1"))
    assert isinstance(fault, ServerDied)
    assert fault.exited == Exit(code=1)
    assert sys.executable in fault.message
    assert fault.message.endswith("exited with code 1; the end of its stderr:\nno API key")
    assert "--stderr" not in fault.message  # arguments may hold secrets


async def test_a_secret_in_stderr_is_masked() -> None:
    secret = "sk-0123456789"
    fault = await fault_of_start(
        script("--stderr", f"key {secret} refused", "--exit", "1", env={"KEY": SecretStr(secret)})
    )
    assert fault.message.endswith("key *** refused")


@pytest.mark.parametrize("code", [126, 127])
async def test_a_shell_that_finds_no_command_is_a_fault_of_the_configuration(code: int) -> None:
    fault = await fault_of_start(script("--exit", str(code)))
    assert isinstance(fault, NotStartable)
    assert f"exited with code {code}" in fault.message
    assert f"PATH searched: {os.environ['PATH']}" in fault.message


async def test_a_command_that_is_missing_is_a_fault_of_the_configuration() -> None:
    fault = await fault_of_start(
        Stdio(command="no-such-command", env={"PATH": SecretStr("/nowhere")})
    )
    assert isinstance(fault, NotStartable)
    assert "'no-such-command': there is no such program; PATH searched: /nowhere" in fault.message
    assert not fault.may_have_run


async def test_a_program_that_the_system_cannot_run(tmp_path: Path) -> None:
    name = executable(tmp_path / "server", "#!/no/such/interpreter\n")
    fault = await fault_of_start(Stdio(command=name))
    assert isinstance(fault, NotStartable)
    assert f"cannot start '{name}'" in fault.message


async def test_a_server_that_is_silent_at_the_start_is_ended() -> None:
    fault = await fault_of_start(script("--silent", "--stderr", "thinking"), start_s=0.5)
    assert isinstance(fault, ServerTimeout)
    assert fault.message.endswith("the end of its stderr:\nthinking")


async def test_a_server_that_dies_of_the_probe_says_that_it_died() -> None:
    warden = Warden()
    server = server_of(script("--dies-at", "server/discover"), warden, protocol="auto")
    with pytest.raises(ServerDied):
        await server.connect()
    assert server.revision == "2026-07-28"
    again = server_of(script("--dies-at", "server/discover"), warden, protocol="legacy")
    assert (await again.connect()).revision == "2025-11-25"
    await again.close()
    await warden.close()


async def test_who_leaves_during_the_start_leaves_nothing() -> None:
    warden = Warden()
    warden.start()
    for turns in (0, 1, 2, 5, 50):
        server = server_of(script("--silent"), warden)
        starting = asyncio.gather(server.connect())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await server.close()
    await until(lambda: len(psutil.Process().children()) == 1)  # the warden
    await warden.close()


async def test_the_scripted_server_is_what_these_tests_start() -> None:
    async with serving() as server:
        assert stdio_server.__file__ in psutil.Process(server.pid).cmdline()
        assert os.getsid(server.pid or 0) == os.getpgid(server.pid or 0) == server.pid
    assert wait_gone([server.pid or 0]) == []
