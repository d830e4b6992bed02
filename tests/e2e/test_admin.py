"""The admin API of a gateway as users run it: processes come and go, crashes leave a good file."""

import asyncio
import itertools
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from fakes import stdio_server as scripted_child
from fakes.children import PATIENCE_S, wait_gone
from fakes.gateway import Running, gateway, stdio_server
from fakes.wire import last, web
from only1mcp.config.load import load

TOKEN: Final = "admin-token-1"
CHILD: Final = (sys.executable, scripted_child.__file__)
QUIET: Final = {"hot_reload": {"enabled": False}}


@asynccontextmanager
async def admin(running: Running) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the admin API who is an admin."""
    async with httpx2.AsyncClient(
        base_url=f"{running.url}/api/v1/admin",
        headers={"Authorization": f"Bearer {TOKEN}"},
        timeout=PATIENCE_S,
        trust_env=False,
    ) as http:
        yield http


def config(*servers: dict[str, Any]) -> dict[str, Any]:
    """A configuration with an admin."""
    return {"server": {"admin_tokens": ["${ADMIN}"]}, "servers": [*servers], **QUIET}


async def pid(http: httpx2.AsyncClient, id: str) -> int:
    """The process of a server, once it is ready."""
    async with asyncio.timeout(2 * PATIENCE_S):
        async with http.stream("GET", "/events?kinds=server") as response:
            events = response.aiter_text()
            await anext(events)
            while (row := (await http.get(f"/servers/{id}")).json()["server"])["state"] != "ready":
                await anext(events)
    return int(row["pid"])


async def test_an_admin_adds_a_program_and_takes_it_away(tmp_path: Path) -> None:
    async with (
        gateway(config(), tmp_path, env={"ADMIN": TOKEN}) as running,
        admin(running) as http,
    ):
        new = stdio_server("new", *CHILD)
        nobody = {"Authorization": ""}
        assert (await http.post("/servers", json=new, headers=nobody)).status_code == 401
        assert (await http.post("/servers", json=new)).status_code == 201
        process = await pid(http, "new")
        async with web(running.mcp) as wire:
            tools = last(await wire.modern("tools/list"))["result"]["tools"]
        assert {one["name"].partition("__")[0] for one in tools} == {"new"}
        restarted = await http.post("/servers/new/restart")
        assert restarted.status_code == 202
        assert not await asyncio.to_thread(wait_gone, [process])
        process = await pid(http, "new")
        gone = await http.delete("/servers/new", headers={"If-Match": "*"})
        assert gone.json()["removed"] == ["new"]
        assert not await asyncio.to_thread(wait_gone, [process])
    assert json.loads((tmp_path / "only1mcp.json").read_text()) == config()


async def test_a_follower_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with (
        gateway(config(), tmp_path, env={"ADMIN": TOKEN}) as running,
        admin(running) as http,
        http.stream("GET", "/events", headers={"Last-Event-ID": "0"}) as response,
    ):
        chunks = response.aiter_text()
        assert (await anext(chunks)).startswith(": only1mcp events\n\n")
        async with asyncio.timeout(PATIENCE_S):  # server.drain_timeout is 30 s
            assert await running.stop() == 0
            with suppress(httpx2.ReadError):
                async for _ in chunks:
                    pass


@pytest.mark.parametrize("after", [1, 4])
async def test_a_crash_amid_changes_leaves_a_file_to_start_from(tmp_path: Path, after: int) -> None:
    file = tmp_path / "only1mcp.json"
    server = stdio_server("one", *CHILD)
    async with (
        gateway(config(server), tmp_path, env={"ADMIN": TOKEN}) as running,
        admin(running) as http,
    ):
        written = asyncio.Event()

        async def change() -> None:
            for number in itertools.count(1):
                patch = {"timeouts": {"start": number}}
                await http.patch("/servers/one", json=patch, headers={"If-Match": "*"})
                if number >= after:
                    written.set()

        task = asyncio.get_running_loop().create_task(change())
        async with asyncio.timeout(PATIENCE_S):
            await written.wait()
            await running.stop(signal.SIGKILL)
        with pytest.raises(httpx2.HTTPError):
            await task
    (found,) = load(file, {"ADMIN": TOKEN, "PATH": "/usr/bin"}).config.servers
    assert found.timeouts.start >= after
    text = json.loads(file.read_text())
    async with gateway(text, tmp_path, env={"ADMIN": TOKEN}) as running, admin(running) as http:
        assert await pid(http, "one")
