"""Who may read the metrics, and in which form."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Final

from fakes import stdio_server as scripted
from fakes.gateway import gateway, stdio_server
from fakes.wire import Json, web

TOKEN: Final = "a-token-0123456789"
AUTH: Final = {"Authorization": f"Bearer {TOKEN}"}


async def test_both_paths_are_guarded_and_speak_both_formats(tmp_path: Path) -> None:
    config: Json = {"server": {"auth": {"tokens": [TOKEN]}}}
    open_metrics = {**AUTH, "Accept": "application/openmetrics-text; version=1.0.0"}
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        for path in ("/metrics", "/api/v1/admin/metrics"):
            url = running.url + path
            assert (await wire.http.get(url)).status_code == 401
            plain = await wire.http.get(url, headers=AUTH)
            assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
            other = await wire.http.get(url, headers=open_metrics)
            assert other.headers["content-type"].startswith("application/openmetrics-text")
            assert other.text.endswith("# EOF\n")
            assert (await wire.http.post(url, headers=AUTH)).status_code == 405


async def test_tokens_for_who_calls_who_scrapes_and_who_administers(tmp_path: Path) -> None:
    server: Json = {"auth": {"tokens": [TOKEN]}, "admin_tokens": ["an-admin"]}
    server["metrics_tokens"] = ["a-scraper"]
    config: Json = {
        "server": server,
        "servers": [stdio_server("one", sys.executable, scripted.__file__)],
    }
    tokens = (None, "wrong", TOKEN, "a-scraper", "an-admin")
    pages = ("/livez", "/health", "/metrics", "/api/v1/admin/metrics", "/mcp")
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        seen = []
        for token in tokens:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            got = [await wire.http.get(running.url + page, headers=headers) for page in pages]
            seen.append(([one.status_code for one in got], "health" in got[1].json()))
    assert seen == [
        ([200, 200, 401, 401, 401], False),
        ([200, 200, 401, 401, 401], False),
        ([200, 200, 401, 401, 400], False),
        ([200, 200, 200, 401, 401], False),
        ([200, 200, 200, 200, 400], True),
    ]


async def test_a_token_for_scraping_leaves_the_admin_api_as_it_was(tmp_path: Path) -> None:
    """Its pages name the same servers and tools anyway; `report` and `tui` read them there."""
    config = {"server": {"auth": {"tokens": [TOKEN]}, "metrics_tokens": ["a-scraper"]}}
    async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
        for path, status in (("/metrics", 401), ("/api/v1/admin/metrics", 200)):
            assert (await wire.http.get(running.url + path, headers=AUTH)).status_code == status
        command = [sys.executable, "-m", "only1mcp", "report", "--url", running.url]
        done = await asyncio.to_thread(
            subprocess.run,
            [*command, "--token", TOKEN],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "## At a glance" in done.stdout


async def test_off_there_is_nothing(tmp_path: Path) -> None:
    off = {"metrics": {"enabled": False}}
    async with gateway(off, tmp_path) as running, web(running.mcp) as wire:
        for path in ("/metrics", "/api/v1/admin/metrics"):
            assert (await wire.http.get(running.url + path)).status_code == 404
