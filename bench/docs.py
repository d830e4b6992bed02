"""Write docs/benchmarks.md from bench/results: no figure in it is typed by hand."""

from pathlib import Path
from typing import Final

from only1mcp.bench import report, results
from only1mcp.bench.results import Results, Suite

ROOT: Final = Path(__file__).resolve().parents[1]
KEPT: Final = ROOT / "bench" / "results"
PAGE: Final = ROOT / "docs" / "benchmarks.md"
HEAD: Final = """# Benchmarks

This page is written by `make bench-docs` from the result files in
[bench/results](../bench/results), which hold each run. Measure on your own machine:

```sh
make bench                                  # all suites; about a quarter of an hour
make bench ARGS="overhead throughput"       # some of them
make bench ARGS="--baseline bench/results/gateway.json"
make bench-peers                            # other gateways; fetches them the first time
only1mcp bench                              # half a minute; needs no source tree
```

How it is measured: gateway, load and server are pinned to cores of their own as far as there
are cores. What is compared takes turns, A/B/A/B, and a figure is the median of its runs beside
the least and the greatest. Fixed rates are open loops: a call counts from when it was due, so a
stall shows in full. The server is a stub that does nothing but answer. A ratio is taken within
each pair of runs and is steady where absolute figures are not; with `--baseline` ratios, counts
and shares worse by a tenth end in exit code 1.
"""
ANCESTOR: Final = """## The benchmarks of the first Only1MCP

Its 24 benchmarks timed functions in memory. Each has a counterpart here, which measures a
running gateway or counts at the server wherever that is possible.

| There | Here |
|---|---|
| load balancing (15): 5 policies, 5 to 500 servers | `balancing`: 6 policies, and the shares |
| cache hit | `cache`: resources, a cached tool and lists, beside no cache |
| cache miss | `cache`: no question twice, with a server behind |
| cache 80/20 | `cache`: 80/20 over 100 resources; the hit rate is counted at the server |
| cache eviction | `cache`: 100 resources with room for 10 and for 25 |
| cache statistics | `features`: the CPU a call takes with metrics and without |
| batching disabled | `coalescing`: off |
| batching, window of 100 ms | `coalescing`: windows of 0, 20 and 100 ms |
| batching, sizes 1 to 50 | `coalescing`: at most 1, 5, 10, 20 and 50 |
| batching, 10 clients | `coalescing`: 1, 10 and 100 clients |
| end to end, transport (empty) | `overhead`, `throughput`, `stdio`, `streaming`, `eras` |
"""
FAIRNESS: Final = """## Beside other gateways

Everything that installs from PyPI, npm or Debian and hands tools on, each started as its own
documents say, in a place of its own. Time is what a gateway adds to a call of the same server
without it. Three kinds are kept apart, as they do different work. FastMCP has two rows: as it
comes, and with a client that stays connected, which is much faster and lets all callers share
one session. Beside the speed stands what each loses of a result.

"""


def page(gateway: Results | None, peers: Results | None) -> str:
    """The whole page."""
    lines = [HEAD]
    if gateway is not None:
        lines += ["## The gateway", "", *report.machine(gateway)]
        for suite in gateway.suites:
            lines += report.section(suite, 3)
        lines += ["### Bars that are missed", ""]
        lines += [*(f"- {line}" for line in report.missed(gateway)), ""]
    lines.append(ANCESTOR)
    if peers is not None:
        lines += [FAIRNESS + "    make bench-peers", "", *report.machine(peers)]
        for suite in peers.suites:
            lines += _compared(suite)
    return "\n".join(lines).rstrip() + "\n"


def _compared(suite: Suite) -> list[str]:
    lines = [f"### {suite.title}", ""]
    if suite.name == "fidelity":
        lines += _losses(suite)
    elif suite.rows:
        lines += report.pivot(suite)
    return lines + report.remarks(suite)


def _losses(suite: Suite) -> list[str]:
    """A line for each gateway: how much arrives, and what does not."""
    table: dict[str, dict[str, bool]] = {}
    for row in suite.rows:
        who, _, what = row.name.partition(": ")
        table.setdefault(who, {})[what] = bool(row.samples[0])
    lines = ["| Gateway | Arrives | Lost or changed |", "|---|---:|---|"]
    for name, found in table.items():
        lost = [question for question, arrived in found.items() if not arrived]
        kept = len(found) - len(lost)
        lines.append(f"| {name} | {kept} of {len(found)} | {'; '.join(lost) or 'nothing'} |")
    return [*lines, ""]


def read(name: str) -> Results | None:
    """One file of bench/results; None if it was never measured."""
    path = KEPT / name
    return results.load(path) if path.exists() else None


def main() -> None:
    """Write it."""
    PAGE.write_text(page(read("gateway.json"), read("peers.json")))


if __name__ == "__main__":
    main()
