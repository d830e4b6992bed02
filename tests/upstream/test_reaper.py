"""Process trees are found whole and ended, whatever they do about it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.children import lives, wait_gone
from only1mcp.upstream import reaper
from only1mcp.upstream.reaper import Tree, processes

pytest_plugins = ["fakes.orphans"]
pytestmark = pytest.mark.usefixtures("no_orphans")

FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
one = subprocess.Popen(sleep)
two = subprocess.Popen(sleep, start_new_session=True)
print(one.pid, two.pid, flush=True)
time.sleep(600)
"""
STUBBORN = """
import signal, time
for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)
print(flush=True)
while True: time.sleep(600)
"""


def started(code: str) -> subprocess.Popen[str]:
    """A process in a session of its own that runs `code`."""
    argv = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.fixture
def family() -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    """A leader, a child in its group, a child that has left it."""
    with started(FAMILY) as leader:
        assert leader.stdout is not None
        one, two = map(int, leader.stdout.readline().split())
        yield leader, one, two
        leader.kill()
        for pid in (one, two):
            if lives(pid):
                os.kill(pid, signal.SIGKILL)


def test_the_table_holds_who_lives() -> None:
    me = processes()[os.getpid()]
    assert me[:2] == (os.getppid(), os.getpgrp())
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert ended.pid not in processes()  # a zombie


def test_a_name_may_hold_anything(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to(sleep)
    with subprocess.Popen([odd, "600"]) as process:
        assert processes()[process.pid][0] == os.getpid()
        process.kill()


def test_a_tree_is_the_group_and_who_left_it(
    family: tuple[subprocess.Popen[str], int, int],
) -> None:
    leader, one, two = family
    tree = Tree(leader.pid)
    assert tree.look(processes())
    tree.terminate()
    leader.wait()
    assert wait_gone([one, two]) == []
    assert not tree.look(processes())
    tree.send(signal.SIGKILL)  # there is nobody: no error


def test_who_was_seen_once_is_found_without_its_parent(
    family: tuple[subprocess.Popen[str], int, int],
) -> None:
    leader, one, two = family
    tree, late = Tree(leader.pid), Tree(leader.pid)
    tree.look(processes())
    leader.kill()
    leader.wait()
    os.kill(one, signal.SIGKILL)
    wait_gone([one])
    assert tree.look(processes())
    assert not late.look(processes())
    tree.send(signal.SIGKILL)
    assert wait_gone([two]) == []


def test_a_pid_in_new_hands_is_left_alone() -> None:
    tree = Tree(4_000_001)
    mine = processes()[os.getpid()]
    tree._known[os.getpid()] = mine[2] - 1  # somebody else, who had our pid before
    assert not tree.look(processes())


def test_without_a_process_table_the_group_is_all_there_is() -> None:
    with started("print(flush=True); import time; time.sleep(600)") as process:
        tree = Tree(process.pid)
        assert tree.look({})
        tree.send(signal.SIGKILL)
        process.wait()
        assert not tree.look({})


def test_the_register_follows_the_gateway() -> None:
    with started("import sys; sys.stdin.read()") as leader:
        reading, writing = os.pipe()
        for piece in (b"+%d\n+4000001\n+400" % leader.pid, b"0002\n", b"=4000002\n-4000001\n"):
            os.write(writing, piece)
        os.close(writing)
        found = reaper.watch(reading)
        os.close(reading)
        assert found.keys() == {leader.pid, 4000002}
        assert found[4000002] == reaper.NOT_HELD
        ours = Path(f"/proc/self/fd/{found[leader.pid]}")
        assert ours.readlink() == Path(f"/proc/{leader.pid}/fd/0").readlink()
        reaper.end(found)
        assert leader.wait() in (0, -signal.SIGTERM)


def test_letting_go_of_the_input_lets_the_leader_end() -> None:
    with started("import sys; sys.stdin.read()") as leader:
        held: dict[int, int] = {}
        reaper._change(held, b"+", leader.pid)
        assert leader.stdin is not None
        leader.stdin.close()
        assert lives(leader.pid)
        reaper._change(held, b"=", leader.pid)
        assert leader.wait(10) == 0
        assert held == {leader.pid: reaper.NOT_HELD}


def test_the_stubborn_are_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "GRACE_S", 0.2)
    with started(STUBBORN) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        os.kill(leader.pid, signal.SIGSTOP)
        reaper.end({leader.pid: reaper.NOT_HELD})
        assert leader.wait(10) == -signal.SIGKILL


def test_the_script_imports_nothing_of_ours() -> None:
    code = f"import runpy, sys; runpy.run_path({reaper.__file__!r}); print(*sys.modules)"
    argv = [sys.executable, "-I", "-S", "-c", code]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert not {name for name in loaded if name.startswith(("only1mcp", "asyncio", "subprocess"))}
