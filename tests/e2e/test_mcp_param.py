"""Arguments in headers: checked at the front door, derived afresh for the server.

Source  MCP 2026-07-28 basic/transports "Custom Headers from Tool Parameters".
"""

import base64
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from fakes.gateway import Running
from fakes.mirror import Mirror, tool
from fakes.scripted import behind
from fakes.wire import Json, Web, error, last, message, web

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA: Final = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "fast": {"type": "boolean", "x-mcp-header": "Fast"},
        "deep": {
            "type": "object",
            "properties": {"er": {"type": "string", "x-mcp-header": "Deep-Er"}},
        },
        "plain": {"type": "string"},
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirror() -> Mirror:
    mirror = Mirror("new", modern=True)
    mirror.lists["tools"] = [{**tool("ask"), "inputSchema": SCHEMA}]
    return mirror


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    mirror: Mirror, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    async with behind({"new": mirror}, tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def wire(running: Running) -> AsyncIterator[Web]:
    async with web(running.mcp) as wire:
        yield wire


def call(**arguments: Any) -> Json:
    return {"name": "new__ask", "arguments": arguments}


def encoded(value: str) -> str:
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


GOOD: Final[list[tuple[Json, dict[str, str]]]] = [
    ({}, {}),
    ({"region": "eu", "plain": "x"}, {"Mcp-Param-Region": "eu"}),
    ({"region": None}, {}),
    ({"region": ""}, {"Mcp-Param-Region": ""}),
    ({"region": "zürich"}, {"Mcp-Param-Region": encoded("zürich")}),
    ({"region": " eu "}, {"Mcp-Param-Region": encoded(" eu ")}),
    ({"count": 42, "fast": True}, {"Mcp-Param-Count": "42", "Mcp-Param-Fast": "true"}),
    ({"deep": {"er": "x"}}, {"Mcp-Param-Deep-Er": "x"}),
]


@pytest.mark.parametrize(("arguments", "headers"), GOOD)
@pytest.mark.parametrize("era", ["legacy", "modern"])
async def test_the_server_gets_what_the_body_says(
    wire: Web, mirror: Mirror, era: str, arguments: Json, headers: dict[str, str]
) -> None:
    if era == "legacy":  # a client that knows nothing of such headers
        session = await wire.open()
        response = await session.post(message("tools/call", call(**arguments), id=1))
    else:
        body = call(**arguments)
        sent = {name: value or encoded("") for name, value in headers.items()}
        response = await wire.modern("tools/call", body, headers=sent)
    assert "result" in last(response), response.text
    seen = mirror.calls()[-1].headers
    assert {name: value for name, value in seen.items() if name.startswith("mcp-param-")} == {
        name.lower(): value for name, value in headers.items()
    }


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "eu"}, {}),
        ({"region": "eu"}, {"Mcp-Param-Region": "us"}),
        ({"region": "eu"}, {"Mcp-Param-Region": encoded("us")}),
        ({"region": "eu"}, {"Mcp-Param-Region": "=?base64?!?="}),
        ({}, {"Mcp-Param-Region": "eu"}),
        ({"count": 42}, {"Mcp-Param-Count": "43"}),
        ({"fast": True}, {"Mcp-Param-Fast": "false"}),
        ({"deep": {"er": "x"}}, {"Mcp-Param-Deep-Er": "y"}),
    ],
)
async def test_headers_that_say_something_else(
    wire: Web, mirror: Mirror, arguments: Json, headers: dict[str, str]
) -> None:
    before = len(mirror.calls())
    response = await wire.modern("tools/call", call(**arguments), headers=headers)
    assert error(response) == (400, -32020)
    assert len(mirror.calls()) == before


async def test_numbers_agree_by_value(wire: Web) -> None:
    headers = {"Mcp-Param-Count": "42.0"}
    assert (await wire.modern("tools/call", call(count=42), headers=headers)).status_code == 200


async def test_headers_that_mean_nothing_here(wire: Web) -> None:
    headers = {"Mcp-Param-Other": "x"}
    assert (await wire.modern("tools/call", call(), headers=headers)).status_code == 200
