"""The dashboard against a live gateway: what it shows is what was done, and what others count."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx2
from textual.widgets import DataTable, Static

from fakes import stdio_server as scripted_child
from fakes.edge import until
from fakes.gateway import gateway, stdio_server
from only1mcp.cli.reach import Remote
from only1mcp.cli.tui import Reach
from only1mcp.tui.app import Dashboard

CALLS = 7


async def look(url: str, path: str) -> Any:
    """A page of the admin API, as anybody sees it."""
    async with httpx2.AsyncClient() as http:
        return (await http.get(f"{url}/api/v1/admin{path}")).json()


async def test_known_traffic_is_what_it_shows(tmp_path: Path) -> None:
    config = {"servers": [stdio_server("one", sys.executable, scripted_child.__file__)]}
    async with gateway(config, tmp_path) as running:
        await running.ready("one")
        with Remote(running.url, None) as remote, Remote(running.url, None) as second:
            (tool, *_) = await asyncio.to_thread(lambda: list(remote.tools(None)))
            for _ in range(CALLS):
                await asyncio.to_thread(
                    lambda: remote.ask("tools/call", {"name": tool["name"], "arguments": {}}, None,
                                       name=tool["name"])
                )  # fmt: skip
            app = Dashboard(Reach(remote, second), refresh_s=0.2)
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
                await pilot.press("2")
                await pilot.pause()
                servers = app.query_one("#servers DataTable", DataTable)
                assert str(servers.get_row_at(0)[1]) == "ready"
                await running.stop()
                state = app.query_one("#state", Static)
                await until(
                    lambda: "no gateway" in str(state.content) or "broke" in str(state.content)
                )
                assert json.dumps(app.shot and app.shot.servers), "what was known is kept"
