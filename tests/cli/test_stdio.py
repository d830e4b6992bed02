"""`stdio`: a child process of its client; nothing but MCP on stdout, nothing lost, nothing left."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.cli import Shell
from only1mcp.cli import stdio
from only1mcp.protocol.eras import own_meta

WAIT_S = 20.0
NOTES = {
    "id": "notes",
    "transport": {
        "type": "stdio",
        "command": sys.executable,
        "args": ["-m", "only1mcp.demo.notes"],
    },
}
PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'


def request(method: str, id: Any = 1, **params: Any) -> bytes:
    """A modern request on a line."""
    params |= {"_meta": own_meta({})}
    fields = {"jsonrpc": "2.0", "id": id, "method": method, "params": params}
    return json.dumps(fields).encode() + b"\n"


LARGE = request("zzz", id="x" * 1_000_000)
"""Its refusal carries the id, so it is as large: far more than a pipe holds."""


class Child:
    """One `only1mcp stdio`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ask(self, line: bytes) -> Any:
        """One line there, one line back."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line)
        async with asyncio.timeout(WAIT_S):
            return json.loads(await self.process.stdout.readline())

    async def ended(self) -> tuple[int, str]:
        """Its exit code, and all it said to people."""
        assert self.process.stderr is not None
        async with asyncio.timeout(WAIT_S):
            said = await self.process.stderr.read()
            return await self.process.wait(), said.decode()


Start = Callable[..., Any]


@pytest.fixture
def start(shell: Shell) -> Start:
    """Starts it with a configuration; what still runs at the end is killed."""

    @asynccontextmanager
    async def start(config: Any = None, **streams: Any) -> AsyncIterator[Child]:
        file = shell.file({"servers": []} if config is None else config)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "only1mcp", "stdio", "-c", file,
            **{"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE} | streams,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": str(shell.home)},
            limit=1 << 24,
        )  # fmt: skip
        try:
            yield Child(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return start


# --- a conversation ---


async def test_it_serves_the_configured_servers_and_ends_with_its_input(start: Start) -> None:
    async with start({"servers": [NOTES]}) as child:
        found = await child.ask(request("tools/list", "t"))
        names = [one["name"] for one in found["result"]["tools"]]
        assert "notes__add_note" in names
        arguments = {"title": "t", "text": "hello"}
        called = await child.ask(request("tools/call", 2, name=names[0], arguments=arguments))
        assert called["id"] == 2
        children = psutil.Process(child.process.pid).children(recursive=True)
        assert children
        child.process.stdin.close()
        code, said = await child.ended()
    assert (code, "Traceback" in said) == (0, False)
    assert psutil.wait_procs(children, timeout=WAIT_S)[1] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(start: Start, number: int) -> None:
    async with start({"servers": [NOTES]}) as child:
        await child.ask(request("tools/list"))
        children = psutil.Process(child.process.pid).children(recursive=True)
        child.process.send_signal(number)
        child.process.send_signal(number)  # clients are impatient
        code, said = await child.ended()
    assert (code, "Traceback" in said) == (0, False)
    assert psutil.wait_procs(children, timeout=WAIT_S)[1] == []


async def test_a_client_that_reads_no_more_has_gone(start: Start) -> None:
    read, write = os.pipe()
    async with start(stdout=write) as child:
        os.close(write)
        child.process.stdin.write(PING)
        assert os.read(read, 10)
        os.close(read)
        code, _ = await child.ended()  # though its input is still open
    assert code == 0


# --- what it is connected to ---


async def test_a_slow_reader_gets_everything(start: Start) -> None:
    read, write = os.pipe()
    async with start(stdout=write) as child:
        os.close(write)
        child.process.stdin.write(LARGE)
        child.process.stdin.close()
        answer = await asyncio.to_thread(os.read, read, 1)  # it has begun to answer
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(child.process.wait(), 0.5)  # and waits for us to go on
        with os.fdopen(read, "rb") as pipe:
            answer += await asyncio.to_thread(pipe.read)
        code, _ = await child.ended()
    assert code == 0
    assert json.loads(answer)["error"]["code"] == -32601


async def test_files_will_do(start: Start, tmp_path: Path) -> None:
    asked, answered = tmp_path / "in", tmp_path / "out"
    asked.write_bytes(PING + LARGE)
    with asked.open("rb") as input, answered.open("wb") as output:
        async with start(stdin=input, stdout=output) as child:
            code, _ = await child.ended()
    assert code == 0
    ping, large = (json.loads(line) for line in answered.read_bytes().splitlines())
    assert ping["result"] == {}
    assert large["error"]["code"] == -32601


async def test_no_input_is_the_end(start: Start) -> None:
    async with start(stdin=asyncio.subprocess.DEVNULL) as child:
        code, said = await child.ended()
    assert (code, "Traceback" in said) == (0, False)


async def test_a_terminal_will_do_too(start: Start) -> None:
    ours, theirs = pty.openpty()
    async with start(stdin=theirs, stdout=theirs) as child:
        os.write(ours, PING)
        said = b""
        async with asyncio.timeout(WAIT_S):
            while b'"result":{}' not in said:
                said += await asyncio.to_thread(os.read, ours, 4096)
        child.process.send_signal(signal.SIGINT)
        code, error = await child.ended()
    os.close(ours)
    os.close(theirs)
    assert (code, "Fatal" in error) == (0, False)


async def test_what_anybody_prints_does_not_reach_stdout(tmp_path: Path) -> None:
    code = """
import asyncio, os
from only1mcp.cli import stdio

async def main():
    output = await stdio._stdout(lambda: None)
    print("chatter", flush=True)
    os.write(1, b"from C\\n")
    output.write(b"MCP\\n")
    await output.flush()

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert out == b"MCP\n"
    assert error.decode().splitlines() == ["chatter", "from C"]


# --- parts ---


class FakePipe(asyncio.WriteTransport):
    """Keeps what is written, and says how much of it is not read."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unread = 0
        self.closing = False

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unread

    def close(self) -> None:
        self.closing = True


def test_a_client_that_leaves_too_much_unread_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[bool] = []
    pipe, transport = stdio._Pipe(lambda: given_up.append(True)), FakePipe()
    pipe.connection_made(transport)
    transport.unread = stdio.MAX_PENDING_BYTES
    pipe.write(b"a")
    assert given_up == []
    transport.unread += 1
    pipe.write(b"b")
    assert given_up == [True]
    pipe.connection_lost(None)
    pipe.write(b"c")
    assert transport.written == b"ab"


async def test_the_last_words_are_waited_for_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stdio, "FLUSH_S", 0.01)
    pipe, transport = stdio._Pipe(lambda: None), FakePipe()
    pipe.connection_made(transport)
    async with asyncio.timeout(WAIT_S):
        await pipe.flush()
    assert transport.closing


def test_without_a_configuration_nothing_is_on_stdout(shell: Shell) -> None:
    found = shell("stdio")
    assert (found.code, found.out) == (2, "")
    assert "no configuration found" in found.err
    assert shell("stdio", "-c", shell.file("[", "c.yaml")).code == 2
