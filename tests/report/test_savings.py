"""What was spared, and what lists weigh; an estimate stands with its rule."""

from fakes.answers_of_gateway import METRICS, answers, metric
from only1mcp.report.forms import as_markdown
from only1mcp.report.running import report
from only1mcp.report.savings import RULE, spared, tokens, weights


def test_spared_and_weights() -> None:
    assert spared(answers()) == 34
    assert spared(answers(None)) is None
    assert weights(answers()) == {"a": 3000, "b": 1000}
    assert tokens(4000) == 1000


def test_tables() -> None:
    windows = 'only1mcp_batches_total{form="array"} 2\n'
    text = metric(windows) + "# TYPE only1mcp_batched_requests_total counter\n"
    text += "only1mcp_batched_requests_total 7\n"
    lines = as_markdown(report(answers(text))).splitlines()
    for line in (
        "| l2, resources | 30 | 10 | 0 | 75 % | 0 | 0 | 0 |",
        "| l1, tools | 0 | 0 | 0 | nobody asked | 0 | 0 | 0 |",
        "| tools | 4 000 | 1 000 |",
        "| `a` | 1 | 3 000 | 750 | 75 % |",
        "| `a__find` | 3 000 | 750 |",
        RULE,
    ):
        assert line in lines, "\n".join(lines)
    assert any("Calls that travelled together: 7 [" in line for line in lines)


def test_a_cache_that_is_off_and_lists_of_an_older_gateway() -> None:
    tools = {"tools": [{"server": "a", "name": "a__find"}]}
    page = as_markdown(report(answers(METRICS, cache={"enabled": False}, tools=tools)))
    assert "The cache is off [" in page
    assert "Of each tool: not measured, or there is none." in page
