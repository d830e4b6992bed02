"""Ends process trees; run as a script, it is the warden that outlives a killed gateway.

    stdin  "+PID" registers the leader of a process group, "-PID" forgets it
           "=PID" lets go of its input (see _hold)
    EOF    the gateway is gone: what is still registered is ended: its input, SIGTERM, SIGKILL

Stand-alone: the script runs in a bare interpreter (python -I -S, 8 MB), so this file imports
nothing of ours and little of Python's.
"""

import os
import signal
import sys
import time

GRACE_S = 0.6  # after each of three steps: nothing outlives the gateway by more than 2 s
POLL_S = 0.02
READ_BYTES = 4096
NOT_HELD = -1

Table = dict[int, tuple[int, int, int]]


def processes() -> Table:
    """The living processes: pid -> (parent, group, start time). Empty without a /proc.

    Cost    about 12 us for each process of the machine.
    Source  proc_pid_stat(5): fields 3 (state), 4, 5 and 22; the name may hold anything.
    """
    table: Table = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208 (pathlib would double the script's memory)
    except OSError:
        return table
    for name in names:
        if name.isdigit() and (stat := _stat(name)):
            fields = stat[stat.rindex(b")") + 2 :].split(None, 20)
            if fields[0] not in b"ZX":  # a zombie has ended, whether its parent looks or not
                table[int(name)] = (int(fields[1]), int(fields[2]), int(fields[19]))
    return table


def _stat(pid: str) -> bytes:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(fd, READ_BYTES)
    except OSError:
        return b""
    finally:
        os.close(fd)


class Tree:
    """What one server started: its process group, and the descendants that left the group.

    A process is remembered by pid and start time, so a pid in new hands is never signalled.
    Look while the leader lives: once it is gone, its children have another parent.
    """

    __slots__ = ("_grouped", "_known", "_outside", "leader")

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self._known: dict[int, int] = {}  # pid -> start time
        self._outside: list[int] = []
        self._grouped = True

    def look(self, table: Table) -> bool:
        """Whether anything of it lives, as of `table`; remembers all it finds."""
        if not table:
            return self._signal_group(0)
        found = {
            pid
            for pid, (_, group, started) in table.items()
            if group == self.leader or self._known.get(pid) == started
        }
        added = found
        while added:
            added = {pid for pid, (parent, _, _) in table.items() if parent in added} - found
            found = found | added
        self._known = {pid: table[pid][2] for pid in found}
        self._outside = [pid for pid in found if table[pid][1] != self.leader]
        self._grouped = len(self._outside) < len(found)
        return bool(found)

    def send(self, signum: int) -> None:
        """Signal what the last look found: the group at once, the others one by one."""
        if self._grouped:
            self._signal_group(signum)
        for pid in self._outside:
            try:
                os.kill(pid, signum)
            except OSError:  # gone, or of another user
                continue

    def terminate(self) -> None:
        """Ask it to end. A stopped process hears SIGTERM only once it is continued."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)

    def _signal_group(self, signum: int) -> bool:
        try:
            os.killpg(self.leader, signum)
        except OSError:
            return False
        return True


def end(leaders: dict[int, int]) -> None:
    """End the trees of `leaders`, as `watch` left them; 3 * GRACE_S at most."""
    table = processes()
    trees = [tree for tree in map(Tree, leaders) if tree.look(table)]
    for fd in leaders.values():
        if fd != NOT_HELD:
            os.close(fd)
    trees = _wait(trees)
    for tree in trees:
        tree.terminate()
    _wait(_wait(trees), signal.SIGKILL)


def _wait(trees: list[Tree], signum: int = 0) -> list[Tree]:
    """The trees still alive after GRACE_S; `signum` is sent again each round, for forks."""
    until = time.monotonic() + GRACE_S
    while trees and time.monotonic() < until:
        for tree in trees:
            if signum:
                tree.send(signum)
        time.sleep(POLL_S)
        table = processes()
        trees = [tree for tree in trees if tree.look(table)]
    return trees


def watch(pipe: int) -> dict[int, int]:
    """Keep the register until the gateway's end of `pipe` closes; what is in it then.

    Out     leader -> our descriptor of its input, or NOT_HELD
    """
    leaders: dict[int, int] = {}
    rest = b""
    while chunk := os.read(pipe, READ_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            _change(leaders, line[:1], int(line[1:]))
    return leaders


def _change(leaders: dict[int, int], what: bytes, leader: int) -> None:
    fd = leaders.pop(leader, NOT_HELD)
    if fd != NOT_HELD:
        os.close(fd)
    if what == b"+":
        leaders[leader] = _hold(leader)
    elif what == b"=":
        leaders[leader] = NOT_HELD


def _hold(leader: int) -> int:
    """A second writing end of its stdin, so that it sees no EOF before we have looked.

    Most servers exit at EOF, a shell within half a millisecond; descendants that had left its
    group are then nobody's, and would outlive the gateway.
    """
    try:
        return os.open(f"/proc/{leader}/fd/0", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # it has ended, or is not ours to look into: then we must be quick
        return NOT_HELD


if __name__ == "__main__":
    # It goes when the gateway goes, not when someone signals everything that is called python.
    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    end(watch(sys.stdin.fileno()))
