"""One replica: greeted, joined, ready; lost and started anew; given up, put to rest, restarted."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from fakes.edge import begin, until
from fakes.upstream import FakeUpstream, Gate
from only1mcp.config.servers import Http, Server, Stdio
from only1mcp.policy import restart
from only1mcp.protocol.errors import (
    McpError,
    ServerLost,
    ServerProtocolError,
    ServerTimeout,
    ServerUnavailable,
)
from only1mcp.protocol.methods import NEWEST_LEGACY
from only1mcp.upstream.base import Call, Upstream
from only1mcp.upstream.launch import NotStartable
from only1mcp.upstream.live import Live
from only1mcp.upstream.replica import Replica, State, describe

DOWN = ServerUnavailable("one", "server 'one': refused", hint="is it running?")
DIED = ServerLost("one", "died")
URL = Http(url="http://127.0.0.1:1/mcp")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, but for what was given up."""
    monkeypatch.setattr(restart, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(random, "random", lambda: 0.5)


async def unheard(upstream: Upstream) -> None:
    """Nobody listens to greetings here."""


class Kept:
    """One replica that is kept, each attempt with the next of these connections; the last stays."""

    def __init__(self, *attempts: FakeUpstream, **more: Any) -> None:
        self.attempts = [*attempts]
        self.seen: list[tuple[str, str]] = []
        self.protocols: list[str] = []
        self.joined: list[FakeUpstream] = []
        self.refuse: Exception | None = None  # what joining raises
        self.hold: asyncio.Event | None = None  # joining waits for it
        entry = {"id": "one", "transport": URL, **more}
        self.live = Live(Server(**entry), self._make, unheard)
        (self.one,) = self.live.replicas

    def _make(self, live: Live, replica: Replica, era: str) -> FakeUpstream:
        self.protocols.append(era)
        return self.attempts.pop(0) if len(self.attempts) > 1 else self.attempts[0]

    async def join(self, live: Live) -> None:
        """What the gateway does with a server that has been greeted."""
        assert isinstance(live.upstream, FakeUpstream)
        assert live.state is State.STARTING
        self.joined.append(live.upstream)
        if self.hold is not None:
            await self.hold.wait()
        if self.refuse is not None:
            raise self.refuse

    def notice(self, live: Live) -> None:
        """Remember each change of state."""
        self.seen.append((str(live.state), live.reason))

    async def reach(self, state: State, times: int = 1) -> None:
        """Wait until this state has been entered so often."""
        await until(lambda: [one for one, _ in self.seen].count(state) >= times)


Keep = Callable[..., Kept]


@pytest_asyncio.fixture
async def keep() -> AsyncIterator[Keep]:
    """Keeps a replica until the end of the test."""
    started: list[Kept] = []

    def start(*attempts: FakeUpstream, refuse: Exception | None = None, **more: Any) -> Kept:
        one = Kept(*attempts, **more)
        one.refuse = refuse
        one.live.start(one.join, one.notice, lambda live: False)
        started.append(one)
        return one

    yield start
    for one in started:
        await one.live.close("the test is over")


def refusing(fault: Exception = DOWN, **more: Any) -> FakeUpstream:
    """A connection that cannot be made."""
    fake = FakeUpstream("one", **more)
    fake.refuse = fault
    return fake


# --- one life ---


async def test_it_is_greeted_then_joined_then_ready(keep: Keep) -> None:
    fake = FakeUpstream("one")
    kept = keep(fake)
    assert kept.one.state is State.STARTING
    await kept.live.settled.wait()
    assert kept.seen == [("starting", ""), ("ready", "")]
    assert kept.one.upstream is fake
    assert kept.joined == [fake]
    assert kept.one.restarts == 0


async def test_when_lost_it_is_connected_anew(keep: Keep) -> None:
    first, second = FakeUpstream("one"), FakeUpstream("one")
    kept = keep(first, second)
    await kept.reach(State.READY)
    first.lose("exit code 1")
    await kept.reach(State.READY, 2)
    assert kept.seen[2:] == [("waiting", "exit code 1"), ("starting", ""), ("ready", "")]
    assert kept.one.upstream is second
    assert kept.one.restarts == 1
    assert (first.closed, second.closed) == (1, 0)


async def test_what_cannot_be_reached_is_tried_until_it_can(keep: Keep) -> None:
    kept = keep(refusing(), refusing(), FakeUpstream("one"))
    await kept.reach(State.READY)
    assert [state for state, _ in kept.seen] == ["starting", "waiting"] * 2 + ["starting", "ready"]
    assert kept.seen[1][1] == "server 'one': refused; is it running?"
    assert kept.one.restarts == 2


async def test_one_whose_lists_cannot_be_had_is_not_ready(keep: Keep) -> None:
    fake = FakeUpstream("one")
    kept = keep(fake, refuse=ServerTimeout("one", "tools/list: silent"))
    await kept.reach(State.WAITING)
    assert kept.seen[1] == ("waiting", "tools/list: silent")
    assert kept.seen[0] == ("starting", "")
    assert fake.closed


async def test_what_we_do_wrong_ourselves_ends_it_not_for_good(
    keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    kept = keep(FakeUpstream("one"), refuse=ZeroDivisionError("ours"))
    await kept.reach(State.WAITING, 2)
    assert kept.seen[1] == ("waiting", "the gateway failed to handle it; its log says more")
    assert "ZeroDivisionError: ours" in caplog.text


# --- given up ---


async def test_a_program_that_crashes_in_a_loop_is_given_up(keep: Keep) -> None:
    kept = keep(refusing(DIED), transport=Stdio(command="none"))
    await kept.reach(State.FAILED)
    states = [state for state, _ in kept.seen]
    assert states == ["starting", "waiting"] * 4 + ["starting", "failed"]
    assert kept.seen[-1][1] == "it ended 5 times within 0 s: died"
    assert kept.one.tries_at - kept.one.clock() == pytest.approx(300, abs=5)


async def test_what_was_given_up_is_started_by_hand(keep: Keep) -> None:
    kept = keep(*[refusing(DIED)] * 5, FakeUpstream("one"), transport=Stdio(command="none"))
    await kept.reach(State.FAILED)
    kept.live.restart()
    await kept.reach(State.READY)
    assert kept.seen[-2:] == [("starting", ""), ("ready", "")]


async def test_a_command_that_cannot_be_run_is_not_tried_again(keep: Keep) -> None:
    fault = NotStartable("one", "server 'one' cannot start 'x'", hint="install it")
    kept = keep(refusing(fault), transport=Stdio(command="none"))
    await kept.reach(State.FAILED)
    assert kept.seen == [
        ("starting", ""),
        ("failed", "server 'one' cannot start 'x'; install it"),
    ]


async def test_a_ready_one_is_restarted_by_hand(keep: Keep) -> None:
    first, second = FakeUpstream("one"), FakeUpstream("one")
    kept = keep(first, second)
    await kept.reach(State.READY)
    kept.live.restart()
    await kept.reach(State.READY, 2)
    assert kept.seen[2] == ("waiting", "a restart was asked for")
    assert (first.closed, kept.one.upstream) == (1, second)


async def test_calls_that_a_restart_ends_are_not_held_against_it(keep: Keep) -> None:
    cut = Gate(ServerLost("one", "cut"))
    first, second = FakeUpstream("one", {"tools/call": cut}), FakeUpstream("one")
    second.hold = asyncio.Event()
    kept = keep(first, second)
    await kept.reach(State.READY)
    assert kept.one.calls is not None
    calls = [begin(kept.one.calls.call(Call("tools/call"))) for _ in range(5)]
    await cut.entered.wait()
    kept.live.restart()
    await until(lambda: first.closed == 1)
    cut.open()
    await asyncio.wait(calls)
    assert [type(one.exception()) for one in calls] == [ServerLost] * 5
    assert kept.one.open_since is None
    second.hold.set()
    await kept.reach(State.READY, 2)


@pytest.mark.parametrize("where", ["connect", "join"])
async def test_one_that_hangs_in_its_start_is_restarted_by_hand(keep: Keep, where: str) -> None:
    hangs, second = FakeUpstream("one"), FakeUpstream("one")
    kept = keep(hangs, second)
    held = asyncio.Event()
    if where == "connect":
        hangs.hold = held
    else:
        kept.hold = held
    await until(lambda: hangs.connects == 1 if where == "connect" else kept.joined == [hangs])
    kept.live.restart()
    kept.hold = None
    await kept.reach(State.READY)
    assert kept.seen[1] == ("waiting", "a restart was asked for")
    assert (hangs.closed > 0, kept.one.upstream) == (True, second)


# --- which handshake ---


def probing(fault: McpError) -> FakeUpstream:
    """A server that fails while it is asked whether it is modern."""
    return refusing(fault, modern=True)


async def test_one_that_dies_of_the_modern_probe_gets_a_plain_handshake(keep: Keep) -> None:
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


async def test_a_modern_one_that_dies_later_stays_modern(keep: Keep) -> None:
    kept = keep(FakeUpstream("one", modern=True), refuse=DIED)  # in its first tools/list
    await kept.reach(State.WAITING, 2)
    assert kept.protocols[:2] == ["auto", "auto"]


@pytest.mark.parametrize("protocol", ["legacy", "modern"])
async def test_what_the_configuration_says_stands(keep: Keep, protocol: str) -> None:
    kept = keep(probing(DIED), FakeUpstream("one"), protocol=protocol)
    await kept.reach(State.READY)
    assert kept.protocols == [protocol] * 2


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
