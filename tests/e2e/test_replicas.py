"""A server with several replicas, through the front door: who gets a call, who keeps a client, and
where a call goes on that only one replica knows of.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.edge import until
from fakes.gateway import Running, gateway
from fakes.mirror import Asked, Mirror, Refused, tool
from fakes.mirror_http import over_http
from fakes.wire import WAIT_S, Json, Web, last, web

pytestmark = pytest.mark.timeout(90)

EXTENSION = "io.modelcontextprotocol/tasks"
FORM = {"mode": "form", "message": "?", "requestedSchema": {"type": "object", "properties": {}}}
STEADY: Json = {"health_check": {"enabled": False}}
"""Nothing but the calls of the test reaches the replicas."""


class Twin(Mirror):
    """One replica: it says its name, makes tasks that it alone knows, and asks questions."""

    def __init__(self, name: str, *, modern: bool = True) -> None:
        able: Json = {"tools": {}, **({"extensions": {EXTENSION: {}}} if modern else {})}
        super().__init__(name, modern=modern, **able)
        self.lists["tools"] = [tool("name"), tool("work"), tool("ask"), tool("slow")]
        self.go_on = asyncio.Event()
        self.kill: Callable[[], Awaitable[None]]
        self.on("tools/call", self._call)
        self.on("tasks/get", self._get)

    async def _call(self, asked: Asked) -> bytes:
        match asked.json["name"]:
            case "work":
                task = {"taskId": "t1", "status": "working", "createdAt": "now", "ttlMs": None}
                return json.dumps({"resultType": "task", **task}).encode()
            case "ask" if "inputResponses" not in asked.json:
                wanted = {"q": {"method": "elicitation/create", "params": FORM}}
                asks = {"resultType": "input_required", "requestState": f"state of {self.name}"}
                return json.dumps({**asks, "inputRequests": wanted}).encode()
            case "ask" if asked.json["requestState"] != f"state of {self.name}":
                raise Refused(b'{"code":-32602,"message":"the state of another"}')
            case "slow":
                async with asyncio.timeout(WAIT_S):
                    await self.go_on.wait()
        return self.text(self.name)

    async def _get(self, asked: Asked) -> bytes:
        status = {"taskId": "t1", "status": "working", "statusMessage": self.name}
        return json.dumps({"resultType": "complete", **status}).encode()


@asynccontextmanager
async def before(
    folder: Path, twins: Sequence[Any], weights: Sequence[int] = (), **settings: Any
) -> AsyncIterator[tuple[Running, Web]]:
    """A gateway before one server, `many`, whose replicas these are, and a client of it."""
    async with AsyncExitStack() as stack:
        replicas: list[Json] = []
        for place, twin in enumerate(twins):
            alone = await stack.enter_async_context(AsyncExitStack())
            twin.kill = alone.aclose
            url = await alone.enter_async_context(over_http(twin))
            weight = {"weight": weights[place]} if weights else {}
            replicas.append({"transport": {"type": "http", "url": url}, **weight})
        entry = {"id": "many", "replicas": replicas, **STEADY, **settings}
        running = await stack.enter_async_context(gateway({"servers": [entry]}, folder))
        await running.ready("many")
        wire = await stack.enter_async_context(web(running.mcp))
        for _ in range(200):
            (row,) = (await wire.http.get(f"{running.url}/api/v1/admin/servers")).json()["servers"]
            if {one["state"] for one in row["replicas"]} == {"ready"}:
                break
            await asyncio.sleep(0.02)
        yield running, wire


def named(answer: Json) -> str:
    """Who has answered."""
    found: str = answer["result"]["content"][0]["text"]
    return found


async def called(wire: Web, tool: str = "name", **more: Any) -> Json:
    """The answer to one modern call."""
    return last(await wire.modern("tools/call", {"name": f"many__{tool}", **more}))


async def shares(wire: Web, calls: int) -> dict[str, int]:
    """How many of so many calls, one after another, each replica has had."""
    return dict(Counter([named(await called(wire)) for _ in range(calls)]))


# --- the six policies ---


async def test_round_robin_takes_turns_by_weight(tmp_path: Path) -> None:
    twins = [Twin(name) for name in "abc"]
    async with before(tmp_path, twins, (3, 1, 1)) as (_, wire):
        assert await shares(wire, 50) == {"a": 30, "b": 10, "c": 10}


async def test_least_connections_avoids_who_is_busy(tmp_path: Path) -> None:
    twins = [Twin(name) for name in "ab"]
    policy: Json = {"load_balancing": {"policy": "least_connections"}}
    async with before(tmp_path, twins, **policy) as (_, wire):
        stuck = asyncio.get_running_loop().create_task(called(wire, "slow"))
        busy = twins[0] if await _first_asked(twins) == "a" else twins[1]
        (free,) = {"a", "b"} - {busy.name}
        assert await shares(wire, 20) == {free: 20}
        busy.go_on.set()
        assert named(await stuck) == busy.name
        assert set(await shares(wire, 20)) == {"a", "b"}


async def _first_asked(twins: Sequence[Twin]) -> str:
    await until(lambda: any(one.calls() for one in twins))
    return next(one.name for one in twins if one.calls())


@pytest.mark.parametrize(
    ("policy", "weights", "least"),
    [
        ("random", (1, 1), (50, 50)),
        ("weighted_random", (9, 1), (140, 1)),
        ("p2c_ewma", (1, 1), (1, 1)),
    ],
)
async def test_policies_of_chance_reach_everybody(
    tmp_path: Path, policy: str, weights: tuple[int, int], least: tuple[int, int]
) -> None:
    """The bounds are six standard deviations away, or hold for any luck."""
    twins = [Twin(name) for name in "ab"]
    settings = {"load_balancing": {"policy": policy}}
    async with before(tmp_path, twins, weights, **settings) as (_, wire):
        found = await shares(wire, 200)
        assert sum(found.values()) == 200
        assert all(found[name] >= many for name, many in zip("ab", least, strict=True))


async def test_consistent_hash_keeps_equal_arguments_together(tmp_path: Path) -> None:
    twins = [Twin(name) for name in "abcd"]
    policy: Json = {"load_balancing": {"policy": "consistent_hash", "hash_key": "argument:path"}}
    async with before(tmp_path, twins, **policy) as (_, wire):
        homes = {}
        for path in map(str, range(24)):
            answers = [named(await called(wire, arguments={"path": path})) for _ in range(4)]
            assert len(set(answers)) == 1
            homes[path] = answers[0]
        assert len(set(homes.values())) >= 2


# --- who stays where ---


async def test_an_isolated_session_stays_and_moves_when_its_replica_dies(tmp_path: Path) -> None:
    twins = [Twin(name, modern=False) for name in "ab"]
    async with before(tmp_path, twins, isolation="session") as (_, wire):
        session = await wire.open()
        found = [named(await _in(session, "name")) for _ in range(6)]
        assert len(set(found)) == 1
        home, other = (twins[0], twins[1]) if found[0] == "a" else (twins[1], twins[0])
        hellos = len(other.calls("initialize"))
        await home.kill()
        assert named(await _in(session, "name")) == other.name, "it was not sent: repeated there"
        assert len(other.calls("initialize")) == hellos + 1, "shaken hands for this session"
        assert {named(await _in(session, "name")) for _ in range(4)} == {other.name}


async def _in(session: Any, tool: str) -> Json:
    answer: Json = await session.ask("tools/call", {"name": f"many__{tool}", "arguments": {}})
    return answer


@pytest.mark.parametrize("modern", [False, True])
async def test_a_subscription_moves_when_its_replica_dies(tmp_path: Path, modern: bool) -> None:
    twins = [Book(name, modern=modern) for name in "ab"]
    method = "subscriptions/listen" if modern else "resources/subscribe"
    async with before(tmp_path, twins) as (_, wire):
        session = await wire.open()
        async with session.resuming() as stream:
            assert await session.ask("resources/subscribe", {"uri": "book://1"}) | {"id": 0} == {
                "jsonrpc": "2.0", "id": 0, "result": {},
            }  # fmt: skip
            await until(lambda: any(one.calls(method) for one in twins))
            home, other = twins if twins[0].calls(method) else reversed(twins)
            await home.kill()
            await other.until(lambda: bool(other.calls(method)))
            await other.updated()
            told: Json | None = {}
            while told is not None and told.get("method") != "notifications/resources/updated":
                told = await stream.next()
            assert told is not None
            assert told["params"]["uri"] == "book://1"


class Book(Mirror):
    """A replica with one resource that changes."""

    def __init__(self, name: str, *, modern: bool) -> None:
        super().__init__(name, modern=modern, resources={"subscribe": True}, tools={})
        self.lists["resources"] = [{"name": "one", "uri": "book://1"}]
        self.on("resources/subscribe", self._agree)
        self.on("subscriptions/listen", self._listen)
        self.kill: Callable[[], Awaitable[None]]

    async def _agree(self, asked: Asked) -> bytes:
        return b"{}"

    async def _listen(self, asked: Asked) -> bytes:
        await asked.notify(
            "notifications/subscriptions/acknowledged",
            notifications=asked.json["notifications"],
            _meta={"io.modelcontextprotocol/subscriptionId": json.loads(asked.id)},
        )
        await asked.hang()
        return b"{}"

    async def updated(self) -> None:
        """Say so, as its era does."""
        if not self.modern:
            await self.until(lambda: bool(self.channels))
            await self.announce("notifications/resources/updated", uri="book://1")
        for asked in self.calls("subscriptions/listen")[-1:]:
            tag = {"io.modelcontextprotocol/subscriptionId": json.loads(asked.id)}
            await asked.notify("notifications/resources/updated", uri="book://1", _meta=tag)


# --- what only one replica knows ---


@pytest.mark.parametrize("mount", ["", "/many"])
async def test_a_task_is_asked_for_where_it_was_made(tmp_path: Path, mount: str) -> None:
    twins = [Twin(name) for name in "abc"]
    declared: Json = {"clientCapabilities": {"extensions": {EXTENSION: {}}}}

    async def status(wire: Web, id: str) -> Json:
        named = {"Mcp-Name": id}
        return last(await wire.modern("tasks/get", {"taskId": id}, headers=named, **declared))

    async with before(tmp_path, twins) as (running, _), web(running.mcp + mount) as wire:
        prefix = "" if mount else "many__"
        ids = []
        for _ in twins:
            params = {"name": f"{prefix}work"}
            made = last(await wire.modern("tools/call", params, **declared))["result"]
            ids.append(made["taskId"])
        assert len(set(ids)) == 3, "all three say t1"
        for _ in range(2):
            told = [(await status(wire, id))["result"] for id in ids]
            assert [one["taskId"] for one in told] == ids
            assert {one["statusMessage"] for one in told} == {"a", "b", "c"}
        unknown = (await status(wire, "many@00000000.t1"))["error"]
        assert (unknown["code"], unknown["data"]["outcome"]) == (-31001, "not_sent")


async def test_a_question_is_answered_to_who_asked(tmp_path: Path) -> None:
    twins = [Twin(name) for name in "abc"]
    can: Json = {"clientCapabilities": {"elicitation": {"form": {}}}}
    async with before(tmp_path, twins) as (_, wire):
        for _ in range(6):
            params: Json = {"name": "many__ask", "arguments": {}}
            asks = last(await wire.modern("tools/call", params, **can))["result"]
            assert asks["resultType"] == "input_required"
            said = {"q": {"action": "accept", "content": {}}}
            again = {**params, "inputResponses": said, "requestState": asks["requestState"]}
            assert named(last(await wire.modern("tools/call", again, **can))) in "abc"


async def test_each_replica_has_its_row(tmp_path: Path) -> None:
    twins = [Twin(name) for name in "ab"]
    async with before(tmp_path, twins, (3, 1)) as (running, wire):
        await shares(wire, 4)
        (row,) = (await wire.http.get(f"{running.url}/api/v1/admin/servers")).json()["servers"]
        assert (row["state"], row["health"]) == ("ready", "healthy")
        assert [one["weight"] for one in row["replicas"]] == [3, 1]
        for one in row["replicas"]:
            assert (one["health"], one["breaker"], one["in_flight"]) == ("healthy", "closed", 0)
            assert one["since"].endswith("+00:00")
            assert one["id"].startswith("http://127.0.0.1:")


async def test_the_log_names_the_one_that_is_down(tmp_path: Path) -> None:
    twins = Twin("a"), Twin("b")
    quick: Json = {"health_check": {"interval": "1s", "timeout": "500ms"}}
    async with before(tmp_path, twins, **quick) as (running, _):
        await twins[1].kill()
        (line,) = await running.said("server many at .* is down: ")
        assert "refused" in line or "closed" in line
