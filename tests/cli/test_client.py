"""`servers`, `tools` and `call` against a running gateway, and against what is none."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from fakes.cli import Run, Shell
from fakes.http_server import HttpServer, Request, Wire
from fakes.upstream import FakeUpstream, library, offers, served, text, tool
from only1mcp.cli import reach
from only1mcp.protocol.errors import ServerUnavailable
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call

Command = Callable[..., Any]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def command(shell: Shell) -> Command:
    """Runs a command beside the gateway of this loop."""

    async def command(*arguments: str, **env: str) -> Run:
        return await asyncio.to_thread(lambda: shell(*arguments, **env))

    return command


# --- servers ---


async def test_servers_as_a_table(command: Command) -> None:
    down = FakeUpstream("down")
    down.refuse = ServerUnavailable("down", "no such command", hint="check PATH")
    async with served(library("one"), down) as (_, url):
        found = await command("servers", "--url", url)
    head, one, two = (line.split() for line in found.out.splitlines())
    assert head == ["server", "state", "transport", "revision", "tools", "prompts", "resources"]
    assert one == ["one", "ready", "stdio", "2025-11-25", "1", "1", "1"]
    assert two[:7] == ["down", "waiting", "stdio", "-", "0", "0", "0"]
    assert " ".join(two[7:]) == "no such command; check PATH"
    assert (found.code, found.err) == (0, "")


async def test_servers_as_json(command: Command) -> None:
    async with served(library("one")) as (_, url):
        found = await command("servers", "--json", ONLY1MCP_URL=url)
    assert [row["id"] for row in found.json["servers"]] == ["one"]
    assert found.code == 0


async def test_what_clients_do_not_see_is_a_warning(command: Command) -> None:
    one = FakeUpstream("one", offers(tools=["a"]))
    two = FakeUpstream("two", offers(tools=["a", tool("b", inputSchema=7)]))
    async with served(one, two, naming={"mode": "bare"}) as (_, url):
        found = await command("servers", "--url", url)
    assert "warning: tools 'a' of server 'two' is hidden by the one of 'one'" in found.err
    assert "warning: tools 'b' of 'two' left out: " in found.err
    assert "warning" not in found.out


# --- tools ---

SCHEMA = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a"]}
ODD_SCHEMA = {"type": "object", "required": None, "properties": None}


async def test_tools_as_a_table(command: Command) -> None:
    tools = [
        tool("find", inputSchema=SCHEMA, description="Finds things.\nAt length."),
        tool("titled", title="A title", description=None),
        tool("odd", inputSchema=ODD_SCHEMA),
    ]
    async with served(FakeUpstream("lib", offers(tools=tools))) as (_, url):
        found = await command("tools", "--url", url)
        bare = await command("tools", "lib", "--url", url)
    lines = [line.split() for line in found.out.splitlines()]
    assert lines[:3] == [
        ["tool", "arguments", "description"],
        ["lib__find", "a,", "[b]", "Finds", "things."],
        ["lib__titled", "A", "title"],
    ]
    assert [line.split()[0] for line in bare.out.splitlines()] == ["tool", "find", "titled", "odd"]


async def test_tools_as_json_all_pages(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("only1mcp.catalog.pages.PAGE", 2)
    tools = [tool(name, description="é") for name in "abcde"]
    async with served(FakeUpstream("lib", offers(tools=tools))) as (_, url):
        found = await command("tools", "--json", "--url", f"{url}/")
    assert [one["name"] for one in found.json] == [f"lib__{name}" for name in "abcde"]
    assert "é" in found.out


async def test_tools_of_a_server_that_is_none(command: Command) -> None:
    async with served(library("one")) as (_, url):
        found = await command("tools", "two", "--url", url)
    assert found == Run(1, "", "error: no server 'two' here (-32600); servers: one\n")


# --- call ---


async def test_a_call_prints_what_the_tool_says(command: Command) -> None:
    blocks = {"content": [*text("hello ü")["content"], {"type": "image", "data": "é"}, 7]}
    lib = library(answers={"tools/call": blocks})
    async with served(lib) as (_, url):
        found = await command("call", "lib__find", '{"n": 1.50}', "--url", url)
        bare = await command("call", "find", "--server", "lib", "--url", url)
    assert found == Run(0, 'hello ü\n{"type": "image", "data": "é"}\n7\n', "")
    assert bare.code == 0
    assert [params["arguments"] for params in lib.asked("tools/call")] == [{"n": 1.5}, {}]


async def test_a_call_as_json(command: Command) -> None:
    async with served(library()) as (_, url):
        found = await command("call", "lib__find", "--json", "--url", url)
    assert found.json["content"] == text("called")["content"]


async def test_progress_goes_to_stderr(command: Command) -> None:
    def slow(call: Call) -> Any:
        assert call.on_notification is not None
        for step in ({"progress": 1}, {"progress": 2, "total": 2, "message": "half\nway"}):
            call.on_notification("notifications/progress", as_raw(step))
        return text("done")

    lib = library(answers={"tools/call": slow})
    async with served(lib) as (_, url):
        found = await command("call", "lib__find", "--url", url)
        await command("call", "lib__find", "--url", url, "--json")
    assert found == Run(0, "done\n", "  1\n  2/2 half\nway\n")
    asked = ["progressToken" in params.get("_meta", {}) for params in lib.asked("tools/call")]
    assert asked == [True, False]


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"content": [], "isError": True}, ""),
        ({"resultType": "input_required"}, "the tool asks for input; use a client that can"),
    ],
)
async def test_a_tool_that_did_not_do_it_is_a_failure(
    command: Command, result: Any, said: str, form: list[str]
) -> None:
    lib = library(answers={"tools/call": result}, modern=True)
    async with served(lib) as (_, url):
        found = await command("call", "lib__find", "--url", url, *form)
    assert found.code == 1
    assert said in found.err


async def test_an_error_says_what_to_do_next(command: Command) -> None:
    async with served(library()) as (_, url):
        slip = await command("call", "lib__fnd", "--url", url)
        odd = await command("call", "ü\nü", "--url", url)  # fits no header as it is
    said = "error: unknown tool: lib__fnd (-32602); did you mean lib__find?\n"
    assert slip == Run(1, "", said)
    assert odd == Run(1, "", "error: unknown tool: ü\nü (-32602); tools/list shows what there is\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{", "the arguments are not JSON"),
        ("[1]", "the arguments must be a JSON object"),
        ("", "the arguments are not JSON"),
    ],
)
def test_arguments_that_are_none(shell: Shell, arguments: str, said: str) -> None:
    found = shell("call", "x", arguments, "--url", NOBODY)
    assert found.code == 2
    assert said in found.err


# --- who is there ---


@pytest.mark.parametrize("arguments", [["servers"], ["tools"], ["call", "x"]])
@pytest.mark.parametrize(
    "url", [NOBODY, "http://localhost", "ftp://x", "http://[bad", "http://a b"]
)
def test_nobody_is_there(shell: Shell, arguments: list[str], url: str) -> None:
    found = shell(*arguments, "--url", url)
    assert (found.code, found.out) == (3, "")
    assert f"error: no gateway at {url} (" in found.err
    assert "only1mcp start" in found.err


async def test_a_token_is_needed(command: Command) -> None:
    async with served(server={"auth": {"tokens": ["t-ann"]}}) as (_, url):
        for arguments in (["servers"], ["tools"], ["call", "x"]):
            without = await command(*arguments, "--url", url)
            assert (without.code, without.out) == (4, "")
            assert "give a token with --token or ONLY1MCP_TOKEN" in without.err
        assert (await command("tools", "--url", url, "--token", "t-ann")).code == 0
        assert (await command("servers", "--url", url, ONLY1MCP_TOKEN="t-ann")).code == 0
        assert (await command("tools", "--url", url, "--token", "wrong")).code == 4


@pytest.mark.parametrize("token", ["t\xfcr", "a\nb"])
def test_a_token_that_no_header_can_carry(shell: Shell, token: str) -> None:
    found = shell("tools", "--url", NOBODY, "--token", token)
    assert found == Run(2, "", "error: the token has characters that no header can carry\n")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"<html>", "text/html"),
        (200, b"[]", "application/json"),
        (200, b'{"a":1}', "application/json"),
        (404, b"", ""),
        (500, b'{"a":1}', "application/json"),
        (200, b"data: hello\n\n", "text/event-stream"),
        (200, b"data: [1]\n\n", "text/event-stream"),
    ],
)
async def test_somebody_else_is_there(
    command: Command, status: int, body: bytes, kind: str
) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.answer(status, body, kind)

    async with HttpServer(script) as server:
        for arguments in (["servers"], ["tools"], ["call", "x"]):
            found = await command(*arguments, "--url", server.url)
            assert (found.code, found.out) == (1, "")
            assert f"answered {status}; is it only1mcp?" in found.err


async def test_a_refusal_of_the_listener_is_passed_on(command: Command) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.json({"error": "add it to server.allowed_hosts"}, 421)

    async with HttpServer(script) as server:
        for arguments in (["servers"], ["tools"]):
            found = await command(*arguments, "--url", server.url)
            assert found.code == 1
            assert "refuses: add it to server.allowed_hosts" in found.err


@pytest.mark.parametrize("begun", [False, True])
async def test_a_gateway_that_breaks_off_may_have_run_the_call(
    command: Command, begun: bool
) -> None:
    async def script(request: Request, wire: Wire) -> None:
        if begun:
            await wire.stream(b": keep-alive\n\n")
        wire.close()

    async with HttpServer(script) as server:
        found = await command("call", "x", "--url", server.url)
    assert found.code == 1
    assert "call may have run" in found.err


async def test_a_stream_without_an_answer(command: Command) -> None:
    async def script(request: Request, wire: Wire) -> None:
        await wire.stream(b": keep-alive\n\n")
        await wire.end()

    async with HttpServer(script) as server:
        found = await command("call", "x", "--url", server.url)
    assert found.code == 1
    assert "ended the answer early; the call may have run" in found.err


# --- where it is ---


@pytest.fixture
def configured(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """The address that commands use with this configuration; None is none."""
    for name in ("ONLY1MCP_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(shell.home))

    def configured(config: Any) -> str:
        if config is not None:
            shell.file(config, ".config/only1mcp/only1mcp.json")
        return reach.configured_url(ssl.create_default_context())

    return configured


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"port": 9000, "host": "::1"}, "http://[::1]:9000"),
        ({"host": "0.0.0.0", "auth": "none"}, "http://127.0.0.1:8080"),
        ({"host": "::", "auth": "none"}, "http://[::1]:8080"),
    ],
)
def test_the_address_is_that_of_the_configuration(
    configured: Callable[[Any], str], server: Any, url: str
) -> None:
    assert configured({"server": server}) == url


def test_without_a_file_it_is_the_default_or_what_the_environment_says(
    configured: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured(None) == "http://127.0.0.1:8080"
    monkeypatch.setenv("ONLY1MCP_SERVER__PORT", "9001")
    assert configured(None) == "http://127.0.0.1:9001"


def test_with_a_certificate_it_is_https(configured: Callable[[Any], str], shell: Shell) -> None:
    cert = trustme.CA().issue_cert("localhost")
    pem = shell.file("", ".config/only1mcp/both.pem")
    cert.private_key_and_cert_chain_pem.write_to_path(pem)
    assert configured({"server": {"tls": {"cert": pem, "key": pem}}}) == "https://127.0.0.1:8080"


def test_only_the_address_of_a_configuration_needs_to_be_right(
    configured: Callable[[Any], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = {"port": 9000, "auth": {"tokens": ["${NOBODY_SET_THIS}"]}, "prot": 1}
    search = {"id": "x", "transport": {"url": "http://h", "headers": {"A": "${NOR_THIS}"}}}
    assert configured({"server": server, "servers": [search]}) == "http://127.0.0.1:9000"
    monkeypatch.setenv("ONLY1MCP_SERVER__MAX_CONNECTIONS", "none")
    monkeypatch.setenv("ONLY1MCP_SERVER__PORT", "9001")
    assert configured({"server": server}) == "http://127.0.0.1:9001"


async def test_the_certificate_of_the_configuration_is_trusted(
    command: Command, shell: Shell
) -> None:
    cert = trustme.CA().issue_cert("127.0.0.1")
    pem = shell.file("", ".config/only1mcp/both.pem")
    cert.private_key_and_cert_chain_pem.write_to_path(pem)
    tls = {"cert": pem, "key": pem}
    async with served(library("one"), server={"tls": tls}) as (_, url):
        port = urlsplit(url).port
        shell.file({"server": {"port": port, "tls": tls}}, ".config/only1mcp/only1mcp.json")
        found = await command("tools", "--json")
        other = await command("tools", "--url", f"https://127.0.0.1:{port}", SSL_CERT_FILE=pem)
        stranger = await command("tools", "--url", f"https://127.0.0.1:{port}")
    assert (found.code, other.code) == (0, 0), found.err + other.err
    assert stranger.code == 3
    assert "certificate verify failed" in stranger.err


async def test_an_address_without_a_scheme_is_http(command: Command) -> None:
    async with served(library("one")) as (_, url):
        found = await command("tools", "--url", url.removeprefix("http://"))
    assert found.code == 0


def test_a_configuration_with_faults_is_not_guessed_at(shell: Shell) -> None:
    shell.file("{", ".config/only1mcp/only1mcp.json")
    found = shell("servers")
    assert found.code == 2
    assert "has faults; see `only1mcp validate`, or give --url" in found.err
