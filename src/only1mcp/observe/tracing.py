"""Traces: a span for each request of a client and one for each call to a server, sent by OTLP.

    relay/traced.py ──► Tracer.begin ──► Span ──► Span.call, one per attempt ──► the collector

OpenTelemetry is an extra and is imported when tracing is turned on. Spans are sent by a thread of
their own; what the collector does not take in time is dropped.
Cost    off: nothing. On: ~60 us for each request, two thirds of it OpenTelemetry's.
Source  OpenTelemetry conventions for MCP (names, attributes, kinds); SEP-414 (`_meta`);
        W3C Trace Context and Baggage (headers).
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from only1mcp import __version__
from only1mcp.observe import logs

FIELDS: Final = ("traceparent", "tracestate", "baggage")
"""What carries a trace: members of `_meta`, and HTTP headers."""
TRACE_ID: Final = slice(3, 35)
"""Of a traceparent, 00-<trace id>-<parent id>-<flags>."""
MAX_FIELD: Final = 8192
"""Characters of one of them; longer ones are no trace. As W3C Baggage has it."""
EXPORT_S: Final = 3.0
"""How long the collector may take to accept spans; the end of the process waits as long."""
EXTRA: Final = "pip install 'only1mcp[otel]'"

Carrier = Mapping[str, str]
"""Some of FIELDS with their values."""


class TracingUnavailable(Exception):
    """Tracing is turned on and cannot be done; the text is for the user."""


class Span:
    """Some work while it is done. `end` it once."""

    __slots__ = ("_span", "_tracer", "baggage")

    def __init__(self, tracer: "Tracer", span: Any, baggage: str | None) -> None:
        self._tracer = tracer
        self._span = span
        self.baggage = baggage

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        return f"{self._span.get_span_context().span_id:016x}"

    def call(self, name: str, attributes: Mapping[str, Any]) -> "Span":
        """A call to a server that is part of it."""
        return self._tracer.within(self, self._span, name, attributes)

    def carrier(self) -> dict[str, str]:
        """What tells the next one that it is part of this."""
        found = self._tracer.injected(self._span)
        return found | {"baggage": self.baggage} if self.baggage is not None else found

    def name(self, name: str, attributes: Mapping[str, Any]) -> None:
        """What it is about, once that is known."""
        self._span.update_name(name)
        self._span.set_attributes(attributes)

    def end(self, error: str = "", said: str = "", code: int | None = None) -> None:
        """It is over; `error` is its kind, "" for none, `said` what people read."""
        if code is not None:
            self._span.set_attribute("rpc.response.status_code", str(code))
        if error:
            self._span.set_attribute("error.type", error)
            self._span.set_status(self._tracer.failure(logs.mask(said)))
        self._span.end()


class Tracer:
    """Makes spans. `provider` is OpenTelemetry's."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation import tracecontext

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("only1mcp", __version__)
        self._fields = tracecontext.TraceContextTextMapPropagator()

    def begin(self, name: str, attributes: Mapping[str, Any], meta: Carrier, http: Carrier) -> Span:
        """A request of a client, part of what its `_meta` says, or else its HTTP headers.

        If both say something, the trace is that of `_meta`, with a link to the other.
        """
        trace = self._trace
        outer, links = self._fields.extract(meta, trace.set_span_in_context(trace.INVALID_SPAN)), []
        around = self._fields.extract(http, trace.set_span_in_context(trace.INVALID_SPAN))
        linked = trace.get_current_span(around).get_span_context()
        if not trace.get_current_span(outer).get_span_context().is_valid:
            outer = around
        elif linked.is_valid:
            links.append(trace.Link(linked))
        span = self._tracer.start_span(
            name, outer, trace.SpanKind.SERVER, dict(attributes), links=links
        )
        return Span(self, span, meta.get("baggage") or http.get("baggage"))

    def within(self, of: Span, span: Any, name: str, attributes: Mapping[str, Any]) -> Span:
        """A call that is part of `span`."""
        trace = self._trace
        inner = self._tracer.start_span(
            name, trace.set_span_in_context(span), trace.SpanKind.CLIENT, dict(attributes)
        )
        return Span(self, inner, of.baggage)

    def injected(self, span: Any) -> dict[str, str]:
        """The fields that name `span`."""
        found: dict[str, str] = {}
        self._fields.inject(found, self._trace.set_span_in_context(span))
        return found

    def failure(self, said: str) -> Any:
        """The status of a span that failed."""
        return self._trace.Status(self._trace.StatusCode.ERROR, said[:1000])

    def close(self) -> None:
        """Send what waits, within a bound. Blocks."""
        self._provider.shutdown()


def readable(fields: Mapping[str, str | None]) -> Carrier:
    """Those that are there and of sane size."""
    return {key: value for key, value in fields.items() if value and len(value) <= MAX_FIELD}


def exporting(endpoint: str, headers: Mapping[str, str], share: float, service: str) -> Tracer:
    """A tracer that sends its spans to the OTLP/HTTP collector at `endpoint`.

    Raises:
        TracingUnavailable: the extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise TracingUnavailable(
            f"tracing.enabled needs OpenTelemetry, which is not installed ({error.name}): {EXTRA}"
        ) from None
    logging.getLogger("opentelemetry").parent = logging.getLogger(logs.ROOT)
    resource = Resource.create({"service.name": service, "service.version": __version__})
    provider = TracerProvider(ParentBased(TraceIdRatioBased(share)), resource)
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    return Tracer(provider)


_current: list[Tracer] = []


def use(tracer: Tracer | None) -> None:
    """From now on requests are traced by this one; None: they are not."""
    _current[:] = [tracer] if tracer is not None else []


def current() -> Tracer | None:
    """Who traces requests; None: nobody."""
    return _current[0] if _current else None
