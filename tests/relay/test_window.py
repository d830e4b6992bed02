"""Calls that wait a moment for others: when they go, and that each gets its own answer."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from fakes.answers import LOST, READ
from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, ask, gateway_of, library, offers, request
from only1mcp.config.cache import Batching
from only1mcp.gateway import Gateway
from only1mcp.observe.tracing import Tracer
from only1mcp.observe.watch import Watch
from only1mcp.protocol.errors import Draining, McpError, UpstreamError
from only1mcp.protocol.message import as_raw
from only1mcp.protocol.methods import NEWEST_LEGACY, NEWEST_MODERN
from only1mcp.relay.watch import watched
from only1mcp.relay.window import ARRAYS, Windows
from only1mcp.upstream.base import Call, Greeting

LONG = "10s"
"""Of a window that a test does not wait for."""


def books(*names: str, **answers: Any) -> FakeUpstream:
    """A server of resources that answers with the URI it was asked for."""

    def contents(call: Call) -> Any:
        assert call.params is not None
        uri = bytes(call.params["uri"]).decode().strip('"')
        if uri.endswith("bad"):
            return UpstreamError(b'{"code":7,"message":"bad"}', 7, "bad")
        return {"contents": [{"uri": uri, "text": uri}]}

    resources = [f"lib://{name}" for name in names]
    return library(answers={**offers(resources=resources), READ: contents, **answers})


async def get(gateway: Gateway, name: str) -> Any:
    """The text of one book."""
    return (await ask(gateway, READ, {"uri": f"lib://{name}"}))["contents"][0]["text"]


def waiting(gateway: Gateway) -> int:
    """How many calls wait in windows."""
    return gateway._answers.windows.waiting


async def test_a_full_window_goes_at_once() -> None:
    fake = books("a", "b", "c")
    slow = {"window": LONG, "max_size": 3}
    async with gateway_of(fake, batching=slow) as gateway:
        texts = await asyncio.gather(*(get(gateway, name) for name in "abc"))
        assert texts == ["lib://a", "lib://b", "lib://c"]
        assert waiting(gateway) == 0


async def test_five_with_room_for_three_make_two_windows() -> None:
    fake = books("a", "b", "c", "d", "e")
    async with (
        gateway_of(fake, batching={"window": LONG, "max_size": 3}) as gateway,
        asyncio.TaskGroup() as group,
    ):
        reads = [group.create_task(get(gateway, name)) for name in "abcde"]
        await asyncio.wait(reads[:3])
        assert len(fake.asked(READ)) == 3
        await until(lambda: waiting(gateway) == 2)
        (key,) = gateway._answers.windows._open
        gateway._answers.windows._flush(key, gateway.roster.servers["lib"].ready())
        assert await reads[4] == "lib://e"
    assert (gateway._answers.windows.windows, gateway._answers.windows.gathered) == (2, 5)


async def test_a_window_goes_when_its_time_is_up() -> None:
    loop = asyncio.get_running_loop()
    async with gateway_of(books("a"), batching={"window": "50ms"}) as gateway:
        began = loop.time()
        reads = loop.create_task(get(gateway, "a"))
        await until(lambda: waiting(gateway) == 1)
        (window,) = gateway._answers.windows._open.values()
        assert window.timer is not None
        assert began + 0.05 <= window.timer.when() <= loop.time() + 0.05
        assert await reads == "lib://a"


async def test_without_a_window_nothing_waits() -> None:
    async with gateway_of(books("a")) as gateway:
        assert await get(gateway, "a") == "lib://a"
        assert gateway._answers.windows.windows == 0


async def test_equal_ones_take_one_place() -> None:
    fake = library()
    async with gateway_of(fake, batching={"window": "20ms"}) as gateway:
        found = await asyncio.gather(*(ask(gateway, READ, {"uri": "lib://a"}) for _ in range(5)))
        assert found == [{"contents": []}] * 5
        assert len(fake.asked(READ)) == 1
        assert gateway._answers.windows.gathered == 1


async def test_an_error_is_for_the_one_who_asked() -> None:
    fake = books("a", "bad")
    async with gateway_of(fake, batching={"window": LONG, "max_size": 2}) as gateway:
        ends = await asyncio.gather(get(gateway, "a"), get(gateway, "bad"), return_exceptions=True)
    assert ends[0] == "lib://a"
    assert isinstance(ends[1], UpstreamError)


async def test_methods_and_servers_have_windows_of_their_own() -> None:
    one, two = library("one"), library("two")
    async with (
        gateway_of(one, two, batching={"window": LONG}) as gateway,
        asyncio.TaskGroup() as group,
    ):
        wanted: list[tuple[str, Any]] = [
            (READ, {"uri": "one://a"}),
            (READ, {"uri": "two://a"}),
            ("prompts/get", {"name": "one__greet"}),
        ]
        asked = [group.create_task(ask(gateway, *one)) for one in wanted]
        await until(lambda: waiting(gateway) == 3)
        assert len(gateway._answers.windows._open) == 3
        for task in asked:
            task.cancel()


async def test_who_leaves_a_window_is_not_sent() -> None:
    fake = books("a", "b")
    async with (
        gateway_of(fake, batching={"window": LONG, "max_size": 2}) as gateway,
        asyncio.TaskGroup() as group,
    ):
        left = group.create_task(get(gateway, "a"))
        await until(lambda: waiting(gateway) == 1)
        left.cancel()
        await until(lambda: waiting(gateway) == 0)
        reads = [group.create_task(get(gateway, name)) for name in "ab"]
        assert [await one for one in reads] == ["lib://a", "lib://b"]
        assert len(fake.asked(READ)) == 2


@pytest.mark.parametrize("isolation", ["shared", "principal"])
@pytest.mark.parametrize("tracer", [None, Tracer(TracerProvider())])
async def test_whatever_leads_to_a_connection_it_has_one_window(
    isolation: str, tracer: Tracer | None
) -> None:
    async with (
        gateway_of(
            books("a", "b"),
            entries={"lib": {"isolation": isolation}},
            batching={"window": LONG, "max_size": 2},
        ) as gateway,
        asyncio.timeout(PATIENCE_S),
    ):
        asked = [request(gateway, READ, {"uri": f"lib://{name}"}) for name in "ab"]
        watching = Watch(tracer=tracer)
        await asyncio.gather(*(watched(one, gateway.snapshot(), watching) for one in asked))
        assert gateway._answers.windows.windows == 1


async def test_what_waits_in_a_window_has_no_turn_yet() -> None:
    """Else a server that takes one call at a time would never see two gathered."""
    fake = books("a", "b", "c")
    async with (
        gateway_of(
            fake,
            entries={"lib": {"concurrency": {"max_in_flight": 1}}},
            batching={"window": LONG, "max_size": 3},
        ) as gateway,
        asyncio.timeout(PATIENCE_S),
    ):
        texts = await asyncio.gather(*(get(gateway, name) for name in "abc"))
        assert texts == ["lib://a", "lib://b", "lib://c"]
        windows = gateway._answers.windows
        assert (windows.windows, windows.gathered) == (1, 3)
        assert gateway.roster.servers["lib"].turns.in_flight == 0


@pytest.mark.parametrize("revision", [NEWEST_LEGACY, NEWEST_MODERN])
async def test_the_time_of_the_server_begins_when_the_window_is_over(revision: str) -> None:
    async with gateway_of(books("a"), batching={"window": "50ms"}) as gateway:
        asked = request(gateway, READ, {"uri": "lib://a"}, revision=revision)
        await watched(asked, gateway.snapshot(), Watch())
        assert asked.upstream_s < 0.025 < 0.049 < asked.waited_s


async def test_what_is_sent_again_does_not_wait_for_another_window() -> None:
    answers: list[Any] = [{"contents": []}, LOST]
    fake = library(answers={READ: lambda _: answers.pop()})
    async with gateway_of(fake, batching={"window": "20ms"}) as gateway:
        await ask(gateway, READ, {"uri": "lib://a"})
        assert len(fake.asked(READ)) == 2
        assert gateway._answers.windows.windows == 1


async def test_an_old_clock_does_not_end_a_new_window() -> None:
    """The one of a window that was full is stopped."""
    fake = books("a", "b", "c")
    async with (
        gateway_of(fake, batching={"window": LONG, "max_size": 2}) as gateway,
        asyncio.TaskGroup() as group,
    ):
        first = group.create_task(get(gateway, "a"))
        await until(lambda: waiting(gateway) == 1)
        (window,) = gateway._answers.windows._open.values()
        timer = window.timer
        assert await get(gateway, "b") == "lib://b"
        assert await first == "lib://a"
        assert timer is not None
        assert timer.cancelled()


async def test_batching_can_be_turned_off() -> None:
    fake = library()
    off = {"enabled": False, "window": LONG}
    async with gateway_of(fake, batching=off, cache={"enabled": False}) as gateway:
        for _ in range(2):
            await ask(gateway, READ, {"uri": "lib://a"})
        assert len(fake.asked(READ)) == 2


async def test_the_end_of_the_gateway_ends_what_waits() -> None:
    windows = Windows(Batching(window=10.0))
    async with asyncio.TaskGroup() as group:
        one = group.create_task(ended(windows.wait(books("a"), call("a"))))
        await until(lambda: len(windows._open) == 1)
        windows.close()
        assert isinstance(await one, Draining)
    assert windows.window_s == 0  # whoever tries again does not wait


async def ended(waits: Awaitable[None]) -> McpError | None:
    """How a call fails."""
    try:
        await waits
    except McpError as error:
        return error
    return None


# --- arrays ---


async def nobody(method: str, params: Any) -> bytes:
    """Answers no question."""
    return b"{}"


async def flushed(revision: str, *calls: Call) -> Windows:
    """What became of these calls in one window to a server of that revision."""
    fake = books("a", "b")
    fake.greeting = Greeting(revision, modern=False)
    windows = Windows(Batching(window=10.0, max_size=len(calls)))
    await asyncio.gather(*(windows.wait(fake, call) for call in calls))
    return windows


def call(name: str, **more: Any) -> Call:
    """A reading of one book."""
    return Call(READ, {"uri": as_raw(f"lib://{name}")}, **more)


async def test_a_server_of_2025_03_26_gets_one_array() -> None:
    calls = [call("a"), call("b"), call("a", on_question=nobody)]
    await flushed(ARRAYS, *calls)
    assert calls[0].array is calls[1].array is not None
    assert calls[2].array is None


async def test_no_other_server_does() -> None:
    calls = [call("a"), call("b")]
    assert (await flushed("2025-06-18", *calls)).windows == 1
    assert calls[0].array is None


async def test_one_alone_is_no_array() -> None:
    alone = call("a")
    assert (await flushed(ARRAYS, alone)).windows == 1
    assert alone.array is None
