"""Advice follows from a number, and names what changes it: a command or a key that there is."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from fakes.answers_of_gateway import METRICS, SERVER, answers, metric
from only1mcp.cli.main import app
from only1mcp.report import advice as rules
from only1mcp.report.advice import advice
from only1mcp.report.traffic import CAUSES

ROOT: Final = Path(__file__).resolve().parents[2]
WELL: Final[dict[str, Any]] = {"health": {"status": "ok", "servers": [SERVER]}}
QUIET: Final = re.sub(r'outcome="(error|tool_error)"', 'outcome="ok"', METRICS).replace(
    'restarts_total{server="a"} 3', 'restarts_total{server="a"} 2'
)
FAULT: Final = {"severity": "error"}
CLASH: Final = {"kind": "tools", "name": "x", "kept": "a", "hidden": "b", "hint": "rename it"}


def quiet(line: str, kind: str = "counter") -> str:
    """Metrics that ask for nothing, and one more."""
    return metric(line, kind).replace(METRICS, QUIET)


def histogram(name: str, labels: str) -> str:
    """All of it took between one and two seconds."""
    given = f"{labels}," if labels else ""
    buckets = [
        f'{name}_bucket{{{given}le="{le}"}} {n}' for le, n in (("1", 0), ("2", 99), ("+Inf", 99))
    ]
    lines = [*buckets, f"{name}_sum{{{labels}}} 120", f"{name}_count{{{labels}}} 99"]
    return f"{QUIET}# TYPE {name} histogram\n" + "\n".join(lines) + "\n"


def test_all_is_well() -> None:
    assert advice(answers(QUIET, **WELL)) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"health": {"servers": [{**SERVER, "state": "failed", "reason": "no file"}]}},
            "Server `a` is failed (no file): `only1mcp doctor` says what mends it.",
        ),
        (
            {"check": {"faults": [FAULT], "restart": []}},
            "The configuration file has 1 fault and the next reload will be refused:"
            " `only1mcp validate` names each with its line.",
        ),
        (
            {"check": {"faults": [{"severity": "warning"}] * 2, "restart": []}},
            "The file has 2 warnings: see Configuration below.",
        ),
        (
            {"check": {"faults": [], "restart": ["metrics"]}},
            "`metrics`: the file says otherwise than what is in force: `only1mcp restart`.",
        ),
        (
            {"servers": {"servers": [], "clashes": [CLASH], "dropped": []}},
            "1 entry of `b` hidden because `a` has the same names: set `naming.mode: prefix`, use"
            " `tools.rename`, or give clients `/mcp/b`.",
        ),
        (
            {"servers": {"servers": [], "clashes": [], "dropped": [{}]}},
            "1 entry left out because clients would refuse them: see Configuration below, and tell"
            " who makes that server.",
        ),
    ],
)
def test_pages(changed: dict[str, Any], expected: str) -> None:
    assert advice(answers(QUIET, **{**WELL, **changed})) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (METRICS.replace("} 3\n", "} 2\n"), "10 of 100 requests to `a` failed, 10 of them because"),
        (QUIET.replace('total{server="a"} 2', 'total{server="a"} 3'), "`a` was started again 3"),
        (
            quiet('only1mcp_requests_refused_total{limit="per_caller"} 1'),
            "1 request refused by `server.limits.per_caller`: raise it",
        ),
        (
            quiet('only1mcp_server_calls_refused_total{server="a",limit="queue"} 4'),
            "4 calls refused by `concurrency.queue` of `a`",
        ),
        (
            quiet('only1mcp_breaker_transitions_total{server="a",replica="a",to="open"} 3'),
            "The breaker of `a` opened 3 times",
        ),
        (quiet('only1mcp_outcome_unknown_total{server="a"} 1'), "1 request to `a` failed after"),
        (quiet('only1mcp_late_answers_total{server="a"} 2'), "2 answers of `a` came too late"),
        (quiet('only1mcp_retries_denied_total{server="a"} 2'), "2 requests to `a` could not be"),
        (histogram("only1mcp_server_wait_seconds", 'server="a"'), "Calls to `a` wait for a turn"),
        (histogram("only1mcp_event_loop_lag_seconds", ""), "The gateway itself is late, p99 1"),
        (
            quiet("process_open_fds 90", "gauge")
            + "# TYPE process_max_fds gauge\nprocess_max_fds 99\n",
            "90 of 99 files are open: raise `ulimit -n`.",
        ),
        (quiet("only1mcp_log_lines_dropped_total 1"), "1 log line lost"),
        (quiet('only1mcp_http_refused_total{status="401"} 1'), "1 request came without a token"),
        (quiet('only1mcp_http_refused_total{status="403"} 2'), "2 requests came for a Host"),
        (
            quiet('only1mcp_cache_dropped_total{tier="l2",for="room"} 2'),
            "2 answers dropped from the cache for want of room: raise `cache.l2.capacity`",
        ),
        (
            quiet('only1mcp_cache_dropped_total{tier="l2",for="time"} 7').replace("} 30", "} 1"),
            "",
        ),
        (QUIET.replace("} 4000", "} 48000"), "The list of tools takes about 12 000 tokens of"),
        (
            quiet("only1mcp_batched_requests_total 21")
            + '# TYPE only1mcp_batches_total counter\nonly1mcp_batches_total{form="calls"} 20\n',
            "21 calls in 20 windows: they wait for company",
        ),
        (None, "Metrics are off"),
        ("# TYPE only1mcp_requests_total counter\n", "No client has asked for anything yet"),
    ],
)
def test_metrics(text: str | None, expected: str) -> None:
    found = advice(answers(text, **WELL))
    assert [one[: len(expected)] for one in found] == [expected] * bool(expected)


def test_reads_that_a_cache_would_spare_and_a_cache_that_keeps_too_short() -> None:
    read = QUIET.replace(
        'method="tools/call",server="a",outcome="ok"} 90',
        'method="resources/read",server="a",outcome="ok"} 90',
    )
    off = answers(read, cache={"enabled": False}, **WELL)
    assert advice(off) == ["90 reads, and nothing is kept: set `cache.enabled: true`."]
    poor = quiet('only1mcp_cache_dropped_total{tier="l2",for="time"} 7')
    poor = poor.replace('result="hit"} 30', 'result="hit"} 1').replace(
        'result="miss"} 10', 'result="miss"} 30'
    )
    (said,) = advice(answers(poor, **WELL))
    assert said.startswith("Only 1 of 31 answers were found in the cache, and 7 had expired")


def test_every_key_and_command_exists() -> None:
    source = Path(rules.__file__).read_text() + " ".join(one.next for one in CAUSES.values())
    page = (ROOT / "docs/configuration.md").read_text()
    keys = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)[:`]", source))
    assert len(keys) > 10
    for key in keys:
        assert f"`{key.rpartition('.')[2]}`" in page, key
    commands = {
        one.name or one.callback.__name__ for one in app.registered_commands if one.callback
    }
    named = set(re.findall(r"`only1mcp ([a-z]+)", source))
    assert named and named <= commands
