"""`only1mcp bench` for real, for a moment: a gateway of its own, then one that runs."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import psutil

from fakes.demo import demo_http
from fakes.gateway import gateway, http_server
from only1mcp.bench.results import load

BENCH = [sys.executable, "-m", "only1mcp", "bench", "--seconds", "0.1"]


def test_a_gateway_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    run = subprocess.run([*BENCH, "-o", file], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "| gateway over direct |" in run.stdout
    (suite,) = load(file).suites
    assert all(min(row.samples) > 0 for row in suite.rows if row.unit == "calls/s")


def test_what_it_has_started_ends_with_it() -> None:
    with subprocess.Popen([*BENCH[:-1], "60"], stdout=subprocess.DEVNULL) as bench:
        own = psutil.Process(bench.pid)
        deadline = time.monotonic() + 30
        while len(family := own.children(recursive=True)) < 3:  # stub, gateway, load
            assert time.monotonic() < deadline
            time.sleep(0.02)
        bench.terminate()
        assert bench.wait(30) == 128 + 15
    gone, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    assert len(gone) >= 3


async def test_a_gateway_that_runs(tmp_path: Path) -> None:
    async with (
        demo_http("clock") as clock,
        gateway({"servers": [http_server("clock", clock)]}, tmp_path) as running,
    ):
        await running.ready("clock")
        process = await asyncio.create_subprocess_exec(
            *BENCH, "--url", running.mcp, "--tool", "clock__now {}", stdout=subprocess.PIPE
        )
        out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"tools/call at http://127.0.0.1:" in out
