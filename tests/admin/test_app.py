"""The pages that are not MCP: probes, the summary, the servers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from fakes.upstream import FakeUpstream, gateway_of, library, offers, served, tool
from fakes.wire import web
from only1mcp import __version__
from only1mcp.admin.app import make_app
from only1mcp.config.model import Auth, Listener
from only1mcp.gateway import Gateway
from only1mcp.protocol.errors import ServerUnavailable

_OPEN = ("/livez", "/readyz", "/health")
_ADMIN = ("/api/v1/admin/servers", "/api/v1/admin/tools")


async def page(
    gateway: Gateway, path: str, ready: Callable[[], bool] = lambda: True, method: str = "GET"
) -> httpx2.Response:
    """One page of the application over `gateway`."""
    desk = replace(gateway.desk(), ready=ready)
    transport = httpx2.ASGITransport(app=make_app(desk))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        return await http.request(method, path)


async def summary(gateway: Gateway, *, ready: bool = True) -> Any:
    """The health page."""
    response = await page(gateway, "/health", lambda: ready)
    assert response.status_code == 200
    return response.json()


def down(id: str) -> FakeUpstream:
    """A server that cannot be reached."""
    fake = FakeUpstream(id)
    fake.refuse = ServerUnavailable(id, "refused")
    return fake


@pytest.mark.parametrize(
    ("path", "ready", "status", "text"),
    [
        ("/livez", True, 200, "ok"),
        ("/livez", False, 200, "ok"),
        ("/readyz", True, 200, "ok"),
        ("/readyz", False, 503, "draining"),
    ],
)
async def test_probes(path: str, ready: bool, status: int, text: str) -> None:
    async with gateway_of(down("one")) as gateway:  # a server that is down changes nothing
        response = await page(gateway, path, lambda: ready)
    assert (response.status_code, response.text) == (status, text)


async def test_all_is_well() -> None:
    entries = {"off": {"enabled": False}}
    async with gateway_of(library("one"), library("two"), entries=entries) as gateway:
        found = await summary(gateway)
    health = found.pop("health")
    assert found == {
        "status": "ok",
        "version": __version__,
        "config": {"status": "ok"},
        "servers": 2,
        "servers_ready": 2,
        "tools": 2,
    }
    assert [(one["id"], one["state"], one["health"]) for one in health] == [
        ("one", "ready", "healthy"),
        ("two", "ready", "healthy"),
    ]
    assert {datetime.fromisoformat(one["since"]).utcoffset() for one in health} == {timedelta()}


async def test_servers_and_what_ails_them_are_for_those_who_may_look() -> None:
    async with gateway_of(down("one")) as gateway:
        (one,) = (await summary(gateway))["health"]
    assert (one["state"], one["health"], one["reason"]) == ("waiting", "unhealthy", "refused")
    auth = Auth(tokens=(SecretStr("a" * 20),))
    async with gateway_of(down("one"), server=Listener(auth=auth)) as gateway:
        found = await summary(gateway)
    assert (found["status"], found["servers"]) == ("degraded", 1)
    assert "health" not in found


async def test_a_server_that_is_not_up_is_seen() -> None:
    async with gateway_of(library("one"), down("two")) as gateway:
        found = await summary(gateway)
        assert (found["status"], found["servers"], found["servers_ready"]) == ("degraded", 2, 1)
        assert (await summary(gateway, ready=False))["status"] == "draining"


async def test_a_gateway_without_servers_is_well() -> None:
    async with gateway_of() as gateway:
        assert (await summary(gateway))["status"] == "ok"


async def test_the_servers_and_what_clients_do_not_see() -> None:
    one = FakeUpstream("one", offers(tools=["a", "a"]))
    two = FakeUpstream("two", offers(tools=["a", tool("b", inputSchema=7)]))
    async with gateway_of(one, two, naming={"mode": "bare"}) as gateway:
        found = (await page(gateway, "/api/v1/admin/servers")).json()
    assert [(row["id"], row["state"]) for row in found["servers"]] == [
        ("one", "ready"),
        ("two", "ready"),
    ]
    (clash,) = found["clashes"]
    assert {key: clash[key] for key in ("kind", "name", "kept", "hidden")} == {
        "kind": "tools",
        "name": "a",
        "kept": "one",
        "hidden": "two",
    }
    assert [(drop["server"], drop["name"]) for drop in found["dropped"]] == [
        ("one", "a"),
        ("two", "b"),
    ]


async def test_every_tool_that_is_listed_and_what_became_of_it() -> None:
    one = FakeUpstream("one", offers(tools=["a", "b"]))
    async with gateway_of(one, entries={"one": {"tools": {"deny": ["b"]}}}) as gateway:
        found = (await page(gateway, "/api/v1/admin/tools")).json()
    assert found["naming"] == {"mode": "prefix", "separator": "__", "max_length": 64}
    assert [(row["own"], row["name"], row["fate"], row["reason"]) for row in found["tools"]] == [
        ("a", "one__a", "shown", ""),
        ("b", None, "withheld", "tools.deny has 'b'"),
    ]


async def test_asking_touches_no_server() -> None:
    one = library("one")
    async with gateway_of(one) as gateway:
        before = len(one.calls)
        await page(gateway, "/health")
        await page(gateway, "/api/v1/admin/servers")
        await page(gateway, "/api/v1/admin/tools")
        assert len(one.calls) == before


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/", "GET", 404), ("/zzz", "GET", 404), ("/livez", "POST", 405)]
)
async def test_what_is_not_there(path: str, method: str, status: int) -> None:
    async with gateway_of() as gateway:
        assert (await page(gateway, path, method=method)).status_code == status


async def test_on_the_listener_only_probes_are_open_to_all() -> None:
    tokens = {"auth": {"tokens": ["t-ann"]}}
    async with served(server=tokens) as (_, url):
        root = url.removesuffix("/mcp")
        async with web(root) as wire:
            found = {
                path: (await wire.http.get(root + path)).status_code for path in (*_OPEN, *_ADMIN)
            }
            token = {"Authorization": "Bearer t-ann"}
            admin = await wire.http.get(f"{root}/api/v1/admin/servers", headers=token)
    assert found == dict.fromkeys(_OPEN, 200) | dict.fromkeys(_ADMIN, 401)
    assert admin.status_code == 200
