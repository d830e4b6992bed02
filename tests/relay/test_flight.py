"""Requests that share one call: through the relay, for that is where they meet."""

import asyncio
from typing import Any

import pytest

from fakes.answers import OWN_ERROR, READ, A, client, numbered, raw, read
from fakes.edge import until
from fakes.upstream import Gate, ask, gateway_of, library, unheard
from only1mcp.gateway import Gateway
from only1mcp.protocol.errors import McpError, UpstreamError
from only1mcp.protocol.methods import NEWEST_MODERN


async def test_equal_requests_make_one_call() -> None:
    fake = library(answers={READ: (gate := Gate({"contents": [], "count": 7}))})
    async with gateway_of(fake, cache={"enabled": False}) as gateway, asyncio.TaskGroup() as group:
        reads = [group.create_task(read(gateway)) for _ in range(100)]
        await until(lambda: gateway._answers.shared == 99)
        gate.open()
        assert {await one for one in reads} == {7}
        assert len(fake.asked(READ)) == 1
        assert await read(gateway) == 7
        assert len(fake.asked(READ)) == 2


async def test_an_error_goes_to_all_and_is_not_kept() -> None:
    fake = library(answers={READ: (gate := Gate(OWN_ERROR))})
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        reads = [group.create_task(outcome(gateway)) for _ in range(10)]
        await until(lambda: gateway._answers.shared == 9)
        fake.answers[READ] = numbered()
        gate.open()
        assert [await one for one in reads] == [OWN_ERROR] * 10
        assert await read(gateway) == 1


async def outcome(gateway: Gateway) -> Any:
    try:
        return await read(gateway)
    except McpError as error:
        return error


@pytest.mark.parametrize("leaver", [0, 1])
async def test_one_who_leaves_does_not_take_the_others_along(leaver: int) -> None:
    fake = library(answers={READ: (gate := Gate({"contents": [], "count": 7}))})
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        reads = [group.create_task(read(gateway)) for _ in range(3)]
        await until(lambda: gateway._answers.shared == 2)
        reads[leaver].cancel()
        await asyncio.wait([reads[leaver]])
        gate.open()
        assert [await one for one in reads if one is not reads[leaver]] == [7, 7]
        assert fake.cancelled == []


async def test_when_all_have_left_the_call_is_cancelled() -> None:
    fake = library(answers={READ: Gate({})})
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        reads = [group.create_task(read(gateway)) for _ in range(3)]
        await until(lambda: gateway._answers.shared == 2)
        for one in reads:
            one.cancel()
        await asyncio.wait(reads)
        await until(lambda: fake.cancelled == [READ])
        fake.answers[READ] = numbered()
        assert await read(gateway) == 1


async def test_callers_do_not_share_a_call_with_others() -> None:
    fake = library(answers={READ: (gate := Gate({"contents": [], "count": 7}))})
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        for name in ("ann", "bob", "ann"):
            group.create_task(read(gateway, client(name)))
        await until(lambda: len(fake.asked(READ)) == 2 and gateway._answers.shared == 1)
        gate.open()


async def test_sharing_alone_can_be_turned_off() -> None:
    fake = library(answers={READ: (gate := Gate({"contents": [], "count": 7}))})
    off: Any = {"batching": {"enabled": False}}
    async with gateway_of(fake, **off) as gateway, asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(read(gateway))
        await until(lambda: len(fake.asked(READ)) == 2)
        gate.open()
        assert gateway._answers.shared == 0


async def test_log_messages_go_to_the_one_who_began() -> None:
    gate = Gate({"contents": []})
    fake = library(answers={READ: gate})
    ann, also_ann = client("ann"), client("ann")
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        for one in (ann, also_ann):
            group.create_task(ask(gateway, READ, A, caller=one))
        await until(lambda: gateway._answers.shared == 1)
        tell = fake.sent[-1].on_notification
        assert tell is not None
        tell("notifications/message", raw({"data": "hi"}))
        gate.open()
    assert ann.notes == [("notifications/message", {"data": "hi"})]
    assert also_ann.notes == []


async def test_a_question_is_for_the_one_who_began_and_so_is_the_answer() -> None:
    """The others are sent off at once: they do not wait for somebody to think."""
    asked = asyncio.Event()
    thinking = Gate({"contents": [], "count": "asked"})

    async def curious(call: Any) -> Any:
        if not asked.is_set():
            asked.set()
            assert call.on_question is not None
            with pytest.raises(UpstreamError):  # the client of the test takes no questions
                await call.on_question("roots/list", raw({}), unheard)
            return await thinking(call)
        return {"contents": [], "count": "alone"}

    fake = library(answers={READ: curious})
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        first = group.create_task(read(gateway, client(roots={})))
        await asked.wait()
        assert await read(gateway, client(roots={})) == "alone"
        thinking.open()
        assert await first == "asked"


async def test_input_required_is_for_one_alone() -> None:
    gate = Gate({"resultType": "input_required", "inputRequests": {}})
    fake = library(answers={READ: gate}, modern=True)
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        modern = {"revision": NEWEST_MODERN}
        reads = [group.create_task(ask(gateway, READ, A, **modern)) for _ in range(3)]
        await until(lambda: gateway._answers.shared == 2)
        gate.open()
        states = {(await one)["requestState"] for one in reads}
        assert len(states) == 3
        assert len(fake.asked(READ)) == 3
