"""`stdio`: the gateway as a child process of a client. stdout carries MCP and nothing else."""

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import IO, Final, Protocol, cast

from only1mcp.cli.run import first, in_loop, on_hangup, on_log_signals, on_signals
from only1mcp.cli.say import Exit, Failure, fail, load_config, source_of, start_logs
from only1mcp.config.checked import Checked
from only1mcp.config.model import Config
from only1mcp.config.watch import Source
from only1mcp.gateway import MAX_LINE_BYTES, Gateway, Lines
from only1mcp.observe.tasks import Tasks

MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""A client that leaves this much unread is gone."""
READ_BYTES: Final = 64 * 1024
FLUSH_S: Final = 10.0
"""How long a client that has closed our input may still read answers."""


def run_stdio(file: Path | None) -> int:
    """`only1mcp stdio`."""
    try:
        environ, checked = dict(os.environ), Checked()
        source = source_of(file, environ, checked=checked)
        config = load_config(file, environ, checked=checked).config
        start_logs(config)
        return in_loop(_serve(config, source))
    except Failure as error:
        return fail(error)


async def _serve(config: Config, source: Source | None) -> int:
    stop, tasks = asyncio.Event(), Tasks()
    gateway = Gateway(config, source=source)
    on_signals(stop.set)
    on_log_signals()
    on_hangup(lambda: tasks.start(gateway.reload(), "reload"), stop.set)
    try:
        output = await _stdout(stop.set)
        gateway.start()
        await first(gateway.serve_stdio(await _stdin(), output.write), stop.wait())
        if not stop.is_set():
            await output.flush()
    finally:
        await tasks.close()
        await gateway.close()
    return Exit.OK


def _can_wait(descriptor: int) -> bool:
    """Whether the loop can wait for it; for files it cannot, and on terminals it must not."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


async def _stdin() -> Lines:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    if _can_wait(0):
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    else:
        Thread(target=_pump, args=(loop, reader), daemon=True).start()
    return reader


def _pump(loop: asyncio.AbstractEventLoop, reader: asyncio.StreamReader) -> None:
    """Read in a thread, past sys.stdin: its lock would be held when the interpreter ends."""
    with contextlib.suppress(RuntimeError):  # the loop has ended
        while data := os.read(0, READ_BYTES):
            loop.call_soon_threadsafe(reader.feed_data, data)
        loop.call_soon_threadsafe(reader.feed_eof)


class _Output(Protocol):
    def write(self, data: bytes) -> None: ...
    async def flush(self) -> None: ...


async def _stdout(give_up: Callable[[], None]) -> _Output:
    """A writer for the real stdout; from here on, prints of anybody else go to stderr."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    if not _can_wait(out.fileno()):
        return _File(out)
    loop = asyncio.get_running_loop()
    _, pipe = await loop.connect_write_pipe(lambda: _Pipe(give_up), out)
    return pipe


class _File:
    """A file or a terminal: takes what it is given, at once."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, data: bytes) -> None:
        while data:
            data = data[self._out.write(data) :]

    async def flush(self) -> None:
        """Nothing is kept back."""


class _Pipe(asyncio.BaseProtocol):
    """A pipe to a client that may be slow, or gone."""

    def __init__(self, give_up: Callable[[], None]) -> None:
        self._give_up = give_up
        self._ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
        self._give_up()

    def write(self, data: bytes) -> None:
        if self._ended.is_set():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_PENDING_BYTES:
            self._give_up()

    async def flush(self) -> None:
        """Wait until the client has taken everything, for FLUSH_S at most."""
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), FLUSH_S)
