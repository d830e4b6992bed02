"""One child process: its three pipes and its end.

The pipes are our own, not the loop's. So we know how much of its input a child has taken (a
request whose last byte the pipe did not take never ran), and when the child ends, what it
wrote last is read at once, whoever else still holds the pipe.
"""

import asyncio
import logging
import os
import re
import signal
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from only1mcp.config.servers import Stdio
from only1mcp.config.show import secret_values
from only1mcp.upstream import traffic
from only1mcp.upstream.launch import environment, find, spawn_fault
from only1mcp.upstream.reaper import Tree, processes
from only1mcp.upstream.spawn import spawn
from only1mcp.upstream.warden import Warden

log = logging.getLogger("only1mcp.process")

READ_BYTES: Final = 65536  # what a pipe holds
DRAIN_READS: Final = 32  # at the end of a child: 1 MiB is the most a pipe may be set to hold, twice
EXIT_NOTICE_S: Final = 0.1
"""How long after the end of a pipe we wait to hear why, so that the error can say it."""
GRACE_S: Final = 2.0
"""From closed input to SIGTERM, from there to SIGKILL, and from there until we give it up.
Source: MCP basic/lifecycle "Shutdown" gives the order; the official SDK the 2 s."""
POLL_S: Final = 0.05

TAIL_LINES: Final = 100
TAIL_LINE_BYTES: Final = 2000
LOGGED_LINES_PER_S: Final = 100
MIN_SECRET_LENGTH: Final = 8  # shorter ones are words such as "debug": masking them hides the text

_ESCAPES: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_NOT_STARTABLE: Final = (126, 127)  # what shells and env(1) exit with when they cannot run it


@dataclass(frozen=True, slots=True)
class Exit:
    """How a child ended: its exit code, or the signal that ended it."""

    code: int | None = None
    signal: int | None = None

    @classmethod
    def of(cls, returncode: int) -> "Exit":
        """From Python's return code, in which a signal is negative."""
        return cls(signal=-returncode) if returncode < 0 else cls(code=returncode)

    @property
    def config_fault(self) -> bool:
        """Whether the command itself could not be run."""
        return self.code in _NOT_STARTABLE

    def __str__(self) -> str:
        if self.signal is None:
            return f"exited with code {self.code}"
        try:
            return f"was killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"was killed by signal {self.signal}"


class Tail:
    """The last lines a child wrote on stderr: kept, logged at debug, never in its way."""

    __slots__ = ("_lines", "_logged", "_rest", "_second", "_secrets", "_server", "count")

    def __init__(self, server: str, transport: Stdio) -> None:
        self._server = server
        values = {secret.get_secret_value() for secret in transport.env.values()}
        values.update(secret_values(transport.args))
        long = [value for value in values if len(value) >= MIN_SECRET_LENGTH]
        self._secrets = sorted(long, key=len, reverse=True)  # first those that hold others
        self._lines: deque[bytes] = deque(maxlen=TAIL_LINES)
        self.count = 0  # lines that have ended so far
        self._rest = b""
        self._second = 0.0
        self._logged = 0

    def feed(self, data: bytes, now: float) -> None:
        """Take what was read, at `now` of a monotonic clock."""
        *lines, rest = (self._rest + data).rsplit(b"\n", TAIL_LINES + 1)
        self._rest = rest[-TAIL_LINE_BYTES:]
        self.count += data.count(b"\n")
        fresh = [line[:TAIL_LINE_BYTES] for line in lines[-TAIL_LINES:]]
        self._lines.extend(fresh)
        if log.isEnabledFor(logging.DEBUG):
            self._log(fresh, now)

    def _log(self, lines: list[bytes], now: float) -> None:
        if now - self._second >= 1.0:
            self._second, self._logged = now, 0
        for line in lines[: LOGGED_LINES_PER_S - self._logged]:
            self._logged += 1
            log.debug("server '%s' stderr: %s", self._server, self._clean(line))

    def lines(self, count: int = TAIL_LINES) -> list[str]:
        """The last `count` lines as text: no control characters, no secret it was given."""
        kept = [*self._lines, self._rest] if self._rest else [*self._lines]
        return [self._clean(line) for line in kept[-count:]]

    def since(self, count: int, most: int) -> list[str]:
        """The lines after the first `count` there ever were: the last ones, at `most`."""
        fresh = min(self.count - count + bool(self._rest), most)
        return self.lines(fresh) if fresh else []

    def _clean(self, line: bytes) -> str:
        text = _ESCAPES.sub("", line.decode(errors="replace").rstrip())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class Child:
    """One run of a server's command, in a session and process group of its own.

    `on_output` takes what it writes on stdout. `on_end` is called once, with what happened,
    when it exits, or closes a pipe without which it cannot serve; `exited` then says how, if
    it is known.
    """

    def __init__(
        self,
        server: str,
        transport: Stdio,
        warden: Warden,
        on_output: Callable[[bytes], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.server = server
        self.exited: Exit | None = None
        self.tail = Tail(server, transport)
        self.queued = 0
        """Bytes of input so far."""
        self.accepted = 0
        """Of these, the bytes its pipe has taken."""
        self.path = ""
        """PATH of the child, on which its command was looked up."""
        self._config = transport
        self._traffic = traffic.of(server)
        self._warden = warden
        self._on_output = on_output
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._tree: Tree | None = None
        self._gone = asyncio.Event()
        self._ended = False
        self._stdin = self._stdout = self._stderr = -1
        self._unsent = bytearray()
        self._flushing = False  # a flush is due: next turn, or when the full pipe has room
        self._waiting = False

    @property
    def pid(self) -> int | None:
        """Process id, None before the start."""
        return self._tree.leader if self._tree else None

    @property
    def unsent(self) -> int:
        """Bytes of input that its pipe has not taken yet."""
        return len(self._unsent)

    def spawn(self) -> None:
        """Start it.

        Raises:
            NotStartable: the command cannot be run.
            ServerUnavailable: the machine cannot run another process.
        """
        env = environment(self._config, os.environ)
        self.path = env.get("PATH", os.defpath)
        argv = [find(self.server, self._config, self.path), *self._config.args]
        try:
            with ExitStack() as theirs:
                pipes = self._open_pipes(theirs)
                process = spawn(argv, pipes, self._on_exit, cwd=self._config.cwd, env=env)
        except (OSError, ValueError) as error:
            self._close_pipes()
            raise spawn_fault(self.server, self._config, self.path, error) from None
        self._traffic.opened += 1
        self._tree = Tree(process.pid)
        self._warden.add(process.pid)
        self._loop.add_reader(self._stdout, self._read_output)
        self._loop.add_reader(self._stderr, self._read_stderr)

    def _open_pipes(self, theirs: ExitStack) -> tuple[int, int, int]:
        """The child's ends, closed with `theirs`. None of the six is inherited by a sibling."""
        stdin, self._stdin = os.pipe()
        theirs.callback(os.close, stdin)
        self._stdout, stdout = os.pipe()
        theirs.callback(os.close, stdout)
        self._stderr, stderr = os.pipe()
        theirs.callback(os.close, stderr)
        for fd in (self._stdin, self._stdout, self._stderr):
            os.set_blocking(fd, False)
        return stdin, stdout, stderr

    def _on_exit(self, code: int) -> None:
        """It has ended. Its last words are in the pipes: read them first."""
        self.exited = Exit.of(code)
        self._gone.set()
        for _ in range(DRAIN_READS):
            if not (self._read_stderr() | self._read_output()):
                break
        self._end(str(self.exited))

    def _end(self, what: str) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(what)

    def _end_soon(self, what: str) -> None:
        """A pipe broke. Most often the process is ending, which is the better explanation."""
        self._loop.call_later(EXIT_NOTICE_S, self._end, what)

    def _read_output(self) -> bool:
        data = _read(self._stdout)
        if data:
            self._traffic.received += len(data)
            self._on_output(data)
        elif data is not None:
            self._loop.remove_reader(self._stdout)
            self._end_soon("closed its output")
        return bool(data)

    def _read_stderr(self) -> bool:
        data = _read(self._stderr)
        if data:
            self.tail.feed(data, self._loop.time())
        elif data is not None:
            self._loop.remove_reader(self._stderr)
        return bool(data)

    def write(self, line: bytes) -> int:
        """Queue `line`; the position of its end in all input, to compare with `accepted`.

        What is queued in one turn of the loop goes to the pipe in one system call.
        """
        self._unsent += line
        self.queued += len(line)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return self.queued

    def _flush(self) -> None:
        if self._stdin == -1:
            return
        try:
            taken = os.write(self._stdin, self._unsent)
        except BlockingIOError:
            taken = 0
        except OSError:
            self._close_input()
            self._end_soon("closed its input")
            return
        self.accepted += taken
        self._traffic.sent += taken
        del self._unsent[:taken]
        if bool(self._unsent) is not self._waiting:
            self._wait_for_room(bool(self._unsent))
        self._flushing = self._waiting

    def _wait_for_room(self, waiting: bool) -> None:
        self._waiting = waiting
        if waiting:
            self._loop.add_writer(self._stdin, self._flush)
        else:
            self._loop.remove_writer(self._stdin)

    def _close_input(self) -> None:
        if self._stdin != -1:
            self._loop.remove_writer(self._stdin)
            os.close(self._stdin)
            self._stdin = -1
            if self._tree is not None:
                self._warden.let_go(self._tree.leader)

    def _close_pipes(self) -> None:
        self._close_input()
        for fd in (self._stdout, self._stderr):
            if fd != -1:
                self._loop.remove_reader(fd)
                os.close(fd)
        self._stdout = self._stderr = -1

    async def stop(self) -> None:
        """End it and all it started: close its input, SIGTERM, SIGKILL. Bounded: 4 * GRACE_S."""
        if self._tree is not None:
            await self._lives(self._tree)  # remembers who left the group, while it has a parent
            self._close_input()
            await self._exits()
            await self._end_tree(self._tree)
            await self._exits()
            self._warden.remove(self._tree.leader)
        self._close_pipes()

    async def _exits(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await self._gone.wait()

    async def _end_tree(self, tree: Tree) -> None:
        alive = await self._lives(tree)
        for kill in (True,) if self._warden.in_haste else (False, True):
            until = self._loop.time() + GRACE_S
            if alive and not kill:
                tree.terminate()
            while alive and self._loop.time() < until:
                if kill:  # each round, for what was forked meanwhile
                    tree.send(signal.SIGKILL)
                await asyncio.sleep(POLL_S)  # they are not our children: nobody tells us
                alive = await self._lives(tree)
        if alive:
            log.warning("server '%s': its processes survive SIGKILL; given up", self.server)

    async def _lives(self, tree: Tree) -> bool:
        """Look in a thread: with thousands of processes it takes tens of milliseconds."""
        return await asyncio.to_thread(lambda: tree.look(processes()))


def _read(fd: int) -> bytes | None:
    """What `fd` has; None if there is nothing now, b"" if there never will be."""
    if fd == -1:
        return None
    try:
        return os.read(fd, READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
