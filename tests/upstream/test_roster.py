"""Servers while the gateway runs: started at once, each in its own time, ended."""

import asyncio
from typing import Any

import pytest
from msgspec import Raw

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream
from only1mcp.config.servers import Http, Server, Stdio
from only1mcp.protocol.errors import ServerUnavailable
from only1mcp.upstream.replica import Replica
from only1mcp.upstream.roster import Live, Roster, State
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.streamable import StreamableHttp

DOWN = ServerUnavailable("one", "server 'one': refused", hint="is it running?")


def config(id: str = "one", **more: Any) -> Server:
    """A server entry."""
    return Server(**{"id": id, "transport": Stdio(command="none"), **more})


def ignore(*_: object) -> None:
    """Nobody is told."""


async def joined(live: Live) -> None:
    """Nothing to list."""


def roster_of(*fakes: FakeUpstream, **more: Any) -> Roster:
    """A roster of fakes; `more` are settings by id."""
    twins = {one.server: one for one in fakes}

    def make(live: Live, replica: Replica, era: str) -> FakeUpstream:
        return twins[live.id]

    found = Roster([config(id, **more.get(id, {})) for id in twins], ignore, ignore)
    for live in found.servers.values():
        live._make = make
    return found


async def test_a_slow_server_delays_only_itself() -> None:
    fast, slow, off = (FakeUpstream(id) for id in ("fast", "slow", "off"))
    slow.hold = asyncio.Event()
    all_of_them = roster_of(fast, slow, off, off={"enabled": False})
    all_of_them.start(joined)
    await all_of_them.settle(["fast", "off"], PATIENCE_S)
    states = {id: str(live.state) for id, live in all_of_them.servers.items()}
    assert states == {"fast": "ready", "slow": "starting", "off": "disabled"}
    assert off.connects == 0
    await all_of_them.settle(["fast", "slow"], 0.01)  # no longer than that
    await all_of_them.settle(["slow"], -1)
    slow.hold.set()
    await all_of_them.settle(["slow"], PATIENCE_S)
    assert all_of_them.servers["slow"].state == "ready"
    await all_of_them.close()


async def test_closing_ends_every_server_in_whatever_state() -> None:
    up, starting, down = (FakeUpstream(id) for id in ("up", "starting", "down"))
    starting.hold = asyncio.Event()
    down.refuse = DOWN
    all_of_them = roster_of(up, starting, down)
    all_of_them.start(joined)
    await all_of_them.settle(["up", "down"], PATIENCE_S)
    await until(lambda: starting.connects == 1)
    async with asyncio.timeout(PATIENCE_S):
        await all_of_them.close()
    assert [one.closed for one in (up, starting)] == [1, 1]
    assert down.closed >= 1
    for live in all_of_them.servers.values():
        assert (live.state, live.upstream) == (State.STOPPED, None)
        with pytest.raises(ServerUnavailable, match="the gateway is stopping"):
            live.ready()
    connects = [one.connects for one in (up, starting, down)]
    await asyncio.sleep(0)
    assert [one.connects for one in (up, starting, down)] == connects


async def test_each_transport_has_its_connection_and_its_notifications_are_named() -> None:
    notes: list[tuple[str, str, str, str | None]] = []
    servers = [
        config("pipe", protocol="legacy"),
        config("web", transport=Http(url="http://127.0.0.1:1/mcp")),
    ]

    def note(live: Live, method: str, params: Raw, place: str = "", who: str | None = None) -> None:
        notes.append((live.id, method, place, who))

    both = Roster(servers, lambda live: None, note)
    pipe, web = (
        live.connection(live.replicas[0], live.config.protocol) for live in both.servers.values()
    )
    assert isinstance(pipe, StdioServer)
    assert pipe.protocol == "legacy"
    assert isinstance(web, StreamableHttp)
    pipe.who = "ann"
    web._on_notification("notifications/x", Raw())
    pipe._mux._on_notification("notifications/y", Raw())
    assert notes == [
        ("web", "notifications/x", "web", None),
        ("pipe", "notifications/y", "pipe", "ann"),
    ]
    await web.close()
    await both.close()
