"""One message to its answer, the same for every edge: both eras, cancellation, arrays."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from fakes.edge import PATIENCE_S, until
from fakes.upstream import FakeUpstream, Gate, Heard, gateway_of, library, offers, text
from only1mcp.gateway import Gateway
from only1mcp.protocol import message
from only1mcp.protocol.eras import VERSION_KEY, own_meta
from only1mcp.protocol.errors import InvalidParams, InvalidRequest, UnsupportedVersion
from only1mcp.protocol.message import Message
from only1mcp.protocol.methods import LEGACY, MODERN, NEWEST_MODERN, R2025_03_26
from only1mcp.server import dispatch
from only1mcp.server.session import CLIENT_CANCELLED, Session

CALL = {"name": "lib__find"}


def incoming(method: str, params: Any = None, id: Any = 1) -> Message:
    """A message of the client; a notification with id None."""
    fields = {"jsonrpc": "2.0", "method": method}
    fields |= {} if id is None else {"id": id}
    fields |= {} if params is None else {"params": params}
    found = message.decode_client(json.dumps(fields).encode())
    assert isinstance(found, Message)
    return found


def session(revision: str = LEGACY[-1], mount: str | None = None) -> Session:
    """A client that has shaken hands."""
    return Session("s", revision, {}, "ann", mount)


async def legacy(gateway: Gateway, one: Session, asked: Message) -> Any:
    """The decoded answer within a session; None for no answer."""
    body, _ = await dispatch.legacy(asked, one, gateway.snapshot(), Heard())
    return json.loads(body) if body else None


async def modern(gateway: Gateway, method: str, params: Any, mount: str | None = None) -> Any:
    """The decoded answer to a modern request, and its status."""
    asked = incoming(method, params | {"_meta": own_meta({})})
    snapshot = gateway.snapshot()
    view = snapshot.view(mount)
    assert view is not None
    body, status = await dispatch.modern(asked, NEWEST_MODERN, view, snapshot, Heard())
    return json.loads(body), status


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with gateway_of(library()) as gateway:
        yield gateway


# --- which era ---


@pytest.mark.parametrize(
    ("params", "is_modern"),
    [
        (None, False),
        ({}, False),
        ({"_meta": {}}, False),
        ({"_meta": {"progressToken": VERSION_KEY}}, False),
        ({"arguments": {"_meta": {VERSION_KEY: NEWEST_MODERN}}}, False),
        ({"_meta": {VERSION_KEY: NEWEST_MODERN}}, True),
        ({"_meta": {VERSION_KEY: 7}}, True),
    ],
)
def test_a_request_is_modern_when_its_own_meta_names_a_revision(
    params: Any, is_modern: bool
) -> None:
    assert (dispatch.modern_meta(incoming("tools/call", params)) is not None) is is_modern


@pytest.mark.parametrize("params", [[VERSION_KEY], {"_meta": [VERSION_KEY]}])
def test_params_of_no_era_are_invalid(params: Any) -> None:
    with pytest.raises(InvalidParams):
        dispatch.modern_meta(incoming("tools/call", params))


def test_only_modern_revisions_are_served_without_a_handshake() -> None:
    assert [dispatch.served(revision) for revision in MODERN] == list(MODERN)
    for revision in (*LEGACY, "2099-01-01", ""):
        with pytest.raises(UnsupportedVersion) as caught:
            dispatch.served(revision)
        assert caught.value.data == {"supported": list(MODERN), "requested": revision}


# --- modern requests ---


async def test_a_modern_request_is_answered_with_its_status(gateway: Gateway) -> None:
    body, status = await modern(gateway, "tools/call", CALL)
    assert (body["id"], status) == (1, 200)
    assert body["result"]["resultType"] == "complete"
    body, status = await modern(gateway, "no/such", {})
    assert (body["error"]["code"], status) == (-32601, 404)


async def test_discovery_of_all_servers_waits_for_none(gateway: Gateway) -> None:
    body, status = await modern(gateway, "server/discover", {})
    assert status == 200
    assert body["result"]["supportedVersions"] == list(MODERN)
    assert set(body["result"]["capabilities"]) >= {"tools", "prompts"}


async def test_discovery_of_one_server_waits_until_that_is_known() -> None:
    late = FakeUpstream("late", offers(tools=["a"]), capabilities={"tools": {}})
    late.hold = asyncio.Event()
    async with gateway_of(late, settled=False) as gateway, asyncio.TaskGroup() as group:
        asking = group.create_task(modern(gateway, "server/discover", {}, "late"))
        await until(lambda: late.connects == 1)
        late.hold.set()
        body, _ = await asking
    assert set(body["result"]["capabilities"]) == {"tools"}


# --- within a session ---


async def test_ping_is_answered_here(gateway: Gateway) -> None:
    assert await legacy(gateway, session(), incoming("ping", id="p")) == {
        "jsonrpc": "2.0",
        "id": "p",
        "result": {},
    }


async def test_a_second_handshake_is_refused(gateway: Gateway) -> None:
    found = await legacy(gateway, session(), incoming("initialize", {}))
    assert found["error"]["code"] == -32600


async def test_params_that_are_no_object_are_refused_under_the_id(gateway: Gateway) -> None:
    found = await legacy(gateway, session(), incoming("tools/list", [1], id="x"))
    assert (found["id"], found["error"]["code"]) == ("x", -32602)


async def test_the_level_is_set_and_passed_on() -> None:
    fake = FakeUpstream("log", {"logging/setLevel": {}}, capabilities={"logging": {}})
    one = session()
    async with gateway_of(fake) as gateway:
        gateway._sessions._sessions["s"] = one
        found = await legacy(gateway, one, incoming("logging/setLevel", {"level": "debug"}))
        assert found["result"] == {}
        found = await legacy(gateway, one, incoming("logging/setLevel", {"level": "loud"}))
        assert found["error"]["code"] == -32602
    assert one.log_level == "debug"
    assert fake.asked("logging/setLevel") == [{"level": "debug"}]


async def test_a_session_of_a_mount_sees_its_server_only() -> None:
    async with gateway_of(library("one"), library("two")) as gateway:
        found = await legacy(gateway, session(mount="two"), incoming("tools/list"))
        everything = await legacy(gateway, session(), incoming("tools/list"))
    assert [tool["name"] for tool in found["result"]["tools"]] == ["find"]
    assert len(everything["result"]["tools"]) == 2


async def test_a_request_is_of_the_revision_of_its_session(gateway: Gateway) -> None:
    found = await legacy(gateway, session(), incoming("server/discover"))
    assert found["error"]["code"] == -32601


async def test_an_id_that_is_in_use_is_refused_and_the_first_goes_on() -> None:
    gate = Gate(text("done"))
    one = session()
    async with gateway_of(library(answers={"tools/call": gate})) as gateway:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            first = group.create_task(legacy(gateway, one, incoming("tools/call", CALL, 7)))
            await gate.entered.wait()
            second = await legacy(gateway, one, incoming("tools/call", CALL, 7))
            other = await legacy(gateway, one, incoming("ping", id="7"))
            gate.open()
        assert "still running" in second["error"]["message"]
        assert other["result"] == {}
        assert first.result()["result"] == text("done")
        again = await legacy(gateway, one, incoming("ping", id=7))
    assert again["result"] == {}
    assert not one.busy


async def test_what_the_client_cancels_is_cancelled_there_and_not_answered() -> None:
    gate = Gate({})
    lib = library(answers={"tools/call": gate})
    one = session()
    async with gateway_of(lib) as gateway:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            asking = group.create_task(legacy(gateway, one, incoming("tools/call", CALL, 7)))
            await gate.entered.wait()
            one.told(incoming("notifications/cancelled", {"requestId": 7}, None))
        assert asking.result() is None
    assert lib.cancelled == ["tools/call"]
    assert not one.busy


async def test_what_we_cancel_ourselves_stays_a_cancellation() -> None:
    gate = Gate({})
    one = session()
    lib = library(answers={"tools/call": gate})
    async with (
        gateway_of(lib) as gateway,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(legacy(gateway, one, incoming("tools/call", CALL, 7)))
        await gate.entered.wait()
        asking.cancel("the gateway stops")
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert not one.busy


# --- arrays ---


async def batch(gateway: Gateway, one: Session, *items: Message) -> list[Any]:
    """The decoded answers to an array."""
    dispatch.check_batch([*items], one)
    found = await dispatch.batch([*items], one, gateway.snapshot(), Heard())
    return [json.loads(body) if body else None for body in found]


async def test_the_requests_of_an_array_are_answered_in_its_order() -> None:
    gate = Gate(text("slow"))
    async with gateway_of(library(answers={"tools/call": gate})) as gateway:
        gate.open()
        slow, note, ping, bad = await batch(
            gateway,
            session(R2025_03_26),
            incoming("tools/call", CALL, "a"),
            incoming("notifications/initialized", id=None),
            incoming("ping", id=1),
            incoming("initialize", {}, 2),
            incoming("ping", id=1),
        )
    assert (slow["id"], slow["result"]) == ("a", text("slow"))
    assert (note["id"], note["result"]) == (1, {})
    assert (ping["id"], ping["error"]["code"]) == (2, -32600)
    assert bad["id"] == 1


async def test_one_id_twice_in_an_array_is_answered_twice() -> None:
    gate = Gate(text("one"))
    async with gateway_of(library(answers={"tools/call": gate})) as gateway:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            call = incoming("tools/call", CALL, 1)
            asking = group.create_task(batch(gateway, session(R2025_03_26), call, call))
            await gate.entered.wait()
            gate.open()
        first, second = asking.result()
    assert first["result"] == text("one")
    assert "still running" in second["error"]["message"]


async def test_one_request_of_an_array_can_be_cancelled() -> None:
    gate = Gate({})
    one = session(R2025_03_26)
    async with gateway_of(library(answers={"tools/call": gate})) as gateway:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            items = incoming("tools/call", CALL, 1), incoming("ping", id=2)
            asking = group.create_task(batch(gateway, one, *items))
            await gate.entered.wait()
            one.told(incoming("notifications/cancelled", {"requestId": 1}, None))
        gone, ping = asking.result()
    assert gone is None
    assert ping["result"] == {}


async def test_cancelling_an_array_cancels_all_of_it() -> None:
    lib = library(answers={"tools/call": Gate({})})
    one = session(R2025_03_26)
    items = [incoming("tools/call", CALL, id) for id in range(3)]
    async with (
        gateway_of(lib) as gateway,
        asyncio.timeout(PATIENCE_S),
        asyncio.TaskGroup() as group,
    ):
        asking = group.create_task(batch(gateway, one, *items))
        await until(lambda: len(lib.asked("tools/call")) == 3)
        asking.cancel(CLIENT_CANCELLED)
    assert lib.cancelled == ["tools/call"] * 3
    assert not one.busy


async def test_an_array_of_notifications_has_no_answers(gateway: Gateway) -> None:
    note = incoming("notifications/initialized", id=None)
    assert await batch(gateway, session(R2025_03_26), note, note) == []


@pytest.mark.parametrize("revision", [one for one in LEGACY if one != R2025_03_26])
async def test_other_revisions_have_no_arrays(gateway: Gateway, revision: str) -> None:
    with pytest.raises(InvalidRequest, match=f"revision {revision} has no JSON-RPC arrays"):
        await batch(gateway, session(revision), incoming("ping"))


async def test_an_array_is_bounded(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "MAX_BATCH", 2)
    pings = [incoming("ping", id=id) for id in range(3)]
    assert len(await batch(gateway, session(R2025_03_26), *pings[:2])) == 2
    with pytest.raises(InvalidRequest, match="an array of 3 messages; at most 2"):
        await batch(gateway, session(R2025_03_26), *pings)
