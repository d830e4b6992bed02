"""The pages of the metrics; all they hold is tried in tests/e2e/test_metrics.py."""

import httpx2
from starlette.applications import Starlette

from only1mcp.admin.metrics import metrics_routes
from only1mcp.observe.metrics import Family, Metrics, Room


async def test_one_text_under_two_paths_never_kept() -> None:
    family: Family[int] = Family("a_number", "gauge", "A number.", (), lambda n: [((), n)])
    app = Starlette(routes=[*metrics_routes(Metrics(Room((family,), lambda: 7)))])
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
        first = await http.get("/metrics")
        other = await http.get("/api/v1/admin/metrics")
    assert first.text == other.text
    assert "\na_number 7.0\n" in first.text
    assert first.headers["cache-control"] == "no-store"
