"""An OpenTelemetry collector that keeps what it is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from fakes.http_server import HttpServer, Request, Wire
from fakes.wire import WAIT_S

KINDS = {2: "server", 3: "client"}


class Span:
    """One span as it arrived."""

    def __init__(self, raw: Any) -> None:
        self.name = raw.name
        self.kind = KINDS[raw.kind]
        self.trace, self.id = raw.trace_id.hex(), raw.span_id.hex()
        self.parent = raw.parent_span_id.hex()
        self.links = [(one.trace_id.hex(), one.span_id.hex()) for one in raw.links]
        self.failed = raw.status.code == 2
        self.said = raw.status.message
        self.attributes = {one.key: one.value.string_value for one in raw.attributes}


class Collector:
    """`spans` in the order they came; `headers` of the latest request."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: dict[str, str] = {}
        self.url = ""
        self._changed = asyncio.Condition()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for more of them until it holds."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(condition)

    async def take(self, request: Request, wire: Wire) -> None:
        """One export."""
        self.headers = request.headers
        body = ExportTraceServiceRequest.FromString(request.body)
        for resource in body.resource_spans:
            for scope in resource.scope_spans:
                self.spans += map(Span, scope.spans)
        await wire.answer(200, b"")
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a port of its own."""
    found = Collector()
    async with HttpServer(found.take) as server:
        found.url = server.url.replace("/mcp", "/v1/traces")
        yield found
