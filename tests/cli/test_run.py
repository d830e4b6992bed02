"""`run`: what it says while it runs, and how it ends."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.cli import Shell
from fakes.edge import PATIENCE_S, until
from fakes.gateway import gateway
from fakes.upstream import FakeUpstream, Gate, gateway_of, library, offers, text
from fakes.wire import last, web
from only1mcp.cli import run
from only1mcp.cli.run import Announcer, first, in_loop, on_signals, overrides, serve
from only1mcp.cli.say import Exit, Failure
from only1mcp.config.model import Config, Listener
from only1mcp.config.servers import Server, Stdio
from only1mcp.config.watch import Source
from only1mcp.gateway import Gateway, Live
from only1mcp.protocol.errors import ServerUnavailable
from only1mcp.upstream.replica import Replica

CALL = {"name": "lib__find"}


class Terminal:
    """What was said on stderr so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._said = ""

    @property
    def said(self) -> str:
        """All of it."""
        self._said += self._capsys.readouterr().err
        return self._said


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """A configuration whose servers are these fakes once `serve` runs it."""

    def fakes(*upstreams: FakeUpstream, **listener: Any) -> Config:
        twins = {one.server: one for one in upstreams}

        def make(live: Live, replica: Replica, era: str) -> FakeUpstream:
            return twins[live.id]

        def gateway(
            config: Config, notice: Callable[[Live], None], source: Source | None
        ) -> Gateway:
            made = Gateway(config, notice, source)
            for live in made.roster.servers.values():
                live._make = make
            return made

        monkeypatch.setattr(run, "Gateway", gateway)
        servers = tuple(Server(id=id, transport=Stdio(command="none")) for id in twins)
        return Config(server=Listener(**listener), servers=servers)

    return fakes


def kill(number: int = signal.SIGTERM) -> None:
    """Somebody wants us to end."""
    os.kill(os.getpid(), number)


# --- from start to end ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_how_the_servers_come_up_and_ends_when_asked(
    fakes: Callable[..., Config], terminal: Terminal, number: int
) -> None:
    down = FakeUpstream("down")
    down.refuse = ServerUnavailable("down", "no such command", hint="check PATH")
    greeted: list[str] = []
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        serving = group.create_task(serve(fakes(library(), down), 0, greeted.append, people=True))
        await until(lambda: "ready" in terminal.said and "failed" in terminal.said)
        kill(number)
    assert serving.result() == Exit.OK
    lines = terminal.said.splitlines()
    (url,) = greeted
    assert lines[0] == f"only1mcp listens on {url}/mcp"
    assert sorted(lines[1:3]) == [
        "  failed   down                 no such command; check PATH",
        "  ready    lib                  1 tool, 1 prompt, 1 resource (2025-11-25)",
    ]
    assert "stopping: calls under way may finish; again to stop at once" in lines


async def test_calls_under_way_may_finish(fakes: Callable[..., Config], terminal: Terminal) -> None:
    gate = Gate(text("done"))
    config = fakes(library(answers={"tools/call": gate}))
    urls: list[str] = []
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        serving = group.create_task(serve(config, 0, urls.append, people=True))
        await until(lambda: "ready" in terminal.said)
        async with web(f"{urls[0]}/mcp") as wire:
            asking = group.create_task(wire.modern("tools/call", CALL))
            await gate.entered.wait()
            kill()
            await until(lambda: "stopping" in terminal.said)
            assert not serving.done()
            gate.open()
            await asking
    assert last(asking.result())["result"]["content"] == text("done")["content"]


async def test_asked_again_it_stops_at_once(
    fakes: Callable[..., Config], terminal: Terminal
) -> None:
    gate = Gate({})
    lib = library(answers={"tools/call": gate})
    config = fakes(lib)
    urls: list[str] = []
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        group.create_task(serve(config, 0, urls.append, people=True))
        await until(lambda: "ready" in terminal.said)
        async with web(f"{urls[0]}/mcp") as wire:
            asking = group.create_task(wire.modern("tools/call", CALL))
            await gate.entered.wait()
            kill()
            await until(lambda: "stopping" in terminal.said)
            kill()
            await asking
    assert last(asking.result())["error"]["code"] == -31006
    assert lib.cancelled == ["tools/call"]


async def test_an_address_that_is_taken_is_a_failure(fakes: Callable[..., Config]) -> None:
    async with gateway_of() as other:
        edge = await other.listen(0)
        with pytest.raises(Failure, match=str(edge.port)) as caught:
            await serve(fakes(port=edge.port), None)
    assert caught.value.code == Exit.FAILURE


async def test_an_open_listener_without_tokens_is_a_failure(fakes: Callable[..., Config]) -> None:
    with pytest.raises(Failure, match=r"server\.auth\.tokens"):
        await serve(fakes(host="0.0.0.0"), 0)


# --- as a process ---


async def test_it_runs_in_a_process_of_its_own_and_logs_for_programs(tmp_path: Path) -> None:
    async with gateway({"servers": []}, tmp_path) as running:
        assert running.url.startswith("http://127.0.0.1:")
        assert any('"level": "info"' in line for line in running.log)
        await running.said("no servers are configured")
        assert await running.stop(signal.SIGINT) == 0


def test_without_a_configuration_it_says_what_to_do(shell: Shell) -> None:
    found = shell("run")
    assert (found.code, found.out) == (2, "")
    assert "only1mcp config init" in found.err


def test_the_options_reach_the_listener(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    async def served(config: Config, port: int | None, greet: Any, *, source: Source) -> int:
        assert source.read().config.servers == config.servers
        given.append((config.server.host, config.server.port, port, greet is not None))
        return Exit.OK

    monkeypatch.setattr(run, "serve", served)
    empty = shell.file({"servers": []})
    assert shell("run", "-c", empty, "--host", "::1", "--port", "9000").code == 0
    assert shell("run", "-c", empty, "--port", "0").code == 0
    entry = {"id": "a", "transport": {"type": "http", "url": "http://127.0.0.1:1/"}}
    assert shell("run", "-c", shell.file({"servers": [entry]})).code == 0
    assert given == [
        ("::1", 9000, 9000, True),
        ("127.0.0.1", 8080, 0, True),
        ("127.0.0.1", 8080, None, False),
    ]


def test_faults_in_the_file_or_the_options_are_2(shell: Shell) -> None:
    assert shell("run", "-c", shell.file({"servre": 1})).code == 2
    found = shell("run", "-c", shell.file({"servers": []}), "--host", "not a host")
    assert found.code == 2
    assert "option server.host" in found.err


# --- parts ---


@pytest.mark.parametrize(
    ("host", "port", "found"),
    [
        (None, None, {}),
        ("::1", None, {"server.host": "::1"}),
        (None, 9000, {"server.port": 9000}),
        (None, 0, {}),
    ],
)
def test_what_the_options_override(host: str | None, port: int | None, found: Any) -> None:
    assert overrides(host, port) == found


def test_the_loop_is_the_fast_one() -> None:
    async def name() -> int:
        assert type(asyncio.get_running_loop()).__module__.startswith("uvloop")
        return 7

    assert in_loop(name()) == 7


async def test_the_first_to_end_ends_the_others() -> None:
    ended: list[str] = []

    async def wait(name: str, event: asyncio.Event) -> None:
        try:
            await event.wait()
        finally:
            ended.append(name)

    now, never = asyncio.Event(), asyncio.Event()
    now.set()
    async with asyncio.timeout(PATIENCE_S):
        await first(wait("now", now), wait("never", never))
    assert ended == ["now", "never"]


async def test_every_signal_counts() -> None:
    heard: list[int] = []
    on_signals(lambda: heard.append(1))
    kill(signal.SIGINT)
    await until(lambda: len(heard) == 1)
    kill(signal.SIGTERM)
    await until(lambda: len(heard) == 2)


async def test_off_a_terminal_it_logs(caplog: pytest.LogCaptureFixture) -> None:
    announce = Announcer(terminal=False)
    down = FakeUpstream("down")
    down.refuse = ServerUnavailable("down", "refused")
    with caplog.at_level(logging.INFO, "only1mcp.run"):
        announce.listening("http://x/mcp")
        empty = FakeUpstream("empty", offers())
        async with gateway_of(empty, down, notice=announce.server, settled=False) as found:
            announce.gateway = found
            await found.roster.settle(["empty", "down"], PATIENCE_S)
    levels = {record.getMessage().split()[0]: record.levelname for record in caplog.records}
    assert levels == {"only1mcp": "INFO", "ready": "INFO", "failed": "WARNING"}
    assert "ready empty nothing (2025-11-25)" in caplog.messages


async def test_a_restart_that_was_asked_for_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    announce = Announcer(terminal=False)
    caplog.set_level(logging.INFO, "only1mcp.run")
    async with gateway_of(library(), notice=announce.server) as found:
        found.roster.restart("lib")
        await until(lambda: "restart lib a restart was asked for" in caplog.messages)
    assert {record.levelname for record in caplog.records} == {"INFO"}
