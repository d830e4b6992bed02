"""What a server gets and what comes back: not a byte other than names and eras demand."""

import asyncio
from typing import Any

import pytest
from msgspec import Raw

from fakes.upstream import (
    Gate,
    Heard,
    ask,
    gateway_of,
    library,
    request,
    text,
    tool,
)
from only1mcp.protocol.eras import META, own_meta
from only1mcp.protocol.errors import (
    HeaderMismatch,
    InvalidParams,
    ResourceNotFound,
    ServerLost,
    ServerProtocolError,
    UpstreamError,
)
from only1mcp.protocol.methods import (
    NEWEST_LEGACY,
    NEWEST_MODERN,
)
from only1mcp.relay.call import relay
from only1mcp.upstream.base import Call

MODERN_META = own_meta({"sampling": {}})


# --- what the server gets, what the client gets ---

ODD = (
    b'{"zzz":[1, 2.50,  1e3],"name":"lib__find","arguments":{"n":12345678901234567890123,'
    b'"s":"\\u00e9\xc3\xa9"},"_meta":{"k":{"deep":[]}}}'
)


async def test_a_new_name_changes_no_other_byte_of_params() -> None:
    seen: list[tuple[str, bytes]] = []

    def keep(call: Call) -> Any:
        assert call.params is not None
        seen.extend((key, bytes(value)) for key, value in call.params.items())
        return text("ok")

    lib = library(answers={"tools/call": keep})
    async with gateway_of(lib) as gateway:
        await ask(gateway, "tools/call", ODD)
    assert seen == [
        ("zzz", b"[1, 2.50,  1e3]"),
        ("name", b'"find"'),
        ("arguments", b'{"n":12345678901234567890123,"s":"\\u00e9\xc3\xa9"}'),
        ("_meta", b'{"k":{"deep":[]}}'),
    ]


async def test_a_result_within_one_era_is_not_touched() -> None:
    result = b' {"content" : [],\t"structuredContent":{"x":1.0}, "isError":true,"_meta":{"a":1}}\n'
    async with gateway_of(library(answers={"tools/call": result})) as gateway:
        asked = request(gateway, "tools/call", {"name": "lib__find"})
        assert await relay(asked, gateway.snapshot()) == result


async def test_a_call_carries_the_own_name_and_the_deadlines_of_its_server() -> None:
    lib = library()
    timeouts = {"call_idle": 7, "call_max": 70}
    async with gateway_of(lib, entries={"lib": {"timeouts": timeouts}}) as gateway:
        await ask(gateway, "tools/call", {"name": "lib__find"})
        await ask(gateway, "resources/read", {"uri": "lib://a"})
    tool_call, read = lib.sent[-2:]
    assert (tool_call.name, tool_call.idle_s, tool_call.max_s) == ("find", 7, 70)
    assert read.name == "lib://a"


async def test_notifications_of_a_call_go_to_its_client() -> None:
    def noisy(call: Call) -> Any:
        assert call.on_notification is not None
        call.on_notification("notifications/progress", Raw(b'{"progress":1}'))
        return text("ok")

    heard = Heard()
    async with gateway_of(library(answers={"tools/call": noisy})) as gateway:
        await ask(gateway, "tools/call", {"name": "lib__find"}, caller=heard)
    assert heard.notes == [("notifications/progress", {"progress": 1})]


async def test_a_servers_own_error_passes_unchanged() -> None:
    own = UpstreamError(b'{"code":7,"message":"no","data":[1]}', 7, "no")
    async with gateway_of(library(answers={"tools/call": own})) as gateway:
        with pytest.raises(UpstreamError) as caught:
            await ask(gateway, "tools/call", {"name": "lib__find"})
    assert caught.value is own


async def test_a_fault_in_mid_call_passes_with_its_outcome() -> None:
    async with gateway_of(library(answers={"tools/call": ServerLost("lib", "it died")})) as gateway:
        with pytest.raises(ServerLost) as caught:
            await ask(gateway, "tools/call", {"name": "lib__find"})
    assert caught.value.may_have_run


async def test_cancelling_the_request_cancels_the_call() -> None:
    gate = Gate(text("late"))
    lib = library(answers={"tools/call": gate})
    async with gateway_of(lib) as gateway, asyncio.TaskGroup() as group:
        asking = group.create_task(ask(gateway, "tools/call", {"name": "lib__find"}))
        await gate.entered.wait()
        asking.cancel()
    assert lib.cancelled == ["tools/call"]


# --- four pairs of eras ---


@pytest.mark.parametrize("modern_client", [False, True])
@pytest.mark.parametrize("modern_server", [False, True])
async def test_params_suit_the_era_of_the_server(modern_client: bool, modern_server: bool) -> None:
    lib = library(modern=modern_server)
    meta = {"mine": 1, **(MODERN_META if modern_client else {})}
    revision = NEWEST_MODERN if modern_client else NEWEST_LEGACY
    async with gateway_of(lib) as gateway:
        params = {"name": "lib__find", "_meta": meta}
        await ask(gateway, "tools/call", params, revision=revision)
    (there,) = lib.asked("tools/call")
    reserved = {key: value for key, value in there["_meta"].items() if key.startswith(META)}
    assert there["_meta"]["mine"] == 1
    if not modern_server:
        assert reserved == {}
    elif modern_client:
        assert reserved == MODERN_META
    else:
        assert reserved == own_meta({})


@pytest.mark.parametrize("modern_client", [False, True])
@pytest.mark.parametrize("modern_server", [False, True])
@pytest.mark.parametrize(
    ("method", "params"),
    [("tools/call", {"name": "lib__find"}), ("resources/read", {"uri": "lib://a"})],
)
async def test_results_suit_the_era_of_the_client(
    modern_client: bool, modern_server: bool, method: str, params: Any
) -> None:
    body: dict[str, Any] = {"content": [], "contents": [], "new": {"x": 1}}
    stamped = {"resultType": "complete", "ttlMs": 5, "cacheScope": "public"}
    answers = {method: body | (stamped if modern_server else {})}
    lib = library(answers=answers, modern=modern_server)
    revision = NEWEST_MODERN if modern_client else NEWEST_LEGACY
    async with gateway_of(lib) as gateway:
        found = await ask(gateway, method, params, revision=revision)
    assert {key: found[key] for key in body} == body
    added = {key: found[key] for key in stamped if key in found}
    if not modern_client:
        assert added == {}
    elif modern_server:
        assert added == stamped
    elif method == "resources/read":
        assert added == {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
    else:
        assert added == {"resultType": "complete"}


async def test_a_result_that_cannot_be_translated_is_the_servers_fault() -> None:
    async with gateway_of(library(answers={"tools/call": b"[1]"})) as gateway:
        with pytest.raises(ServerProtocolError, match="server 'lib' answered tools/call"):
            await ask(gateway, "tools/call", {"name": "lib__find"}, revision=NEWEST_MODERN)


# --- arguments in headers (x-mcp-header) ---

REGION = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}


@pytest.mark.parametrize("modern_client", [False, True])
@pytest.mark.parametrize("modern_server", [False, True])
@pytest.mark.parametrize("received", [None, {}, {b"mcp-param-region": b"eu"}])
async def test_arguments_that_travel_in_headers(
    modern_client: bool, modern_server: bool, received: Any
) -> None:
    listed = {"tools/list": {"tools": [tool("find", inputSchema=REGION)]}}
    lib = library(answers=listed, modern=modern_server)
    heard = Heard()
    heard.headers = received  # None: not over HTTP
    revision = NEWEST_MODERN if modern_client else NEWEST_LEGACY
    params = {"name": "lib__find", "arguments": {"region": "eu"}}
    async with gateway_of(lib) as gateway:
        asking = ask(gateway, "tools/call", params, revision=revision, caller=heard)
        if modern_client and received == {}:
            with pytest.raises(HeaderMismatch, match="Mcp-Param-Region is missing"):
                await asking
            assert lib.asked("tools/call") == []
        else:
            await asking
            expected = (("Mcp-Param-Region", "eu"),) if modern_server else ()
            assert lib.sent[-1].mirrored == expected


# --- resource links ---

LINK = {"content": [{"type": "resource_link", "uri": "made://up/1", "name": "x"}]}


async def test_a_linked_resource_is_read_from_the_server_that_handed_it_out() -> None:
    one, two = library("one"), library("two", {"tools/call": LINK})
    async with gateway_of(one, two) as gateway:
        with pytest.raises(ResourceNotFound):
            await ask(gateway, "resources/read", {"uri": "made://up/1"})
        await ask(gateway, "tools/call", {"name": "two__find"})
        await ask(gateway, "resources/read", {"uri": "made://up/1"})
    assert two.asked("resources/read") == [{"uri": "made://up/1"}]
    assert one.asked("resources/read") == []


@pytest.mark.parametrize(
    "result",
    [
        b'{"content":[{"type":"resource_link"}]}',
        b'{"content":[{"type":"resource_link","uri":5},7]}',
        b'{"content":{"type":"resource_link"}}',
        b'["resource_link"]',
        b'{"structuredContent":{"type":"resource_link","uri":"made://up/1"}}',
    ],
)
async def test_what_only_looks_like_a_link_passes_and_teaches_nothing(result: bytes) -> None:
    async with gateway_of(library(answers={"tools/call": result}), library("other")) as gateway:
        asked = request(gateway, "tools/call", {"name": "lib__find"})
        assert await relay(asked, gateway.snapshot()) == result
        with pytest.raises(ResourceNotFound):
            await ask(gateway, "resources/read", {"uri": "made://up/1"})


@pytest.mark.parametrize("given", [None, 5, {"user_name": 12345}])
@pytest.mark.parametrize("capabilities", [{}, {"elicitation": {}}])
async def test_malformed_answers_never_reach_a_legacy_server(
    given: Any, capabilities: dict[str, Any]
) -> None:
    lib, caller = library(), Heard()
    caller.capabilities = capabilities
    meta = own_meta(capabilities)
    params = {"name": "lib__find", "inputResponses": given, "_meta": meta}
    async with gateway_of(lib) as gateway:
        with pytest.raises(InvalidParams, match="must be an object"):
            await ask(gateway, "tools/call", params, revision=NEWEST_MODERN, caller=caller)
    assert lib.asked("tools/call") == []
