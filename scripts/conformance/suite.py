"""Run the official suite as a program and read what it found.

It leaves a folder for each scenario it has run, named by kind, scenario and time, with a
`checks.json` in it. A scenario that breaks off leaves none: its checks are missing then.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scripts.conformance.compare import Check, Outcome, Results
from scripts.conformance.node import NODE, PATH, ROOT, package

LEG_S: Final = 150.0
"""The longest leg takes 15 s on an idle machine; the suite itself gives each scenario 30 s."""
FOLDER: Final = re.compile(r"(?:server-)?(?P<scenario>.+)-\d{4}-\d\d-\d\dT[\d-]+Z")
APPLICABLE: Final = re.compile(r"^  - (\S+)", re.MULTILINE)
CLIENT_FAILED: Final = re.compile(r"Client (exited with code \d+|timed out)")


async def run_suite(suite: str, arguments: Sequence[str], log: Path) -> None:
    """Run one of the suites to its end; what it prints goes to `log`.

    Its exit code says only that a check failed, which the results say better. All that it
    has started ends with it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            NODE / "node", package(suite), *arguments,
            stdout=file, stderr=file, cwd=ROOT, env=os.environ | PATH, start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LEG_S):
                await process.wait()
        except TimeoutError:
            file.write(f"\nstopped after {LEG_S:.0f} s".encode())
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def ask_server(suite: str, selected: Sequence[str], url: str, folder: Path) -> Results:
    """Run one leg against the server at `url`; everything about it is kept in `folder`."""
    await run_suite(
        suite, ["server", "--url", url, *selected, "-o", str(folder)], folder / "log.txt"
    )
    return results_in(folder)


async def ask_client(suite: str, selected: Sequence[str], command: str, folder: Path) -> Results:
    """Let the suite run `command` as client of one scenario.

    What the suite sees is the gateway, so a check of our own asks how the client behind fared.
    """
    log = folder / "log.txt"
    await run_suite(suite, ["client", "--command", command, *selected, "-o", str(folder)], log)
    results = results_in(folder)
    failed = CLIENT_FAILED.search(log.read_text(errors="replace"))
    for scenario in {check.scenario for check in results}:
        outcome = Outcome("FAILURE", failed[0]) if failed else Outcome("SUCCESS")
        results[Check(scenario, "the-client-is-content", "", 1)] = outcome
    return results


async def client_scenarios(suite: str, wire: Sequence[str], folder: Path) -> list[str]:
    """The client scenarios of a leg, those of authorization left out."""
    log = folder / "scenarios.txt"
    await run_suite(suite, ["list", "--client", *wire], log)
    return [name for name in APPLICABLE.findall(log.read_text()) if not name.startswith("auth/")]


def results_in(folder: Path) -> Results:
    """What the suite has left in `folder`."""
    results: Results = {}
    for file in sorted(folder.glob("*/checks.json")):
        if match := FOLDER.fullmatch(file.parent.name):
            results |= read_checks(match["scenario"], json.loads(file.read_text()))
    return results


def read_checks(scenario: str, checks: Sequence[Mapping[str, Any]]) -> Results:
    """The outcome of each check; the same one may be made several times in a scenario."""
    results: Results = {}
    times: Counter[tuple[str, str]] = Counter()
    for check in checks:
        id, name = check["id"], check.get("name", "")
        times[id, name] += 1
        outcome = Outcome(check["status"], check.get("errorMessage") or "")
        results[Check(scenario, id, name, times[id, name])] = outcome
    return results
