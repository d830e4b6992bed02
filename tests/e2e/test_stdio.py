"""`only1mcp stdio`: the gateway as a child process, to real clients and to a shell pipe.

Source  MCP 2025-11-25 and 2026-07-28 basic/transports "stdio".
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import pytest_asyncio
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from fakes import stdio_server as scripted_child
from fakes.children import wait_gone
from fakes.gateway import http_server, stdio_server
from fakes.mirror import Mirror, over_stdio
from fakes.mirror_http import over_http
from fakes.scripted import scripted
from fakes.wire import Json, message, modern

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_S: Final = 10.0
SERVERS: Final = ("old-pipe", "new-pipe", "old-web", "new-web")
ARGV: Final = (sys.executable, "-m", "only1mcp", "stdio", "--config")
INITIALIZE: Final = message(
    "initialize",
    {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x"}},
    id="hello",
)
INITIALIZED: Final = message("notifications/initialized")


class Pipe:
    """A client that speaks in lines."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[Json] = []

    async def send(self, *messages: Any) -> None:
        """One line for each; bytes go as they are."""
        assert self.process.stdin is not None
        for one in messages:
            line = one if isinstance(one, bytes) else json.dumps(one).encode()
            self.process.stdin.write(line + b"\n")
        await self.process.stdin.drain()

    async def next(self) -> Json:
        """The next message; a line that is none fails the test."""
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            line = await self.process.stdout.readline()
        found: Json = json.loads(line)
        assert found["jsonrpc"] == "2.0"
        self.lines.append(found)
        return found

    async def ask(self, body: Json) -> Json:
        """Send a request and wait for its answer; all else is kept in `lines`."""
        await self.send(body)
        while (found := await self.next()).get("id") != body["id"] or "method" in found:
            pass
        return found

    async def end(self) -> int:
        """Close the input and wait for the exit code; what still comes is kept in `lines`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        async with asyncio.timeout(2 * WAIT_S):
            for line in (await self.process.stdout.read()).splitlines():
                self.lines.append(json.loads(line))
            return await self.process.wait()


@asynccontextmanager
async def pipe(config: Path) -> AsyncIterator[Pipe]:
    """`only1mcp stdio` as a child; its stderr is that of the test."""
    process = await asyncio.create_subprocess_exec(
        *ARGV, str(config), stdin=PIPE, stdout=PIPE, cwd=config.parent, limit=1 << 26
    )
    try:
        yield Pipe(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def written(folder: Path, *servers: Json, **more: Any) -> Path:
    """A configuration file."""
    file = folder / "stdio.json"
    file.write_text(json.dumps({"servers": servers, **more}))
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirrors() -> Mapping[str, Mirror]:
    return {name: scripted(name, modern=name.startswith("new")) for name in SERVERS}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def config(
    mirrors: Mapping[str, Mirror], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Path]:
    async with AsyncExitStack() as stack:
        servers = []
        for name, mirror in mirrors.items():
            if name.endswith("pipe"):
                argv = await stack.enter_async_context(over_stdio(mirror))
                servers.append(stdio_server(name, *argv))
            else:
                url = await stack.enter_async_context(over_http(mirror))
                servers.append(http_server(name, url))
        yield written(tmp_path_factory.mktemp("stdio"), *servers, logging={"level": "debug"})


def call(name: str, id: Any = 1, **arguments: Any) -> Json:
    """A legacy tools/call."""
    return message("tools/call", {"name": name, "arguments": arguments}, id=id)


# --- the official client ---


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_official_client(config: Path, mode: str) -> None:
    parameters = StdioServerParameters(command=ARGV[0], args=[*ARGV[1:], str(config)])
    async with asyncio.timeout(2 * WAIT_S), Client(parameters, mode=mode) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else "2026-07-28")
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {f"{server}__echo" for server in SERVERS} <= names
        for server in SERVERS:
            steps: list[float] = []

            async def seen(
                progress: float, total: float | None, message: str | None, steps: Any = steps
            ) -> None:
                steps.append(progress)

            result = await client.call_tool(
                f"{server}__steps", {"ü": server}, progress_callback=seen
            )
            (block,) = result.content
            assert isinstance(block, TextContent)
            assert json.loads(block.text) == {"ü": server}
            assert steps == [1, 2, 3]
        assert len((await client.list_prompts()).prompts) == len(SERVERS)
        assert len((await client.list_resources()).resources) == len(SERVERS)


# --- both eras, line by line ---


async def test_a_legacy_conversation(config: Path) -> None:
    async with pipe(config) as client:
        assert (await client.ask(INITIALIZE))["result"]["protocolVersion"] == "2025-06-18"
        await client.send(INITIALIZED)
        assert (await client.ask(message("ping", id=1)))["result"] == {}
        assert (await client.ask(call("old-pipe__echo", "two", a=1)))["result"]["content"]
        again = await client.ask(INITIALIZE)
        assert again["error"]["code"] == -32600
        assert await client.end() == 0


async def test_before_the_handshake(config: Path) -> None:
    async with pipe(config) as client:
        assert (await client.ask(message("ping", id=1)))["result"] == {}
        refused = await client.ask(message("tools/list", id=2))
        assert refused["error"]["code"] == -32600
        assert "initialize" in refused["error"]["message"]


async def test_a_modern_request_needs_no_handshake_and_disturbs_none(config: Path) -> None:
    async with pipe(config) as client:
        found = (await client.ask(modern("server/discover")))["result"]
        assert found["supportedVersions"] == ["2026-07-28"]
        await client.ask(INITIALIZE)
        legacy = (await client.ask(call("new-pipe__echo", 7)))["result"]
        body = modern("tools/call", {"name": "old-pipe__echo", "arguments": {}}, id=7)
        stateless = (await client.ask(body))["result"]
        assert ("resultType" in legacy, "resultType" in stateless) == (False, True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (modern("ping"), -32601),
        (modern("initialize"), -32601),
        (modern("tools/list", protocolVersion="v999"), -32022),
        (modern("tools/list", clientCapabilities=None), -32602),
        (modern("tools/call", {"name": "nobody__x"}), -32602),
    ],
)
async def test_the_modern_ladder(config: Path, body: Json, code: int) -> None:
    async with pipe(config) as client:
        assert (await client.ask(body))["error"]["code"] == code


@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_cancelled_requests_are_cancelled_and_not_answered(
    config: Path, mirrors: Mapping[str, Mirror], era: str
) -> None:
    mirror = mirrors["old-pipe"]
    params = {"name": "old-pipe__wait", "arguments": {}}
    async with pipe(config) as client:
        await client.ask(INITIALIZE)
        before = len(mirror.calls())
        body = modern("tools/call", params, id=7)
        await client.send(body if era == "modern" else message("tools/call", params, id=7))
        await mirror.until(lambda: len(mirror.calls()) > before)
        asked = mirror.calls()[-1]
        await client.send(message("notifications/cancelled", {"requestId": "7"}))
        assert (await client.ask(message("ping", id=8)))["result"] == {}
        assert not asked.cancelled.is_set(), '"7" is not 7'
        await client.send(message("notifications/cancelled", {"requestId": 7}))
        await mirror.until(asked.cancelled.is_set)
        await client.end()
        assert 7 not in [line.get("id") for line in client.lines]


async def test_arrays_are_for_2025_03_26(config: Path) -> None:
    batch = [message("ping", id=1), INITIALIZED, message("ping", id=2)]
    async with pipe(config) as client:
        params = {**INITIALIZE["params"], "protocolVersion": "2025-03-26"}
        await client.ask({**INITIALIZE, "params": params})
        await client.send(batch)
        assert client.process.stdout is not None
        line = json.loads(await client.process.stdout.readline())
        assert [one["id"] for one in line] == [1, 2]
    async with pipe(config) as client:
        await client.ask(INITIALIZE)
        await client.send(batch)
        assert (await client.next())["error"]["code"] == -32600


# --- what else may come ---


async def test_bad_lines_are_answered_and_harm_nobody(config: Path) -> None:
    lines = {
        b"not json": -32700,
        b'{"jsonrpc":"2.0","id":1,"method"': -32700,
        b"\xff\xfe": -32700,
        b"[" * 70: -32700,
        b"[]": -32600,
        b"7": -32600,
        b'{"jsonrpc":"2.0","id":null,"method":"ping"}': -32600,
        b'{"jsonrpc":"1.0","id":3,"method":"ping"}': -32600,
    }
    async with pipe(config) as client:
        for line, code in lines.items():
            await client.send(b"", b"  \r", line)
            found = await client.next()
            assert found["error"]["code"] == code, line
            assert found.get("id") == (3 if b"1.0" in line else None)
            assert (await client.ask(message("ping", id="still here")))["result"] == {}
        answer = {"jsonrpc": "2.0", "id": 99, "result": {}}
        await client.send(answer, message("notifications/made/up"), b'{"jsonrpc":"2.0"}')
        assert (await client.next())["error"]["code"] == -32600
        assert await client.end() == 0


async def test_a_line_without_end(config: Path) -> None:
    async with pipe(config) as client:
        await client.send(b"x" * (33 << 20))
        assert (await client.next())["error"]["code"] == -32700
        assert (await client.ask(message("ping", id=1)))["result"] == {}


async def test_a_large_answer_to_a_slow_reader(tmp_path: Path) -> None:
    child = stdio_server("child", sys.executable, scripted_child.__file__)
    async with pipe(written(tmp_path, child)) as client:
        await client.ask(INITIALIZE)
        found = await client.ask(call("child__big", bytes=10_000_000))
        assert len(found["result"]["content"][0]["text"]) == 10_000_000


async def test_noise_of_servers_stays_off_stdout(tmp_path: Path) -> None:
    argv = (sys.executable, scripted_child.__file__, "--noise", "5", "--stderr", "complaint")
    async with pipe(written(tmp_path, stdio_server("child", *argv))) as client:
        await client.ask(INITIALIZE)
        assert (await client.ask(call("child__garbage", lines=20)))["result"]
        assert (await client.ask(call("child__complain", lines=20)))["result"]


async def test_servers_that_join_later_are_announced(tmp_path: Path) -> None:
    late = scripted("late-pipe")
    go = asyncio.Event()

    async def hello(asked: Any) -> bytes:
        await go.wait()
        return late.hello(asked.method)

    late.on("initialize", hello)
    async with AsyncExitStack() as stack:
        argv = await stack.enter_async_context(over_stdio(late))
        config = written(tmp_path, stdio_server("late", *argv))
        client = await stack.enter_async_context(pipe(config))
        await client.ask(INITIALIZE)
        await client.send(INITIALIZED)
        assert (await client.ask(message("tools/list", id=1)))["result"]["tools"] == []
        go.set()
        while (await client.next()).get("method") != "notifications/tools/list_changed":
            pass
        assert (await client.ask(message("tools/list", id=2)))["result"]["tools"]


# --- the end ---


async def test_the_end_of_input_ends_it_and_its_children(tmp_path: Path) -> None:
    argv = (sys.executable, scripted_child.__file__)
    servers = [stdio_server("child", *argv), stdio_server("stubborn", *argv, "--stubborn")]
    async with pipe(written(tmp_path, *servers)) as client:
        await client.ask(INITIALIZE)
        for id in ("child", "stubborn"):
            assert (await client.ask(call(f"{id}__fork_child")))["result"]
        below = psutil.Process(client.process.pid).children(recursive=True)
        assert len(below) >= 4
        assert await client.end() == 0
        assert await asyncio.to_thread(wait_gone, [one.pid for one in below]) == []


@pytest.mark.parametrize("method", ["x/go\r\nX-Evil: 1", "x/go\nX-Evil: 1", "x/ü", "x/a b", " "])
async def test_a_method_that_no_header_can_name_is_none(tmp_path: Path, method: str) -> None:
    server = Mirror("new", modern=True, tools={}, extensions={"x/all": {}})
    async with over_http(server) as url, pipe(written(tmp_path, http_server("new", url))) as client:
        assert (await client.ask(modern("x/go")))["error"]["message"] == "not here"
        refused = await client.ask(modern(method))
        assert refused["error"]["code"] == -32601
    assert not [one for one in server.asked if one.method == method or "x-evil" in one.headers]


async def test_sigterm_ends_it(config: Path) -> None:
    async with pipe(config) as client:
        await client.ask(INITIALIZE)
        client.process.terminate()
        async with asyncio.timeout(WAIT_S):
            assert await client.process.wait() == 0


SHELL_INPUT: Final = "\n".join(
    json.dumps(one)
    for one in (
        INITIALIZE,
        INITIALIZED,
        message("tools/list", id=1),
        call("old-web__echo", 2, x="y"),
        modern("tools/list", id=3),
    )
)


def answers(stdout: bytes) -> dict[Any, Json]:
    """The answers by id."""
    found = map(json.loads, stdout.splitlines())
    return {one["id"]: one["result"] for one in found if "id" in one}


async def shell(folder: Path, line: str) -> bytes:
    """What `line` writes on stdout; it must succeed."""
    process = await asyncio.create_subprocess_shell(line, stdout=PIPE, cwd=folder)
    async with asyncio.timeout(2 * WAIT_S):
        stdout, _ = await process.communicate()
    assert process.returncode == 0
    return stdout


@pytest.mark.parametrize("line", ["cat input | {}", "{} < input", "{} < input | cat",
                                  "{} < input > output && cat output"])  # fmt: skip
async def test_in_a_shell(config: Path, tmp_path: Path, line: str) -> None:
    (tmp_path / "input").write_text(SHELL_INPUT)  # the last line has no end
    command = " ".join([*ARGV, str(config)])
    found = answers(await shell(tmp_path, line.format(command)))
    assert set(found) == {"hello", 1, 2, 3}
    assert {tool["name"] for tool in found[1]["tools"]} >= {f"{one}__echo" for one in SERVERS}
    assert found[2]["content"][0]["text"] == '{"x": "y"}'
    assert found[3]["resultType"] == "complete"
