"""Events as a stream: kinds, ids, what was missed, and the end."""

import asyncio
from pathlib import Path

import pytest

from fakes.admin import SECRET, office
from fakes.edge import until
from fakes.wire import web
from only1mcp.admin import stream as streams
from only1mcp.observe import logs
from only1mcp.observe.events import MAX_QUEUED


async def test_what_happens_is_told_as_it_happens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "only1mcp")
    async with office(tmp_path) as desk, desk.events() as stream:
        await desk.send("POST", "/servers/two/disable")
        log = await stream.next("log")
        assert log["message"] == "configuration: disable two asked for by admin-1"
        reload = await stream.next("reload")
        assert (reload["ok"], reload["changed"], reload["faults"]) == (True, "changed two", [])


async def test_a_request_is_told_without_its_arguments(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.events("?kinds=request") as stream:
        async with web(f"{desk.http.base_url}/mcp") as wire:
            await wire.modern("tools/call", {"name": "one__find", "arguments": {"q": SECRET}})
        found = await stream.next("request")
        asked = {key: found[key] for key in ("method", "server", "name", "principal", "revision")}
        assert asked == {
            "method": "tools/call",
            "server": "one",
            "name": "find",
            "principal": "anonymous",
            "revision": "2026-07-28",
        }
        rows = (await desk.get("/requests")).json()["requests"]
        assert rows == [found]
        assert SECRET not in (await desk.get("/requests")).text


async def test_only_the_kinds_that_were_asked_for(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.events("?kinds=reload", last_event_id="0") as stream:
        await desk.send("POST", "/servers/two/disable")
        assert (await stream.next("gap"))["missed"] is None
        await stream.next("reload")
    async with office(tmp_path) as desk:
        response = await desk.get("/events?kinds=reload,nonsense")
        assert (response.status_code, response.json()["place"]) == (400, "kinds")


async def test_who_comes_back_gets_what_it_missed_once(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        async with desk.events("?kinds=reload") as stream:
            await desk.send("POST", "/servers/two/disable")
            seen = (await stream.next("reload"))["id"]
        await desk.send("POST", "/servers/two/enable")
        await desk.send("POST", "/servers/one/disable")
        async with desk.events("?kinds=reload", last_event_id=seen) as stream:
            found = [(await stream.next("reload"))["changed"] for _ in range(2)]
        assert found == ["changed two", "changed one"]


async def test_a_slow_reader_is_told_of_the_gap(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.events("?kinds=log") as stream:
        for number in range(MAX_QUEUED + 5):  # all in one step of the loop: nobody reads meanwhile
            desk.gateway.events.tell("log", 1.0, {"message": str(number)})
        assert (await stream.next("gap"))["missed"] == 5
        assert (await stream.next("log"))["message"] == "5"


async def test_secrets_are_hidden_in_what_is_told(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.events("?kinds=log,server") as stream:
        logs.hide([SECRET])
        desk.gateway.events.tell("log", 1.0, {"message": f"the key {SECRET}", "faults": [SECRET]})
        found = await stream.next("log")
        assert (found["message"], found["faults"]) == ("the key ***", ["***"])


async def test_a_silent_stream_shows_that_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams.Streams.__init__, "__defaults__", (0.01,))
    async with office(tmp_path) as desk, desk.events("?kinds=breaker") as stream:
        text = b""
        async with asyncio.timeout(10):
            while b"\n\n:\n\n" not in text:
                text += await anext(stream._bytes)
        assert text.startswith(b": only1mcp events\n\n:\n\n")


async def test_who_leaves_is_forgotten(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        async with desk.events() as stream:
            await desk.send("POST", "/servers/two/disable")
            await stream.next("reload")
            assert (await desk.get("/system")).json()["followers"] == 1
        await until(lambda: not len(desk.gateway.events))


async def test_too_many_followers_are_sent_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_FOLLOWERS", 1)
    async with office(tmp_path) as desk, desk.events("?kinds=reload") as stream:
        await desk.send("POST", "/servers/two/disable")
        await stream.next("reload")
        response = await desk.get("/events")
        assert (response.status_code, response.headers["retry-after"]) == (503, "10")


async def test_a_drain_ends_the_streams(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.events("?kinds=reload") as stream:
        async with asyncio.timeout(10):  # far below server.drain_timeout
            await desk.gateway.drain()
            await stream.end()
