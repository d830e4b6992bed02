"""The state of every server as plain values, and no secret among them."""

import json
from typing import Any

from fakes.edge import until
from fakes.upstream import FakeUpstream, gateway_of, library
from only1mcp.gateway import Gateway
from only1mcp.protocol.errors import ServerUnavailable
from only1mcp.relay.status import PROMPTS, RESOURCES, describe_entries, describe_servers


def rows(gateway: Gateway) -> dict[str, Any]:
    """The rows by server."""
    described = json.loads(json.dumps(describe_servers(gateway.snapshot())))
    return {row["id"]: row for row in described}


async def test_a_server_that_is_ready() -> None:
    async with gateway_of(library("one"), library("two", modern=True)) as gateway:
        found = rows(gateway)
    since = found["one"].pop("since")
    (replica,) = found["one"].pop("replicas")
    assert replica | {"latency_ms": 0} == {
        "id": "never-started",
        "state": "ready",
        "health": "healthy",
        "reason": "",
        "since": since,
        "breaker": "closed",
        "weight": 1,
        "in_flight": 0,
        "latency_ms": 0,
        "target": "never-started",
        "restarts": 0,
        "pid": None,
    }
    assert found["one"] == {
        "id": "one",
        "state": "ready",
        "reason": "",
        "health": "healthy",
        "transport": "stdio",
        "target": "never-started",
        "revision": "2025-11-25",
        "revisions": ["2025-11-25"],
        "era": "legacy",
        "protocol": "auto",
        "restarts": 0,
        "isolation": "shared",
        "pid": None,
        "tools": 1,
        "prompts": 1,
        "resources": 1,
        "templates": 1,
    }
    assert (found["two"]["revision"], found["two"]["era"]) == ("2026-07-28", "modern")


async def test_servers_that_are_not_ready_say_why_in_the_order_of_the_configuration() -> None:
    down, lost = FakeUpstream("down"), library("lost")
    down.refuse = ServerUnavailable("down", "no such command")
    async with gateway_of(down, lost, entries={"off": {"enabled": False}}) as gateway:
        lost.lose("exit code 3")
        await until(lambda: gateway.roster.servers["lost"].state == "waiting")
        found = rows(gateway)
    assert list(found) == ["down", "lost", "off"]
    assert (found["down"]["state"], found["down"]["reason"]) == ("waiting", "no such command")
    assert (found["lost"]["state"], found["lost"]["reason"]) == ("waiting", "exit code 3")
    assert found["lost"]["tools"] == 1  # its last list still is what clients see
    assert found["off"]["state"] == "disabled"
    assert found["off"]["tools"] == 0
    assert {found[id]["revision"] for id in found} == {None}


async def test_secrets_in_command_lines_and_urls_are_hidden() -> None:
    command = {"type": "stdio", "command": "npx", "args": ["x", "--api-key", "s3cret"]}
    url = {"type": "http", "url": "https://me:s3cret@host.example/mcp?token=s3cret&a=1"}
    entries = {
        "command": {"enabled": False, "transport": command},
        "url": {"enabled": False, "transport": url},
    }
    async with gateway_of(entries=entries) as gateway:
        found = rows(gateway)
    assert found["command"]["target"] == "npx x --api-key ***"
    assert found["url"]["target"] == "https://***@host.example/mcp?token=***&a=1"
    assert "s3cret" not in json.dumps(found)


async def test_what_clients_see_of_a_kind() -> None:
    async with gateway_of(library("one"), library("two")) as gateway:
        found = describe_entries(gateway.snapshot(), *PROMPTS)
        uris = describe_entries(gateway.snapshot(), *RESOURCES)
    assert sorted((row["server"], row["own"], row["name"]) for row in found) == [
        ("one", "greet", "one__greet"),
        ("two", "greet", "two__greet"),
    ]
    assert {row["kind"] for row in uris} == {"resources", "resourceTemplates"}
