"""Log levels: the most verbose wish wins, and a mute server is not waited for."""

import asyncio
import logging
from dataclasses import replace

import pytest

from fakes.edge import PATIENCE_S, begin, until
from fakes.upstream import FakeUpstream, Gate, attach
from only1mcp.config.servers import Server, Stdio
from only1mcp.protocol.eras import LOG_LEVELS
from only1mcp.protocol.errors import McpError, ServerTimeout, UpstreamError
from only1mcp.relay import levels
from only1mcp.relay.levels import LogLevels
from only1mcp.upstream.roster import Roster

NO = UpstreamError(b'{"code":-32601,"message":"no"}', -32601, "no")
DEBUG, INFO, ERROR = map(LOG_LEVELS.index, ("debug", "info", "error"))


def logger(id: str, **more: object) -> FakeUpstream:
    """A legacy server that logs."""
    return FakeUpstream(id, {"logging/setLevel": {}}, capabilities={"logging": {}}, **more)  # type: ignore[arg-type]


def desk(wanted: list[int], *upstreams: FakeUpstream) -> tuple[LogLevels, Roster]:
    """Levels over servers that are up."""
    servers = [Server(id=one.server, transport=Stdio(command="none")) for one in upstreams]
    roster = Roster(
        servers, lambda live: None, lambda live, method, params, place="", who=None: None
    )
    for one in upstreams:
        attach(roster.servers[one.server], one)
    return LogLevels(roster, lambda: wanted), roster


async def test_every_server_that_logs_is_set_to_the_most_verbose_level() -> None:
    one, two = logger("one"), logger("two")
    wanted = [ERROR]
    told, _ = desk(wanted, one, two)
    await told.changed()
    wanted += [DEBUG, INFO]
    await told.changed()
    for fake in (one, two):
        assert fake.asked("logging/setLevel") == [{"level": "error"}, {"level": "debug"}]


async def test_servers_that_do_not_log_or_are_modern_or_away_are_not_told() -> None:
    silent = FakeUpstream("silent", capabilities={"tools": {}})
    modern = logger("modern", modern=True)
    away = logger("away")
    told, roster = desk([INFO], silent, modern, away)
    attach(roster.servers["away"], None)
    await told.changed()
    for one in (silent, modern):
        await told.greeted(one)
    assert silent.calls == modern.calls == away.calls == []


async def test_a_server_that_joins_later_is_told() -> None:
    one = logger("one")
    told, roster = desk([INFO, ERROR], one)
    await told.greeted(roster.servers["one"].ready())
    assert one.asked("logging/setLevel") == [{"level": "info"}]


async def test_nothing_is_said_until_a_client_has_set_a_level() -> None:
    one = logger("one")
    told, roster = desk([], one)
    await told.changed()
    await told.greeted(roster.servers["one"].ready())
    assert one.calls == []


async def test_a_server_that_refuses_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    one, two = logger("one"), logger("two")
    one.answers["logging/setLevel"] = ServerTimeout("one", "silent")
    told, _ = desk([INFO], one, two)
    with caplog.at_level(logging.WARNING, "only1mcp.levels"):
        await told.changed()
    assert caplog.messages == ["server one: logging/setLevel: silent"]
    assert two.asked("logging/setLevel") == [{"level": "info"}]


async def test_a_mute_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "PATIENCE_S", 0.01)
    one = logger("one")
    one.answers["logging/setLevel"] = Gate({})
    told, _ = desk([INFO], one)
    async with asyncio.timeout(PATIENCE_S):
        await told.changed()
        assert one.cancelled == []  # it may still take the level
        await told.close()
    assert one.cancelled == ["logging/setLevel"]


async def test_telling_is_bounded_by_the_patience() -> None:
    one = logger("one")
    told, _ = desk([INFO], one)
    await told.changed()
    (call,) = one.sent
    assert call.idle_s == call.max_s == levels.PATIENCE_S


async def test_a_call_that_wants_more_has_the_server_told_once() -> None:
    one = logger("one")
    told, _ = desk([ERROR], one)
    await told.called(one, "info")
    await told.called(one, "info")
    await told.called(one, "error")
    assert one.asked("logging/setLevel") == [{"level": "info"}]
    await told.called(one, "debug")
    await told.changed()
    await told.called(one, "info")
    levels_told = [each["level"] for each in one.asked("logging/setLevel")]
    assert levels_told == ["info", "debug", "error", "info"]


async def test_a_server_that_greets_anew_knows_no_level() -> None:
    one = logger("one")
    told, _ = desk([], one)
    await told.called(one, "info")
    one.greeting = replace(one.greeting)
    await told.called(one, "info")
    assert one.asked("logging/setLevel") == [{"level": "info"}] * 2


async def test_calls_wait_until_the_server_has_the_level_they_share() -> None:
    one, gate = logger("one"), Gate({})
    one.answers["logging/setLevel"] = gate
    told, _ = desk([], one)
    first, second = begin(told.called(one, "info")), begin(told.called(one, "error"))
    await until(gate.entered.is_set)
    more = begin(told.called(one, "debug"))
    first.cancel()
    await asyncio.wait([first])
    assert not second.done()
    assert one.asked("logging/setLevel") == [{"level": "info"}], "the next comes after it"
    gate.open()
    await asyncio.gather(second, more)
    assert one.asked("logging/setLevel") == [{"level": "info"}, {"level": "debug"}]


@pytest.mark.parametrize(("fault", "told_again"), [(ServerTimeout("one", "x"), 2), (NO, 1)])
async def test_what_it_did_not_take_it_is_told_again_unless_it_refused(
    fault: McpError, told_again: int
) -> None:
    one = logger("one")
    one.answers["logging/setLevel"] = fault
    told, _ = desk([], one)
    await told.called(one, "info")
    await told.called(one, "info")
    assert one.asked("logging/setLevel") == [{"level": "info"}] * told_again


async def test_a_call_to_a_server_that_does_not_log_tells_nothing() -> None:
    silent = FakeUpstream("silent", capabilities={"tools": {}})
    told, _ = desk([], silent)
    await told.called(silent, "debug")
    assert silent.calls == []
