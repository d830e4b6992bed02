"""`servers`, `tools` and `call` against a running gateway."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.cli import Command, Run, Shell
from fakes.upstream import FakeUpstream, library, offers, served, text, tool
from only1mcp.config.load import Loaded, load_text
from only1mcp.config.watch import Source
from only1mcp.protocol.errors import ServerLost, ServerUnavailable
from only1mcp.protocol.message import as_raw
from only1mcp.upstream.base import Call

NOBODY = "http://127.0.0.1:1"


# --- servers ---


async def test_servers_as_a_table(command: Command) -> None:
    down = FakeUpstream("down")
    down.refuse = ServerUnavailable("down", "no such command", hint="check PATH")
    async with served(library("one"), down) as (_, url):
        found = await command("servers", "--url", url)
    head, one, two = (line.split() for line in found.out.splitlines())
    assert head[:5] == ["server", "state", "health", "transport", "revision"]
    assert head[5:] == ["tools", "prompts", "resources"]
    assert one == ["one", "ready", "healthy", "stdio", "2025-11-25", "1", "1", "1"]
    assert two[:8] == ["down", "waiting", "unhealthy", "stdio", "-", "0", "0", "0"]
    assert " ".join(two[8:]).startswith("no such command; check PATH (since 20")
    assert (found.code, found.err) == (0, "")


async def test_replicas_have_a_line_each(command: Command) -> None:
    async with served(library("one"), library("one")) as (gateway, url):
        first, _ = gateway.roster.servers["one"].replicas
        first.breaker._open("it answers nothing", first.clock())
        found = await command("servers", "--url", url)
    _, whole, one, two = (line.split() for line in found.out.splitlines())
    assert whole[:4] == ["one", "ready", "healthy", "http"]
    assert one[:6] == ["ready", "healthy", "http://127.0.0.1:1/mcp", "left", "alone", "since"]
    assert two == ["ready", "healthy", "http://127.0.0.1:2/mcp"]


async def test_a_table_has_room_for_one_line_of_a_reason(command: Command) -> None:
    down = FakeUpstream("down")
    down.refuse = ServerUnavailable("down", "it crashed; the end of its stderr:\none\ntwo")
    async with served(down) as (_, url):
        found = await command("servers", "--url", url)
        rest = await command("why", "down", "--url", url)
    assert "it crashed; the end of its stderr … (since 20" in found.out
    assert "two" not in found.out
    assert "two" in rest.out


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


async def test_the_last_words_of_a_server_stand_below_the_error(command: Command) -> None:
    fault = ServerLost("lib", "it exited with code 7", hint="look before you repeat it")
    fault.data["stderr"] = ["Traceback", "the disk is on fire"]
    async with served(library(answers={"tools/call": fault})) as (_, url):
        found = await command("call", "lib__find", "--url", url)
    assert found.err.splitlines() == [
        "error: it exited with code 7 (-31003); look before you repeat it",
        "its stderr since the call began:",
        "  Traceback",
        "  the disk is on fire",
    ]


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


# --- reload ---


async def test_reload_says_what_has_changed(command: Command) -> None:
    says = "servers: []"  # however often it is read: the gateway may look by itself, too

    def read() -> Loaded:
        return load_text(says, "f.yaml", "yaml", {})

    source = Source(Path("f.yaml"), read, "", lambda text: read())
    async with served(library("one"), source=source) as (gateway, url):
        gone = await command("reload", "--url", url)
        assert (gone.code, gone.out) == (0, "removed one\n")
        assert gone.err.startswith("f.yaml:1:1: warning: no server is enabled")
        assert gateway.roster.servers == {}
        same = await command("reload", "--url", url)
        assert same.out == "nothing to change\n"
        says = "servers: []\nserver: {port: 7}"
        later = await command("reload", "--url", url)
        assert (later.code, later.out) == (0, "")
        assert later.err.endswith("in force after a restart: server.port\n")
        says = "servers: 3"
        bad = await command("reload", "--url", url)
    assert bad.code == 2
    assert bad.err.startswith("f.yaml:1:")
    assert bad.err.endswith("the configuration is refused; the former one stays in force\n")


async def test_reload_as_json(command: Command) -> None:
    def read(text: str = "servers: 3") -> Loaded:
        return load_text(text, "f.yaml", "yaml", {})

    source = Source(Path("f.yaml"), read, "", read)
    async with served(library("one"), source=source) as (_, url):
        found = await command("reload", "--json", "--url", url)
    assert found.code == 2
    assert "servers: expected a list" in [one["message"] for one in found.json["faults"]]
    nobody = await command("reload", "--url", NOBODY)
    assert nobody.code == 3


async def test_a_gateway_without_a_file_refuses_to_reload_and_stays_well(
    command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(library("one")) as (gateway, url):
        found = await command("reload", "--url", url)
        await gateway.reload()  # as SIGHUP does
        async with httpx2.AsyncClient() as http:
            health = (await http.get(url.removesuffix("/mcp") + "/health")).json()
    assert (found.code, found.out) == (1, "")
    said = "this gateway was not started from a file, so there is nothing to read again; start it"
    assert said in found.err
    assert caplog.messages[-1] == "not reloaded: this gateway was not started from a file"
    assert (health["status"], health["config"]) == ("ok", {"status": "ok"})


async def test_reload_while_the_gateway_drains(command: Command) -> None:
    async with served(library("one")) as (gateway, url):
        gateway._draining = True
        found = await command("reload", "--url", url)
    assert found.code == 1
    assert "refuses: the gateway is draining; try again" in found.err
