"""The pages that show how things are: each answers with its type, from memory."""

from pathlib import Path

import pytest

from fakes.admin import ADMIN, SECRET, TEXT, office
from fakes.wire import web
from only1mcp.admin import answers
from only1mcp.admin.table import OPERATIONS
from only1mcp.config.values import Model

PAGES = [one for one in OPERATIONS if one.method == "GET" and not isinstance(one.answer, str)]


async def test_every_page_is_of_its_type(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        async with web(f"{desk.http.base_url}/mcp") as wire:
            await wire.open("2025-06-18")
            await wire.modern("tools/call", {"name": "one__find", "arguments": {}})
        before = sum(len(fake.calls) for fakes in desk.fakes.values() for fake in fakes)
        for one in PAGES:
            response = await desk.get(one.path.replace("{id}", "two"))
            assert response.status_code == 200, one
            assert isinstance(one.answer, type) and issubclass(one.answer, Model)
            one.answer.model_validate(response.json())  # no key too many, none missing
            assert ("etag" in response.headers) is one.tagged
            assert SECRET not in response.text
        after = sum(len(fake.calls) for fakes in desk.fakes.values() for fake in fakes)
    assert before == after


async def test_one_server_is_shown_with_its_settings(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        found = answers.OneServer.model_validate((await desk.get("/servers/two")).json())
        assert (found.server.state, found.server.tools) == ("ready", 1)
        assert found.config["transport"]["headers"] == {"X": "***"}
        missing = await desk.get("/servers/three")
        assert (missing.status_code, missing.json()["place"]) == (404, "id")


async def test_what_clients_see(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        prompts = (await desk.get("/prompts")).json()["entries"]
        assert {"kind": "prompts", "server": "one", "own": "greet", "name": "one__greet"} in prompts
        resources = (await desk.get("/resources")).json()["entries"]
        assert {row["own"] for row in resources} >= {"two://a", "two://item/{name}"}


async def test_sessions_are_shown_without_their_ids(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, web(f"{desk.http.base_url}/mcp") as wire:
        session = await wire.open("2025-06-18")
        (row,) = (await desk.get("/sessions")).json()["sessions"]
        assert (row["principal"], row["revision"], row["mount"]) == (
            "anonymous",
            "2025-06-18",
            None,
        )
        assert len(row["id"]) == 8
        assert session.id is not None and session.id.startswith(row["id"])


async def test_the_latest_requests_come_first(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        async with web(f"{desk.http.base_url}/mcp") as wire:
            await wire.modern("tools/call", {"name": "one__find", "arguments": {}})
            await wire.modern("tools/call", {"name": "two__nothing", "arguments": {}})
        rows = (await desk.get("/requests")).json()["requests"]
        assert [(row["server"], row["outcome"]) for row in rows] == [(None, "error"), ("one", "ok")]
        assert len((await desk.get("/requests?limit=1")).json()["requests"]) == 1


@pytest.mark.parametrize("limit", ["0", "501", "-1", "x", "", "1.5", "9" * 5000, "²"])
async def test_limits_that_are_none(tmp_path: Path, limit: str) -> None:
    async with office(tmp_path) as desk:
        response = await desk.get(f"/requests?limit={limit}")
        assert (response.status_code, response.json()["place"]) == (400, "limit")


async def test_a_file_that_was_refused_is_seen(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        assert (await desk.get("/health")).json()["status"] == "ok"
        desk.file.write_text(TEXT + "nonsense: 1\n")
        await desk.send("POST", "/config/reload")
        assert (await desk.get("/health")).json()["status"] == "degraded"


async def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        for method, path, status in (
            *(("GET", "/nothing", 404), ("GET", "/servers/", 404)),
            *(("PUT", "/servers", 405), ("HEAD", "/events", 405)),
        ):
            response = await desk.send(method, path)
            assert response.status_code == status
            assert response.headers["content-type"] == "application/problem+json"
            if method != "HEAD":
                answers.Problem.model_validate(response.json())
        assert response.headers["allow"]


async def test_metrics_are_one_text_under_two_paths(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        admin = await desk.get("/metrics")
        assert (await desk.get("/metrics", None)).status_code == 401
        assert (await desk.http.get("/metrics")).status_code == 401, "there are admins"
        shown = {"Authorization": f"Bearer {ADMIN}"}
        scraped = await desk.http.get("/metrics", headers=shown)
        kind = admin.headers["content-type"]
        for page in (admin, scraped):
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["content-type"] == kind
            assert "# TYPE only1mcp_client_connections gauge" in page.text
    async with office(tmp_path, TEXT + "metrics: {enabled: false}\n") as desk:
        assert (await desk.get("/metrics")).json()["place"] == "metrics.enabled"
        assert (await desk.http.get("/metrics")).status_code == 404
