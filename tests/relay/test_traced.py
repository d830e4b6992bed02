"""Header lines and spans of calls; over the wire: tests/e2e/test_tracing.py."""

from contextlib import suppress

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fakes.upstream import NOT_FOUND, FakeUpstream, gateway_of, library, request, text
from only1mcp.observe.tracing import Tracer
from only1mcp.observe.watch import Watch
from only1mcp.protocol.errors import McpError
from only1mcp.relay.traced import passed, says_error
from only1mcp.relay.watch import watched

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_headers_of_a_client_pass_if_they_fit_a_header() -> None:
    assert passed({b"traceparent": b"00-x", b"baggage": b"a=b", b"other": b"1"}) == (
        b"traceparent: 00-x\r\nbaggage: a=b\r\n"
    )
    assert passed({b"traceparent": b"\xe9"}) == b""
    assert passed({}) == b""


@pytest.mark.parametrize(
    ("method", "result", "is_one"),
    [
        ("tools/call", b'{"content":[],"isError":true}', True),
        ("tools/call", b'{"content":[],"isError":false}', False),
        ("tools/call", b'{"content":[{"text":"\\"isError\\""}]}', False),
        ("prompts/get", b'{"isError":true}', False),
        ("tools/call", b'["isError"]', False),
    ],
)
def test_a_tool_that_says_it_failed(method: str, result: bytes, is_one: bool) -> None:
    assert says_error(method, result) is is_one


def traces() -> tuple[Tracer, InMemorySpanExporter]:
    memory, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return Tracer(provider), memory


async def ended(lib: FakeUpstream, name: str = "lib__find") -> list[tuple[str, object]]:
    """The spans of one call, the inner one first: name and kind of error."""
    tracer, memory = traces()
    async with gateway_of(lib) as gateway:
        meta = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        asked = request(gateway, "tools/call", {"name": name, "_meta": meta})
        before = bytes(asked.params["_meta"])
        with suppress(McpError):
            await watched(asked, gateway.snapshot(), Watch(tracer=tracer))
        assert bytes(asked.params["_meta"]) == before, "another attempt begins as this one did"
    spans = memory.get_finished_spans()
    assert {f"{one.context.trace_id:032x}" for one in spans if one.context} == {TRACE}
    return [(one.name, (one.attributes or {}).get("error.type")) for one in spans]


async def test_how_calls_end() -> None:
    fine, failed = text("done"), {**text("no"), "isError": True}
    for answer, error in ((fine, None), (failed, "tool_error"), (NOT_FOUND, "-32601")):
        both = await ended(library(answers={"tools/call": answer}))
        assert both == [("tools/call find", error)] * 2


async def test_what_goes_to_no_server_is_named_after_its_method_alone() -> None:
    assert await ended(library(), "lib__no-such") == [("tools/call", "-32602")]
