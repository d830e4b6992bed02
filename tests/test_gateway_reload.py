"""Another configuration for the whole gateway in one process: what acts, what is said, and when."""

import asyncio
import json
import logging
from pathlib import Path
from time import process_time
from typing import Any

import pytest

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, ask, gateway_of, library, offers, served, tool
from fakes.wire import web
from only1mcp import gateway as module
from only1mcp.cli.say import source_of
from only1mcp.config.diff import Diff
from only1mcp.config.faults import ConfigError
from only1mcp.config.load import load
from only1mcp.config.model import Config, Listener
from only1mcp.config.servers import Server, Stdio
from only1mcp.gateway import Gateway
from only1mcp.observe import logs
from only1mcp.protocol.errors import InvalidParams
from only1mcp.relay import fanout
from only1mcp.upstream.replica import Replica
from only1mcp.upstream.roster import Live

ONE = "one__find"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are fetched and announced in the next turn of the loop."""
    monkeypatch.setattr(module, "ANNOUNCE_S", 0)
    monkeypatch.setattr(fanout, "CALM_S", 0)


def entry(id: str, command: str = "never-started", **more: Any) -> Server:
    """A server; another command is another connection."""
    return Server(**{"id": id, "transport": Stdio(command=command), **more})


def become(gateway: Gateway, *servers: Server, new: tuple[FakeUpstream, ...] = ()) -> Diff:
    """Put these servers in force; `new` are the connections that are made for them."""
    twins = {one.server: one for one in new}

    def make(live: Live, replica: Replica, era: str) -> FakeUpstream:
        return twins[live.id]

    gateway.roster._connection = make  # type: ignore[method-assign]
    return gateway._apply(gateway.config.model_copy(update={"servers": servers}))


def heard_by(gateway: Gateway) -> list[str]:
    """What a client hears from now on."""
    heard: list[str] = []
    session = gateway._sessions.open("2025-11-25", {}, "ann", None)
    session.outlet = lambda body: heard.append(json.loads(body)["method"])
    return heard


async def settled(gateway: Gateway) -> None:
    """Wait until all has been said."""
    await until(lambda: gateway._announcing is None and gateway._together is None)


async def test_clients_are_told_once_of_all_that_a_reload_brings() -> None:
    slow, moved = library("slow"), library("one", {"tools/list": {"tools": []}})
    slow.hold, moved.hold = asyncio.Event(), asyncio.Event()
    async with gateway_of(library("one"), library("gone")) as gateway:
        await settled(gateway)
        heard = heard_by(gateway)
        found = become(gateway, entry("one", "other"), entry("slow"), new=(slow, moved))
        assert (found.changed, found.added, found.removed) == (("one",), ("slow",), ("gone",))
        moved.hold.set()
        await until(lambda: gateway.roster.servers["one"].upstream is moved)
        assert heard == [], "the other one still starts"
        slow.hold.set()
        await settled(gateway)
    assert heard == [f"notifications/{kind}/list_changed" for kind in ("tools", "prompts")] + [
        "notifications/resources/list_changed"
    ]


async def test_a_server_that_takes_long_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOGETHER_S", 0.01)
    slow = library("slow")
    slow.hold = asyncio.Event()
    async with gateway_of(library("one"), library("gone")) as gateway:
        await settled(gateway)
        heard = heard_by(gateway)
        become(gateway, entry("one"), entry("slow"), new=(slow,))
        await until(lambda: len(heard) == 3)
        slow.hold.set()
        await until(lambda: len(heard) == 6)


async def test_the_lists_of_the_former_one_serve_until_the_other_one_is_ready() -> None:
    moved = library("one", {"tools/list": {"tools": []}})
    moved.hold = asyncio.Event()
    async with gateway_of(library("one")) as gateway:
        become(gateway, entry("one", "other", tools={"deny": ["x"]}), new=(moved,))
        await until(lambda: moved.connects == 1)
        assert await ask(gateway, "tools/call", {"name": ONE})
        moved.hold.set()
        await until(lambda: gateway.roster.servers["one"].upstream is moved)
        await settled(gateway)
        with pytest.raises(InvalidParams, match="unknown tool"):
            await ask(gateway, "tools/call", {"name": ONE})


async def test_other_names_act_at_once() -> None:
    async with gateway_of(library("one")) as gateway:
        naming = gateway.config.naming.model_copy(update={"mode": "bare"})
        changes = gateway._apply(gateway.config.model_copy(update={"naming": naming}))
        assert changes.settings == ("naming",)
        assert await ask(gateway, "tools/call", {"name": "find"})


async def test_limits_and_level_act_at_once() -> None:
    level = logging.getLogger(logs.ROOT).level
    limits = {"max_in_flight": 7, "per_caller": 3}
    wanted = Config.model_validate({"server": {"limits": limits}, "logging": {"level": "error"}})
    async with gateway_of() as gateway:
        changes = gateway._apply(wanted)
        assert (gateway._gate.most, gateway._gate.per_caller) == (7, 3)
        assert logging.getLogger(logs.ROOT).level == logging.ERROR
    logs.set_level(logging.getLevelName(level).lower())
    assert changes.settings == ("server.limits", "logging.level")


async def test_a_secret_that_a_reload_brings_is_hidden() -> None:
    async with gateway_of(library("one"), library("two")) as gateway:
        before = gateway.config.servers
        process = Stdio.model_validate({"command": "x", "env": {"TOKEN": "brand-new-1"}})
        changed = entry("one", transport=process)
        become(gateway, changed, before[1], new=(library("one"),))
        assert "brand-new-1" not in logs.mask("it is brand-new-1")


async def test_what_cannot_be_used_changes_nothing() -> None:
    """A gateway that others can reach, and nobody has said who they are."""
    open_to_all = Listener.model_construct(**{**dict(Listener()), "host": "0.0.0.0"})
    async with served(library("one")) as (gateway, url):
        assert gateway.edge is not None
        before = gateway.config
        with pytest.raises(ValueError, match=r"set server\.auth\.tokens"):
            gateway.edge.prepare(open_to_all)
        tls = {"cert": "/none.pem", "key": "/none.pem"}
        gateway.config = before.model_copy(
            update={"server": Listener.model_validate({"tls": tls, "port": gateway.edge.port})}
        )
        wanted = Config.model_validate({"server": {"tls": tls, "max_connections": 20}})
        with pytest.raises(ConfigError, match=r"none\.pem"):
            gateway._apply(wanted)
        gateway.config = before
        assert [*gateway.roster.servers] == ["one"]
        async with web(url) as wire:
            assert (await wire.modern("tools/list")).status_code == 200


@pytest.mark.parametrize("format", ["json", "yaml"])
async def test_what_it_costs_to_change_one_server_of_a_hundred(format: str, tmp_path: Path) -> None:
    """The aim is 50 ms of CPU, from the reading of the file to the lists of the new connection."""
    file = tmp_path / f"config.{format}"
    tools = [tool(f"tool_{number}", description="what it does " * 15) for number in range(20)]

    def write(changed: int) -> None:
        entries = [
            {"id": f"s{n}", "transport": {"type": "stdio", "command": "/bin/cat", "args": [str(c)]}}
            for n, c in enumerate((changed, *range(1, 100)))
        ]
        lines = "".join(f"- {json.dumps(one)}\n" for one in entries)
        text = f"hot_reload: {{enabled: false}}\nservers:\n{lines}"
        whole = {"hot_reload": {"enabled": False}, "servers": entries}
        file.write_text(text if format == "yaml" else json.dumps(whole))

    def make(live: Live, replica: Replica, era: str) -> FakeUpstream:
        return FakeUpstream(live.id, offers(tools=tools))

    write(0)
    gateway = Gateway(load(file, {}).config, source=source_of(file, {}))
    gateway.roster._connection = make  # type: ignore[method-assign]
    for live in gateway.roster.servers.values():
        live._make = make
    gateway.start()
    await gateway.roster.settle([*gateway.roster.servers], PATIENCE_S)
    costs = []
    for number in range(1, 6):
        await settled(gateway)
        gateway.snapshot()
        write(number * 1000)
        before, began = gateway.roster.servers["s0"], process_time()
        assert (await gateway.reload()).changes.changed == ("s0",)
        await until(lambda before=before: gateway.roster.servers["s0"] is not before)  # type: ignore[misc]
        await settled(gateway)
        gateway.snapshot()
        costs.append((process_time() - began) * 1000)
    await gateway.close()
    print(f"{format}: {min(costs):.0f} to {max(costs):.0f} ms of CPU")
    assert min(costs) < 500
