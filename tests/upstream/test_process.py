"""A child's pipes and its end, below the protocol; what it says of itself on stderr."""

import logging
import os
import signal
import sys

import pytest
from pydantic import SecretStr

from fakes.children import until
from only1mcp.config.servers import Stdio
from only1mcp.protocol.errors import ServerUnavailable
from only1mcp.upstream import process
from only1mcp.upstream.process import Child, Exit, Tail
from only1mcp.upstream.warden import Warden

pytest_plugins = ["fakes.orphans"]
pytestmark = pytest.mark.usefixtures("no_orphans", "short_grace")


class Run:
    """A child that runs Python code, and what has come of it."""

    def __init__(self, code: str) -> None:
        transport = Stdio(command=sys.executable, args=("-I", "-S", "-c", code))
        self.output = b""
        self.ends: list[str] = []
        self.child = Child("s", transport, Warden(), self.take, self.ends.append)

    def take(self, data: bytes) -> None:
        self.output += data


# --- exit ---


def test_an_exit_says_how() -> None:
    assert str(Exit.of(3)) == "exited with code 3"
    assert str(Exit.of(-signal.SIGSEGV)) == "was killed by SIGSEGV"
    assert str(Exit.of(-99)) == "was killed by signal 99"
    assert Exit.of(-9) == Exit(code=None, signal=9)
    assert [Exit(code=code).config_fault for code in (0, 1, 126, 127)] == [False, False, True, True]


# --- stderr ---


def tail(**env: str) -> Tail:
    """The tail of a server with these variables."""
    secrets = {name: SecretStr(value) for name, value in env.items()}
    return Tail("s", Stdio(command="x", env=secrets))


def test_a_tail_keeps_the_last_lines() -> None:
    one = tail()
    one.feed(b"zero\n" + b"".join(b"%d\n" % number for number in range(500)), 0.0)
    assert one.lines() == [str(number) for number in range(400, 500)]
    assert one.lines(2) == ["498", "499"]
    one.feed(b"a", 0.0)
    one.feed(b"b", 0.0)
    assert one.lines(2) == ["499", "ab"]
    one.feed(b"c\r\n", 0.0)
    assert one.lines(1) == ["abc"]


def test_a_tail_since() -> None:
    one = tail()
    one.feed(b"old\n", 0.0)
    assert one.since(one.count, 5) == []
    before = one.count
    one.feed(b"1\n2\n3", 0.0)
    assert one.since(before, 5) == ["1", "2", "3"]
    assert one.since(before, 2) == ["2", "3"]
    one.feed(b"\n" + b"x\n" * 200, 0.0)
    assert len(one.since(before, 500)) == process.TAIL_LINES


def test_a_tail_is_bounded() -> None:
    one = tail()
    for _ in range(300):
        one.feed(b"x" * 60_000, 0.0)
    one.feed(b"\n" + b"y" * 60_000 + b"\n", 0.0)
    assert sum(map(len, one.lines())) <= 2 * process.TAIL_LINE_BYTES


def test_a_tail_is_fit_to_be_shown() -> None:
    one = tail(KEY="0123456789", LEVEL="info")
    one.feed(b"\x1b[31minfo\x1b[0m key=0123456789 \x07\xff\tend  \n", 0.0)
    assert one.lines() == ["info key=*** \ufffd\tend"]


def test_a_tail_hides_the_secrets_of_the_command_line() -> None:
    args = ("--header", "Authorization: Bearer 0123456789", "db://u:p@ssw0rd1@h/", "-e", "KEY=ab")
    one = Tail("s", Stdio(command="x", args=args))
    one.feed(b"Bearer 0123456789, 0123456789, p@ssw0rd1 ab\n", 0.0)
    assert one.lines() == ["***, ***, *** ab"]


def test_stderr_is_logged_at_debug_so_many_lines_a_second(caplog: pytest.LogCaptureFixture) -> None:
    one = tail()
    with caplog.at_level(logging.DEBUG, logger="only1mcp.process"):
        one.feed(b"line\n" * 90, 10.0)
        one.feed(b"line\n" * 90, 10.5)
        assert len(caplog.records) == process.LOGGED_LINES_PER_S
        one.feed(b"next\n", 11.0)
    assert caplog.records[-1].getMessage() == "server 's' stderr: next"


# --- pipes ---


async def test_what_it_reads_and_writes() -> None:
    run = Run("import sys; print(sys.stdin.readline().upper(), end=''); sys.stderr.write('done')")
    run.child.spawn()
    assert run.child.write(b"hello\n") == 6
    await until(lambda: bool(run.ends))
    assert (run.output, run.ends) == (b"HELLO\n", ["exited with code 0"])
    assert (run.child.accepted, run.child.unsent) == (6, 0)
    assert run.child.tail.lines() == ["done"]
    await run.child.stop()


async def test_it_knows_how_much_the_pipe_took() -> None:
    run = Run("import time; time.sleep(600)")
    run.child.spawn()
    ends = [run.child.write(b"x" * 50_000) for _ in range(4)]
    await until(lambda: run.child.accepted > 0)
    assert ends == [50_000, 100_000, 150_000, 200_000]
    assert run.child.accepted + run.child.unsent == run.child.queued == 200_000
    assert ends[0] <= run.child.accepted < ends[1]
    await run.child.stop()
    assert run.child.exited == Exit(signal=signal.SIGTERM)


async def test_all_of_it_arrives_when_it_is_read_at_last() -> None:
    run = Run("import sys; sys.stdin.readline(); print(len(sys.stdin.readline()))")
    run.child.spawn()
    run.child.write(b"x" * 1_000_000 + b"\n")
    run.child.write(b"y" * 1_000_000 + b"\n")
    await until(lambda: bool(run.ends))
    assert run.output == b"1000001\n"
    await run.child.stop()


async def test_its_last_words_are_read_whoever_holds_the_pipe() -> None:
    code = (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)'])\n"
        "os.write(1, b'a' * 60000); os.write(2, b'why'); os._exit(4)"
    )
    run = Run(code)
    run.child.spawn()
    await until(lambda: bool(run.ends))
    assert (len(run.output), run.ends) == (60_000, ["exited with code 4"])
    assert run.child.tail.lines() == ["why"]
    await run.child.stop()


async def test_a_closed_pipe_is_an_end_too_but_an_exit_explains_more() -> None:
    closes = Run("import os, time; os.close(1); time.sleep(600)")
    closes.child.spawn()
    exits = Run("import os; os.close(1); os._exit(2)")
    exits.child.spawn()
    await until(lambda: bool(closes.ends and exits.ends))
    assert (closes.ends, closes.child.exited) == (["closed its output"], None)
    assert exits.ends == ["exited with code 2"]
    await closes.child.stop()
    await exits.child.stop()
    assert len(closes.ends + exits.ends) == 2


# --- the end ---


async def test_a_stopped_process_hears_sigterm() -> None:
    code = (
        "import signal, sys, time\nsignal.signal(15, lambda *a: sys.exit(5))\nprint(flush=True)\n"
    )
    run = Run(code + "while True: time.sleep(600)")
    run.child.spawn()
    await until(lambda: bool(run.output))
    assert run.child.pid is not None
    os.kill(run.child.pid, signal.SIGSTOP)
    await run.child.stop()
    assert run.child.exited == Exit(code=5)


async def test_who_survives_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run("import time; time.sleep(600)")
    run.child.spawn()
    pid = run.child.pid
    assert pid is not None
    with monkeypatch.context() as harmless:  # as for a process stuck in the kernel
        harmless.setattr(os, "killpg", lambda group, signum: None)
        await run.child.stop()
    assert "survive SIGKILL" in caplog.text
    assert run.child.exited is None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: run.child.exited is not None)


async def test_stopping_what_never_ran_is_nothing() -> None:
    run = Run("")
    await run.child.stop()
    assert run.child.pid is None


async def test_no_descriptors_are_left_when_there_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, real, made = Run(""), os.pipe, 0

    def scarce() -> tuple[int, int]:
        nonlocal made
        made += 1
        if made == 3:
            raise OSError(24, "Too many open files")
        return real()

    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr(os, "pipe", scarce)
    with pytest.raises(ServerUnavailable, match="Too many open files"):
        run.child.spawn()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
