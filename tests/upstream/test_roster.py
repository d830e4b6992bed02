"""Servers while the gateway runs: started at once, each in its own time, tried again, ended."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Raw

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream
from only1mcp.config.servers import Http, Server, Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.protocol.errors import (
    McpError,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.protocol.methods import NEWEST_LEGACY
from only1mcp.upstream import roster
from only1mcp.upstream.base import Upstream
from only1mcp.upstream.roster import Live, Roster, State, describe
from only1mcp.upstream.stdio import StdioServer
from only1mcp.upstream.streamable import StreamableHttp

DOWN = ServerUnavailable("one", "server 'one': refused", hint="is it running?")
DIED = ServerLost("one", "died")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are counted, not waited for."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)


def config(id: str = "one", **more: Any) -> Server:
    """A server entry."""
    return Server(**{"id": id, "transport": Stdio(command="none"), **more})


async def unheard(upstream: Upstream) -> None:
    """Nobody listens to greetings here."""


class Kept:
    """One server that is kept, each attempt with the next of these connections; the last stays."""

    def __init__(self, *attempts: FakeUpstream, **more: Any) -> None:
        self.attempts = [*attempts]
        self.seen: list[tuple[str, str]] = []
        self.pauses: list[float] = []
        self.protocols: list[str] = []
        self.joined: list[FakeUpstream] = []
        self.refuse: Exception | None = None  # what joining raises
        self.live = Live(config(**more), self._make, unheard)

    def _make(self, live: Live, era: str, who: str | None) -> FakeUpstream:
        self.protocols.append(era)
        return self.attempts.pop(0) if len(self.attempts) > 1 else self.attempts[0]

    async def join(self, live: Live) -> None:
        """What the gateway does with a server that has been greeted."""
        assert isinstance(live.upstream, FakeUpstream)
        assert live.state is State.STARTING
        self.joined.append(live.upstream)
        if self.refuse is not None:
            raise self.refuse

    def notice(self, live: Live) -> None:
        """Remember each change of state."""
        self.seen.append((str(live.state), live.reason))
        if live.state is State.WAITING:
            self.pauses.append(live._pause_s)

    async def reach(self, state: State, times: int = 1) -> None:
        """Wait until this state has been entered so often."""
        await until(lambda: [one for one, _ in self.seen].count(state) >= times)


Keep = Callable[..., Kept]


@pytest_asyncio.fixture
async def keep() -> AsyncIterator[Keep]:
    """Keeps a server until the end of the test."""
    tasks = Tasks()

    def start(*attempts: FakeUpstream, refuse: Exception | None = None, **more: Any) -> Kept:
        one = Kept(*attempts, **more)
        one.refuse = refuse
        tasks.start(one.live.keep(one.join, one.notice), "keep")
        return one

    yield start
    async with asyncio.timeout(PATIENCE_S):
        await tasks.close()


def refusing(fault: Exception = DOWN, **more: Any) -> FakeUpstream:
    """A connection that cannot be made."""
    fake = FakeUpstream("one", **more)
    fake.refuse = fault
    return fake


# --- one life ---


async def test_a_server_is_greeted_then_joined_then_ready(keep: Keep) -> None:
    fake = FakeUpstream("one")
    kept = keep(fake)
    assert kept.live.state is State.STARTING
    await kept.live.settled.wait()
    assert kept.seen == [("starting", ""), ("ready", "")]
    assert kept.live.ready() is fake
    assert kept.joined == [fake]
    assert kept.live.restarts == 0


async def test_a_lost_server_is_started_anew(keep: Keep) -> None:
    first, second = FakeUpstream("one"), FakeUpstream("one")
    kept = keep(first, second)
    await kept.reach(State.READY)
    first.lose("exit code 1")
    await kept.reach(State.READY, 2)
    assert kept.seen[2:] == [("waiting", "exit code 1"), ("starting", ""), ("ready", "")]
    assert kept.live.ready() is second
    assert kept.live.restarts == 1
    assert (first.closed, second.closed) == (1, 0)


async def test_a_server_that_cannot_be_reached_is_tried_until_it_can(keep: Keep) -> None:
    kept = keep(refusing(), refusing(), FakeUpstream("one"))
    await kept.reach(State.READY)
    assert [state for state, _ in kept.seen] == ["starting", "waiting"] * 2 + ["starting", "ready"]
    assert kept.seen[1][1] == "server 'one': refused; is it running?"
    assert kept.live.restarts == 2


async def test_a_server_whose_lists_cannot_be_had_is_not_ready(keep: Keep) -> None:
    fake = FakeUpstream("one")
    kept = keep(fake, refuse=ServerTimeout("one", "tools/list: silent"))
    await kept.reach(State.WAITING)
    assert kept.seen[1] == ("waiting", "tools/list: silent")
    assert kept.live.upstream is None
    assert fake.closed


async def test_what_we_do_wrong_ourselves_ends_no_server_for_good(
    keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    kept = keep(FakeUpstream("one"), refuse=ZeroDivisionError("ours"))
    await kept.reach(State.WAITING, 2)
    assert kept.seen[1] == ("waiting", "the gateway failed to handle it; its log says more")
    assert "ZeroDivisionError: ours" in caplog.text


# --- how long it waits ---


async def test_the_pause_doubles_up_to_the_longest(keep: Keep) -> None:
    kept = keep(refusing())
    await kept.reach(State.WAITING, 10)
    assert kept.pauses[:9] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


async def test_a_server_that_was_up_long_begins_with_the_first_pause(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "STEADY_S", -1)
    fake = FakeUpstream("one")
    kept = keep(refusing(), refusing(), refusing(), fake)
    await kept.reach(State.READY)
    fake.lose("gone")
    await kept.reach(State.WAITING, 4)
    assert kept.pauses == [0.5, 1, 2, 0.5]


async def test_a_server_that_was_up_shortly_does_not(keep: Keep) -> None:
    fake = FakeUpstream("one")
    kept = keep(refusing(), refusing(), fake)
    await kept.reach(State.READY)
    fake.lose("gone")
    await kept.reach(State.WAITING, 3)
    assert kept.pauses == [0.5, 1, 2]


async def test_a_start_that_takes_long_is_not_being_up(
    keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "STEADY_S", -1)
    kept = keep(refusing())
    await kept.reach(State.WAITING, 3)
    assert kept.pauses[:3] == [0.5, 1, 2]


async def test_the_pause_is_spread(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def spread(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.0

    monkeypatch.setattr(random, "uniform", spread)
    kept = keep(refusing())
    await kept.reach(State.WAITING, 2)
    assert asked[0] == (1 - roster.JITTER, 1 + roster.JITTER)


# --- which handshake ---


def probing(fault: McpError) -> FakeUpstream:
    """A server that fails while it is asked whether it is modern."""
    return refusing(fault, modern=True)


async def test_a_server_that_dies_of_the_modern_probe_gets_a_plain_handshake(keep: Keep) -> None:
    kept = keep(probing(DIED), FakeUpstream("one"))
    await kept.reach(State.READY)
    assert kept.protocols == ["auto", "legacy"]


async def test_what_helped_is_remembered(keep: Keep) -> None:
    fake = FakeUpstream("one")
    kept = keep(probing(DIED), fake)
    for times in (1, 2):
        await kept.reach(State.READY, times)
        fake.lose("gone")
    await kept.reach(State.READY, 3)
    assert kept.protocols == ["auto", "legacy", "legacy", "legacy"]


async def test_what_did_not_help_is_forgotten(keep: Keep) -> None:
    legacy = refusing(ServerProtocolError("one", "no"))
    legacy.revision = NEWEST_LEGACY
    kept = keep(probing(DIED), legacy, FakeUpstream("one", modern=True))
    await kept.reach(State.READY)
    assert kept.protocols == ["auto", "legacy", "auto"]


@pytest.mark.parametrize("fault", [DOWN, ServerTimeout("one", "silent")])
async def test_other_faults_of_the_probe_change_nothing(keep: Keep, fault: McpError) -> None:
    kept = keep(probing(fault), FakeUpstream("one"))
    await kept.reach(State.READY)
    assert kept.protocols == ["auto", "auto"]


async def test_a_modern_server_that_dies_later_stays_modern(keep: Keep) -> None:
    kept = keep(FakeUpstream("one", modern=True), refuse=DIED)  # in its first tools/list
    await kept.reach(State.WAITING, 2)
    assert kept.protocols[:2] == ["auto", "auto"]


@pytest.mark.parametrize("protocol", ["legacy", "modern"])
async def test_what_the_configuration_says_stands(keep: Keep, protocol: str) -> None:
    kept = keep(probing(DIED), FakeUpstream("one"), protocol=protocol)
    await kept.reach(State.READY)
    assert kept.protocols == [protocol] * 2


# --- what clients are told ---


async def test_what_is_said_of_a_server_that_is_starting() -> None:
    live = Live(config(), lambda live, era, who: FakeUpstream(), unheard)
    with pytest.raises(ServerUnavailable) as caught:
        live.ready()
    assert caught.value.message == "server 'one' is starting: not connected yet"
    assert caught.value.data["hint"] == "try again in a moment"


async def test_what_is_said_of_a_server_that_waits(keep: Keep) -> None:
    kept = keep(refusing())
    await kept.reach(State.WAITING)
    kept.live.state = State.WAITING
    fault = kept.live.unavailable()
    assert fault.message.startswith("server 'one' is waiting: ")
    assert fault.data["hint"].startswith("it is tried again within ")
    assert not fault.may_have_run


async def test_what_is_said_of_a_disabled_server() -> None:
    live = Live(config(enabled=False), lambda live, era, who: FakeUpstream(), unheard)
    assert live.settled.is_set()
    fault = live.unavailable()
    assert fault.message == "server 'one' is disabled: enabled: false in the configuration"
    assert fault.data["hint"] == "set enabled: true for server 'one'"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (DOWN, "server 'one': refused; is it running?"),
        (ServerLost("one", "it died"), "it died"),
        (McpError("text", {"hint": "not ours"}), "text"),
    ],
)
def test_a_fault_in_one_line(fault: McpError, said: str) -> None:
    assert describe(fault) == said


# --- all of them ---


def ignore(*_: object) -> None:
    """Nobody is told."""


async def joined(live: Live) -> None:
    """Nothing to list."""


def roster_of(*fakes: FakeUpstream, **more: Any) -> Roster:
    """A roster of fakes; `more` are settings by id."""
    twins = {one.server: one for one in fakes}

    def make(live: Live, era: str, who: str | None) -> FakeUpstream:
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
    notes: list[tuple[str, str | None, str]] = []
    servers = [
        config("pipe", protocol="legacy"),
        config("web", transport=Http(url="http://127.0.0.1:1/mcp")),
    ]

    def note(live: Live, method: str, params: Raw, who: str | None) -> None:
        notes.append((live.id, who, method))

    both = Roster(servers, lambda live: None, note)
    lives = zip(both.servers.values(), ("ann", None), strict=True)
    pipe, web = (live._make(live, live.protocol, who) for live, who in lives)
    assert isinstance(pipe, StdioServer)
    assert pipe.protocol == "legacy"
    assert isinstance(web, StreamableHttp)
    web._on_notification("notifications/x", Raw())
    pipe._mux._on_notification("notifications/y", Raw())
    assert notes == [("web", None, "notifications/x"), ("pipe", "ann", "notifications/y")]
    await web.close()
    await both.close()
