"""The whole gateway in one process: who is told what, how it drains, that nothing is left."""

import asyncio
import gc
import json
from typing import Any

import httpx2
import pytest
from msgspec import Raw
from pydantic import SecretStr

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Gate, gateway_of, library, no_pause, offers, served, text
from fakes.wire import last, message, web
from only1mcp import gateway as module
from only1mcp.config.model import Auth, Config, Listener
from only1mcp.gateway import Gateway, ListenError, Live, State
from only1mcp.protocol.errors import McpError, ServerTimeout
from only1mcp.relay import fanout
from only1mcp.relay.request import Request
from only1mcp.server.exchange import Exchange
from only1mcp.server.session import Session
from only1mcp.server.streamable import Streamable

TOOLS = "notifications/tools/list_changed"
PROMPTS = "notifications/prompts/list_changed"
RESOURCES = "notifications/resources/list_changed"
CALL = {"name": "lib__find"}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are fetched and announced in the next turn of the loop."""
    monkeypatch.setattr(module, "ANNOUNCE_S", 0)
    monkeypatch.setattr(fanout, "CALM_S", 0)


class Ear:
    """A handshake client that listens."""

    def __init__(
        self,
        gateway: Gateway,
        mount: str | None = None,
        *,
        principal: str = "ann",
        level: str | None = None,
    ) -> None:
        self.heard: list[Any] = []
        self.session: Session = gateway._sessions.open("2025-11-25", {}, principal, mount)
        self.session.outlet = lambda body: self.heard.append(json.loads(body))
        if level is not None:
            self.session.set_log_level({"level": Raw(json.dumps(level).encode())})

    @property
    def methods(self) -> list[str]:
        """The methods of what was heard."""
        return [one["method"] for one in self.heard]


async def change(gateway: Gateway, fake: FakeUpstream, method: str = TOOLS, **lists: Any) -> None:
    """The server has other lists from now on, and says so; waits until that is announced."""
    if lists:
        fake.answers |= offers(**lists)
    asked = len(fake.calls)
    gateway._from_server(gateway.roster.servers[fake.server], method, Raw())
    await until(lambda: len(fake.calls) > asked and not gateway._listings._fetching)
    await until(lambda: gateway._announcing is None)


# --- list_changed ---


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("said", "lists", "announced"),
    [
        (TOOLS, {"tools": ["new"]}, [TOOLS]),
        (PROMPTS, {"prompts": ["new"]}, [PROMPTS]),
        (RESOURCES, {"resources": ["a://new"]}, [RESOURCES]),
        (RESOURCES, {"templates": ["a://{new}"]}, [RESOURCES]),
        (TOOLS, {"tools": ["new"], "prompts": ["new"]}, [TOOLS, PROMPTS]),
        (RESOURCES, {"tools": ["new"]}, [TOOLS]),  # what changed counts, not what was said
        (TOOLS, {}, []),
    ],
)
async def test_what_has_changed_is_announced_once(
    said: str, lists: dict[str, Any], announced: list[str]
) -> None:
    fake = FakeUpstream("one", offers(), capabilities={"tools": {}, "prompts": {}, "resources": {}})
    async with gateway_of(fake) as gateway:
        ear = Ear(gateway)
        await until(lambda: gateway._announcing is None)
        ear.heard.clear()
        await change(gateway, fake, said, **lists)
        await change(gateway, fake, said)
    assert sorted(ear.methods) == sorted(announced)
    assert all("params" not in one for one in ear.heard)


@pytest.mark.usefixtures("at_once")
async def test_only_those_whose_view_has_changed_are_told() -> None:
    one, two = FakeUpstream("one", offers(tools=["a"])), FakeUpstream("two", offers(tools=["a"]))
    async with gateway_of(one, two) as gateway:
        await until(lambda: gateway._announcing is None)
        everything, first, second = Ear(gateway), Ear(gateway, "one"), Ear(gateway, "two")
        deaf = Ear(gateway)
        deaf.session.outlet = None
        await change(gateway, two, tools=["b"])
    assert (everything.methods, first.methods, second.methods) == ([TOOLS], [], [TOOLS])
    assert deaf.heard == []


async def test_changes_of_several_servers_make_one_announcement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ANNOUNCE_S", 0.05)
    fakes = [FakeUpstream(id, offers(tools=["a"])) for id in ("one", "two", "three")]
    async with gateway_of(*fakes, settled=False) as gateway:
        ear = Ear(gateway)
        await until(lambda: ear.heard != [])
        assert gateway.snapshot().catalog.all.count("tools") == 3
        assert ear.methods == [TOOLS]


async def test_one_announcement_is_due_at_a_time() -> None:
    async with gateway_of() as gateway:
        gateway._lists_changed()
        due = gateway._announcing
        gateway._lists_changed()
        assert gateway._announcing is due is not None


@pytest.mark.usefixtures("at_once")
async def test_a_server_that_comes_back_unchanged_is_not_announced() -> None:
    fake = FakeUpstream("one", offers(tools=["a"]))
    states: list[str] = []
    async with gateway_of(fake, notice=lambda live: states.append(live.state)) as gateway:
        await until(lambda: gateway._announcing is None)
        ear = Ear(gateway)
        no_pause(gateway.roster.servers["one"])
        fake.lose("gone")
        await until(lambda: states[-1] == State.READY and len(states) > 2)
        for _ in range(5):
            await asyncio.sleep(0)
    assert ear.heard == []
    assert states == ["starting", "ready", "waiting", "starting", "ready"]


# --- log messages that belong to no call ---


def log(gateway: Gateway, params: Any, id: str = "one") -> None:
    """A server says something."""
    raw = Raw(json.dumps(params).encode())
    gateway._from_server(gateway.roster.servers[id], "notifications/message", raw)


async def test_log_messages_go_to_those_who_asked_for_that_level() -> None:
    async with gateway_of(FakeUpstream("one"), FakeUpstream("two")) as gateway:
        silent, debug, error = (
            Ear(gateway),
            Ear(gateway, level="debug"),
            Ear(gateway, level="error"),
        )
        mounted, other = Ear(gateway, "one", level="debug"), Ear(gateway, "two", level="debug")
        log(gateway, {"level": "info", "data": "x"})
        log(gateway, {"level": "critical", "data": "y"})
    assert [one["params"]["data"] for one in debug.heard] == ["x", "y"]
    assert [one["params"]["data"] for one in error.heard] == ["y"]
    assert mounted.heard == debug.heard
    assert silent.heard == other.heard == []


async def test_with_several_principals_nobody_hears_what_may_be_the_others() -> None:
    two = Listener(auth=Auth(tokens=(SecretStr("a" * 20), SecretStr("b" * 20))))
    async with gateway_of(FakeUpstream("one"), FakeUpstream("two"), server=two) as gateway:
        ann, bob = Ear(gateway, level="debug"), Ear(gateway, "one", principal="bob", level="debug")
        log(gateway, {"level": "info"})
        log(gateway, {"level": "info"}, "two")  # bob is not there, but may have called
        assert ann.heard == bob.heard == []


@pytest.mark.parametrize("params", [[1], "text", 7])
async def test_a_log_message_of_no_form_is_nobodys(params: Any) -> None:
    async with gateway_of(FakeUpstream("one")) as gateway:
        ear = Ear(gateway, level="debug")
        log(gateway, params)
        gateway._from_server(gateway.roster.servers["one"], "notifications/zzz", Raw(b"{}"))
    assert ear.heard == []


async def test_a_server_that_comes_back_is_told_the_level_again() -> None:
    fake = FakeUpstream("one", {"logging/setLevel": {}}, capabilities={"logging": {}})
    async with gateway_of(fake) as gateway:
        Ear(gateway, level="warning")
        Ear(gateway, level="info")
        Ear(gateway)
        no_pause(gateway.roster.servers["one"])
        fake.lose("gone")
        await until(lambda: fake.asked("logging/setLevel") != [])
    assert fake.asked("logging/setLevel") == [{"level": "info"}]


# --- the listener ---


async def test_the_port_is_that_of_the_configuration_unless_another_is_wanted() -> None:
    async with gateway_of() as first:
        edge = await first.listen(0)
        async with gateway_of(server={"port": edge.port}) as second:
            with pytest.raises(ListenError, match=str(edge.port)):
                await second.listen()
            assert (await second.listen(0)).port not in (0, edge.port)


async def test_the_sweep_looks_after_silent_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    monkeypatch.setattr(module, "SWEEP_S", 0)
    monkeypatch.setattr(Streamable, "sweep", lambda self, now: looks.append(now))
    async with gateway_of():
        await until(lambda: len(looks) > 2)
    assert looks == sorted(looks)
    assert looks[-1] == pytest.approx(asyncio.get_running_loop().time(), abs=PATIENCE_S)


@pytest.mark.usefixtures("at_once")
async def test_a_client_on_pipes_is_a_client_as_any_other() -> None:
    fake = FakeUpstream(
        "one",
        offers(tools=["a"]) | {"logging/setLevel": {}},
        capabilities={"tools": {}, "logging": {}},
    )
    lines, written = asyncio.StreamReader(), [b""]
    handshake = {"protocolVersion": "2025-11-25", "capabilities": {}}
    for said in (
        message("initialize", handshake, id=0),
        message("logging/setLevel", {"level": "info"}, id=1),
    ):
        lines.feed_data(json.dumps(said).encode() + b"\n")
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        await until(lambda: gateway._announcing is None)
        group.create_task(gateway.serve_stdio(lines, written.append))
        await until(lambda: fake.asked("logging/setLevel") == [{"level": "info"}])
        log(gateway, {"level": "error", "data": "x"})
        await change(gateway, fake, tools=["b"])
        lines.feed_eof()
    heard = [json.loads(line).get("method") for line in written if line]
    assert sorted(filter(None, heard)) == ["notifications/message", TOOLS]


# --- the end ---


async def test_draining_takes_no_new_clients_and_waits_for_the_calls_under_way() -> None:
    gate = Gate(text("done"))
    async with (
        served(library(answers={"tools/call": gate})) as (gateway, url),
        web(url) as wire,
        web(url) as late,
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(wire.modern("tools/call", CALL))
        await gate.entered.wait()
        drain = group.create_task(gateway.drain())
        await asyncio.sleep(0)
        with pytest.raises(httpx2.ConnectError):
            await late.modern("tools/list")
        assert not drain.done()
        gate.open()
        await drain
    assert last(asking.result())["result"]["content"] == text("done")["content"]


async def test_draining_waits_no_longer_than_configured() -> None:
    gate = Gate(text("done"))
    lib = library(answers={"tools/call": gate})
    async with (
        served(lib, server={"drain_timeout": 0.05}) as (gateway, url),
        web(url) as wire,
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(wire.modern("tools/call", CALL))
        await gate.entered.wait()
        async with asyncio.timeout(PATIENCE_S):
            await gateway.drain()
        assert not asking.done()
        gate.open()


async def test_without_a_listener_there_is_nothing_to_drain() -> None:
    async with gateway_of() as gateway, asyncio.timeout(PATIENCE_S):
        await gateway.drain()


async def test_while_it_drains_it_is_not_ready() -> None:
    async with served() as (gateway, url):
        root = url.removesuffix("/mcp")
        async with web(root) as wire:
            assert (await wire.http.get(f"{root}/readyz")).text == "ok"
            gateway._draining = True
            assert (await wire.http.get(f"{root}/readyz")).status_code == 503
            assert (await wire.http.get(f"{root}/health")).json()["status"] == "draining"
            assert (await wire.http.get(f"{root}/livez")).status_code == 200


async def test_closing_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANNOUNCE_S", 3600)
    monkeypatch.setattr(fanout, "CALM_S", 0)
    before = asyncio.all_tasks()
    gate, listing = Gate({}), Gate({})
    up, starting, down = library(answers={"tools/call": gate}), FakeUpstream("a"), FakeUpstream("b")
    starting.hold = asyncio.Event()
    down.refuse = McpError("down")
    async with served(up, starting, down, settled=False) as (gateway, url), web(url) as wire:
        await gateway.roster.settle(["lib"], PATIENCE_S)
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(wire.modern("tools/call", CALL))
            await gate.entered.wait()
            up.answers["tools/list"] = listing
            gateway._listings.changed(gateway.roster.servers["lib"])
            await listing.entered.wait()
            gateway._lists_changed()
            async with asyncio.timeout(PATIENCE_S):
                await gateway.close()
        assert gateway._announcing is not None
        assert gateway._announcing.cancelled()
    assert last(asking.result())["error"]["code"] == -31006
    assert up.closed == starting.closed == 1
    assert asyncio.all_tasks() == before


async def test_notices_are_optional_and_come_with_every_change() -> None:
    seen: list[tuple[str, str]] = []

    def notice(live: Live) -> None:
        seen.append((live.id, str(live.state)))

    async with gateway_of(FakeUpstream("one"), FakeUpstream("two"), notice=notice):
        pass
    assert sorted(seen) == [
        ("one", "ready"), ("one", "starting"), ("two", "ready"), ("two", "starting"),
    ]  # fmt: skip
    async with gateway_of(FakeUpstream("one")) as silent:
        assert silent.roster.servers["one"].state == "ready"


async def test_a_gateway_of_nothing_is_a_gateway() -> None:
    gateway = Gateway(Config())
    gateway.start()
    edge = await gateway.listen(0)
    async with web(f"{edge.url}/mcp") as wire:
        session = await wire.open()
        assert (await session.post(message("tools/list", id=1))).json()["result"] == {"tools": []}
    await gateway.close()
    await gateway.close()  # twice is once


@pytest.mark.parametrize("answers", [{}, {"tools/call": lambda _: ServerTimeout("lib", "hung")}])
async def test_a_request_leaves_nothing_to_the_garbage_collector(answers: dict[str, Any]) -> None:
    """It would stop everybody, the more often the more it is left."""
    lib = library(answers=answers)
    async with served(lib) as (_, url), web(url) as wire:
        session = await wire.open("2025-11-25")
        await session.ask("tools/call", CALL)  # what is made once is made
        gc.collect()
        try:
            gc.set_debug(gc.DEBUG_SAVEALL)
            for _ in range(3):
                await session.ask("tools/call", CALL)
            lib.sent.clear()  # who keeps a call keeps its client
            gc.collect()
            left = [one for one in gc.garbage if isinstance(one, Exchange | Request | McpError)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert left == []
