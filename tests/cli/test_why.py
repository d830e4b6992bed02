"""`why`: where the way of a tool to the clients ends, told by a running gateway."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fakes.cli import Run, Shell
from fakes.upstream import FakeUpstream, offers, served, tool
from only1mcp.protocol.errors import ServerUnavailable

Ask = Callable[..., Any]
NOBODY = "http://127.0.0.1:1"
RULES = {"tools": {"deny": ["delete_*"], "rename": {"add": "insert"}}, "isolation": "session"}


@pytest.fixture
def why(shell: Shell) -> Ask:
    """Asks about a name; the gateway has a server of each kind."""

    async def why(name: str, *options: str, **config: Any) -> Run:
        notes = offers(tools=["add", "delete_all", "x" * 70, tool("odd", inputSchema=7)])
        mute, down = FakeUpstream("mute"), FakeUpstream("down")
        down.refuse = ServerUnavailable("down", "no such command\nat all")
        fakes = (FakeUpstream("notes", notes), FakeUpstream("more", offers(tools=["insert"])))
        entries = {"notes": RULES, "off": {"enabled": False}}
        async with served(*fakes, mute, down, entries=entries, **config) as (_, url):
            return await asyncio.to_thread(shell, "why", name, *options, "--url", url)

    return why


@pytest.mark.parametrize("name", ["notes__insert", "notes__add", "add", "notes/add"])
async def test_a_tool_that_is_renamed(why: Ask, name: str) -> None:
    found = await why(name)
    assert found.code == 0
    assert found.out.splitlines() == [
        "  server         notes, stdio: never-started",
        "  state          ready",
        "  revision       2025-11-25 (legacy)",
        "  isolation      each session has its own connection, opened by its first call, which is "
        "slower",
        "  own name       add",
        "  rename         add -> insert by tools.rename",
        "  name           notes__insert (with the server's prefix, naming.mode: prefix)",
        f"{name}: clients see it as notes__insert",
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "one process, so one era for all clients; where a tool says that it cannot ask in it"),
        ({"isolation": "session"}, "clients with a handshake are served in their own"),
        ({"protocol": "modern"}, None),
    ],
    ids=str,
)
async def test_in_which_era_a_modern_server_is_spoken_to(
    shell: Shell, settings: dict[str, Any], said: str | None
) -> None:
    fake = FakeUpstream("new", offers(tools=["a"]), modern=True)
    async with served(fake, entries={"new": settings}) as (_, url):
        found = await asyncio.to_thread(shell, "why", "new", "--url", url)
    era = [line for line in found.out.splitlines() if line.startswith("  era ")]
    assert len(era) == (said is not None)
    assert (said or "") in "".join(era)


async def test_a_bare_name_that_several_servers_have(why: Ask) -> None:
    found = await why("insert", "--json")
    verdicts = {row["verdict"] for row in found.json}
    assert verdicts == {"clients see it as notes__insert", "clients see it as more__insert"}


@pytest.mark.parametrize(
    ("name", "said", "next"),
    [
        ("delete_all", "filter         tools.deny has 'delete_*'", "change tools.allow or"),
        ("notes__odd", "dropped        Expected `object`", "mend the tool at server 'notes'"),
    ],
)
async def test_a_tool_that_clients_do_not_see(why: Ask, name: str, said: str, next: str) -> None:
    found = await why(name)
    assert found.code == 0
    assert said in found.out
    assert f"{name}: clients do not see it\n  -> {next}" in found.out


async def test_a_name_that_is_cut(why: Ask) -> None:
    found = await why("x" * 70)
    assert "is longer than 64 or has characters that clients refuse)" in found.out


async def test_a_name_that_another_server_has(why: Ask) -> None:
    found = await why("more/insert", naming={"mode": "bare"})
    assert "hidden         its name is taken by 'add' of server notes" in found.out
    assert "tools.rename of server 'more', or change naming.mode" in found.out
    kept = await why("insert", naming={"mode": "bare"})
    assert "name           insert (as it is, naming.mode: bare)" in kept.out


@pytest.mark.parametrize("name", ["down", "down__anything"])
async def test_a_server_that_is_down(why: Ask, name: str) -> None:
    found = await why(name)
    assert found.code == 0
    state, rest = found.out.splitlines()[1:3]
    assert state == "  state          waiting: no such command"
    assert rest == " " * 17 + "at all"
    assert f"{name}: server 'down' is waiting" in found.out


async def test_a_server_that_is_off(why: Ask) -> None:
    found = await why("off__x")
    assert "off__x: server 'off' is disabled\n  -> set enabled: true for server 'off'" in found.out


async def test_a_whole_server(why: Ask) -> None:
    (row,) = (await why("notes", "--json")).json
    assert row["verdict"] == "clients see 2 of its 4 tools"
    assert {"step": "tools", "text": "2 shown, 1 withheld, 1 dropped"} in row["steps"]
    mute = await why("mute")
    assert "mute: it is up and lists no tools" in mute.out


async def test_a_server_of_which_nothing_is_seen(why: Ask) -> None:
    found = await why("more", naming={"mode": "bare"})
    assert "more: clients see none of its tools" in found.out


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("notes__ad", 0, "server 'notes' has no such tool\n  -> did you mean notes__insert?"),
        ("more__zzzzzz", 0, "-> only1mcp tools more"),
        ("ad", 1, "-> did you mean notes__insert?"),
        ("Note", 1, "-> did you mean notes?"),
        ("zzzzz", 1, "-> see `only1mcp tools` and `only1mcp servers`"),
    ],
)
async def test_a_name_that_nobody_has(why: Ask, name: str, code: int, said: str) -> None:
    found = await why(name)
    assert (found.code, said in found.out) == (code, True), found.out


async def test_a_server_that_is_only_in_the_file(why: Ask, shell: Shell) -> None:
    entry = {"id": "fresh", "transport": {"type": "http", "url": NOBODY}}
    shell.file({"servers": [entry]}, ".config/only1mcp/only1mcp.json")
    found = await why("fresh")
    assert found.code == 1
    assert "fresh: the running gateway does not know it yet\n  -> only1mcp reload" in found.out


def test_without_a_gateway(shell: Shell) -> None:
    found = shell("why", "x", "--url", NOBODY)
    assert found.code == 3
    assert "only1mcp start" in found.err
