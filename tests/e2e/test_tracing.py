"""Traces through the front door: from the client over the gateway to the server and the collector,
both eras on both sides; and what goes on untouched if nobody traces."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from fakes.collector import Collector, Span, collecting
from fakes.gateway import Running, gateway
from fakes.mirror import Asked
from fakes.whole import Whole, whole_servers
from fakes.wire import Json, Web, headers_of, last, message, modern, web

pytestmark = pytest.mark.timeout(60)

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT: Final = "00f067aa0ba902b7"
OTHER: Final = "0af7651916cd43dd8448eb211c80319c"
FIELDS: Final = {
    "traceparent": f"00-{TRACE}-{PARENT}-01",
    "tracestate": "vendor=one",
    "baggage": "user=alice",
}
IDS: Final = ("legacy-stdio", "legacy-http", "modern-stdio", "modern-http", "legacy-sse")
ERAS: Final = ("legacy", "modern")


@asynccontextmanager
async def scene(
    folder: Path, tracing: Json | None = None
) -> AsyncIterator[tuple[Running, dict[str, Whole]]]:
    """A gateway before a server of each era and transport."""
    async with whole_servers(IDS) as (servers, entries):
        config = {"servers": entries, **({"tracing": tracing} if tracing else {})}
        async with gateway(config, folder) as running:
            await running.ready(*IDS)
            yield running, servers


async def called(
    wire: Web,
    era: str,
    server: str,
    tool: str = "echo",
    *,
    meta: Json | None = None,
    headers: Mapping[str, str] | None = None,
) -> Json:
    """The answer to a call of a client of this era."""
    params: Json = {"name": f"{server}__{tool}", "arguments": {}}
    if era == "modern":
        body = modern("tools/call", params)
        body["params"]["_meta"] |= meta or {}
        return last(await wire.post(body, {**headers_of(body), **(headers or {})}))
    session = await wire.open()
    body = message("tools/call", {**params, "_meta": meta or {}}, id=1)
    return last(await session.post(body, headers))


def fields(asked: Asked) -> Json:
    """What a server is told of the trace in `_meta`."""
    return {key: value for key, value in asked.json.get("_meta", {}).items() if key in FIELDS}


async def spans(collector: Collector, server: str, trace: str) -> tuple[Span, Span]:
    """The two spans of one call: of the client's request, and of ours to the server."""

    def mine() -> list[Span]:
        return [
            one
            for one in collector.spans
            if one.attributes.get("only1mcp.server") == server and one.trace == trace
        ]

    await collector.until(lambda: len(mine()) == 2)
    client, front = sorted(mine(), key=lambda one: one.kind)
    return front, client


@pytest.mark.parametrize("era", ERAS)
async def test_the_trace_of_a_client_goes_through(tmp_path: Path, era: str) -> None:
    async with collecting() as collector:
        tracing = {"enabled": True, "endpoint": collector.url, "headers": {"X-Key": "a-key-012345"}}
        async with scene(tmp_path, tracing) as (running, servers), web(running.mcp) as wire:
            for id, server in servers.items():
                collector.spans.clear()
                assert "result" in await called(wire, era, id, meta=FIELDS)
                front, ours = await spans(collector, id, TRACE)
                assert (front.kind, front.name, front.parent) == (
                    "server",
                    "tools/call echo",
                    PARENT,
                )
                assert (ours.kind, ours.name, ours.parent) == (
                    "client",
                    "tools/call echo",
                    front.id,
                )
                (asked,) = server.calls()
                told = {**FIELDS, "traceparent": f"00-{TRACE}-{ours.id}-01"}
                assert fields(asked) == told
                if not id.endswith("stdio"):
                    assert {key: asked.headers.get(key) for key in FIELDS} == told
                assert front.attributes["network.transport"] == "tcp"
                pipe = "pipe" if id.endswith("stdio") else "tcp"
                assert ours.attributes["network.transport"] == pipe
                revision = "2026-07-28" if id.startswith("modern") else "2025-11-25"
                assert ours.attributes["mcp.protocol.version"] == revision
        assert collector.headers["x-key"] == "a-key-012345"


async def test_headers_count_if_meta_says_nothing_and_are_a_link_if_it_does(tmp_path: Path) -> None:
    http = {"traceparent": f"00-{OTHER}-{PARENT}-01", "baggage": "user=bob"}
    async with collecting() as collector:
        tracing = {"enabled": True, "endpoint": collector.url}
        async with scene(tmp_path, tracing) as (running, servers), web(running.mcp) as wire:
            await called(wire, "modern", "modern-http", headers=http)
            front, ours = await spans(collector, "modern-http", OTHER)
            assert (front.parent, front.links) == (PARENT, [])
            (asked,) = servers["modern-http"].calls()
            assert fields(asked) == {
                "traceparent": f"00-{OTHER}-{ours.id}-01",
                "baggage": "user=bob",
            }
            await called(wire, "modern", "legacy-http", headers=http, meta=FIELDS)
            front, _ = await spans(collector, "legacy-http", TRACE)
            assert (front.parent, front.links) == (PARENT, [(OTHER, PARENT)])


async def test_what_fails_says_so(tmp_path: Path) -> None:
    async with collecting() as collector:
        tracing = {"enabled": True, "endpoint": collector.url}
        async with scene(tmp_path, tracing) as (running, _), web(running.mcp) as wire:
            assert "error" in await called(wire, "modern", "modern-http", "fail", meta=FIELDS)
            for one in await spans(collector, "modern-http", TRACE):
                assert (one.failed, one.said) == (True, "out of paper")
                assert one.attributes["error.type"] == "77"
                assert one.attributes["rpc.response.status_code"] == "77"


@pytest.mark.parametrize("era", ERAS)
async def test_without_tracing_the_fields_pass_untouched(tmp_path: Path, era: str) -> None:
    odd = {**FIELDS, "traceparent": "00-not-ours-to-judge"}
    async with scene(tmp_path) as (running, servers), web(running.mcp) as wire:
        for id, server in servers.items():
            assert "result" in await called(wire, era, id, meta=odd, headers=FIELDS)
            (asked,) = server.calls()
            assert fields(asked) == odd
            if not id.endswith("stdio"):
                assert {key: asked.headers.get(key) for key in FIELDS} == FIELDS


async def test_log_lines_name_the_request_and_its_trace(tmp_path: Path) -> None:
    access = {"enabled": True, "file": str(tmp_path / "access")}
    async with whole_servers(("modern-http",)) as (_, entries), collecting() as collector:
        config = {
            "servers": [{**entries[0], "circuit_breaker": {"failure_threshold": 1}}],
            "logging": {"access": access},
            "tracing": {"enabled": True, "endpoint": collector.url},
        }
        async with gateway(config, tmp_path) as running, web(running.mcp) as wire:
            await running.ready("modern-http")
            await called(wire, "modern", "modern-http", "broken", meta=FIELDS)
            assert "result" in await called(wire, "modern", "modern-http", meta=FIELDS)
            await spans(collector, "modern-http", TRACE)
    lines = [json.loads(line) for line in (tmp_path / "access").read_text().splitlines()]
    assert [(one["request_id"], one["trace_id"]) for one in lines] == [("1", TRACE), ("2", TRACE)]
