"""`stdio`: the gateway as a child process of a client. stdout carries MCP and nothing else."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Final

from only1mcp.cli.run import in_loop
from only1mcp.cli.say import Exit, Failure, fail, load_config, note
from only1mcp.config.model import Config
from only1mcp.gateway import MAX_LINE_BYTES, Gateway, Lines
from only1mcp.observe import logs

MAX_PENDING_BYTES: Final = 64 * 1024 * 1024
"""A client that leaves this much unread is gone."""


def run_stdio(file: Path | None) -> int:
    """`only1mcp stdio`."""
    try:
        config = load_config(file, dict(os.environ)).config
        logs.configure(config.logging.level, config.logging.format)
        return in_loop(_serve(config))
    except Failure as error:
        return fail(error)


async def _serve(config: Config) -> int:
    loop = asyncio.get_running_loop()
    this = asyncio.current_task()
    assert this is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, this.cancel)
    gateway = Gateway(config)
    try:
        gateway.start()
        await gateway.serve_stdio(await _stdin(), await _stdout(this.cancel))
    except asyncio.CancelledError:
        note("only1mcp: stopped")
    finally:
        await gateway.close()
    return Exit.OK


async def _stdin() -> Lines:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    try:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    except (ValueError, OSError):  # a regular file has no readiness to wait for
        Thread(target=_pump, args=(loop, reader), daemon=True).start()
    return reader


def _pump(loop: asyncio.AbstractEventLoop, reader: asyncio.StreamReader) -> None:
    while line := sys.stdin.buffer.readline():
        loop.call_soon_threadsafe(reader.feed_data, line)
    loop.call_soon_threadsafe(reader.feed_eof)


async def _stdout(give_up: Callable[[], object]) -> Callable[[bytes], None]:
    """A writer for the real stdout; from here on, prints of anybody else go to stderr."""
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.connect_write_pipe(asyncio.Protocol, out)
    except (ValueError, OSError):  # a regular file never blocks
        return lambda data: _write_all(out.fileno(), data)

    def write(data: bytes) -> None:
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_PENDING_BYTES:
            give_up()

    return write


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
