"""Prove that the gateway loses nothing: `make conformance`.

First the npm servers behind the gateway (pytest), then the official suites, without and with
the gateway. Node.js, the suites and the servers are fetched into .cache once.

    make conformance ARGS="--server mcp-2.3.0 --leg 0.1.16"    one part, without pytest
    make conformance ARGS=--write                              results to docs/conformance.md
    make conformance ARGS=--fast                               what `make test` runs of it
"""

import argparse
import asyncio
import subprocess
import sys
from typing import Final

from scripts import peers
from scripts.conformance import node
from scripts.conformance.baseline import judge, load
from scripts.conformance.legs import CLIENT, FAST, LEGS, SERVERS, Selection
from scripts.conformance.proof import FOLDER, run_legs
from scripts.conformance.report import text_table, text_verdict, write, write_page

FAST_TRIES: Final = 2


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    every = (*SERVERS, CLIENT)
    parser.add_argument(
        "--server", action="append", choices=every, help="only this one; repeatable"
    )
    parser.add_argument("--leg", action="append", choices=LEGS, help="only this one; repeatable")
    parser.add_argument("--write", action="store_true", help="update docs/conformance.md")
    parser.add_argument("--fast", action="store_true", help="one server, a leg of each era")
    parser.add_argument("--lock", action="store_true", help="only pin the npm packages anew")
    found = parser.parse_args(arguments)
    if (found.write or found.fast) and (found.server or found.leg):
        parser.error("--write needs all servers and legs, --fast has its own")
    return found


def run_pytest() -> int:
    """The npm servers behind one gateway; returns pytest's exit code."""
    pytest = (sys.executable, "-m", "pytest", "-m", "conformance", "tests/conformance")
    return subprocess.run(pytest, cwd=node.ROOT, check=False).returncode


def prove(selection: Selection, *, to_page: bool = False, tries: int = 1) -> int:
    """Run the suites and tell what was lost; returns the exit code.

    Some checks give a server one second for something; `tries` is for machines that are busy.
    """
    baseline = load()
    for left in reversed(range(tries)):
        rows = asyncio.run(run_legs(selection))
        verdict = judge(rows, baseline)
        if verdict.good or not left:
            break
        print(text_verdict(verdict), "\nOnce more:", file=sys.stderr)
    write(rows, baseline, FOLDER)
    if to_page:
        write_page(rows, baseline)
    print(text_table(rows), text_verdict(verdict), sep="\n")
    return not verdict.good


def main(arguments: list[str]) -> int:
    """Set up, then run what is asked for."""
    asked = parsed(arguments)
    if asked.lock:
        node.lock()
        return 0
    node.set_up()
    if asked.fast:
        peers.main([])
        return prove(FAST, tries=FAST_TRIES)
    peers.main(["--all"])
    whole = not (asked.server or asked.leg)
    failed = run_pytest() if whole else 0
    selection = Selection(
        tuple(asked.server or Selection().servers), tuple(asked.leg or Selection().legs)
    )
    return prove(selection, to_page=asked.write) or failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
