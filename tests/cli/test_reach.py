"""The way to a running gateway, and to what is none."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from fakes.cli import Run, Shell
from fakes.gateway import closed_port
from fakes.http_server import HttpServer, Request, Wire
from fakes.upstream import library, served
from only1mcp.cli import reach
from only1mcp.cli.instance import Held, Place, hold

Command = Callable[..., Any]
NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def command(shell: Shell) -> Command:
    """Runs a command beside the gateway of this loop."""

    async def command(*arguments: str, **env: str) -> Run:
        return await asyncio.to_thread(lambda: shell(*arguments, **env))

    return command


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
            assert "refuses: a token is needed: send Authorization: Bearer <one" in without.err
            assert "give a token with --token or ONLY1MCP_TOKEN" in without.err
        assert (await command("tools", "--url", url, "--token", "t-ann")).code == 0
        assert (await command("servers", "--url", url, ONLY1MCP_TOKEN="t-ann")).code == 0
        wrong = await command("tools", "--url", url, "--token", "wrong")
        assert wrong.code == 4
        assert "is not one of server.auth.tokens; give a token with --token" in wrong.err


async def test_whose_token_is_needed_is_said(command: Command) -> None:
    async with served(server={"admin_tokens": ["t-admin"]}) as (_, url):
        without = await command("servers", "--url", url)
        assert (without.code, without.out) == (4, "")
        assert "wants the token of an admin; give a token with --token" in without.err
        assert (await command("servers", "--url", url, "--token", "t-admin")).code == 0


@pytest.mark.parametrize("command", ["tools", "bench"])
@pytest.mark.parametrize("token", ["t\xfcr", "a\nb"])
def test_a_token_that_no_header_can_carry(shell: Shell, command: str, token: str) -> None:
    found = shell(command, "--url", NOBODY, "--token", token)
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


def test_what_runs_in_the_background_is_found_wherever_it_listens(
    configured: Callable[[Any], str], shell: Shell
) -> None:
    assert configured({"servers": []}) == "http://127.0.0.1:8080"
    place = Place("default", {"HOME": str(shell.home)})
    with hold(place, config="", log="", folder="") as held:
        assert configured(None) == "http://127.0.0.1:8080"  # it does not listen yet
        held.tell(url="http://0.0.0.0:9009")
        assert configured(None) == "http://127.0.0.1:9009"
    assert configured(None) == "http://127.0.0.1:8080"


@pytest.fixture
def started(shell: Shell) -> Iterator[Callable[..., Held]]:
    """Be a gateway in the background, of another configuration than the usual one."""
    with ExitStack() as held:

        def started(name: str, mcp: str, config: str = "work.json") -> Held:
            place = Place(name, {"HOME": str(shell.home)})
            one = held.enter_context(hold(place, config=config, log="", folder=""))
            one.tell(url=mcp.removesuffix("/mcp"))
            return one

        yield started


async def test_if_nobody_is_at_the_usual_address_it_is_the_only_one_that_runs(
    command: Command, shell: Shell, started: Callable[..., Held]
) -> None:
    async with served(library("one")) as (_, url):
        with closed_port() as port:
            usual = shell.file({"server": {"port": port}}, ".config/only1mcp/only1mcp.json")
            started("work", url)
            for arguments in (["servers"], ["tools"], ["call", "one__find"], ["reload"]):
                found = await command(*arguments)
                assert "'work' (work.json) is the only one that runs\n" in found.err, arguments
                assert found.code != 3, found.err
            assert "one__find" in (await command("tools")).out

            for chosen in ({"ONLY1MCP_CONFIG": usual}, {"ONLY1MCP_URL": NOBODY}):
                other = await command("tools", **chosen)
                assert (other.code, "'work'" in other.err) == (3, False), "another one was meant"
            started("third", NOBODY, "third.json")
            two = await command("tools")
    assert two.code == 3, "one of two would be a guess"
    third = f"'third' (third.json) is at {NOBODY}"
    work = f"'work' (work.json) is at {url.removesuffix('/mcp')}"
    assert two.err.endswith(f"); {third}, {work}; name one with --url\n")


async def test_who_answers_at_the_usual_address_is_meant(
    command: Command, shell: Shell, started: Callable[..., Held]
) -> None:
    started("work", NOBODY)
    async with served(library("one")) as (_, url):
        content = {"server": {"port": urlsplit(url).port}}
        shell.file(content, ".config/only1mcp/only1mcp.json")
        found = await command("tools")
    assert (found.code, found.err) == (0, "")


def test_one_that_does_not_listen_yet_or_any_more_is_not_meant(
    configured: Callable[[Any], str], started: Callable[..., Held], shell: Shell
) -> None:
    with closed_port() as port:
        one = started("work", "")
        config = {"server": {"port": port}}
        assert configured(config) == f"http://127.0.0.1:{port}"
        assert shell("tools").err.endswith("); 'work' (work.json) is starting\n")
        one.tell(url="http://0.0.0.0:9009")
        assert configured(config) == "http://127.0.0.1:9009"
        one.tell(ending=True)
        assert configured(config) == f"http://127.0.0.1:{port}"
        assert shell("tools").err.endswith("); 'work' (work.json) is stopping\n")


async def test_the_certificate_of_the_only_one_that_runs_is_trusted(
    command: Command, shell: Shell, started: Callable[..., Held]
) -> None:
    pem = shell.file("", "both.pem")
    cert = trustme.CA().issue_cert("127.0.0.1")
    cert.private_key_and_cert_chain_pem.write_to_path(pem)
    tls = {"cert": pem, "key": pem}
    async with served(library("one"), server={"tls": tls}) as (_, url):
        with closed_port() as port:
            shell.file({"server": {"port": port}}, ".config/only1mcp/only1mcp.json")
            started("work", url, shell.file({"server": {"tls": tls}}, "work.json"))
            found = await command("tools")
    assert found.code == 0, found.err


async def test_a_page_without_a_secret_needs_no_trust(command: Command, shell: Shell) -> None:
    pem = shell.file("", "both.pem")
    cert = trustme.CA().issue_cert("elsewhere.example")
    cert.private_key_and_cert_chain_pem.write_to_path(pem)
    async with served(library("one"), server={"tls": {"cert": pem, "key": pem}}) as (_, url):
        root = url.removesuffix("/mcp")
        ready = await asyncio.to_thread(reach.ask_page, root, "/readyz")
        health = await asyncio.to_thread(reach.ask_page, root, "/health")
        none = await asyncio.to_thread(reach.ask_page, root, "/zzz")
    assert (ready, health["servers"], none) == ("ok", 1, None)
    assert reach.ask_page(NOBODY, "/health") is None
    assert reach.ask_page("http://[bad", "/health") is None
