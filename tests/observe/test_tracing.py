"""Spans and what carries them; over the wire: tests/e2e/test_tracing.py."""

import logging
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from only1mcp.observe import logs, tracing
from only1mcp.observe.tracing import MAX_FIELD, Tracer, TracingUnavailable, exporting, readable

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FIELDS = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "a=b"}


@pytest.fixture(autouse=True)
def restore(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs.mask, "_secrets", [])
    parent = logging.getLogger("opentelemetry").parent
    yield
    logging.getLogger("opentelemetry").parent = parent
    tracing.use(None)


@pytest.fixture
def memory() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(memory: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return Tracer(provider)


def the_span(memory: InMemorySpanExporter) -> ReadableSpan:
    (span,) = memory.get_finished_spans()
    return span


def test_a_call_is_part_of_its_request(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    span = tracer.begin("tools/call", {}, FIELDS, {})
    call = span.call("tools/call", {})
    assert call.carrier() == {**FIELDS, "traceparent": f"00-{TRACE}-{call.span_id}-01"}
    call.end()
    span.end()
    inner, outer = memory.get_finished_spans()
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert span.trace_id == call.trace_id == TRACE


@pytest.mark.parametrize("broken", ["", "00-zz-1-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", "é"])
def test_what_is_no_trace_begins_a_new_one(tracer: Tracer, broken: str) -> None:
    span = tracer.begin("ping", {}, {"traceparent": broken}, {})
    assert len(span.trace_id) == 32
    assert span.trace_id not in (TRACE, "0" * 32)
    assert span.carrier()["traceparent"].split("-")[1] == span.trace_id
    span.end()


def test_errors_hold_no_secret(tracer: Tracer, memory: InMemorySpanExporter) -> None:
    logs.hide(["s3cret"])
    tracer.begin("tools/call", {}, {}, {}).end("-31003", "lost s3cret", -31003)
    span = the_span(memory)
    assert (span.status.is_ok, span.status.description) == (False, "lost ***")
    assert span.attributes is not None
    assert span.attributes["rpc.response.status_code"] == "-31003"


def test_fields_of_insane_size_are_none() -> None:
    assert readable({"traceparent": "x" * MAX_FIELD, "baggage": "x" * (MAX_FIELD + 1)}) == {
        "traceparent": "x" * MAX_FIELD
    }
    assert readable({"traceparent": None, "tracestate": ""}) == {}


def test_without_the_extra_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingUnavailable, match=r"pip install 'only1mcp\[otel\]'"):
        exporting("http://127.0.0.1:1/v1/traces", {}, 1.0, "only1mcp")


def test_a_collector_that_is_not_there_costs_spans_and_no_request() -> None:
    tracer = exporting("http://127.0.0.1:1/v1/traces", {}, 1.0, "only1mcp")
    tracer.begin("ping", {}, {}, {}).end()
    tracer.close()


def test_who_traces() -> None:
    assert tracing.current() is None
    tracer = exporting("http://127.0.0.1:1/v1/traces", {}, 1.0, "only1mcp")
    tracing.use(tracer)
    assert tracing.current() is tracer
    tracing.use(None)
    assert tracing.current() is None
    tracer.close()
