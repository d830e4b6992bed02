"""One fetch of all lists of a server: what is asked, what is cut, how long the answer holds."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.upstream import Answer, FakeUpstream, offers, plain
from only1mcp.catalog.listing import NOTHING, Kind, Listing
from only1mcp.protocol import message
from only1mcp.protocol.caching import LONGEST_TTL_S
from only1mcp.protocol.errors import (
    ServerFault,
    ServerLost,
    ServerTimeout,
    UpstreamError,
)
from only1mcp.relay import fetch
from only1mcp.relay.fetch import Hold
from only1mcp.upstream.base import Call

BROKEN = UpstreamError(b'{"code":-32603,"message":"boom"}', -32603, "boom")


async def listed(fake: FakeUpstream, last: Listing = NOTHING) -> Listing:
    """What `fake` offers."""
    listing, _ = await fetch.fetch(fake, 7, last)
    return listing


def tools(listing: Listing) -> list[str | None]:
    """The names of the tools in `listing`."""
    return [message.text(entry["name"]) for entry in listing.tools]


def paged(*pages: dict[str, Any]) -> Callable[[Call], Answer]:
    """A list in pages; the cursors are 1, 2, 3."""

    def answer(call: Call) -> Answer:
        number = int(plain(call.params).get("cursor", 0))
        more = {"nextCursor": str(number + 1)} if number + 1 < len(pages) else {}
        return pages[number] | more

    return answer


# --- what is asked for ---


async def test_every_page_of_every_declared_list_is_fetched() -> None:
    answers = offers(prompts=["p"]) | {
        "tools/list": paged(*(offers(tools=[name])["tools/list"] for name in "abc"))
    }
    fake = FakeUpstream(answers=answers, capabilities={"tools": {}, "prompts": {}, "logging": {}})
    assert tools(await listed(fake)) == ["a", "b", "c"]
    assert fake.calls == [
        ("tools/list", {}),
        ("tools/list", {"cursor": "1"}),
        ("tools/list", {"cursor": "2"}),
        ("prompts/list", {}),
    ]


async def test_a_server_that_declares_nothing_is_asked_for_everything() -> None:
    fake = FakeUpstream(answers=offers(tools=["a"]), capabilities={})
    assert tools(await listed(fake)) == ["a"]
    assert len(fake.calls) == 4


async def test_a_modern_server_is_asked_in_its_own_words() -> None:
    answers = {"tools/list": paged({"tools": []}, {"tools": []})}
    fake = FakeUpstream(answers=answers, modern=True)
    await listed(fake)
    assert [set(params) for params in fake.asked("tools/list")] == [{"_meta"}, {"_meta", "cursor"}]


async def test_a_list_is_given_the_time_its_server_has_for_lists() -> None:
    fake = FakeUpstream(answers=offers(tools=["a"]))
    await listed(fake)
    (call,) = fake.sent
    assert call.idle_s == call.max_s == 7


# --- what goes wrong ---

NO_LIST = [[1], "text", {"prompts": None}, {"prompts": {"a": 1}}]


@pytest.mark.parametrize("fault", [BROKEN, ServerTimeout("fake", "silent"), *NO_LIST])
async def test_a_failing_list_does_not_hide_the_others(
    fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answers = offers(tools=["a"]) | {"prompts/list": fault}
    fake = FakeUpstream(answers=answers, capabilities={"prompts": {}, "tools": {}})
    assert tools(await listed(fake)) == ["a"]
    assert "server fake: prompts/list failed" in caplog.text


async def test_a_list_declared_in_part_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    answers = offers(resources=["a://b"])
    del answers["resources/templates/list"]
    await listed(FakeUpstream(answers=answers, capabilities={"resources": {}}))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (ServerTimeout("fake", "silent"), "silent"),
        ({"tools": "none"}, "server 'fake' answered tools/list with something that is no list"),
    ],
)
async def test_a_server_none_of_whose_lists_can_be_had_is_not_ready(fault: Any, said: str) -> None:
    with pytest.raises(ServerFault) as caught:
        await listed(FakeUpstream(answers={"tools/list": fault}))
    assert caught.value.message == said


async def test_a_server_that_refuses_all_lists_itself_has_none() -> None:
    refusals = {"tools/list": BROKEN}  # and the fake knows no other method
    assert tools(await listed(FakeUpstream(answers=refusals, capabilities={}))) == []


async def test_a_lost_server_is_not_asked_on() -> None:
    fake = FakeUpstream(answers={"tools/list": ServerLost("fake", "died")}, capabilities={})
    with pytest.raises(ServerLost):
        await listed(fake)
    assert len(fake.calls) == 1


async def test_a_failing_list_stays_as_it_was() -> None:
    fake = FakeUpstream(answers=offers(tools=["a"], prompts=["p"]), capabilities={})
    before = await listed(fake)
    fake.answers["tools/list"] = BROKEN
    del fake.answers["prompts/list"]  # not failing: gone
    after = await listed(fake, before)
    assert after.tools == before.tools
    assert after.prompts == ()


# --- bounds ---


def endless(cursor: Callable[[int], str]) -> Callable[[Call], Answer]:
    """A list that always has a next page."""
    pages = iter(range(10**9))

    def answer(call: Call) -> Answer:
        number = next(pages)
        return offers(tools=[f"t{number}"])["tools/list"] | {"nextCursor": cursor(number)}

    return answer


@pytest.mark.parametrize(
    ("limit", "value", "cursor", "calls", "entries"),
    [
        ("MAX_PAGES", 5, str, 6, 6),
        ("MAX_PAGES", 1000, lambda number: "same", 2, 2),
        ("MAX_PAGES", 1000, lambda number: "ab"[number % 2], 3, 3),
        ("MAX_ENTRIES", 4, str, 5, 4),
        ("MAX_BYTES", 200, str, 3, 3),
    ],
)
async def test_a_list_that_never_ends_is_cut(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limit: str,
    value: int,
    cursor: Callable[[int], str],
    calls: int,
    entries: int,
) -> None:
    monkeypatch.setattr(fetch, limit, value)
    fake = FakeUpstream(answers={"tools/list": endless(cursor)})
    assert len(tools(await listed(fake))) == entries
    assert len(fake.calls) == calls
    assert "tools/list never ends" in caplog.text


# --- how long a list holds ---


async def held(fake: FakeUpstream, *kinds: Kind) -> dict[Kind, Hold]:
    """How long each list of `fake` holds."""
    return (await fetch.fetch(fake, 1, kinds=kinds or Kind))[1]


@pytest.mark.parametrize(
    ("page", "seconds"),
    [
        ({"ttlMs": 1500}, 1.5),
        ({"ttlMs": 0}, 0),
        ({"ttlMs": -1}, 0),
        ({"ttlMs": 0.5}, 0.0005),
        ({"ttlMs": 10**400}, LONGEST_TTL_S),
    ],
)
async def test_a_server_says_how_long_its_list_holds(page: dict[str, Any], seconds: float) -> None:
    fake = FakeUpstream(answers={"tools/list": {"tools": []} | page})
    assert await held(fake) == {Kind.TOOLS: Hold(seconds, said=True)}


@pytest.mark.parametrize("page", [{}, {"ttlMs": True}, {"ttlMs": "60000"}, {"ttlMs": None}])
async def test_or_it_does_not(page: dict[str, Any]) -> None:
    answers = {"tools/list": {"tools": []} | page}
    fake = FakeUpstream(answers=answers, capabilities={"tools": {"listChanged": True}})
    (found,) = (await held(fake)).values()
    assert found == Hold()
    assert found.lasts_s(300) == 300


@pytest.mark.parametrize(
    "tools", [{}, {"listChanged": False}, {"listChanged": "yes"}, True, []], ids=str
)
async def test_a_server_that_announces_no_changes_is_looked_at_again_soon(tools: Any) -> None:
    fake = FakeUpstream(answers=offers(tools=["a"]), capabilities={"tools": tools})
    (found,) = (await held(fake)).values()
    assert found == Hold(told=False)
    assert (found.lasts_s(300), found.lasts_s(1)) == (fetch.UNTOLD_TTL_S, 1)


async def test_what_it_says_itself_goes_before() -> None:
    fake = FakeUpstream(answers={"tools/list": {"tools": [], "ttlMs": 60_000}})
    (found,) = (await held(fake)).values()
    assert found.lasts_s(300) == 60


async def test_each_list_has_its_own_time_and_of_its_pages_the_shortest_counts() -> None:
    public = {"cacheScope": "public"}
    answers = {
        "tools/list": paged({"tools": [], "ttlMs": 9000}, {"tools": [], "ttlMs": 3000, **public}),
        "prompts/list": {"prompts": [], "ttlMs": 7000, **public},
    }
    fake = FakeUpstream(answers=answers, capabilities={"tools": {}, "prompts": {}})
    assert await held(fake) == {
        Kind.TOOLS: Hold(3, said=True),
        Kind.PROMPTS: Hold(7, said=True, public=True),
    }


async def test_a_page_that_says_nothing_leaves_it_open() -> None:
    answers = {"tools/list": paged({"tools": [], "ttlMs": 9000}, {"tools": []})}
    assert await held(FakeUpstream(answers=answers)) == {Kind.TOOLS: Hold(9)}


async def test_a_failed_list_is_asked_for_again_soon() -> None:
    answers = offers(tools=["a"]) | {"prompts/list": BROKEN}
    fake = FakeUpstream(answers=answers, capabilities={"tools": {}, "prompts": {}})
    failed = Hold(fetch.FAILED_TTL_S)
    assert await held(fake) == {Kind.TOOLS: Hold(told=False), Kind.PROMPTS: failed}


async def test_what_is_not_asked_for_stays_as_it_was() -> None:
    fake = FakeUpstream(answers=offers(tools=["a"], prompts=["p"]), capabilities={})
    before, _ = await fetch.fetch(fake, 1)
    fake.answers |= offers(tools=["b"])
    listing, holds = await fetch.fetch(fake, 1, before, (Kind.TOOLS,))
    assert tools(listing) == ["b"]
    assert listing.prompts == before.prompts
    assert list(holds) == [Kind.TOOLS]
