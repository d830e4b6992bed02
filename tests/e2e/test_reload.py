"""The configuration changes while the gateway runs: who notices, who must not, what is said."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx2

from fakes import stdio_server as scripted_child
from fakes.children import PATIENCE_S, wait_gone
from fakes.edge import begin
from fakes.edits import Edited
from fakes.gateway import Running, gateway, stdio_server
from fakes.mirror import Asked, Mirror, over_stdio, tool
from fakes.wire import Json, Web, call, error, last, modern, web
from only1mcp.config.watch import MIN_S

CHILD: Final = (sys.executable, scripted_child.__file__)
ADMIN: Final = "/api/v1/admin"
QUICK: Final = {"hot_reload": {"debounce": "100ms"}}
LISTS: Final = "notifications/tools/list_changed"


async def page(running: Running, path: str, method: str = "GET", **more: Any) -> httpx2.Response:
    """One page of the gateway."""
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
        return await http.request(method, running.url + path, **more)


async def pids(running: Running) -> dict[str, int | None]:
    """The processes of the servers."""
    rows = (await page(running, f"{ADMIN}/servers")).json()["servers"]
    return {row["id"]: row["pid"] for row in rows}


async def names(wire: Web) -> set[str]:
    """The tools that clients see."""
    return {one["name"] for one in last(await wire.modern("tools/list"))["result"]["tools"]}


async def eventually(look: Callable[[], Any], found: Callable[[Any], bool]) -> Any:
    """Look until what is there is as expected."""
    seen = None
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            while not found(seen := await look()):  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"never so; the last was {seen}") from None
    return seen


def small(name: str, *tools: str) -> Mirror:
    """A server with these tools; `hold` answers when its event is set."""
    mirror = Mirror(name)
    mirror.lists["tools"] = [tool(one) for one in tools]
    return mirror


@asynccontextmanager
async def live(
    folder: Path, *servers: Json, **config: Any
) -> AsyncIterator[tuple[Running, Edited, Web]]:
    """A gateway with these servers, all ready, and its file."""
    settings = {**QUICK, "servers": [*servers], **config}
    async with gateway(settings, folder) as running, web(running.mcp) as wire:
        await running.ready(*(one["id"] for one in servers))
        yield running, Edited(folder / "only1mcp.json"), wire


async def test_each_server_changes_as_it_must_and_no_more(tmp_path: Path) -> None:
    kept, tuned, moved, gone = (
        stdio_server(id, *CHILD) for id in ("kept", "tuned", "moved", "gone")
    )
    async with live(tmp_path, kept, tuned, moved, gone) as (running, file, wire):
        before = await pids(running)
        tuned["tools"] = {"allow": ["echo"]}
        moved["transport"]["env"] = {"COLOUR": "red"}
        file.replace({**file.config, "servers": [kept, tuned, moved, stdio_server("new", *CHILD)]})
        (line,) = await running.said("configuration reloaded")
        assert "added new; removed gone; changed moved; adjusted tuned" in line

        await running.said("ready +new ")
        now = await eventually(
            lambda: pids(running), lambda now: now["moved"] not in (None, before["moved"])
        )
        assert (now["kept"], now["tuned"]) == (before["kept"], before["tuned"])
        assert "gone" not in now
        shown = await names(wire)
        assert {one for one in shown if one.startswith("tuned")} == {"tuned__echo"}
        assert {one.partition("__")[0] for one in shown} == {"kept", "tuned", "moved", "new"}
        answer = last(await wire.modern("tools/call", call("moved__env")))
        assert "red" in str(answer["result"])
        left = [pid for pid in (before["gone"], before["moved"]) if pid is not None]
        assert await asyncio.to_thread(wait_gone, left) == []
        assert len(await running.said("configuration reloaded")) == 1


async def test_a_server_that_cannot_start_anew_shows_its_fault(tmp_path: Path) -> None:
    one, two = stdio_server("one", *CHILD), stdio_server("two", *CHILD)
    async with live(tmp_path, one, two) as (running, file, wire):
        before = await pids(running)
        broken = stdio_server("two", *CHILD, "--exit", "3", "--stderr", "no such database")
        file.write({**file.config, "servers": [one, broken]})
        (line,) = await running.said(r"failed +two ")
        assert "no such database" in line
        answer = last(await wire.modern("tools/call", call("two__echo")))
        assert answer["error"]["code"] == -31001
        assert (await pids(running))["one"] == before["one"]
        file.write({**file.config, "servers": [one, two]})
        await running.said("ready +two ", count=2)
        assert "result" in last(await wire.modern("tools/call", call("two__echo")))


async def test_a_server_is_removed_while_it_works(tmp_path: Path) -> None:
    slow = small("slow", "hold", "report")
    go = asyncio.Event()

    async def hold(asked: Asked) -> bytes:
        await go.wait()
        return slow.text("done")

    slow.on("tools/call", hold)
    other = small("other", "report")
    async with AsyncExitStack() as stack:
        argvs = [await stack.enter_async_context(over_stdio(one)) for one in (slow, other)]
        entries = [
            stdio_server(id, *argv) for id, argv in zip(("slow", "other"), argvs, strict=True)
        ]
        running, file, wire = await stack.enter_async_context(live(tmp_path, *entries))
        pid = (await pids(running))["slow"]
        assert pid is not None
        asking = [begin(wire.modern("tools/call", call("slow__hold"))) for _ in range(5)]
        await slow.until(lambda: len(slow.calls()) == 5)
        file.write({**file.config, "servers": entries[1:]})
        await running.said("configuration reloaded: removed slow")

        refused = last(await wire.modern("tools/call", call("slow__report")))["error"]
        assert refused["code"] == -32602
        assert "did you mean other__report?" in refused["data"]["hint"]
        assert (await web_status(running, "/mcp/slow")) == 404
        assert await names(wire) == {"other__report"}
        go.set()
        for one in await asyncio.gather(*asking):
            assert last(one)["result"]["content"][0]["text"] == "done"
        assert await asyncio.to_thread(wait_gone, [pid]) == []


async def web_status(running: Running, path: str) -> int:
    """The status of a list request on a mount."""
    async with web(running.url + path) as wire:
        return (await wire.modern("tools/list")).status_code


async def test_faults_are_said_once_and_the_former_configuration_stays(tmp_path: Path) -> None:
    async with live(tmp_path, stdio_server("one", *CHILD)) as (running, file, wire):
        before = await pids(running)
        good = file.config
        file.write('{\n  "servers": [\n    {"id": "one", "transprot": {}},\n    {"id": "Two"}]\n}')
        await running.said("configuration refused")
        assert await running.said(r"only1mcp\.json:3:\d+: .*transport")
        assert await running.said(r"only1mcp\.json:4:\d+: ")
        health = (await page(running, "/health")).json()
        assert (health["status"], health["config"]["status"]) == ("degraded", "refused")
        assert "only1mcp.json:3:" in health["config"]["faults"][0]
        refused = await page(running, f"{ADMIN}/config/reload", "POST")
        assert refused.status_code == 422
        assert {one["line"] for one in refused.json()["faults"]} >= {3, 4}
        assert len(await running.said("configuration refused")) == 1
        assert "result" in last(await wire.modern("tools/call", call("one__echo")))

        file.file.unlink()
        await running.said("cannot be read")
        file.replace(good)
        await running.said("configuration reloaded: mended")
        assert (await page(running, "/health")).json()["config"] == {"status": "ok"}
        assert await pids(running) == before


async def test_a_signal_and_the_admin_page_do_the_same(tmp_path: Path) -> None:
    one = stdio_server("one", *CHILD)
    async with live(tmp_path, one, hot_reload={"enabled": False}) as (running, file, wire):
        before = await pids(running)
        one["tools"] = {"deny": ["env"]}
        file.write({**file.config, "servers": [one]})
        running.process.send_signal(signal.SIGHUP)
        await running.said("configuration reloaded: adjusted one")
        assert "one__env" not in await names(wire)

        one["tools"] = {"rename": {"echo": "say"}}
        file.write({**file.config, "servers": [one], "server": {"port": 1}})
        found = await page(running, f"{ADMIN}/config/reload", "POST")
        assert found.status_code == 200
        assert (found.json()["adjusted"], found.json()["restart"]) == (["one"], ["server.port"])
        assert await running.said("server.port: in force after a restart")
        assert "one__say" in await names(wire)
        assert await pids(running) == before
        assert (await page(running, f"{ADMIN}/config/reload")).status_code == 405
        bad = await page(running, f"{ADMIN}/config/reload", "POST", headers={"Origin": "http://x"})
        assert bad.status_code == 403


async def test_many_who_ask_at_once_are_served_by_few_readings(tmp_path: Path) -> None:
    one = stdio_server("one", *CHILD)
    async with live(tmp_path, one, hot_reload={"enabled": False}) as (running, file, _):
        one["tools"] = {"deny": ["env"]}
        file.write({**file.config, "servers": [one]})
        asked = [page(running, f"{ADMIN}/config/reload", "POST") for _ in range(20)]
        answers = await asyncio.gather(*asked)
        assert [one.status_code for one in answers] == [200] * 20
        await running.said("configuration reloaded: adjusted")
        assert len([one for one in running.log if "configuration reloaded: adjusted" in one]) == 1
        assert len([one for one in running.log if "configuration reloaded" in one]) < 20


async def until_marked(mirror: Mirror, heard: AsyncIterator[Json], kind: str) -> list[str]:
    """What a client hears until it hears of a change that `mirror` makes now."""
    entry = {"name": "mark", "uri": f"{mirror.name}://mark"}
    mirror.lists[kind] = [*mirror.lists[kind], entry]
    await mirror.announce(f"notifications/{kind}/list_changed")
    methods = []
    while (method := (await anext(heard))["method"]) != f"notifications/{kind}/list_changed":
        methods.append(method)
    return methods


async def test_clients_hear_of_it_once(tmp_path: Path) -> None:
    one, two = stdio_server("one", *CHILD), stdio_server("two", *CHILD)
    more = [stdio_server(id, *CHILD) for id in ("three", "four")]
    mark = Mirror("mark", prompts={"listChanged": True}, resources={"listChanged": True})
    async with AsyncExitStack() as stack:
        marker = stdio_server("mark", *await stack.enter_async_context(over_stdio(mark)))
        running, file, wire = await stack.enter_async_context(live(tmp_path, one, two, marker))
        session = await wire.open()
        heard = await stack.enter_async_context(session.listen())
        await until_marked(mark, heard, "prompts")  # what was said of the start is over

        two["transport"]["args"].append("--noise=1")
        two["tools"] = {"allow": ["echo"]}
        file.write({**file.config, "servers": [two, *more, marker]})
        await running.said("ready +two ", count=2)
        await running.said("ready +four ")
        assert await anext(heard) == {"jsonrpc": "2.0", "method": LISTS}
        assert await names(wire) >= {"two__echo", "three__echo", "four__env"}
        assert await until_marked(mark, heard, "resources") == []


async def test_a_token_is_changed_while_its_client_is_connected(tmp_path: Path) -> None:
    old, new = "the-token-of-last-year", "the-token-of-this-year"
    server = {"auth": {"tokens": [old]}}
    async with live(tmp_path, stdio_server("one", *CHILD), server=server) as (running, file, wire):
        wire.http.headers["Authorization"] = f"Bearer {old}"
        session = await wire.open()
        async with session.listen() as heard:
            file.write({**file.config, "server": {"auth": {"tokens": [new, old]}}})
            await running.said("configuration reloaded: set server.auth")
            assert "result" in await session.ask("tools/list"), "it is whom it was"
            file.write({**file.config, "server": {"auth": {"tokens": [new]}}})
            await running.said("configuration reloaded: set server.auth", count=2)
            assert {one["method"] async for one in heard} <= {LISTS}, "its stream has ended"
        assert (await wire.modern("tools/list")).status_code == 401
        wire.http.headers["Authorization"] = f"Bearer {new}"
        assert (await wire.modern("tools/list")).status_code == 200
        stolen = await session.post({"jsonrpc": "2.0", "id": 9, "method": "tools/list"})
        assert stolen.status_code == 404, "nobody inherits a session"
        assert [one for one in running.log if old in one or new in one] == []


async def test_a_change_is_taken_back_before_it_is_in_force(tmp_path: Path) -> None:
    one = stdio_server("one", *CHILD)
    async with live(tmp_path, one, hot_reload={"enabled": False}) as (running, file, wire):
        before = await pids(running)
        for entry in (stdio_server("one", *CHILD, "--silent"), one):
            file.write({**file.config, "servers": [entry]})
            found = await page(running, f"{ADMIN}/config/reload", "POST")
            assert found.json()["changed"] == ["one"]
            assert "result" in last(await wire.modern("tools/call", call("one__echo")))
            assert await pids(running) == before


async def test_of_many_changes_in_a_row_the_last_one_counts(tmp_path: Path) -> None:
    one = stdio_server("one", *CHILD)
    async with live(tmp_path, one, hot_reload={"enabled": False}) as (running, file, wire):
        for colour in ("red", "green", "blue"):
            wanted = deepcopy(one)
            wanted["transport"]["env"] = {"COLOUR": colour}
            file.write({**file.config, "servers": [wanted]})
            await page(running, f"{ADMIN}/config/reload", "POST")

        async def environment() -> str:
            return str(last(await wire.modern("tools/call", call("one__env")))["result"])

        await eventually(environment, lambda said: "blue" in said)
        assert error(await wire.modern("tools/call", call("one__none")))[1] == -32602


async def test_a_gateway_on_stdio_reloads_too(tmp_path: Path) -> None:
    one, two = stdio_server("one", *CHILD), stdio_server("two", *CHILD)
    file = Edited(tmp_path / "stdio.json")
    file.write({**QUICK, "servers": [one]})
    argv = (sys.executable, "-m", "only1mcp", "stdio", "--config", str(file.file))
    process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE)
    wire, back = process.stdin, process.stdout
    assert wire is not None
    assert back is not None

    async def shown() -> set[str]:
        wire.write(json.dumps(modern("tools/list")).encode() + b"\n")
        while "id" not in (found := json.loads(await back.readline())):
            pass
        return {row["name"].partition("__")[0] for row in found["result"]["tools"]}

    await eventually(shown, lambda found: found == {"one"})
    file.replace({**QUICK, "servers": [one, two]})
    await eventually(shown, lambda found: found == {"one", "two"})
    wire.close()
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0


# --- under load ---


async def test_edits_of_all_kinds_under_load(tmp_path: Path) -> None:
    """Fault 33: nobody who calls a server that has not changed may notice anything."""
    stable = [stdio_server(id, *CHILD) for id in ("one", "two")]
    async with live(tmp_path, *stable, hot_reload={"debounce": "50ms"}) as (running, file, wire):
        before = await pids(running)
        stop, outcomes = asyncio.Event(), list[str]()

        async def use(id: str) -> None:
            while not stop.is_set():
                answer = last(await wire.modern("tools/call", call(f"{id}__echo", text="x")))
                outcomes.append("" if "result" in answer else str(answer))

        began = monotonic()
        callers = [begin(use(id)) for id in ("one", "two") * 4]
        async with asyncio.TaskGroup() as group:
            group.create_task(edit(file))
        await running.said(r"configuration re")
        file.replace('{"servers": 7}')
        await running.said(r"only1mcp\.json:1:13: ")  # a fault with its place
        file.replace({**QUICK, "servers": [*stable, stdio_server("last", *CHILD)]})
        await running.said(r"ready +last ")
        stop.set()
        await asyncio.gather(*callers)

        reloads = [one for one in running.log if "configuration re" in one]
        most = (monotonic() - began) / MIN_S + 2
        print(
            f"{len(outcomes)} calls, {EDITS} edits, {len(reloads)} times read, {most:.0f} at most"
        )
        assert set(outcomes) == {""}
        now = await pids(running)
        assert {id: now[id] for id in before} == before
        assert 2 <= len(reloads) <= most
        assert (await page(running, "/health")).json()["config"] == {"status": "ok"}


EDITS: Final = 40
PAUSE_S: Final = 0.2


async def edit(file: Edited) -> None:
    """Change the file in one way after the other; what stands in it says two servers and more."""
    good = file.config
    for number in range(EDITS):
        extra = stdio_server("extra", *CHILD, f"--noise={number}")
        config = {**good, "servers": [*good["servers"], extra][: 2 + number % 2]}
        ways: list[Callable[[], object]] = [
            partial(file.replace, config),
            partial(file.write, config),
            partial(file.write, '{"servers": [{"id": '),
            partial(file.write_slowly, config),
            partial(file.recreate, config),
            file.lock,
            file.unlock,
            partial(file.swap, config, number),
            partial(file.file.unlink, missing_ok=True),
            partial(file.write, config),
        ]
        ways[number % len(ways)]()
        await asyncio.sleep(PAUSE_S)
