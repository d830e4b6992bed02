"""Every command as a process of its own, against real gateways: exit codes, streams, secrets.

Exit codes  0 done, 1 failed, 2 bad usage or configuration, 3 no gateway there, 4 not authorised.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import pytest
import pytest_asyncio

from fakes import stdio_server as scripted_child
from fakes.children import wait_gone
from fakes.gateway import Running, closed_port, gateway, http_server, stdio_server
from fakes.mirror import Asked, Mirror, over_stdio, tool
from fakes.scripted import scripted
from fakes.wire import Json

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN: Final = "token-that-nobody-may-see"
SECRETS: Final = {
    "GATEWAY_TOKEN": TOKEN,
    "API_KEY": "api-key-that-nobody-may-see",
    "PASSWORD": "password-that-nobody-may-see",
}
WAIT_S: Final = 20.0
OURS: Final = ("ONLY1MCP_CONFIG", "ONLY1MCP_URL", "ONLY1MCP_TOKEN", "XDG_CONFIG_HOME")
CHILD: Final = (sys.executable, scripted_child.__file__)


class Run(NamedTuple):
    """What one command did."""

    code: int
    out: str
    err: str


Command = Callable[..., Awaitable[Run]]


@pytest.fixture
def only1mcp(tmp_path: Path) -> Command:
    """Runs a command in a home of its own; no output may hold a traceback or a secret."""

    async def run(*arguments: str, **env: str) -> Run:
        clean = {name: value for name, value in os.environ.items() if name not in OURS}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "only1mcp", *arguments),
            stdout=PIPE,
            stderr=PIPE,
            cwd=tmp_path,
            env={**clean, "HOME": str(tmp_path), "XDG_STATE_HOME": "", **env},
        )
        async with asyncio.timeout(WAIT_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        found = Run(process.returncode, out.decode(), err.decode())
        for stream in found[1:]:
            assert "Traceback" not in stream
            assert [secret for secret in SECRETS.values() if secret in stream] == []
        return found

    return run


def written(folder: Path, content: Any) -> str:
    """A configuration file."""
    file = folder / "config.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(file)


def failing(name: str) -> Mirror:
    """A server with a tool that says it failed, beside those of `scripted`."""
    mirror = scripted(name)
    mirror.lists["tools"].append(tool("fail", description="It fails.\nAlways."))

    async def call(asked: Asked) -> bytes:
        failed = asked.json["name"] == "fail"
        return json.dumps({"content": [], "isError": failed, "structuredContent": {}}).encode()

    mirror.on("tools/call", call)
    return mirror


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A gateway that wants a token; its servers are given secrets in every place there is."""
    async with AsyncExitStack() as stack:
        argv = await stack.enter_async_context(over_stdio(failing("one-pipe")))
        port = stack.enter_context(closed_port())
        config = {
            "server": {"auth": {"tokens": ["${GATEWAY_TOKEN}"]}},
            "logging": {"level": "debug"},
            "servers": [
                stdio_server("one-pipe", *argv),
                with_secrets(stdio_server("child", *CHILD)),
                http_server(
                    "down", f"http://u:${{PASSWORD}}@127.0.0.1:{port}/mcp?key=${{API_KEY}}"
                ),
            ],
        }
        folder = tmp_path_factory.mktemp("gateway")
        running = await stack.enter_async_context(gateway(config, folder, env=SECRETS))
        await running.ready("one-pipe", "child")
        await running.said("failed +down")
        yield running
        assert [secret for secret in SECRETS.values() if secret in "\n".join(running.log)] == []


def with_secrets(server: Json) -> Json:
    """A stdio server entry whose environment holds a secret."""
    server["transport"]["env"] = {"API_KEY": "${API_KEY}"}
    return server


# --- a gateway that runs ---


async def test_servers(running: Running, only1mcp: Command) -> None:
    asked = ("servers", "--url", running.url, "--token", TOKEN)
    table, found = await asyncio.gather(only1mcp(*asked), only1mcp(*asked, "--json"))
    assert (table.code, found.code) == (0, 0)
    assert "one-pipe" in table.out
    rows = {row["id"]: row for row in json.loads(found.out)["servers"]}
    assert (rows["one-pipe"]["state"], rows["one-pipe"]["tools"]) == ("ready", 6)
    tried = rows["down"]["state"] == "starting"  # again and again
    assert tried or (rows["down"]["state"] == "waiting" and rows["down"]["reason"])


async def test_tools(running: Running, only1mcp: Command) -> None:
    asked = ("--url", running.url, "--token", TOKEN)
    table, found, bare, nobody = await asyncio.gather(
        only1mcp("tools", *asked),
        only1mcp("tools", *asked, "--json"),
        only1mcp("tools", "one-pipe", *asked, "--json"),
        only1mcp("tools", "nobody", *asked),
    )
    assert "It fails." in table.out
    assert "Always." not in table.out
    assert "one-pipe__fail" in {tool["name"] for tool in json.loads(found.out)}
    assert "fail" in {tool["name"] for tool in json.loads(bare.out)}
    assert nobody.code == 1
    assert "nobody" in nobody.err


async def test_call(running: Running, only1mcp: Command) -> None:
    asked = ("--url", running.url, "--token", TOKEN)
    say = ("child__echo", '{"text": "ü ✓"}')
    said, as_json, failed, unknown, down = await asyncio.gather(
        only1mcp("call", *say, *asked),
        only1mcp("call", *say, *asked, "--json"),
        only1mcp("call", "one-pipe__fail", *asked),
        only1mcp("call", "child__ecko", *asked),
        only1mcp("call", "down__x", *asked),
    )
    assert (said.code, said.out.splitlines()[0]) == (0, "ü ✓")
    assert json.loads(as_json.out)["structuredContent"]["arguments"] == {"text": "ü ✓"}
    assert failed.code == 1
    assert unknown.code == 1
    assert "did you mean child__echo" in unknown.err
    assert down.code == 1
    assert "'down'" in down.err


async def test_who_may_ask(running: Running, only1mcp: Command) -> None:
    commands = (["servers"], ["tools"], ["call", "child__echo"])
    without, *wrong = await asyncio.gather(
        only1mcp("tools", "--url", running.url),
        *(only1mcp(*command, "--url", running.url, "--token", "guessed") for command in commands),
    )
    assert [found.code for found in (without, *wrong)] == [4] * 4
    assert "ONLY1MCP_TOKEN" in without.err
    assert (await only1mcp("tools", "--url", running.url, ONLY1MCP_TOKEN=TOKEN)).code == 0


@pytest.mark.parametrize("command", [["servers"], ["tools"], ["call", "x"]])
async def test_nobody_is_there(only1mcp: Command, command: list[str]) -> None:
    with closed_port() as port:
        found = await only1mcp(*command, "--url", f"http://127.0.0.1:{port}")
    assert found.code == 3
    assert found.out == ""
    assert "only1mcp start" in found.err


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"a": NaN}', '{"a": 1e400}'])
async def test_arguments_that_are_no_object(
    running: Running, only1mcp: Command, arguments: str
) -> None:
    asked = ("--url", running.url, "--token", TOKEN)
    found = await only1mcp("call", "child__echo", arguments, *asked)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: ")


# --- configuration ---


async def test_validate(only1mcp: Command, tmp_path: Path) -> None:
    good = written(tmp_path, {"servers": [with_secrets(stdio_server("child", *CHILD))]})
    found, missing = await asyncio.gather(
        only1mcp("validate", good, **SECRETS), only1mcp("validate", good)
    )
    assert found.code == 0
    assert missing.code == 2
    assert "API_KEY" in missing.out


BAD: Final = """\
server:
  prot: 8081
  auth: {tokens: ["${GATEWAY_TOKEN}", 7]}
servers:
  - id: Bad Name
    transport: {type: stdio, command: 5}
  - id: two
    transport: {type: http, url: "ftp://u:${PASSWORD}@x/"}
  - id: two
    transport: {type: http, url: "http://127.0.0.1/mcp"}
    timeouts: {start: soon}
"""


@pytest.mark.parametrize("command", [["run", "-c"], ["stdio", "-c"], ["config", "show", "-c"]])
async def test_all_faults_at_once(only1mcp: Command, tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    found, refused, as_json = await asyncio.gather(
        only1mcp("validate", str(file), **SECRETS),
        only1mcp(*command, str(file), **SECRETS),
        only1mcp("validate", str(file), "--json", **SECRETS),
    )
    assert (found.code, refused.code, as_json.code) == (2, 2, 2)
    assert refused.out == ""
    for said in (found.out, refused.err):
        for line in (2, 5, 6, 8, 11):
            assert f"bad.yaml:{line}:" in said
        assert "port" in said, "did you mean"
    faults = json.loads(as_json.out)["faults"]
    assert {fault["line"] for fault in faults} >= {2, 5, 6, 8, 11}
    assert {fault["severity"] for fault in faults} == {"error"}


async def test_no_configuration_at_all(only1mcp: Command) -> None:
    for command in (["run"], ["stdio"], ["validate"], ["config", "show"]):
        found = await only1mcp(*command)
        assert (found.code, found.out) == (2, ""), command
    found = await only1mcp("config", "path")
    assert found.code == 1
    assert found.out.strip().endswith("only1mcp.yaml")


@pytest.mark.parametrize("template", ["solo", "team", "enterprise"])
async def test_from_a_template_to_a_valid_file(only1mcp: Command, template: str) -> None:
    made = await only1mcp("config", "init", "--template", template)
    assert made.code == 0
    again, shown, on_stdout = await asyncio.gather(
        only1mcp("config", "init"),
        only1mcp("config", "path"),
        only1mcp("config", "init", "--template", template, "-o", "-"),
    )
    assert (again.code, shown.code) == (1, 0)
    assert "--force" in again.err
    assert on_stdout.out
    assert shown.out.strip() in made.err
    if template != "enterprise":  # that one wants real certificate files
        given = {"ONLY1MCP_TOKEN": "0123456789abcdef" * 2, "ONLY1MCP_HOST": "gateway.example"}
        checked = await only1mcp("validate", **given)
        assert checked.code == 0, checked.out


async def test_show_hides_secrets_and_follows_the_environment(
    only1mcp: Command, tmp_path: Path
) -> None:
    url = "http://u:${PASSWORD}@127.0.0.1:1/mcp?api_key=${API_KEY}"
    web = http_server("web", url)
    web["transport"]["headers"] = {"X-Anything": "${API_KEY}"}
    child = with_secrets(stdio_server("child", *CHILD, "--api-key", "${API_KEY}"))
    server = {"port": 8081, "auth": {"tokens": ["${GATEWAY_TOKEN}"]}}
    file = written(tmp_path, {"server": server, "servers": [web, child]})
    found = await only1mcp("config", "show", "-c", file, ONLY1MCP_SERVER__PORT="8082", **SECRETS)
    assert found.code == 0
    assert "port: 8082" in found.out
    assert found.out.count("***") >= 5


async def test_schema(only1mcp: Command) -> None:
    found = await only1mcp("config", "schema")
    schema = json.loads(found.out)
    assert found.code == 0
    assert {"server", "servers", "naming", "logging"} <= schema["properties"].keys()


async def test_validate_connect(only1mcp: Command, tmp_path: Path) -> None:
    twins = [stdio_server(id, *CHILD) for id in ("first", "second")]
    bare = written(tmp_path, {"servers": twins, "naming": {"mode": "bare"}})
    found = await only1mcp("validate", "--connect", bare)
    assert found.code == 0
    assert "'echo' of server 'second' is hidden" in found.out
    bad = written(tmp_path, {"servers": [stdio_server("gone", *CHILD, "--exit", "3")]})
    found = await only1mcp("validate", "--connect", bad)
    assert found.code == 2
    assert "'gone'" in found.out


# --- starting ---


async def test_an_address_that_is_taken(
    running: Running, only1mcp: Command, tmp_path: Path
) -> None:
    port = running.url.rpartition(":")[2]
    found = await only1mcp("run", "-c", written(tmp_path, {}), "--port", port)
    assert found.code == 1
    assert "in use" in found.err


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["run", "--port", "x"], ["run", "--port", "99999"], ["frob"]]
)
async def test_bad_usage(only1mcp: Command, arguments: list[str]) -> None:
    found = await only1mcp(*arguments)
    assert (found.code, found.out) == (2, "")


async def test_demo_from_start_to_end(only1mcp: Command) -> None:
    """What `make demo` shows: it starts, its examples work, Ctrl-C ends all of it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "only1mcp", "demo", "--port", "0", stderr=PIPE
    )
    running = Running(process)
    reader = asyncio.get_running_loop().create_task(running.read())
    try:
        (line,) = await running.said(r"only1mcp tools --url|tools --url")
        url = line.split()[-1]
        tools = await only1mcp("tools", "--url", url, "--json")
        names = {tool["name"].partition("__")[0] for tool in json.loads(tools.out)}
        assert names == {"notes", "clock", "text"}
        note = '{"title": "hello", "text": "from only1mcp"}'
        added = await only1mcp("call", "notes__add_note", note, "--url", url)
        assert added.code == 0
        pids = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
        assert len(pids) >= 3
        assert await running.stop(signal.SIGINT) == 0
        assert await asyncio.to_thread(wait_gone, pids) == []
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reader


HEAVY: Final = {
    "pydantic", "ruamel", "starlette", "httpx2", "uvloop", "msgspec", "only1mcp.gateway",
}  # fmt: skip


async def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, only1mcp.cli.main as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit as end: print('exit', end.code, file=sys.stderr)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    ended, modules = err.decode().splitlines()
    assert ended == "exit 0"
    assert b"One endpoint" in out
    assert HEAVY & set(modules.split()) == set()


async def test_a_gateway_that_contains_itself_ends(tmp_path: Path) -> None:
    file = tmp_path / "loop.json"
    command = [sys.executable, "-m", "only1mcp", "stdio", "--config", str(file)]
    entry = {"command": command[0], "args": command[1:]}
    file.write_text(json.dumps({"mcpServers": {"me": entry}}))
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "ONLY1MCP_DEPTH": "2", "HOME": str(tmp_path)},
    )
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert "does the configuration contain only1mcp itself" in said.decode()
