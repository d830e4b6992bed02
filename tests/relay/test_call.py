"""One request, one server, one answer: who gets it, what it looks like there, what comes back."""

import asyncio
from time import perf_counter
from typing import Any

import pytest

from fakes.answers import client
from fakes.edge import begin, until
from fakes.upstream import (
    FakeUpstream,
    Gate,
    ask,
    gateway_of,
    library,
    offers,
    request,
    tool,
)
from only1mcp.protocol.eras import own_meta
from only1mcp.protocol.errors import (
    InvalidParams,
    MethodNotFound,
    ResourceNotFound,
    ServerUnavailable,
)
from only1mcp.protocol.methods import (
    METHODS,
    NEWEST_MODERN,
    R2024_11_05,
    Route,
)
from only1mcp.relay import fanout
from only1mcp.relay.call import relay

MODERN_META = own_meta({"sampling": {}})


# --- whose it is ---

ROUTED = [
    ("tools/call", {"name": "lib__find"}, {"name": "find"}),
    ("prompts/get", {"name": "lib__greet"}, {"name": "greet"}),
    ("resources/read", {"uri": "lib://a"}, {"uri": "lib://a"}),
    ("resources/read", {"uri": "lib://item/7"}, {"uri": "lib://item/7"}),
    (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "lib__greet"}},
        {"ref": {"type": "ref/prompt", "name": "greet"}},
    ),
    (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "lib://item/{name}"}},
        {"ref": {"type": "ref/resource", "uri": "lib://item/{name}"}},
    ),
]


@pytest.mark.parametrize(("method", "params", "there"), ROUTED)
async def test_a_request_reaches_the_server_it_is_for(method: str, params: Any, there: Any) -> None:
    other, lib = library("other"), library()
    async with gateway_of(other, lib) as gateway:
        await ask(gateway, method, params)
    assert lib.asked(method) == [there]
    assert other.asked(method) == []


@pytest.mark.parametrize("method", [row.name for row in METHODS.values() if row.items])
async def test_a_list_is_answered_from_the_catalogue(method: str) -> None:
    items = METHODS[method].items
    assert items is not None
    async with gateway_of(library("one"), library("two")) as gateway:
        found = await ask(gateway, method)
        both = [one["name"] for one in found[items]]
        alone = await ask(gateway, method, mount="two")
    assert len(both) == 2
    assert len(alone[items]) == 1


def test_every_route_of_the_table_is_covered_here() -> None:
    covered = {METHODS[method].route for method, _, _ in ROUTED}
    beyond = {
        Route.TASK,
        Route.TASKS,
        Route.OTHER,
    }  # tests/relay/test_extensions.py, e2e/test_tasks
    assert covered | beyond | {Route.LOCAL, Route.LIST} == set(Route)


@pytest.mark.parametrize(
    "method", ["no/such", "", *(row.name for row in METHODS.values() if row.route is Route.LOCAL)]
)
async def test_what_the_relay_does_not_carry_is_an_unknown_method(method: str) -> None:
    async with gateway_of(library()) as gateway:
        with pytest.raises(MethodNotFound):
            await ask(gateway, method)


async def test_a_method_of_another_revision_is_unknown() -> None:
    async with gateway_of(library()) as gateway:
        with pytest.raises(MethodNotFound):
            await ask(gateway, "logging/setLevel", revision=NEWEST_MODERN)
        await ask(gateway, "tools/list", revision=R2024_11_05)


async def test_on_a_mount_names_are_bare_and_what_is_not_listed_is_passed_on() -> None:
    lib = library()
    async with gateway_of(library("other"), lib) as gateway:
        await ask(gateway, "tools/call", {"name": "find"}, mount="lib")
        await ask(gateway, "tools/call", {"name": "hidden"}, mount="lib")
        await ask(gateway, "resources/read", {"uri": "any://thing"}, mount="lib")
    assert lib.asked("tools/call") == [{"name": "find"}, {"name": "hidden"}]
    assert lib.asked("resources/read") == [{"uri": "any://thing"}]


# --- what nobody offers ---


@pytest.mark.parametrize(
    ("method", "params", "message", "hint"),
    [
        ("tools/call", {"name": "lib__fnd"}, "unknown tool: lib__fnd", "did you mean lib__find?"),
        ("tools/call", {"name": "zzz"}, "unknown tool: zzz", "tools/list shows what there is"),
        ("prompts/get", {"name": "zzz"}, "unknown prompt: zzz", "prompts/list shows what there is"),
        (
            "completion/complete",
            {"ref": {"type": "ref/prompt", "name": "greet"}},
            "unknown prompt: greet",
            "did you mean lib__greet?",
        ),
    ],
)
async def test_an_unknown_name_comes_with_a_hint(
    method: str, params: Any, message: str, hint: str
) -> None:
    async with gateway_of(library()) as gateway:
        with pytest.raises(InvalidParams) as caught:
            await ask(gateway, method, params)
    assert caught.value.message == message
    assert caught.value.data == {"hint": hint}


async def test_a_withheld_tool_is_unknown_on_its_mount_too() -> None:
    async with gateway_of(library(), entries={"lib": {"tools": {"deny": ["find"]}}}) as gateway:
        for name, mount in (("lib__find", None), ("find", "lib")):
            with pytest.raises(InvalidParams, match="unknown tool"):
                await ask(gateway, "tools/call", {"name": name}, mount=mount)


async def test_an_unknown_resource_names_itself_and_the_lists() -> None:
    async with gateway_of(library("one"), library("two")) as gateway:
        with pytest.raises(ResourceNotFound) as caught:
            await ask(gateway, "resources/read", {"uri": "zzz://1"})
        with pytest.raises(InvalidParams) as template:
            ref = {"type": "ref/resource", "uri": "zzz://{x}"}
            await ask(gateway, "completion/complete", {"ref": ref})
    assert caught.value.data["uri"] == "zzz://1"
    assert "resources/list" in caught.value.data["hint"]
    assert "resources/templates/list" in template.value.data["hint"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {}),
        ("tools/call", {"name": 7}),
        ("prompts/get", {"name": None}),
        ("resources/read", {"uri": ["lib://a"]}),
        ("completion/complete", {}),
        ("completion/complete", {"ref": "greet"}),
        ("completion/complete", {"ref": {"type": "ref/tool", "name": "find"}}),
        ("completion/complete", {"ref": {"type": "ref/prompt"}}),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": 3}}),
        ("tools/list", {"cursor": 5}),
        ("tools/list", {"cursor": "not ours"}),
    ],
)
async def test_params_that_do_not_say_whose_it_is_are_invalid(method: str, params: Any) -> None:
    lib = library()
    async with gateway_of(lib, library("other")) as gateway:
        with pytest.raises(InvalidParams):
            await ask(gateway, method, params)
    assert lib.asked(method) in ([], [{}])  # nothing but the list the gateway asked for itself


# --- a server that is not there ---


@pytest.mark.parametrize(("name", "mount"), [("lib__find", None), ("find", "lib")])
async def test_a_call_waits_for_a_server_that_is_starting(name: str, mount: str | None) -> None:
    lib, other = library(), library("other")
    lib.hold = asyncio.Event()
    async with gateway_of(other, lib, settled=False) as gateway, asyncio.TaskGroup() as group:
        await until(lambda: lib.connects == 1)
        asking = group.create_task(ask(gateway, "tools/call", {"name": name}, mount=mount))
        await asyncio.sleep(0)
        lib.hold.set()
        await asking
    assert lib.asked("tools/call") == [{"name": "find"}]
    assert other.asked("tools/call") == []


async def test_a_server_that_is_still_starting_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "GRACE_S", 0.01)
    lib = library()
    lib.hold = asyncio.Event()
    async with gateway_of(lib, settled=False) as gateway:
        with pytest.raises(ServerUnavailable, match="server 'lib' is starting") as caught:
            await ask(gateway, "tools/call", {"name": "lib__find"})
    assert caught.value.data == {
        "server": "lib",
        "outcome": "not_sent",
        "hint": "try again in a moment",
    }


@pytest.mark.parametrize(("name", "mount"), [("lib__find", None), ("find", "lib")])
async def test_a_server_that_never_came_up_says_why_and_when_it_is_tried_again(
    name: str, mount: str | None
) -> None:
    lib = library()
    lib.refuse = ServerUnavailable("lib", "no such command: lbi", hint="check PATH")
    async with gateway_of(lib) as gateway:
        with pytest.raises(ServerUnavailable) as caught:
            await ask(gateway, "tools/call", {"name": name}, mount=mount)
    assert "server 'lib' is waiting: no such command: lbi; check PATH" in caught.value.message
    assert "it is tried again within" in caught.value.data["hint"]


async def test_a_lost_server_keeps_its_names_and_says_that_it_is_lost() -> None:
    lib = library()
    async with gateway_of(lib, entries={"lib": {"retry": {"budget": 0}}}) as gateway:
        lib.lose("exit code 1")
        await until(lambda: gateway.roster.servers["lib"].upstream is None)
        assert (await ask(gateway, "tools/list"))["tools"][0]["name"] == "lib__find"
        with pytest.raises(ServerUnavailable, match="exit code 1"):
            await ask(gateway, "tools/call", {"name": "lib__find"})


async def test_the_prefix_of_a_disabled_server_is_no_server() -> None:
    async with gateway_of(library(), entries={"off": {"enabled": False}}) as gateway:
        with pytest.raises(InvalidParams, match="unknown tool"):
            await ask(gateway, "tools/call", {"name": "off__find"})


# --- lists ---


async def test_the_first_page_is_of_now_and_the_next_belongs_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("only1mcp.catalog.pages.PAGE", 2)
    lib = FakeUpstream("lib", offers(tools=["a", "b", "c"]))
    async with gateway_of(lib) as gateway:
        first = await ask(gateway, "tools/list")
        second = await ask(gateway, "tools/list", {"cursor": first["nextCursor"]})
    names = [one["name"] for one in first["tools"] + second["tools"]]
    assert names == ["lib__a", "lib__b", "lib__c"]
    assert "nextCursor" not in second


async def test_lists_suit_the_era_of_the_client() -> None:
    lib = FakeUpstream("lib", {"tools/list": {"tools": [tool("a", new=True)]}})
    async with gateway_of(lib) as gateway:
        legacy = await ask(gateway, "tools/list")
        modern = await ask(gateway, "tools/list", {"_meta": MODERN_META}, revision=NEWEST_MODERN)
    assert legacy == {"tools": [tool("lib__a", new=True)]}
    assert modern["tools"] == legacy["tools"]
    assert modern["resultType"] == "complete"


async def test_the_list_of_tasks_wakes_a_server_that_rests() -> None:
    lib = FakeUpstream(
        "lib",
        {"tasks/list": {"tasks": [{"taskId": "1"}]}},
        capabilities={"tasks": {"list": {}}},
    )
    async with gateway_of(lib, entries={"lib": {"idle_stop": 3600}}) as gateway:
        live = gateway.roster.servers["lib"]
        live._awake.clear()
        live.replicas[0].rest()
        found = await ask(gateway, "tasks/list", caller=client(session="s"))
        assert found == {"tasks": [{"taskId": "lib.1"}]}


async def test_the_list_of_tasks_takes_as_long_as_the_slowest_server() -> None:
    gates = [Gate({"tasks": []}) for _ in range(2)]
    able: dict[str, Any] = {"tasks": {"list": {}}}
    one, two = (
        FakeUpstream(id, {"tasks/list": gate}, capabilities=able)
        for id, gate in zip(("one", "two"), gates, strict=True)
    )
    async with gateway_of(one, two) as gateway:
        listing, began = request(gateway, "tasks/list", caller=client(session="s")), perf_counter()
        waits = begin(relay(listing, gateway.snapshot()))
        await until(lambda: all(gate.entered.is_set() for gate in gates))
        entered = perf_counter()
        gates[0].open()
        await until(lambda: gateway.roster.servers["one"].turns.in_flight == 0)
        held_s = perf_counter() - entered
        gates[1].open()
        await waits
        took_s = perf_counter() - began
    assert held_s < listing.upstream_s <= took_s
