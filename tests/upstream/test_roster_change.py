"""Another configuration while servers run: who stays, who is replaced when, who ends after what."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Gate
from only1mcp.config.servers import Server, Stdio
from only1mcp.observe.tasks import Tasks
from only1mcp.policy.breaker import State as BreakerState
from only1mcp.protocol.errors import ServerLost, ServerUnavailable
from only1mcp.upstream import roster as module
from only1mcp.upstream.base import Call
from only1mcp.upstream.replica import Replica
from only1mcp.upstream.roster import Live, Roster, State

CALL = Call("tools/call")
LOST = ServerLost("one", "cut")


def config(id: str = "one", command: str = "first", **more: Any) -> Server:
    """An entry; another command is another connection."""
    return Server(**{"id": id, "transport": Stdio(command=command), **more})


class Cast:
    """A roster whose connections are fakes, by server and command."""

    def __init__(self) -> None:
        self.fakes: dict[tuple[str, str], FakeUpstream] = {}
        self.moves: list[str] = []
        self.roster = Roster([config()], self._ignore, self._ignore)
        self.roster._connection = self._connect  # type: ignore[method-assign]
        for live in self.roster.servers.values():
            live._make = self._connect

    def of(self, command: str, id: str = "one") -> FakeUpstream:
        """The fake for a command."""
        return self.fakes.setdefault((id, command), FakeUpstream(id))

    @property
    def live(self) -> Live:
        """The one that serves."""
        return self.roster.servers["one"]

    def serves(self, command: str) -> bool:
        """Whether calls go there."""
        return self.live.upstream is self.of(command)

    async def join(self, live: Live) -> None:
        """Nothing to list."""

    def begin(self) -> None:
        """Start it."""
        self.roster.start(self.join, lambda live: False, lambda live: self.moves.append(live.id))

    def _connect(self, live: Live, replica: Replica, era: str) -> FakeUpstream:
        assert isinstance(replica.transport, Stdio)
        return self.of(replica.transport.command, live.id)

    @staticmethod
    def _ignore(*_: object) -> None:
        """Nobody is told."""


@pytest_asyncio.fixture
async def cast(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cast]:
    """A server that is up; what nobody calls is let go soon."""
    monkeypatch.setattr(module, "QUIET_S", 0.02)
    monkeypatch.setattr(module, "LOOK_S", 0.005)
    found = Cast()
    found.begin()
    await found.roster.settle(["one"], PATIENCE_S)
    yield found
    await found.roster.close()


async def test_other_settings_keep_the_connection_and_all_that_is_known(cast: Cast) -> None:
    live = cast.live
    replica = live.replicas[0]
    cast.of("first").answers["tools/call"] = LOST
    for _ in range(5):
        with pytest.raises(ServerLost):
            await replica.calls.call(CALL)  # type: ignore[union-attr]
    assert replica.breaker.state is BreakerState.OPEN
    wanted = config(tools={"deny": ["x"]}, concurrency={"max_in_flight": 3})
    cast.roster.change([wanted])
    assert cast.live is live
    assert live.config is replica.config is wanted
    assert live.turns.most == 3
    assert replica.breaker.state is BreakerState.OPEN
    assert (cast.of("first").connects, cast.of("first").closed) == (1, 0)


async def test_another_connection_takes_the_place_once_it_is_ready(cast: Cast) -> None:
    cast.of("second").hold = hold = asyncio.Event()
    cast.roster.change([config(command="second")])
    await until(lambda: cast.of("second").connects == 1)
    assert cast.serves("first")
    assert [one.config.id for one in cast.roster.settling()] == ["one"]
    hold.set()
    await until(lambda: cast.serves("second"))
    assert cast.moves == ["one"]
    await until(lambda: cast.of("first").closed == 1)
    assert cast.roster.settling() == []


async def test_a_connection_that_fails_takes_the_place_too_and_says_why(cast: Cast) -> None:
    cast.of("second").refuse = ServerUnavailable("one", "no such host")
    cast.roster.change([config(command="second")])
    await until(lambda: cast.moves == ["one"])
    with pytest.raises(ServerUnavailable, match="no such host"):
        cast.live.ready()


async def test_calls_under_way_end_where_they_are(cast: Cast) -> None:
    gate, tasks = Gate({"content": []}), Tasks()
    cast.of("first").answers["tools/call"] = gate
    calling = tasks.start(cast.live.pick().calls.call(CALL), "call")  # type: ignore[union-attr]
    await gate.entered.wait()
    cast.roster.change([])
    assert "one" not in cast.roster.servers
    assert len(cast.roster._leaving) == 1
    for _ in range(20):
        await asyncio.sleep(0.005)
    assert cast.of("first").closed == 0
    gate.open()
    assert await calling == b'{"content": []}'
    await until(lambda: cast.of("first").closed == 1)
    await until(lambda: not cast.roster._leaving)


async def test_calls_that_do_not_end_are_cut_in_the_end(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETIRE_S", 0.02)
    gate, tasks = Gate({}), Tasks()
    cast.of("first").answers["tools/call"] = gate
    calling = tasks.start(cast.live.pick().calls.call(CALL), "call")  # type: ignore[union-attr]
    await gate.entered.wait()
    cast.roster.change([])
    await until(lambda: cast.of("first").closed == 1)
    assert "calls still run" in caplog.text
    gate.open()
    await calling


async def test_what_is_lost_on_its_way_out_is_not_started_again(cast: Cast) -> None:
    gate, tasks = Gate({}), Tasks()
    cast.of("first").answers["tools/call"] = gate
    calling = tasks.start(cast.live.pick().calls.call(CALL), "call")  # type: ignore[union-attr]
    await gate.entered.wait()
    cast.roster.change([])
    cast.of("first").lose("it exited")
    gate.open()
    await calling
    await until(lambda: not cast.roster._leaving)
    assert cast.of("first").connects == 1


async def test_the_last_of_many_changes_counts(cast: Cast) -> None:
    cast.of("second").hold = asyncio.Event()
    cast.roster.change([config(command="second")])
    await until(lambda: cast.of("second").connects == 1)
    cast.roster.change([config(command="second", tools={"deny": ["x"]})])
    assert cast.of("second").connects == 1, "it is the one that is wanted"
    cast.roster.change([config(command="third")])
    await until(lambda: cast.serves("third"))
    await until(lambda: cast.of("second").closed >= 1)
    assert cast.moves == ["one"]


async def test_a_change_that_is_taken_back_leaves_the_server_alone(cast: Cast) -> None:
    live = cast.live
    cast.of("second").hold = hold = asyncio.Event()
    cast.roster.change([config(command="second")])
    await until(lambda: cast.of("second").connects == 1)
    cast.roster.change([config()])
    hold.set()
    await until(lambda: not cast.roster._leaving)
    assert cast.live is live
    assert (cast.of("first").connects, cast.of("first").closed) == (1, 0)


async def test_what_cannot_serve_is_replaced_at_once(cast: Cast) -> None:
    cast.of("first").refuse = LOST
    cast.of("first").lose("it exited")
    await until(lambda: cast.live.state is not State.READY)
    cast.of("second").hold = hold = asyncio.Event()
    cast.roster.change([config(command="second")])
    assert cast.live.state is State.STARTING
    hold.set()
    await until(lambda: cast.serves("second"))


async def test_switched_off_and_on(cast: Cast) -> None:
    cast.roster.change([config(enabled=False)])
    assert cast.live.state is State.DISABLED
    await until(lambda: cast.of("first").closed == 1)
    cast.roster.change([config()])
    await until(lambda: cast.serves("first"))
    assert cast.of("first").connects == 2


async def test_the_order_is_that_of_the_new_configuration(cast: Cast) -> None:
    cast.roster.change([config("two"), config(), config("three")])
    await cast.roster.settle(["two", "three"], PATIENCE_S)
    assert [*cast.roster.servers] == ["two", "one", "three"]


async def test_closing_ends_those_on_trial_and_those_on_their_way_out(cast: Cast) -> None:
    gate, tasks = Gate({}), Tasks()
    cast.of("first").answers["tools/call"] = gate
    calling = tasks.start(cast.live.pick().calls.call(CALL), "call")  # type: ignore[union-attr]
    await gate.entered.wait()
    cast.roster.change([config("two")])
    await cast.roster.settle(["two"], PATIENCE_S)
    cast.of("second", "two").hold = asyncio.Event()
    cast.roster.change([config("two", command="second")])
    await until(lambda: cast.of("second", "two").connects == 1)
    async with asyncio.timeout(PATIENCE_S):
        await cast.roster.close()
    fakes = (cast.of("first"), cast.of("first", "two"), cast.of("second", "two"))
    assert [one.closed for one in fakes] == [1, 1, 1]
    gate.open()
    await calling
