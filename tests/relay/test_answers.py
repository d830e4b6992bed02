"""What is kept, for how long and for whom."""

import asyncio
from typing import Any

import pytest

from fakes.answers import LOST, OWN_ERROR, READ, A, Clock, client, counts, numbered, read
from fakes.edge import until
from fakes.upstream import Gate, ask, gateway_of, library, tool
from only1mcp.policy.access import ANONYMOUS
from only1mcp.policy.cache import Tier
from only1mcp.protocol.eras import CLIENT_INFO_KEY
from only1mcp.protocol.errors import McpError, ServerLost
from only1mcp.protocol.methods import NEWEST_MODERN
from only1mcp.protocol.tasks import RELATED

# --- kept ---


async def test_what_was_read_is_read_once() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        assert [await read(gateway) for _ in range(3)] == [1, 1, 1]
        assert await read(gateway, mount="lib") == 1
        assert len(fake.asked(READ)) == 1
        assert (counts(gateway).hits, counts(gateway).misses) == (3, 1)


async def test_prompts_are_kept_by_their_arguments() -> None:
    fake = library()
    async with gateway_of(fake) as gateway:
        for arguments in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}, {"a": "2", "b": "2"}):
            await ask(gateway, "prompts/get", {"name": "lib__greet", "arguments": arguments})
        assert len(fake.asked("prompts/get")) == 2
        assert counts(gateway, Tier.L3).entries == 2


async def test_the_time_of_the_tier_counts_where_the_server_says_nothing() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, cache={"l2": {"ttl": "60s"}}) as gateway:
        clock = Clock(gateway)
        found = [await read(gateway)]
        for seconds in (59, 2):
            clock.now += seconds
            found.append(await read(gateway))
        assert found == [1, 1, 2]


async def test_a_modern_server_says_for_how_long() -> None:
    fake = library(answers={READ: numbered(resultType="complete", ttlMs=5000)}, modern=True)
    async with gateway_of(fake) as gateway:
        clock = Clock(gateway)
        modern: Any = {"revision": NEWEST_MODERN}
        first = await ask(gateway, READ, A, **modern)
        clock.now += 2
        again = await ask(gateway, READ, A, **modern)
        assert (first["ttlMs"], again["ttlMs"]) == (5000, 3000)
        assert {**again, "ttlMs": 5000} == first
        clock.now += 3
        assert await read(gateway, **modern) == 2


async def test_each_era_has_its_own_text() -> None:
    fake = library(answers={READ: numbered(resultType="complete", ttlMs=5000)}, modern=True)
    async with gateway_of(fake) as gateway:
        for _ in range(2):
            assert await ask(gateway, READ, A) == {"contents": [], "count": 1}
        found = [await ask(gateway, READ, A, revision=NEWEST_MODERN) for _ in range(2)]
        assert [one["count"] for one in found] == [2, 2]
        assert all("ttlMs" in one for one in found)


async def test_a_legacy_server_promises_nothing_to_a_modern_client() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        found = [await ask(gateway, READ, A, revision=NEWEST_MODERN) for _ in range(2)]
        assert [(one["count"], one["ttlMs"], one["cacheScope"]) for one in found] == [
            (1, 0, "private")
        ] * 2


@pytest.mark.parametrize(
    "answer",
    [
        {"contents": [], "resultType": "complete", "ttlMs": 0},
        {"contents": [], "resultType": "task"},
        {"resultType": "input_required", "inputRequests": {}},
        {"contents": [], "isError": True},
        OWN_ERROR,
    ],
)
async def test_what_is_not_kept(answer: Any) -> None:
    fake = library(answers={READ: answer}, modern=True)
    async with gateway_of(fake) as gateway:
        for _ in range(2):
            try:
                await ask(gateway, READ, A, revision=NEWEST_MODERN)
            except McpError as error:
                assert error is answer
        assert len(fake.asked(READ)) == 2
        assert counts(gateway).entries == 0


@pytest.mark.parametrize("more", [{"inputResponses": {}}, {"requestState": "x"}])
async def test_an_answer_to_a_question_is_neither_looked_up_nor_kept(more: Any) -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        assert (await ask(gateway, READ, {**A, **more}))["count"] == 2
        assert await read(gateway) == 1


async def test_a_progress_token_is_heard_of_only_by_a_call_of_its_own() -> None:
    fake = library(answers={READ: (gate := Gate({"contents": []}))})
    token = {**A, "_meta": {"progressToken": 1}}
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        group.create_task(ask(gateway, READ, A))
        group.create_task(ask(gateway, READ, token))
        await until(lambda: len(fake.asked(READ)) == 2)
        gate.open()
    assert counts(gateway).entries == 1


async def test_a_kept_answer_serves_a_progress_token_too() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        assert (await ask(gateway, READ, {**A, "_meta": {"progressToken": 1}}))["count"] == 1


@pytest.mark.parametrize(
    ("meta", "shared"),
    [
        ({"traceparent": "00-2"}, True),
        ({CLIENT_INFO_KEY: {"name": "other"}}, True),
        ({RELATED: {"taskId": "1"}}, False),
        ({"b.example/tenant": 2}, False),
        ([], False),
    ],
)
async def test_what_of_meta_makes_another_request(meta: Any, shared: bool) -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        await ask(gateway, READ, {**A, "_meta": {"traceparent": "00-1"}})
        try:
            await ask(gateway, READ, {**A, "_meta": meta})
        except McpError as error:
            assert "object" in error.message
        assert (len(fake.asked(READ)) == 1) is shared


async def test_cache_and_sharing_can_be_turned_off() -> None:
    fake = library(answers={READ: numbered()})
    off: Any = {"cache": {"enabled": False}, "batching": {"enabled": False}}
    async with gateway_of(fake, **off) as gateway:
        assert [await read(gateway) for _ in range(3)] == [1, 2, 3]
        assert gateway._answers.methods == frozenset()
        assert counts(gateway).misses == 0


# --- whose ---


async def test_callers_do_not_see_each_others_answers() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        found = [await read(gateway, client(name)) for name in ("ann", "bob", "ann", "bob")]
        assert found == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("said", "expected"),
    [("public", [1, 1]), ("private", [1, 2]), (None, [1, 2]), ("PUBLIC", [1, 2])],
)
async def test_the_server_says_whose_it_is(said: str | None, expected: list[int]) -> None:
    hints = {"ttlMs": 60_000, "cacheScope": said} if said else {"ttlMs": 60_000}
    fake = library(answers={READ: numbered(resultType="complete", **hints)}, modern=True)
    async with gateway_of(fake) as gateway:
        assert [await read(gateway, client(name)) for name in ("ann", "bob")] == expected


async def test_the_operator_may_say_that_all_is_for_everybody() -> None:
    fake = library(answers={READ: numbered()})
    entries = {"lib": {"cache": {"shared": True}}}
    async with gateway_of(fake, entries=entries) as gateway:
        assert [await read(gateway, client(name)) for name in ("ann", "bob")] == [1, 1]


async def test_strangers_without_a_name_are_told_apart_by_their_sessions() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake, server={"auth": "none"}) as gateway:
        callers = [client(ANONYMOUS, session) for session in ("x", "y", "x", None, None)]
        assert [await read(gateway, one) for one in callers] == [1, 2, 1, 3, 4]


async def test_the_only_user_needs_no_name() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        callers = [client(ANONYMOUS, session) for session in ("x", None)]
        assert [await read(gateway, one) for one in callers] == [1, 1]


async def test_a_server_that_remembers_sessions_has_answers_for_sessions() -> None:
    fake = library(answers={READ: numbered()})
    entries = {"lib": {"isolation": "session"}}
    async with gateway_of(fake, entries=entries) as gateway:
        (replica,) = gateway.roster.servers["lib"].replicas
        replica.further._make = lambda era: fake
        assert [await read(gateway, client("ann", one)) for one in "xyx"] == [1, 2, 1]


async def test_who_can_do_more_may_get_another_answer() -> None:
    fake = library(answers={READ: numbered()})
    async with gateway_of(fake) as gateway:
        assert await read(gateway, client()) == 1
        assert await read(gateway, client(elicitation={})) == 2


# --- tools ---


async def test_only_tools_that_are_listed_are_kept() -> None:
    fake = library(answers={"tools/list": {"tools": [tool("find"), tool("write")]}})
    async with gateway_of(fake, cache={"tools": [{"match": "lib__f*", "ttl": "5s"}]}) as gateway:
        clock = Clock(gateway)
        for name in ("lib__find", "lib__write") * 2:
            await ask(gateway, "tools/call", {"name": name, "arguments": {"q": 1}})
        called = [one["name"] for one in fake.asked("tools/call")]
        assert called == ["find", "write", "write"]
        clock.now += 5
        await ask(gateway, "tools/call", {"name": "lib__find", "arguments": {"q": 1}})
        assert len(fake.asked("tools/call")) == 4


async def test_a_tool_that_failed_is_called_again() -> None:
    fake = library(answers={"tools/call": {"content": [], "isError": True}})
    async with gateway_of(fake, cache={"tools": [{"match": "*"}]}) as gateway:
        for _ in range(2):
            await ask(gateway, "tools/call", {"name": "lib__find"})
        assert len(fake.asked("tools/call")) == 2


async def test_revisions_that_read_results_differently_do_not_share_them() -> None:
    audio = {"content": [{"type": "audio", "data": "", "mimeType": "audio/wav"}]}
    fake = library(answers={"tools/call": audio})
    async with gateway_of(fake, cache={"tools": [{"match": "*"}]}) as gateway:
        new = await ask(gateway, "tools/call", {"name": "lib__find"})
        old = await ask(gateway, "tools/call", {"name": "lib__find"}, revision="2024-11-05")
        assert [one["content"][0]["type"] for one in (new, old)] == ["audio", "text"]


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [(None, 2), ({"readOnlyHint": True}, 1), ({"readOnlyHint": False}, 2), ({}, 2)],
)
async def test_a_call_that_may_write_ends_what_was_read(annotations: Any, expected: int) -> None:
    one = tool("find", annotations=annotations) if annotations is not None else tool("find")
    fake = library(answers={"tools/list": {"tools": [one]}, READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        await ask(gateway, "tools/call", {"name": "lib__find"})
        assert await read(gateway) == expected


async def test_a_call_that_failed_may_have_written_too() -> None:
    fake = library(answers={"tools/call": LOST, READ: numbered()})
    async with gateway_of(fake) as gateway:
        await read(gateway)
        with pytest.raises(ServerLost):
            await ask(gateway, "tools/call", {"name": "lib__find"})
        assert await read(gateway) == 2


async def test_a_server_that_times_its_answers_answers_for_them() -> None:
    fake = library(answers={READ: numbered(resultType="complete", ttlMs=60_000)}, modern=True)
    async with gateway_of(fake) as gateway:
        await read(gateway)
        await ask(gateway, "tools/call", {"name": "lib__find"})
        assert await read(gateway) == 1


async def test_what_is_read_while_a_tool_writes_is_not_kept() -> None:
    gate = Gate({"contents": [], "count": 0})
    fake = library(answers={READ: gate})
    async with gateway_of(fake) as gateway, asyncio.TaskGroup() as group:
        early = group.create_task(read(gateway))
        await gate.entered.wait()
        await ask(gateway, "tools/call", {"name": "lib__find"})
        fake.answers[READ] = numbered()
        assert await read(gateway) == 1
        gate.open()
        assert await early == 0
        assert await read(gateway) == 1
