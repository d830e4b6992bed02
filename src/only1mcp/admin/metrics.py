"""The pages of the metrics: one text under two paths."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from only1mcp.observe.metrics import Metrics


def metrics_routes(metrics: Metrics) -> tuple[Route, ...]:
    """`/metrics`, where Prometheus looks for it, and the same among the admin pages."""

    async def page(request: Request) -> Response:
        text, content_type = await metrics.page(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return Route("/metrics", page), Route("/api/v1/admin/metrics", page)
