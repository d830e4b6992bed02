"""Metrics through the front door: every family moves when what it counts happens, and no other
number is told than what the servers and the clients have seen."""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest

from fakes import stdio_server as scripted
from fakes.edits import Edited
from fakes.gateway import Running, gateway, http_server, stdio_server
from fakes.library import UPDATED
from fakes.mirror import Asked, over_stdio
from fakes.mirror_http import over_http
from fakes.scrape import Scrape, Scraper
from fakes.shop import Shop, reading
from fakes.shop import text as shown
from fakes.whole import Whole
from fakes.wire import Json, Web, last, web
from only1mcp import __version__

pytestmark = pytest.mark.timeout(90)

TOKEN: Final = "a-token-0123456789"
AUTH: Final = {"Authorization": f"Bearer {TOKEN}"}
CONSTANT: Final = {
    "only1mcp_build_info",
    "process_start_time_seconds",
    "process_max_fds",
}
"""These say what is; `test_what_never_moves_is_true` looks at what they say."""
PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"


class Scene:
    """A gateway before an HTTP server, a server with handshake, and a real program."""

    def __init__(self, running: Running, http: Whole, pipe: Whole) -> None:
        self.running = running
        self.http = http
        self.pipe = pipe
        self.scraper = Scraper(f"{running.url}/metrics", AUTH)

    async def now(self) -> Scrape:
        """The numbers now."""
        return await self.scraper.now()


@asynccontextmanager
async def scene(folder: Path, **config: Any) -> AsyncIterator[Scene]:
    """Each server has limits that a test can reach."""
    http, pipe = Whole("modern-http"), Whole("legacy-stdio")
    quick = {"interval": "1s", "timeout": "500ms", "unhealthy_threshold": 100}
    rare = {"enabled": False}
    one = {"max_in_flight": 1, "queue": 1, "queue_timeout": "30s"}
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(over_http(http))
        argv = await stack.enter_async_context(over_stdio(pipe))
        program = (sys.executable, str(scripted.__file__))
        shop = await stack.enter_async_context(over_http(Shop()))
        entries = [
            http_server("shop", shop, health_check=rare),
            http_server("modern-http", url, health_check=quick, concurrency=one),
            stdio_server("legacy-stdio", *argv, health_check=rare),
            stdio_server(
                *("program", *program),
                health_check=rare,
                circuit_breaker={"failure_threshold": 1},
                retry={"idempotent_tools": ["crash_after"]},
            ),
            stdio_server(
                *("thrifty", *program),
                health_check=rare,
                retry={"budget": 0, "idempotent_tools": ["crash_after"]},
            ),
        ]
        server = {"auth": {"tokens": [TOKEN]}, "limits": {"per_caller": 4}}
        whole = {"server": server, "servers": entries, **config}
        running = await stack.enter_async_context(gateway(whole, folder))
        await running.ready(*(entry["id"] for entry in entries))
        yield Scene(running, http, pipe)


def call(wire: Web, server: str, tool: str, **arguments: Any) -> "asyncio.Task[Json]":
    """A modern tools/call under way."""

    async def answer() -> Json:
        params = {"name": f"{server}__{tool}", "arguments": arguments}
        return last(await wire.modern("tools/call", params))

    return asyncio.get_running_loop().create_task(answer())


async def test_every_family_moves(tmp_path: Path) -> None:
    more = {
        "logging": {"access": {"enabled": True, "file": "/dev/full"}},
        "cache": {"l2": {"capacity": 1}},
        "batching": {"window": "10s", "max_size": 2},
    }
    async with scene(tmp_path, **more) as seen, web(seen.running.mcp, headers=AUTH) as wire:
        await seen.now()
        await sessions_and_streams(seen, wire)
        await subscriptions_and_lists(seen, wire)
        await a_question(seen, wire)
        await answers_that_are_kept(wire, seen.scraper)
        await more_calls_than_there_is_room_for(seen, wire)
        await programs_that_crash(seen, wire)
        await an_answer_that_nobody_waits_for(seen, wire)
        await a_server_that_is_not_well(seen)
        await reloads(seen, wire, tmp_path / "only1mcp.json")
        assert (await wire.http.get(wire.url, headers={"Authorization": ""})).status_code == 401
        scrape = await seen.now()
        assert documented() == set(scrape.families)
        moved = seen.scraper.moved
        await seen.scraper.until(lambda _: moved >= documented() - CONSTANT, "all of them move")


async def sessions_and_streams(seen: Scene, wire: Web) -> None:
    session = await wire.open()
    params = {"name": "legacy-stdio__chatty", "arguments": {}}
    async with session.listen():
        await seen.scraper.until(lambda now: now.is_there("only1mcp_streams"))
        assert "result" in await session.ask("tools/call", params)
        held = await seen.scraper.until(lambda now: now.is_there("only1mcp_events_held"))
        assert held.is_there("only1mcp_events_held_bytes")
        assert held.sum("only1mcp_sessions") == 1
    await wire.http.delete(wire.url, headers=session.headers)
    ended = await seen.now()
    assert ended.sum("only1mcp_sessions") == 0
    assert ended.sum("mcp_server_session_duration_seconds_count") == 1


async def subscriptions_and_lists(seen: Scene, wire: Web) -> None:
    wanted = {"toolsListChanged": True, "resourceSubscriptions": [seen.pipe.uri]}
    async with wire.listening(wanted):
        await seen.scraper.until(
            lambda now: now.sum("only1mcp_subscriptions", server="legacy-stdio") == 1
        )
        assert (await seen.now()).sum("only1mcp_listens") == 1
        before = await seen.now()
        await seen.pipe.says(UPDATED, uri=seen.pipe.uri)
        await seen.pipe.grow("another")
        grown = await seen.scraper.until(
            lambda now: (
                now.sum("only1mcp_list_changes_total") > before.sum("only1mcp_list_changes_total")
            )
        )
        of = {"server": "legacy-stdio", "kind": "tools"}
        assert grown.sum("only1mcp_offered", **of) == before.sum("only1mcp_offered", **of) + 1
    await seen.scraper.until(lambda now: now.sum("only1mcp_listens") == 0)


async def a_question(seen: Scene, wire: Web) -> None:
    """A server with handshake asks a modern client: its call is parked meanwhile."""
    params: Json = {"name": "legacy-stdio__elicit", "arguments": {}}
    can: Json = {"elicitation": {}}
    asked = last(await wire.modern("tools/call", params, clientCapabilities=can))["result"]
    assert (await seen.now()).sum("only1mcp_parked_calls") == 1
    given = {key: {"action": "decline"} for key in asked["inputRequests"]}
    params |= {"inputResponses": given, "requestState": asked["requestState"]}
    assert "result" in last(await wire.modern("tools/call", params, clientCapabilities=can))
    assert (await seen.now()).sum("only1mcp_parked_calls") == 0


async def answers_that_are_kept(wire: Web, scraper: Scraper) -> None:
    """Three readings, two of them the same: they wait for each other and make two calls."""
    first = reading(wire, "shop://a")
    await scraper.until(lambda now: now.sum("only1mcp_batch_waiting") == 1, "it waits")
    same = reading(wire, "shop://a")
    await scraper.until(lambda now: now.sum("only1mcp_shared_requests_total") == 1, "it shares")
    other = reading(wire, "shop://b")
    found = [shown(await one) for one in (first, same, other)]
    assert (found[0], {*found}) == (found[1], {"1", "2"})
    kept = await scraper.now()
    of = {"tier": "l2"}
    assert kept.sum("only1mcp_cache_entries", **of) == 1
    assert kept.sum("only1mcp_cache_dropped_total", **{"for": "room"}, **of) == 1
    for name in ("only1mcp_batched_requests_total", "only1mcp_cache_calls_total"):
        assert kept.sum(name) == 2
    assert kept.sum("only1mcp_batches_total", form="calls") == 1
    assert kept.sum("only1mcp_cache_requests_total", result="miss", **of) == 3
    assert kept.sum("only1mcp_requests_total", server="shop", outcome="ok") == 3


async def more_calls_than_there_is_room_for(seen: Scene, wire: Web) -> None:
    of = {"server": "modern-http"}
    async with web(wire.url, headers=AUTH) as other:
        stuck = [call(other, "modern-http", "wait") for _ in range(2)]
        busy = await seen.scraper.until(
            lambda now: now.sum("only1mcp_server_calls_waiting", **of) == 1
        )
        assert busy.sum("only1mcp_server_calls_in_flight", **of) == 1
        assert busy.sum("only1mcp_replica_calls_in_flight", **of) == 1
        assert busy.sum("only1mcp_requests_in_flight") == 2
        stuck += [call(other, "legacy-stdio", "wait") for _ in range(2)]
        await seen.scraper.until(lambda now: now.sum("only1mcp_requests_in_flight") == 4)
        assert (await call(wire, "modern-http", "echo"))["error"]["code"] == -31005
        full = await seen.now()
        assert full.sum("only1mcp_requests_refused_total", limit="per_caller") == 1
        for one in stuck:
            one.cancel()
    idle = await seen.scraper.until(lambda now: now.sum("only1mcp_requests_in_flight") == 0)
    assert idle.sum("only1mcp_server_wait_seconds_count", **of) == 1
    assert idle.sum("only1mcp_requests_total", outcome="cancelled") == 4
    await the_queue_is_full(seen, wire)


async def the_queue_is_full(seen: Scene, wire: Web) -> None:
    async with web(wire.url, headers=AUTH) as other:
        stuck = [call(other, "modern-http", "wait") for _ in range(2)]
        of = {"server": "modern-http"}
        await seen.scraper.until(lambda now: now.sum("only1mcp_server_calls_waiting", **of) == 1)
        assert (await call(wire, "modern-http", "echo"))["error"]["code"] == -31005
        full = await seen.now()
        assert full.sum("only1mcp_server_calls_refused_total", limit="queue", **of) == 1
        for one in stuck:
            one.cancel()
    await seen.scraper.until(lambda now: now.sum("only1mcp_requests_in_flight") == 0)


async def programs_that_crash(seen: Scene, wire: Web) -> None:
    assert "error" in await call(wire, "program", "crash_after")
    await seen.scraper.until(
        lambda now: (
            now.is_there("only1mcp_retries_total", server="program")
            and now.is_there("only1mcp_server_restarts_total", server="program")
            and now.is_there("only1mcp_breaker_transitions_total", server="program", to="open")
        )
    )
    lost = await call(wire, "thrifty", "crash_after")
    assert lost["error"]["data"]["outcome"] == "unknown"
    once = await seen.now()
    assert once.sum("only1mcp_outcome_unknown_total", server="thrifty") == 1
    assert once.is_there("only1mcp_retries_denied_total", server="thrifty")
    assert once.sum("only1mcp_retries_total", server="thrifty") == 0


async def an_answer_that_nobody_waits_for(seen: Scene, wire: Web) -> None:
    await seen.scraper.until(
        lambda now: now.is_there("only1mcp_server_state", server="program", state="ready")
    )
    async with web(wire.url, headers=AUTH) as other:
        left = call(other, "program", "sleep", seconds=3)
        await seen.scraper.until(
            lambda now: now.is_there("only1mcp_server_calls_in_flight", server="program")
        )
        left.cancel()
    await seen.scraper.until(lambda now: now.is_there("only1mcp_late_answers_total"))


async def a_server_that_is_not_well(seen: Scene) -> None:
    """It no longer answers health checks, of which a call that it answers would spare it one."""
    await seen.scraper.until(checked("healthy", "good"), "healthy")
    seen.http.on("server/discover", Asked.hang)
    found = await seen.scraper.until(checked("degraded", "failed"), "degraded")
    assert found.is_there("only1mcp_health_check_duration_seconds_sum", server="modern-http")


def checked(status: str, result: str) -> Callable[[Scrape], bool]:
    """Whether it is in this state, and has had such a check."""
    of = {"server": "modern-http"}
    return lambda now: (
        now.is_there("only1mcp_replica_health", status=status, **of)
        and now.is_there("only1mcp_health_checks_total", result=result, **of)
    )


def changed(file: Path, text: str) -> str:
    """Write it; what was there."""
    before = file.read_text()
    file.write_text(text)
    return before


async def reloads(seen: Scene, wire: Web, file: Path) -> None:
    """A file that is refused, and the same once it is mended."""
    url, good = f"{seen.running.url}/api/v1/admin/config/reload", changed(file, "{")
    assert (await wire.http.post(url)).status_code == 422
    refused = await seen.now()
    assert refused.sum("only1mcp_config_last_reload_successful") == 0
    assert refused.is_there("only1mcp_config_reloads_total", result="refused")
    changed(file, good)
    assert (await wire.http.post(url)).status_code == 200
    mended = await seen.now()
    assert mended.sum("only1mcp_config_last_reload_successful") == 1
    assert mended.is_there("only1mcp_config_reloads_total", result="applied")


def documented() -> set[str]:
    """What the page lists."""
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return {row[1].strip(" `") for row in rows if len(row) > 6}


async def test_known_traffic_is_what_is_counted(tmp_path: Path) -> None:
    async with scene(tmp_path) as seen, web(seen.running.mcp, headers=AUTH) as wire:
        before = await seen.now()
        for _ in range(7):
            assert "result" in await call(wire, "modern-http", "echo", text="x" * 1000)
        session = await wire.open()
        for _ in range(3):
            params = {"name": "legacy-stdio__echo", "arguments": {}}
            assert "result" in await session.ask("tools/call", params)
            assert "result" in await session.ask("tools/list")
        assert "error" in await call(wire, "modern-http", "fail")
        assert "error" in await call(wire, "modern-http", "no-such-tool")
        after = await seen.now()
    of = {"method": "tools/call", "server": "modern-http"}
    assert after.sum("only1mcp_requests_total", outcome="ok", **of) == 7
    assert after.sum("only1mcp_requests_total", outcome="error", **of) == 1
    assert after.sum("only1mcp_requests_total", method="tools/list") == 3
    assert after.sum("only1mcp_requests_total", outcome="error", server="") == 1
    took = "mcp_server_operation_duration_seconds"
    echo = {"gen_ai_tool_name": "echo", "error_type": ""}
    assert after.sum(f"{took}_count", server="legacy-stdio", **echo) == 3
    assert after.sum(f"{took}_count", mcp_protocol_version="2026-07-28", **echo) == 7
    assert after.sum(f"{took}_count", error_type="77") == 1
    for name in (f"{took}_bucket", "mcp_client_operation_duration_seconds_bucket"):
        assert after.sum(name, le="+Inf", server="modern-http", **echo) == 7
    theirs = after.sum("mcp_client_operation_duration_seconds_sum")
    ours = after.sum("only1mcp_overhead_seconds_sum")
    calls = {"mcp_method_name": "tools/call"}
    whole = after.sum(f"{took}_sum", **calls) - after.sum(f"{took}_sum", server="", **calls)
    assert theirs + ours == pytest.approx(whole, rel=0.01, abs=1e-4)
    called = len(seen.http.calls())
    name, of = "only1mcp_replica_calls_total", {"server": "modern-http"}
    assert after.sum(name, **of) - before.sum(name, **of) == called == 8
    for way in ("client_received", "client_sent", "server_received", "server_sent"):
        name = f"only1mcp_{way}_bytes_total"
        assert after.sum(name) - before.sum(name) > 7000


async def test_what_never_moves_is_true(tmp_path: Path) -> None:
    async with gateway({}, tmp_path) as running:
        now = await Scraper(f"{running.url}/metrics").now()
        process = psutil.Process(running.process.pid)
        assert now.is_there("only1mcp_build_info", version=__version__)
        assert now.sum("process_start_time_seconds") == process.create_time()
        assert now.sum("process_max_fds") == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        assert now.sum("process_resident_memory_bytes") == pytest.approx(
            process.memory_info().rss, rel=0.5
        )


async def test_a_reload_that_replaces_a_server_lets_no_counter_fall(tmp_path: Path) -> None:
    server = stdio_server("one", sys.executable, scripted.__file__)
    config = {"hot_reload": {"debounce": "100ms"}, "servers": [server]}
    file = Edited(tmp_path / "only1mcp.json")
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        await running.ready("one")
        for _ in range(5):
            assert "result" in await call(wire, "one", "echo")
        scraper = Scraper(f"{running.url}/metrics")
        before = await scraper.now()
        server["transport"]["env"] = {"COLOUR": "red"}
        file.replace(config)
        await running.said("ready +one ", count=2)
        after = await scraper.now()
        file.replace({**config, "servers": []})
        await running.said("removed one")
        gone = await scraper.now()
    counts = ("_total", "_bucket", "_count", "_sum")
    counters = {key: value for key, value in before.lines.items() if key[0].endswith(counts)}
    assert {key for key, value in counters.items() if after.lines.get(key, 0) < value} == set()
    calls, of = "only1mcp_replica_calls_total", {"server": "one"}
    assert after.sum(calls, **of) > before.sum(calls, **of) > 5
    assert not gone.is_there(calls, **of)
