"""`only1mcp report` as a process: of a gateway under load, and of a project that is another."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx2

from fakes.children import PATIENCE_S
from fakes.demo import demo_http
from fakes.gateway import closed_port, gateway, http_server, stdio_server
from fakes.project import JUNIT, README, project
from fakes.scrape import Scrape
from fakes.wire import Web, last, web

ONLY1MCP: Final = (sys.executable, "-m", "only1mcp")
NOTES: Final = stdio_server("notes", sys.executable, "-m", "only1mcp.demo.notes")
CALLS: Final = 200
TOKEN: Final = "admin-token-1"
AS_ADMIN: Final = {"Authorization": f"Bearer {TOKEN}"}


async def report(*arguments: str) -> tuple[int, str, str]:
    """Run the command."""
    process = await asyncio.create_subprocess_exec(
        *(*ONLY1MCP, "report", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def load(wire: Web, share: int) -> None:
    """Calls that work, one that does not, lists, and reads that the cache answers."""
    for number in range(CALLS // 4):
        text = {"text": f"one two {share} {number}"}
        await wire.modern("tools/call", {"name": "text__word_count", "arguments": text})
    await wire.modern("tools/call", {"name": "notes__add_note", "arguments": {"odd": 1}})
    await wire.modern("tools/call", {"name": "nobody__knows", "arguments": {}})
    listed = last(await wire.modern("resources/list"))["result"]["resources"]
    for _ in range(5):
        await wire.modern("resources/read", {"uri": listed[0]["uri"]})


async def admin(url: str, path: str) -> httpx2.Response:
    """A page of the admin API."""
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
        return await http.get(f"{url}/api/v1/admin{path}", headers=AS_ADMIN)


def by(scrape: Scrape, name: str, label: str) -> dict[str, float]:
    """A metric by the values of a label, without those that are 0."""
    values = {dict(labels).get(label, "") for line, labels in scrape.lines if line == name}
    found = {value: scrape.sum(name, **{label: value}) for value in values}
    return {value: many for value, many in found.items() if many}


def some(counts: dict[str, float]) -> dict[str, float]:
    """The same of a report."""
    return {"" if id == "(gateway)" else id: many for id, many in counts.items() if many}


async def test_a_gateway_under_load_shows_what_metrics_and_admin_api_show(tmp_path: Path) -> None:
    config: dict[str, Any] = {"server": {"admin_tokens": [TOKEN]}}
    async with demo_http("clock") as clock, demo_http("text") as text:
        config["servers"] = [NOTES, http_server("clock", clock), http_server("text", text)]
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("notes", "clock", "text")
            under_load = asyncio.gather(*(load(wire, share) for share in range(4)))
            code, out, _ = await report("--url", running.url, "--token", TOKEN, "-o", "json")
            assert code == 0
            meanwhile = json.loads(out)["facts"]
            await under_load
            code, out, _ = await report("--url", running.url, "--token", TOKEN, "-o", "json")
            scrape = Scrape((await admin(running.url, "/metrics")).text)
            tools = (await admin(running.url, "/tools")).json()["tools"]
            cache = (await admin(running.url, "/cache")).json()
            health = (await admin(running.url, "/health")).json()
            refused = await report("--url", running.url)
    found = json.loads(out)["facts"]
    assert found["requests.total"] == scrape.sum("only1mcp_requests_total") >= CALLS + 8
    assert meanwhile["requests.total"] <= found["requests.total"]
    assert some(found["requests.by_server"]) == by(scrape, "only1mcp_requests_total", "server")
    assert found["requests.by_outcome"] == by(scrape, "only1mcp_requests_total", "outcome")
    errors = by(scrape, "mcp_server_operation_duration_seconds_count", "error_type")
    errors.pop("")
    assert found["errors.by_type"] == errors
    assert errors["-32602"] >= 4
    tiers = cache["tiers"].values()
    assert found["cache.hit"] == sum(tier["hits"] for tier in tiers) > 0
    assert found["cache.miss"] == sum(tier["misses"] for tier in tiers)
    assert found["cache.shared"] == cache["shared"]
    assert found["status"] == health["status"] == "ok"
    assert found["list.bytes"] == by(scrape, "only1mcp_list_bytes", "kind")
    assert sum(found["tools.bytes_by_server"].values()) == found["list.bytes"]["tools"]
    assert sum(tool["bytes"] for tool in tools) == found["list.bytes"]["tools"]
    assert refused[0] == 4
    assert "give a token with --token" in refused[2]


DOWN: Final = r"^- Server `gone` is (waiting|failed) \(.*connection refused"


async def test_a_server_that_fails_is_an_incident_and_what_to_do(tmp_path: Path) -> None:
    with closed_port() as port:
        config = {"servers": [http_server("gone", f"http://127.0.0.1:{port}/mcp")]}
        async with gateway(config, tmp_path) as running:
            await running.said(r"failed +gone ")
            page = ""
            while not re.search(DOWN, page, re.M):  # in between it is tried again, and starting
                _, page, _ = await report("--url", running.url)
    assert re.search(r"^\| [\d :-]+ \| `gone` \| (waiting|failed): ", page, re.M)
    assert "All that has happened since the gateway was started" in page


async def test_no_gateway_is_there() -> None:
    with closed_port() as port:
        code, out, err = await report("--url", f"http://127.0.0.1:{port}")
    assert (code, out) == (3, "")
    assert "start one with `only1mcp start` or name it with --url" in err


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Report on the project in a folder."""
    command = [*ONLY1MCP, "report", "--project", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_project_with_a_registry(tmp_path: Path) -> None:
    root = project(tmp_path)
    done = run(root)
    written = [Path(line) for line in done.stdout.splitlines()]
    assert [path.suffix for path in written] == [".md", ".json", ".html"]
    assert all(path.parent == root / "docs/reports" for path in written)
    assert "| Boiling | complete |" in written[0].read_text()


def test_a_claim_that_is_altered_and_a_test_that_is_taken_away_are_found(tmp_path: Path) -> None:
    root = project(tmp_path)
    assert run(root, "--check").returncode == 0
    (root / "README.md").write_text(README.replace("in 3 s", "in 2 s"))
    altered = run(root, "--check")
    assert altered.returncode == 1
    assert altered.stdout == "README.md:3: says 2, but bench:speed/boil/seconds is 3\n"
    (root / "README.md").write_text(README)
    (root / "junit.xml").write_text(JUNIT.replace("test_tea", "test_coffee"))
    poorer = run(root, "--check")
    assert poorer.returncode == 1
    assert "no test is named tests/e2e/test_cup.py::test_tea" in poorer.stdout
