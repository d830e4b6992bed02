"""Latency and errors: estimates say so, and each cause has its meaning."""

from fakes.answers_of_gateway import answers, metric
from only1mcp.protocol import errors
from only1mcp.report.forms import as_markdown
from only1mcp.report.running import report
from only1mcp.report.scrape import INFINITY, Estimate
from only1mcp.report.traffic import CAUSES, by_type, failed, failed_by_server, ms


def test_every_code_of_ours_has_a_meaning() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    codes = {str(one.code) for one in kinds if issubclass(one, errors.McpError)}
    assert codes - CAUSES.keys() == set()


def test_who_failed() -> None:
    assert failed(answers()) == 10
    assert failed_by_server(answers()) == {"a": 10}
    assert by_type(answers()) == {"-31002": 10}
    assert failed(answers(None)) is None


def test_milliseconds() -> None:
    assert ms(Estimate(0.0055, 0.005, 0.01)) == "5.5"
    assert ms(Estimate(300, 300, INFINITY)) == "over 300 000"
    assert ms(None) == ""


def test_tables() -> None:
    text = metric('only1mcp_late_answers_total{server="a"} 2')
    lines = as_markdown(report(answers(text))).splitlines()
    for line in (
        "| Time that clients waited | p50 5.56 ms, p99 over 100 ms [4] |",
        "| Clients waited [4] | 100 | 20 | 5.56 (0 to 10) | 10 (0 to 10) | over 100 |",
        "| `find` of `a` | 100 | 20 | 5.56 (0 to 10) | 10 (0 to 10) | over 100 |",
        "| up to 10 ms | 90 |",
        "| over 100 ms | 2 |",
        "| `-31002` | a server did not answer in time; it may have run | 10 | `a` |"
        " `timeouts.call_idle` |",
    ):
        assert line in lines, "\n".join(lines)
    assert any(line.startswith("- Answers that came too late: 2 [") for line in lines)
    assert "- Sent once more: not measured" in lines
