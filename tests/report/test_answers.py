"""Pages that are not there, and metrics that are off, are no numbers."""

from fakes.answers_of_gateway import answers


def test_what_is_not_there() -> None:
    asked = answers(None, past=None)
    assert asked.total("only1mcp_requests_total") is None
    assert asked.by("only1mcp_requests_total", "server") == {}
    assert (asked.page("past"), asked.rows("past", "events")) == ({}, [])


def test_sources_name_the_page_and_the_metric() -> None:
    asked = answers()
    assert asked.source("health").how == "GET /api/v1/admin/health"
    assert asked.metric("x").how == "GET /api/v1/admin/metrics: x"
    assert asked.metric("x").at == asked.at
