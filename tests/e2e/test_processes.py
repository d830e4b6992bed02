"""What dies, who notices, and what is left: children, servers and the gateway itself.

Times are measured and shown with -s; the bounds are generous, for machines that do much else.
"""

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx2
import psutil
import trustme

from fakes import stdio_server as scripted_child
from fakes.children import wait_gone
from fakes.edge import begin
from fakes.gateway import Running, closed_port, gateway, http_server, stdio_server
from fakes.http_server import HttpServer, Request, Wire
from fakes.mirror import Asked, Mirror, held, over_stdio, tool
from fakes.mirror_http import over_http
from fakes.scripted import behind, scripted
from fakes.wire import Json, Web, call, error, last, web

NOTICE_S: Final = 2.0
"""The aim is 0.2 s from the death of a child to the error at the caller."""
GONE_S: Final = 5.0
"""The aim is 2 s from the death of the gateway to that of all it started."""
OTHERS: Final = 20
CHILD: Final = (sys.executable, scripted_child.__file__)


async def servers(running: Running) -> dict[str, Json]:
    """What the gateway says of its servers."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        rows = (await http.get(f"{running.url}/api/v1/admin/servers")).json()["servers"]
    return {row["id"]: row for row in rows}


async def called(mirror: Mirror, times: int) -> None:
    """Wait until the server has had this many calls."""
    await mirror.until(lambda: len(mirror.calls()) >= times)


# --- a child dies ---


async def test_kill_a_child_in_mid_call(tmp_path: Path) -> None:
    victim = scripted("victim-pipe")
    bystanders = {name: held(name) for name in ("a-pipe", "b", "c-pipe")}
    mirrors = {"victim-pipe": victim} | {name: one for name, (one, _) in bystanders.items()}
    async with behind(mirrors, tmp_path) as running, web(running.mcp) as wire:
        pid = (await servers(running))["victim-pipe"]["pid"]
        doomed = begin(wire.modern("tools/call", call("victim-pipe__wait"), id="mine"))
        others = [
            begin(wire.modern("tools/call", call(f"{[*bystanders][number % 3]}__hold")))
            for number in range(OTHERS)
        ]
        await victim.until(lambda: bool(victim.calls()))
        for mirror, _ in bystanders.values():
            await called(mirror, OTHERS // 3)
        began = monotonic()
        psutil.Process(pid).kill()
        answer = last(await doomed)
        took = monotonic() - began
        print(f"a killed child: its caller knew after {took * 1000:.0f} ms")
        assert took < NOTICE_S
        assert answer["id"] == "mine"
        assert answer["error"]["code"] == -31003
        assert answer["error"]["data"]["server"] == "victim-pipe"
        assert answer["error"]["data"]["outcome"] == "unknown"
        assert "victim-pipe" in answer["error"]["message"]

        for _, go in bystanders.values():
            go.set()
        results = [last(one)["result"] for one in await asyncio.gather(*others)]
        assert {one["content"][0]["text"] for one in results} == {"done"}

        await running.said(r"ready +victim-pipe ", count=2)
        assert (await wire.modern("tools/call", call("victim-pipe__echo"))).status_code == 200
        assert (await servers(running))["victim-pipe"]["pid"] != pid
        assert len([one for one in victim.calls() if one.json["name"] == "wait"]) == 1


async def test_a_child_that_dies_of_its_call(tmp_path: Path) -> None:
    """It has read the request: whatever happened, "not sent" would be a lie."""
    config = {"servers": [stdio_server("child", *CHILD)]}
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        await running.ready("child")
        for count, bytes in enumerate((0, 1, 40), start=2):
            answer = last(
                await wire.modern("tools/call", call("child__crash_after", bytes=bytes, code=3))
            )
            assert answer["error"]["code"] == -31003
            assert answer["error"]["data"]["outcome"] == "unknown"
            assert answer["error"]["message"].endswith("exited with code 3"), "the cause in a line"
            assert answer["error"]["data"]["stderr"] == ["the disk is on fire"], "its last words"
            await running.said(r"ready +child ", count=count)


async def test_a_call_to_a_dead_child_was_not_sent(tmp_path: Path) -> None:
    config = {"servers": [stdio_server("child", *CHILD, "--exit", "7")]}
    async with gateway(config, tmp_path) as running, web(running.server("child")) as wire:
        await running.said("failed +child")
        answer = last(await wire.modern("tools/call", call("echo")))
    assert answer["error"]["code"] == -31001
    assert answer["error"]["data"]["outcome"] == "not_sent"
    assert answer["error"]["data"]["hint"]


async def test_noise_on_stdout_harms_nobody(tmp_path: Path) -> None:
    config = {"servers": [stdio_server("child", *CHILD, "--noise", "20", "--stderr", "hello")]}
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        await running.ready("child")
        found = last(await wire.modern("tools/call", call("child__garbage", lines=30)))
        assert found["result"]["content"][0]["text"] == "after the noise"
        found = last(await wire.modern("tools/call", call("child__pieces")))
        assert found["result"]["content"][0]["text"] == "in pieces ✓"


async def test_a_child_that_speaks_something_else_is_replaced(tmp_path: Path) -> None:
    config = {"servers": [stdio_server("child", *CHILD)]}
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        await running.ready("child")
        answer = last(await wire.modern("tools/call", call("child__garbage", lines=150)))
        assert answer["error"]["code"] == -31010
        assert answer["error"]["data"]["server"] == "child"
        await running.said(r"ready +child ", count=2)
        assert (await wire.modern("tools/call", call("child__heard"))).status_code == 200


# --- the gateway dies ---


async def family(running: Running, wire: Web) -> list[int]:
    """All processes below the gateway, those included that hide in a session of their own."""
    for detached in (False, True):
        await wire.modern("tools/call", call("child__fork_child", detached=detached))
    below = psutil.Process(running.process.pid).children(recursive=True)
    assert len(below) >= 3
    return [one.pid for one in below]


async def test_kill_9_of_the_gateway_leaves_nobody(tmp_path: Path) -> None:
    config = {
        "servers": [
            stdio_server("child", *CHILD),
            stdio_server("stubborn", *CHILD, "--stubborn"),
        ]
    }
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        await running.ready("child", "stubborn")
        pids = await family(running, wire)
        began = monotonic()
        await running.stop(signal.SIGKILL)
        assert await asyncio.to_thread(wait_gone, pids) == []
        took = monotonic() - began
        print(f"kill -9 of the gateway: {len(pids)} processes gone after {took:.1f} s")
        assert took < GONE_S
    async with gateway(config, tmp_path) as running:
        await running.ready("child", "stubborn")


async def test_a_stopped_gateway_leaves_nobody(tmp_path: Path) -> None:
    config = {"servers": [stdio_server("child", *CHILD)]}
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        await running.ready("child")
        pids = await family(running, wire)
        assert await running.stop() == 0
        assert await asyncio.to_thread(wait_gone, pids) == []


@asynccontextmanager
async def at_work(folder: Path) -> AsyncIterator[tuple[Running, list[Any], list[asyncio.Event]]]:
    """A gateway with one call of each kind of client to each kind of server under way."""
    pairs = {name: held(name, modern=name.startswith("new")) for name in ("old-pipe", "new")}
    mirrors = {name: one for name, (one, _) in pairs.items()}
    async with behind(mirrors, folder) as running, web(running.mcp) as wire:
        session = await wire.open()
        calls: list[asyncio.Task[Any]] = []
        for name in pairs:
            calls.append(begin(wire.modern("tools/call", call(f"{name}__hold"))))
            calls.append(begin(session.ask("tools/call", call(f"{name}__hold"), id=name)))
            await called(mirrors[name], 2)
        yield running, calls, [go for _, go in pairs.values()]


async def test_sigterm_lets_calls_finish(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (running, calls, going):
        running.process.send_signal(signal.SIGTERM)
        await running.said("stopping")
        async with web(running.mcp) as late:
            try:
                response = await late.modern("tools/list")
                assert response.status_code == 503
            except httpx2.ConnectError:
                pass
        for go in going:
            go.set()
        for done in calls:
            found = await done
            found = found if isinstance(found, dict) else last(found)
            assert found["result"]["content"][0]["text"] == "done"
        async with asyncio.timeout(GONE_S):
            assert await running.process.wait() == 0


async def test_a_second_sigterm_stops_at_once(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (running, calls, _):
        running.process.send_signal(signal.SIGTERM)
        await running.said("stopping")
        began = monotonic()
        running.process.send_signal(signal.SIGTERM)
        for done in calls:
            found = await done
            found = found if isinstance(found, dict) else last(found)
            assert found["error"]["code"] == -31006
            assert found["error"]["data"]["hint"]
        async with asyncio.timeout(GONE_S):
            assert await running.process.wait() == 0
        print(f"a second SIGTERM: gone after {monotonic() - began:.1f} s")


# --- servers that are slow, missing or late ---


async def test_bad_servers_delay_only_themselves(tmp_path: Path) -> None:
    fine, slow = scripted("fine-pipe"), scripted("slow-pipe")
    go = asyncio.Event()

    async def hello(asked: Asked) -> bytes:
        await go.wait()
        return slow.hello(asked.method)

    slow.on("initialize", hello)
    async with AsyncExitStack() as stack:
        fine_argv = await stack.enter_async_context(over_stdio(fine))
        slow_argv = await stack.enter_async_context(over_stdio(slow))
        port = stack.enter_context(closed_port())
        config = {
            "servers": [
                stdio_server("missing", "no-such-command-at-all"),
                stdio_server("silent", *CHILD, "--silent"),
                stdio_server("slow", *slow_argv),
                http_server("refused", f"http://127.0.0.1:{port}/mcp"),
                stdio_server("fine", *fine_argv),
            ]
        }
        running = await stack.enter_async_context(gateway(config, tmp_path))
        wire = await stack.enter_async_context(web(running.mcp))
        began = monotonic()
        await running.ready("fine")
        assert (await wire.modern("tools/call", call("fine__echo"))).status_code == 200
        names = {one["name"] for one in last(await wire.modern("tools/list"))["result"]["tools"]}
        print(f"beside bad servers: call and list after {monotonic() - began:.1f} s")
        assert names == {f"fine__{one['name']}" for one in fine.lists["tools"]}
        await running.said("failed +missing")
        await running.said("failed +refused")
        rows = await servers(running)
        assert {id: rows[id]["state"] for id in ("missing", "silent", "slow", "fine")} == {
            "missing": "failed", "silent": "starting", "slow": "starting", "fine": "ready",
        }  # fmt: skip
        assert "no-such-command-at-all" in rows["missing"]["reason"]
        unknown = await wire.modern("tools/call", call("slow__echo"))
        assert error(unknown)[1] in (-31001, -32602)
        assert "slow" in last(unknown)["error"]["message"]

        go.set()
        await running.ready("slow")
        assert (await wire.modern("tools/call", call("slow__echo"))).status_code == 200


async def test_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def never(request: Request, wire: Wire) -> None:
        raise AssertionError("nothing may be sent to a stranger")

    async with HttpServer(never, tls=context) as stranger:
        config = {"servers": [http_server("stranger", stranger.url)]}
        async with gateway(config, tmp_path) as running:
            (line,) = await running.said("failed +stranger")
    assert "certificate" in line
    assert stranger.requests == []


async def test_an_http_server_that_forgets_its_sessions(tmp_path: Path) -> None:
    site = scripted("site")
    async with behind({"site": site}, tmp_path) as running, web(running.mcp) as wire:
        for _ in range(3):
            site.sessions.clear()
            answers = await asyncio.gather(
                *(wire.modern("tools/call", call("site__echo", n=n)) for n in range(5))
            )
            assert [one.status_code for one in answers] == [200] * 5
        hellos = len(site.calls("initialize"))
        assert hellos == 4, "one handshake for all who found the session gone"


async def test_an_http_server_that_is_restarted(tmp_path: Path) -> None:
    first, second = scripted("site"), scripted("site")
    second.lists["tools"].append(tool("new"))
    async with AsyncExitStack() as before:
        url = await before.enter_async_context(over_http(first))
        port = int(url.split(":")[2].split("/")[0])
        config = {"servers": [http_server("site", url)]}
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("site")
            assert (await wire.modern("tools/call", call("site__echo"))).status_code == 200
            await before.aclose()
            answer = last(await wire.modern("tools/call", call("site__echo")))
            assert answer["error"]["code"] == -31001
            assert answer["error"]["data"]["outcome"] == "not_sent"
            async with over_http(second, port):
                await running.said(r"ready +site ", count=2)
                assert (await wire.modern("tools/call", call("site__new"))).status_code == 200
