"""Servers changed through the admin API: in the file, and in force."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.admin import SECRET, TEXT, Office, office
from fakes.edge import until

HTTP = {"type": "http", "url": "http://127.0.0.1:9/mcp"}


def problem(response: httpx2.Response, status: int) -> dict[str, Any]:
    """What the problem says, which always has a cause and a next step."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["detail"]
    assert found["next"]
    return found


async def state(desk: Office, id: str) -> str | None:
    """How a server is; None if there is none of this id."""
    response = await desk.get(f"/servers/{id}")
    return response.json()["server"]["state"] if response.status_code == 200 else None


async def test_a_server_is_added_changed_and_removed(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        added = await desk.send("POST", "/servers", {"id": "new", "transport": HTTP})
        assert (added.status_code, added.json()["added"]) == (201, ["new"])
        assert desk.file.read_text() == TEXT + (
            '  - id: new\n    transport: {type: http, url: "http://127.0.0.1:9/mcp"}\n'
        )
        assert added.headers["etag"] == await desk.tag()
        patch = {"tools": {"deny": ["x*"]}}
        changed = await desk.send("PATCH", "/servers/new", patch, match=added.headers["etag"])
        assert changed.json()["adjusted"] == ["new"]
        settings = (await desk.get("/servers/new")).json()["config"]
        assert settings["tools"]["deny"] == ["x*"]
        tag = changed.headers["etag"]
        removed = await desk.send("DELETE", "/servers/new", match=tag)
        assert (removed.status_code, removed.json()["removed"]) == (200, ["new"])
        assert await state(desk, "new") is None
        assert desk.file.read_text() == TEXT


async def test_comments_variables_and_secrets_stay_where_they_are(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        patch = {"transport": {"headers": {"Z": "${SECRET}"}}}
        response = await desk.send("PATCH", "/servers/two", patch, match="*")
        assert response.status_code == 200
        text = desk.file.read_text()
        assert text == TEXT.replace(
            '{X: "Bearer ${SECRET}"}', '{X: "Bearer ${SECRET}", Z: "${SECRET}"}'
        )
        for page in ("/servers/two", "/config", "/servers"):
            assert SECRET not in (await desk.get(page)).text


async def test_enable_and_disable_are_written_too(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        off = await desk.send("POST", "/servers/one/disable")
        assert off.json()["changed"] == ["one"]
        assert "    enabled: false\n" in desk.file.read_text()
        again = await desk.send("POST", "/servers/one/disable")
        assert again.json()["changed"] == []
        assert problem(await desk.send("POST", "/servers/one/restart"), 409)["place"] == "enabled"
        on = await desk.send("POST", "/servers/one/enable", match=again.headers["etag"])
        assert on.json()["changed"] == ["one"]
        problem(await desk.send("POST", "/servers/one/enable", match='"other"'), 412)


async def test_a_restart_makes_a_new_connection(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.events("?kinds=restart,server") as stream:
        before = len(desk.fakes["one"])
        response = await desk.send("POST", "/servers/one/restart")
        assert (response.status_code, response.json()) == (202, {"id": "one"})
        assert (await stream.next("restart"))["server"] == "one"
        while (await stream.next("server"))["state"] != "ready":
            pass
        assert len(desk.fakes["one"]) == before + 1
        problem(await desk.send("POST", "/servers/nobody/restart"), 404)


async def test_of_two_changes_with_one_tag_one_is_refused(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        tag = await desk.tag()
        both = [
            desk.send("PATCH", "/servers/two", {"protocol": protocol}, match=tag)
            for protocol in ("modern", "legacy")
        ]
        answers = await asyncio.gather(*both)
        assert sorted(one.status_code for one in answers) == [200, 412]
        refused = next(one for one in answers if one.status_code == 412)
        assert refused.headers["etag"] == await desk.tag() != tag
        problem(refused, 412)


async def test_what_is_written_by_hand_is_not_lost(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        tag = await desk.tag()
        desk.file.write_text(TEXT + "naming: {mode: bare}\n")
        problem(await desk.send("DELETE", "/servers/two", match=tag), 412)
        found = await desk.send("DELETE", "/servers/two", match=await desk.tag())
        assert (found.json()["removed"], found.json()["settings"]) == (["two"], ["naming"])
        assert "naming: {mode: bare}" in desk.file.read_text()


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_change_says_which_file_it_means(tmp_path: Path, method: str) -> None:
    async with office(tmp_path) as desk:
        body = {"enabled": False} if method == "PATCH" else None
        assert problem(await desk.send(method, "/servers/two", body), 428)["place"] == "If-Match"
        for match in ("x", '"a", "b"', 'W/"x"', ""):
            problem(await desk.send(method, "/servers/two", body, match=match), 400)
        problem(await desk.send(method, "/servers/nobody", body, match="*"), 404)
        assert desk.file.read_text() == TEXT


@pytest.mark.parametrize(
    ("patch", "where"),
    [
        ({"transport": {"url": "ftp://x"}}, "servers[1].transport.url"),
        ({"nonsense": 1}, "servers[1].nonsense"),
        ({"timeouts": {"start": "soon"}}, "servers[1].timeouts.start"),
        ({"transport": {"headers": {"A": "${NOT_SET}"}}}, "servers[1].transport.headers.A"),
    ],
)
async def test_what_is_not_valid_is_not_written(
    tmp_path: Path, patch: dict[str, Any], where: str
) -> None:
    async with office(tmp_path) as desk:
        found = problem(await desk.send("PATCH", "/servers/two", patch, match="*"), 422)
        assert found["place"].startswith(f"{desk.file}:")
        assert found["faults"][0]["where"] == where
        assert desk.file.read_text() == TEXT


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400), (b"[]", 400), (b"{", 400), (b'{"a": NaN}', 400), (b'"x"', 400),
        (b'{"a": "\\ud800"}', 400), (b"[" * 100_000, 400), (b'{"a": ' + b"9" * 5000 + b"}", 400),
        (b"\xff", 400), (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", 400),
        (b'{"transport": {"headers": {"X": "***"}}}', 422), (b'{"id": "x"}', 422),
    ],
)  # fmt: skip
async def test_bodies_that_cannot_be_used(tmp_path: Path, content: bytes, status: int) -> None:
    async with office(tmp_path) as desk:
        headers = {
            "Authorization": "Bearer admin-token-1",
            "Content-Type": "application/json",
            "If-Match": "*",
        }
        url = "/api/v1/admin/servers/two"
        problem(await desk.http.patch(url, content=content, headers=headers), status)
        headers["Content-Type"] = "text/plain"
        problem(await desk.http.patch(url, content=b"{}", headers=headers), 415)
        assert desk.file.read_text() == TEXT


@pytest.mark.parametrize("id", [None, 7, "", "A", "a" * 33, "a_b", "../x", "one\n"])
async def test_ids_that_are_none(tmp_path: Path, id: Any) -> None:
    async with office(tmp_path) as desk:
        body = {"id": id, "transport": HTTP}
        assert problem(await desk.send("POST", "/servers", body), 422)["place"] == "id"


async def test_an_id_that_is_taken(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        problem(await desk.send("POST", "/servers", {"id": "one", "transport": HTTP}), 409)


async def test_a_gateway_without_a_file_says_so(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        desk.file.unlink()
        found = problem(await desk.send("POST", "/servers/one/disable"), 409)
        assert "No such file" in found["detail"]
        assert "etag" not in (await desk.get("/config")).headers


async def test_a_file_that_may_not_be_written_stays(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        desk.file.write_text(TEXT + "nonsense: 1\n")
        found = problem(await desk.send("POST", "/servers/one/disable"), 409)
        assert "o.yaml:11:1" in found["detail"]
        problem(await desk.send("POST", "/config/reload"), 422)


async def test_a_client_that_leaves_does_not_stop_a_change(tmp_path: Path) -> None:
    async with office(tmp_path) as desk, desk.events("?kinds=reload") as stream:
        task = asyncio.get_running_loop().create_task(desk.send("POST", "/servers/one/disable"))
        await until(lambda: desk.file.read_text() != TEXT)
        task.cancel()
        assert (await stream.next("reload"))["changed"] == "changed one"


async def test_while_it_drains_nothing_is_begun(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        desk.gateway._draining = True
        problem(await desk.send("POST", "/servers/one/disable"), 503)
        problem(await desk.send("POST", "/config/reload"), 503)
        assert desk.file.read_text() == TEXT
