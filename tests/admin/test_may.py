"""Who may do what."""

from pathlib import Path
from typing import Any

import pytest

from fakes.admin import TEXT, office
from only1mcp.admin.may import Need, check, check_page, check_scrape, is_json, may_look
from only1mcp.admin.problem import Problem
from only1mcp.config.model import Listener

TOKENS: dict[str, Any] = {"auth": {"tokens": ["t1"]}}
ADMINS: dict[str, Any] = {"admin_tokens": ["a1"]}


@pytest.mark.parametrize(
    ("settings", "admin", "most"),
    [
        ({}, "", Need.OPERATE),  # loopback, nobody has a token
        (TOKENS, "", Need.OPERATE),  # a client's token
        (TOKENS | {"host": "0.0.0.0"}, "", Need.OPERATE),
        ({"host": "0.0.0.0", "auth": "none"}, "", None),
        ({"host": "localhost", "auth": "none"}, "", Need.OPERATE),
        (ADMINS, "", None),
        (ADMINS, "admin-1", Need.CHANGE),
        (TOKENS | ADMINS, "", None),
        (TOKENS | ADMINS, "admin-1", Need.CHANGE),
        ({"host": "0.0.0.0", "auth": "none"} | ADMINS, "admin-1", Need.CHANGE),
        ({"host": "0.0.0.0", "auth": "none"} | ADMINS, "", None),
    ],
)
def test_the_most_that_one_may_do(settings: dict[str, Any], admin: str, most: Need | None) -> None:
    for need in Need:
        if most is not None and need <= most:
            check(admin, need, Listener(**settings))
        else:
            with pytest.raises(Problem) as raised:
                check(admin, need, Listener(**settings))
            assert raised.value.status in (401, 403)
            assert "server.admin_tokens" in raised.value.next


OPEN: dict[str, Any] = {"host": "0.0.0.0", "auth": "none"}
SCRAPES: dict[str, Any] = {"metrics_tokens": ["m1"]}


@pytest.mark.parametrize(
    ("settings", "caller", "may"),
    [
        ({}, ("anonymous", ""), True),
        (TOKENS, ("anonymous", ""), False),  # a probe without a token
        (TOKENS, ("token-1", ""), True),
        (TOKENS | ADMINS, ("token-1", ""), False),
        (TOKENS | ADMINS, ("admin-1", "admin-1"), True),
        (ADMINS, ("anonymous", ""), False),
        (ADMINS, ("anonymous", "admin-1"), True),
        (OPEN, ("anonymous", ""), False),
    ],
)
def test_who_may_look(settings: dict[str, Any], caller: tuple[str, str], may: bool) -> None:
    assert may_look(*caller, Listener(**settings)) is may


@pytest.mark.parametrize(
    ("settings", "caller", "may"),
    [
        ({}, ("anonymous", ""), True),
        (TOKENS, ("token-1", ""), True),
        (OPEN, ("anonymous", ""), True),  # said so
        (TOKENS | ADMINS, ("token-1", ""), False),
        (TOKENS | SCRAPES, ("token-1", ""), False),
        (TOKENS | SCRAPES, ("scraper", ""), True),
        (TOKENS | ADMINS | SCRAPES, ("scraper", ""), True),
        (SCRAPES, ("anonymous", ""), False),
        (ADMINS, ("anonymous", "admin-1"), True),
    ],
)
def test_who_may_scrape(settings: dict[str, Any], caller: tuple[str, str], may: bool) -> None:
    if may:
        check_scrape(*caller, Listener(**settings))
    else:
        with pytest.raises(Problem, match="metrics") as raised:
            check_scrape(*caller, Listener(**settings))
        assert raised.value.status == 401


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"content-type": "text/plain"}, True),
        ({"origin": "http://localhost:3000"}, False),
        ({"origin": "http://localhost:3000", "content-type": "text/plain"}, False),
        ({"origin": "http://localhost:3000", "content-type": "application/json"}, True),
    ],
)
def test_a_page_must_have_asked_first(headers: dict[str, str], passes: bool) -> None:
    if passes:
        check_page(headers)
    else:
        with pytest.raises(Problem):
            check_page(headers)


@pytest.mark.parametrize(
    ("kind", "json"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/merge-patch+json", True),
        ("application/jsonx", False),
        ("", False),
    ],
)
def test_what_counts_as_json(kind: str, json: bool) -> None:
    assert is_json({"content-type": kind}) is json


async def test_through_the_front_door(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        for token in (None, "wrong"):
            response = await desk.get("/servers", token)
            assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
            new = {"id": "x", "transport": {"type": "stdio", "command": "touch"}}
            assert (await desk.send("POST", "/servers", new, token=token)).status_code == 401
        assert (await desk.get("/servers")).status_code == 200
        assert "x" not in desk.fakes


async def test_without_admins_nobody_has_a_program_started(tmp_path: Path) -> None:
    text = TEXT.replace('  admin_tokens: ["${ADMIN}"]\n', "  auth: {tokens: [t1]}\n")
    async with office(tmp_path, text) as desk:
        new = {"id": "x", "transport": {"type": "stdio", "command": "touch"}}
        for method, path in (("POST", "/servers"), ("PATCH", "/servers/one")):
            response = await desk.send(method, path, new, token="t1", match="*")
            assert response.status_code == 403
            assert "only an admin" in response.json()["detail"]
        assert (await desk.send("DELETE", "/servers/one", token="t1")).status_code == 403
        assert (await desk.send("POST", "/servers/one/restart", token="t1")).status_code == 202
        assert desk.file.read_text() == text
        assert desk.fakes.keys() == {"one", "two"}


async def test_admins_can_come_and_go_while_it_runs(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        desk.file.write_text(TEXT.replace('"${ADMIN}"', "other-token"))
        await desk.send("POST", "/config/reload")
        assert (await desk.get("/servers")).status_code == 401
        assert (await desk.get("/servers", "other-token")).status_code == 200


async def test_a_page_of_another_origin_gets_nowhere(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        evil = await desk.get("/servers", Origin="http://evil.example")
        assert evil.status_code == 403
        rebound = await desk.get("/servers", Host="evil.example")
        assert rebound.status_code == 421
        headers = {"Authorization": "Bearer admin-token-1", "Origin": "http://localhost:3000"}
        url = "/api/v1/admin/servers/one/restart"
        assert (await desk.http.post(url, headers=headers)).status_code == 403
        asks = {"Access-Control-Request-Method": "POST", **headers}
        answer = await desk.http.options(url, headers=asks)
        assert "access-control-allow-origin" not in answer.headers
