"""Whose a server's question is, through the front door: the client of the call it is about, or
nobody's. Ann and Bob share each server, which asks where nothing says whom it means.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.asker import SECRET, Asker, two_clients
from fakes.gateway import gateway, http_server
from fakes.mirror import Asked, Json, Mirror, Refused
from fakes.mirror_http import over_http
from fakes.scripted import scripted
from fakes.whole import QUESTIONS, whole_servers
from fakes.wire import EventStream, Session, Web, error, message, web

pytestmark = pytest.mark.timeout(60)

TRANSPORTS = ("stdio", "http")


def call(who: str) -> Json:
    return message("tools/call", {"name": "work", "arguments": {"who": who}}, id=f"of-{who}")


async def rest(stream: EventStream) -> list[Any]:
    """All that came, but for events without data."""
    return [one.get("method") or one["result"]["content"] for one in await stream.rest()]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_question_of_a_client_that_takes_none_is_not_put_to_another(
    transport: str, tmp_path: Path
) -> None:
    server = Asker()
    able: Json = {"elicitation": {}}
    async with two_clients(server, transport, tmp_path, {}, able) as (ann, bob):
        async with asyncio.TaskGroup() as group:
            anns = group.create_task(ann.post(call("ann")))
            bobs = group.create_task(bob.post(call("bob")))
            await server.working(2)
            said = await server.ask("q")
            for event in server.open.values():
                event.set()
        assert "2 calls could have asked, so no client is asked" in said["error"]["message"]
        assert SECRET not in bobs.result().text
        assert "done for ann" in anns.result().text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_question_after_its_call_was_cancelled_is_not_put_to_another(
    transport: str, tmp_path: Path
) -> None:
    server = Asker()
    able: Json = {"elicitation": {}}
    async with two_clients(server, transport, tmp_path, able, able) as (ann, bob):
        async with asyncio.TaskGroup() as group:
            group.create_task(ann.post(call("ann")))
            await server.working(1)
            await ann.post(message("notifications/cancelled", {"requestId": "of-ann"}))
            await server.until(lambda: "cancelled" in str(server.heard))
            bobs = group.create_task(bob.post(call("bob")))
            await server.working(2)
            said = await server.ask("q")
            for event in server.open.values():
                event.set()
        assert "2 calls could have asked, so no client is asked" in said["error"]["message"]
        assert SECRET not in bobs.result().text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_question_about_a_task_is_not_put_to_who_does_not_wait_for_it(
    transport: str, tmp_path: Path
) -> None:
    server = Asker()
    able: Json = {"elicitation": {}}
    async with two_clients(server, transport, tmp_path, able, able) as (_, bob):
        async with asyncio.TaskGroup() as group:
            bobs = group.create_task(bob.post(call("bob")))
            await server.working(1)
            anns: Json = {"io.modelcontextprotocol/related-task": {"taskId": "of-ann"}}
            said = await server.ask("q", _meta=anns)
            server.open["bob"].set()
        assert "nobody waits for the result of its task" in said["error"]["message"]
        assert SECRET not in bobs.result().text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_who_cancels_one_call_is_asked_about_the_next(transport: str, tmp_path: Path) -> None:
    server = Asker()
    able: Json = {"elicitation": {}}
    async with two_clients(server, transport, tmp_path, able, {}) as (ann, _):
        async with asyncio.TaskGroup() as group:
            group.create_task(ann.post(call("ann")))
            await server.working(1)
            await ann.post(message("notifications/cancelled", {"requestId": "of-ann"}))
            await server.until(lambda: "cancelled" in str(server.heard))
        async with ann.calling(call("ann")) as stream, asyncio.TaskGroup() as group:
            await server.working(2)
            asking = group.create_task(server.ask("q"))
            while not (question := await stream.next()):
                assert question is not None, "the stream ended without a question"
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}
            await ann.post(answer)
            assert (await asking)["result"] == {"action": "decline"}
            server.open["ann"].set()
            assert await rest(stream) == [[{"type": "text", "text": "done for ann"}]]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_question_that_the_server_takes_back(transport: str, tmp_path: Path) -> None:
    server = Asker()
    able: Json = {"elicitation": {}}
    async with (
        two_clients(server, transport, tmp_path, able, {}) as (ann, _),
        ann.calling(call("ann")) as stream,
    ):
        await server.working(1)
        await server.put("q")
        while not (question := await stream.next()):
            assert question is not None, "the stream ended without a question"
        await server.announce("notifications/cancelled", requestId="q", reason="too late")
        taken_back = await stream.next()
        assert taken_back is not None
        assert taken_back["method"] == "notifications/cancelled"
        assert taken_back["params"]["requestId"] == question["id"]
        server.open["ann"].set()
        assert await rest(stream) == [[{"type": "text", "text": "done for ann"}]]
    assert server.answers("q") == []


@pytest.mark.parametrize("token", [7, "7", "of the server"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_tells_how_far_it_is_with_a_question(
    transport: str, token: Any, tmp_path: Path
) -> None:
    server = Asker()
    able: Json = {"sampling": {}, "elicitation": {}}
    async with two_clients(server, transport, tmp_path, able, able) as (ann, bob):
        async with ann.calling(call("ann")) as stream:
            await server.working(1)
            await server.put("q", _meta={"progressToken": token, "x": 1})
            while not (question := await stream.next()):
                assert question is not None, "the stream ended without a question"
            meta = question["params"]["_meta"]
            assert meta == {"progressToken": question["id"], "x": 1}
            ours = meta["progressToken"]
            for session, wrong in ((ann, str(ours)), (ann, ours + 1), (ann, token), (bob, ours)):
                if wrong != ours or session is bob:
                    await progress(session, progressToken=wrong, progress=0)
            await progress(ann, [ours])
            await progress(ann, progressToken=ours, progress=0.5, message="m", _meta={"y": 2})
            await server.until(lambda: bool(told(server)))
            await progress(ann, progressToken=ours, progress=1)
            await server.until(lambda: len(told(server)) == 2)
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "cancel"}}
            await ann.post(answer)
            await server.until(lambda: bool(server.answers("q")))
            await progress(ann, progressToken=ours, progress=2)  # of nothing any more
            server.open["ann"].set()
            await stream.rest()
        first = {"progressToken": token, "progress": 0.5, "message": "m", "_meta": {"y": 2}}
        assert told(server) == [first, {"progressToken": token, "progress": 1}]
        assert type(told(server)[0]["progressToken"]) is type(token)


async def progress(session: Session, params: Any = None, **members: Any) -> None:
    response = await session.post(message("notifications/progress", params or members))
    assert response.status_code == 202


def told(server: Asker) -> list[Json]:
    """What the server was told of progress."""
    found = [one for one in server.heard if one.get("method") == "notifications/progress"]
    return [one["params"] for one in found]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_modern_client_is_spared_what_the_server_took_back(
    transport: str, tmp_path: Path
) -> None:
    server = Asker()
    able: Json = {"clientCapabilities": {"elicitation": {}}}
    async with two_clients(server, transport, tmp_path, {}, {}) as (ann, _):
        params: Json = {"name": "work", "arguments": {"who": "ann"}}
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(ann.web.modern("tools/call", params, **able))
            await server.working(1)
            await server.put("q")
        first = asking.result().json()["result"]
        params["requestState"] = first["requestState"]
        await server.announce("notifications/cancelled", requestId="q")
        await server.put("q2")
        await server.ping()
        again = (await ann.web.modern("tools/call", params, **able)).json()["result"]
        assert len(first["inputRequests"]) == len(again["inputRequests"]) == 1
        assert first["inputRequests"].keys() != again["inputRequests"].keys()
        server.open["ann"].set()
        found = (await ann.web.modern("tools/call", params, **able)).json()["result"]
        assert found["content"] == [{"type": "text", "text": "done for ann"}]
    assert len(server.calls()) == 1


async def test_an_answer_for_one_server_is_none_for_another(tmp_path: Path) -> None:
    able: Json = {"clientCapabilities": {"elicitation": {}}}
    async with (
        whole_servers(("legacy-stdio", "legacy-http")) as (servers, entries),
        gateway({"servers": entries}, tmp_path) as running,
        web(running.mcp) as wire,
    ):
        await running.ready(*servers)
        params: Json = {"name": "legacy-stdio__elicit", "arguments": {}}
        asked = (await wire.modern("tools/call", params, **able)).json()["result"]
        ((key, _),) = asked["inputRequests"].items()
        params["inputResponses"] = {key: {"action": "decline"}}
        params["requestState"] = asked["requestState"]
        stolen = {**params, "name": "legacy-http__elicit"}
        assert error(await wire.modern("tools/call", stolen, **able)) == (400, -32602)
        given = (await wire.modern("tools/call", params, **able)).json()["result"]
        assert given["content"] == [{"type": "text", "text": '{"action": "decline"}'}]
        assert servers["legacy-http"].calls() == []


async def test_while_a_modern_client_thinks_the_server_takes_other_calls(tmp_path: Path) -> None:
    able: Json = {"clientCapabilities": {"elicitation": {}}}
    one = {"max_in_flight": 1, "queue": 0}
    async with whole_servers(("legacy-stdio",)) as (_, entries):
        config = {"servers": [{**entries[0], "concurrency": one}]}
        async with (
            gateway(config, tmp_path) as running,
            web(running.server("legacy-stdio")) as wire,
        ):
            await running.ready("legacy-stdio")
            params: Json = {"name": "elicit", "arguments": {}}
            asked = (await wire.modern("tools/call", params, **able)).json()["result"]
            other = await wire.modern("tools/call", {"name": "echo", "arguments": {"a": 1}}, **able)
            assert other.json()["result"]["content"] == [{"type": "text", "text": '{"a": 1}'}]
            ((key, _),) = asked["inputRequests"].items()
            params["inputResponses"] = {key: {"action": "decline"}}
            params["requestState"] = asked["requestState"]
            given = (await wire.modern("tools/call", params, **able)).json()["result"]
            assert given["content"] == [{"type": "text", "text": '{"action": "decline"}'}]


@pytest.mark.parametrize("server", ["legacy-http", "modern-http"])
async def test_a_client_of_2025_06_18_is_asked_as_it_knows_it(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = {"type": "string", "oneOf": [{"const": "x"}]}
    schema = {"type": "object", "properties": {"a": choice}}
    form = {"mode": "form", "message": "?", "requestedSchema": schema}
    monkeypatch.setitem(QUESTIONS, "elicit", ("elicitation/create", form))
    async with (
        whole_servers((server,)) as (_, entries),
        gateway({"servers": entries}, tmp_path) as running,
        web(running.server(server)) as wire,
    ):
        await running.ready(server)
        session = await wire.open("2025-06-18", elicitation={})
        body = message("tools/call", {"name": "elicit", "arguments": {}}, id=1)
        async with session.calling(body) as stream:
            question = await stream.next()
            assert question is not None
            assert question["params"].keys() == {"message", "requestedSchema"}
            assert question["params"]["requestedSchema"]["properties"] == {
                "a": {"type": "string", "enum": ["x"], "enumNames": ["x"]}
            }
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}
            await session.post(answer)
            assert await rest(stream) == [[{"type": "text", "text": '{"action": "decline"}'}]]


async def test_servers_are_promised_no_news_of_roots(tmp_path: Path) -> None:
    server = scripted("old")
    async with over_http(server) as url, at_home(server, url, tmp_path) as wire:
        session = await wire.open(roots={"listChanged": True})
        changed = message("notifications/roots/list_changed")
        assert (await session.post(changed)).status_code == 202
        await session.ask("tools/call", {"name": "echo", "arguments": {}})
    (hello,) = server.calls("initialize")
    assert hello.json["capabilities"]["roots"] == {}
    assert "roots" not in str(server.heard)


URL_REQUIRED = -32042
NEEDED: Json = {"requiredCapabilities": {"elicitation": {"url": {}}}}


@pytest.mark.parametrize("able", [{}, {"roots": {}}, {"elicitation": {}}], ids=str)
@pytest.mark.parametrize("method", ["tools/call", "completion/complete"])
async def test_a_modern_client_hears_of_no_error_that_its_revision_lacks(
    able: Json, method: str, tmp_path: Path
) -> None:
    server = scripted("old", modern=False)
    server.on(method, wants_urls([{"mode": "url", "url": "https://x.test/", "message": "m"}]))
    about: Json = {"ref": {"type": "ref/prompt", "name": "hello"}, "argument": {"name": "a"}}
    params = about if method.startswith("completion") else {"name": "echo", "arguments": {}}
    async with over_http(server) as url, at_home(server, url, tmp_path) as wire:
        answer = await wire.modern(method, params, clientCapabilities=able)
        assert error(answer) == (400, -32021)
        assert answer.json()["error"]["data"] == NEEDED


@pytest.mark.parametrize("listed", [None, [], [7]], ids=str)
async def test_a_wish_for_no_url_is_the_servers_fault(listed: Any, tmp_path: Path) -> None:
    server = scripted("old", modern=False)
    server.on("tools/call", wants_urls(listed))
    async with over_http(server) as url, at_home(server, url, tmp_path) as wire:
        able: Json = {"elicitation": {"url": {}}}
        params = {"name": "echo", "arguments": {}}
        answer = await wire.modern("tools/call", params, clientCapabilities=able)
        assert answer.json()["error"]["code"] == -31010


def wants_urls(listed: Any) -> Any:
    """Refuses with URLElicitationRequired."""

    async def refuse(asked: Asked) -> bytes:
        data = None if listed is None else {"elicitations": listed}
        fault = {"code": URL_REQUIRED, "message": "visit", "data": data}
        raise Refused(json.dumps(fault).encode())

    return refuse


@asynccontextmanager
async def at_home(server: Mirror, url: str, folder: Path) -> AsyncIterator[Web]:
    """A client at the endpoint of the one server of a gateway."""
    config = {"servers": [http_server(server.name, url)]}
    async with gateway(config, folder) as running, web(running.server(server.name)) as wire:
        await running.ready(server.name)
        yield wire
