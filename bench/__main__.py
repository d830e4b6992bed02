"""Measure the gateway: `make bench`.

    make bench ARGS="overhead throughput"          some suites
    make bench ARGS="--baseline bench/results/gateway.json"    exit 1 if worse by a tenth
    make bench ARGS=--list                         what there is

Results go to .cache/bench: gateway.json, gateway.md and gateway.html; --keep puts the suites that
were run into bench/results/gateway.json, from which docs/benchmarks.md is written.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.rig import Rig
from bench.table import SUITES, Entry
from only1mcp import __version__
from only1mcp.bench import machine, page, report, results
from only1mcp.bench.endpoint import Refused
from only1mcp.bench.processes import NotStarted, ended_by_sigterm
from only1mcp.bench.results import Results, Suite
from only1mcp.cli.bench import compared

ROOT: Final = Path(__file__).resolve().parents[1]
OUT: Final = ROOT / ".cache" / "bench"
KEPT: Final = ROOT / "bench" / "results"


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    names = [entry.name for entry in SUITES]
    parser.add_argument("suite", nargs="*", help=", ".join(names))
    parser.add_argument("--list", action="store_true", help="name the suites and end")
    parser.add_argument("--rounds", type=int, default=5, help="how often each subject has its turn")
    parser.add_argument("--baseline", type=Path, help="a result file to be held against")
    parser.add_argument("--keep", action="store_true", help="also write bench/results")
    found = parser.parse_args(arguments)
    if unknown := set(found.suite) - set(names):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    return found


def measure(entry: Entry, rounds: int) -> Suite:
    """Run one suite. What goes wrong is written down, and the others go on."""
    print(f"{entry.name} (about {entry.seconds} s)", file=sys.stderr, flush=True)
    suite = Suite(entry.name, entry.title, f'make bench ARGS="{entry.name}"')
    start = time.perf_counter()
    rig = Rig(suite, rounds)
    try:
        entry.run(rig)
    except (NotStarted, Refused, OSError) as error:
        rig.gap("the rest", str(error).strip().replace("\n", " ")[:500])
    suite.seconds = round(time.perf_counter() - start, 1)
    return suite


def main(arguments: list[str]) -> int:
    """Run suites; write and judge what they find."""
    given = parsed(arguments)
    wanted = [entry for entry in SUITES if not given.suite or entry.name in given.suite]
    if given.list:
        for entry in wanted:
            print(f"{entry.name:<12} {entry.seconds:>4} s  {entry.title}")
        return 0
    now = Results(
        datetime.now(UTC).isoformat(timespec="seconds"), machine.environment(__version__), []
    )
    before = results.load(given.baseline) if given.baseline else None
    with ended_by_sigterm():
        now.suites = [measure(entry, given.rounds) for entry in wanted]
    results.save(now, OUT / "gateway.json")
    (OUT / "gateway.md").write_text(report.markdown(now))
    (OUT / "gateway.html").write_text(page.html(now))
    print(f"written: {OUT}/gateway.json, .md and .html", file=sys.stderr)
    if given.keep:
        file = KEPT / "gateway.json"
        kept = results.merged(results.load(file), now) if file.exists() else now
        results.save(kept, file)
    for line in report.missed(now):
        print(f"missed: {line}", file=sys.stderr)
    return compared(before, now) if before else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
