"""Closed-loop load by wrk (github.com/wg/wrk), which takes a tenth of the CPU of our own.

Requests are put together by a few lines of Lua from the same parts as everywhere else; counts
and percentiles come back as JSON. wrk does not read bodies, so try one call before.
"""

import json
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from only1mcp.bench.endpoint import Refused
from only1mcp.bench.load import Job, Outcome
from only1mcp.bench.processes import on_core

_SLACK_S: Final = 30.0
_PERCENTILES: Final = tuple(range(100)) + tuple(n / 1000 for n in range(99_100, 100_000, 100))
_SCRIPT: Final = """
parts = {%s}
order = {%s}
id = %d
at = 0
request = function()
  id = id + 1
  at = at %% #order + 1
  local part = parts[order[at]]
  return part[1] .. string.format("%%d", id) .. part[2]
end
done = function(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local out = {}
  for _, p in ipairs({%s}) do out[#out + 1] = latency:percentile(p) end
  io.write(string.format('\\nRESULT {"calls":%%d,"errors":%%d,"us":%%d,"latencies":[%%s]}\\n',
    summary.requests, failed, summary.duration, table.concat(out, ",")))
end
"""


@cache
def version() -> str | None:
    """The version of the wrk on PATH; None without one."""
    if (program := shutil.which("wrk")) is None:
        return None
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    found = re.search(r"wrk (\S+)", said.stdout + said.stderr)
    return found[1] if found else "of unknown version"


def run(job: Job, core: int) -> Outcome:
    """Put one closed load on."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(lua(job), "latin-1")
        url = f"http://{job.host}:{job.port}/"
        command = ["wrk", "-t1", f"-c{job.connections}", f"-d{max(1, round(job.seconds))}s"]
        with on_core(core):
            said = _said([*command, "--timeout", "10s", "-s", str(script), url], job.seconds)
    return outcome(said)


def _said(command: list[str], seconds: float) -> str:
    """What it prints.

    Raises:
        Refused: it fails, or hangs.
    """
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + _SLACK_S
        )
    except subprocess.TimeoutExpired:
        raise Refused("wrk hangs") from None
    if done.returncode or "RESULT " not in done.stdout:
        raise Refused(f"wrk failed: {(done.stdout + done.stderr).strip()[-400:]}")
    return done.stdout


def lua(job: Job) -> str:
    """The script."""
    parts = ",".join(f"{{{quoted(before)},{quoted(after)}}}" for before, after in job.requests)
    order = ",".join(str(n + 1) for n in job.order)
    return _SCRIPT % (parts, order, job.first_id, ",".join(map(str, _PERCENTILES)))


def quoted(data: bytes) -> str:
    """`data` as a Lua string."""
    plain = (chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03d}" for b in data)
    return f'"{"".join(plain)}"'


def outcome(said: str) -> Outcome:
    """What the script wrote, as an Outcome: each percentile stands for the calls up to it."""
    found = json.loads(said.rpartition("RESULT ")[2])
    calls = found["calls"]
    result = Outcome(calls, found["errors"], found["us"] / 1e6, {}, tool="wrk")
    latencies, before = result.latencies, 0.0
    for percent, us in zip(_PERCENTILES, found["latencies"], strict=True):
        latencies.add(us / 1e6, round(calls * percent / 100) - round(calls * before / 100))
        before = percent
    if found["errors"]:
        result.fault = "wrk counted answers that are no 2xx, or lost connections"
    return result
