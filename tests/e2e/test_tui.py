"""The dashboard against a live gateway: what it shows is what was done, and what others count."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import httpx2
from textual.widgets import DataTable, Static

from fakes import stdio_server as scripted_child
from fakes.edge import until
from fakes.gateway import gateway, stdio_server
from only1mcp.cli.reach import Remote
from only1mcp.cli.tui import Reach, configured_refresh_s
from only1mcp.tui.app import Dashboard
from only1mcp.tui.figures import read

CALLS = 7


async def look(url: str, path: str) -> Any:
    """A page of the admin API, as anybody sees it."""
    async with httpx2.AsyncClient() as http:
        return (await http.get(f"{url}/api/v1/admin{path}")).json()


async def test_known_traffic_is_what_it_shows(tmp_path: Path) -> None:
    child = stdio_server("one", sys.executable, scripted_child.__file__)
    config = {"servers": [child], "tui": {"refresh": "200ms"}}
    async with gateway(config, tmp_path) as running:
        await running.ready("one")
        with Remote(running.url, None) as remote, Remote(running.url, None) as second:
            (tool, *_) = await asyncio.to_thread(lambda: list(remote.tools(None)))
            for _ in range(CALLS):
                await asyncio.to_thread(
                    lambda: remote.ask("tools/call", {"name": tool["name"], "arguments": {}}, None,
                                       name=tool["name"])
                )  # fmt: skip
            reach = Reach(remote, second)
            refresh_s = await asyncio.to_thread(configured_refresh_s, reach)
            assert refresh_s == 0.2
            app = Dashboard(reach, refresh_s)
            async with app.run_test(size=(80, 24)) as pilot:
                await until(lambda: app.shot is not None)
                await pilot.press("3")
                await pilot.pause()
                table = app.query_one("#requests DataTable", DataTable)
                rows = [
                    [str(cell) for cell in table.get_row_at(at)] for at in range(table.row_count)
                ]
                listed = (await look(running.url, "/requests?limit=200"))["requests"]
                assert len(rows) == len(listed)
                assert sum(row[3] == "tools/call" for row in rows) == CALLS
                counted = read(remote.text("/metrics") or "", 0.0)
                assert counted is not None and counted.requests == len(listed)
                assert app.shot is not None and app.shot.figures.total == counted.requests
                await pilot.press("2")
                await pilot.pause()
                servers = app.query_one("#servers DataTable", DataTable)
                assert str(servers.get_row_at(0)[1]) == "ready"
                await running.stop()
                state = app.query_one("#state", Static)
                await until(
                    lambda: "no gateway" in str(state.content) or "broke" in str(state.content)
                )
                assert [row["id"] for row in app.shot.servers] == ["one"], "what was known is kept"
