"""What a figure was measured on: machine, system, versions, and how busy it was before."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil

from only1mcp.bench import wrk
from only1mcp.bench.processes import cores


def environment(version: str) -> dict[str, Any]:
    """All that may explain a figure. `version` is that of what is measured."""
    return {
        "only1mcp": version,
        "python": f"{platform.python_version()} ({python_build()})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "pinned": cores()._asdict(),
        "wrk": wrk.version(),
        "nginx": said_version("nginx", "-v"),
        "haproxy": said_version("haproxy", "-v"),
    }


def python_build() -> str:
    """Who made this Python, and when: how it was compiled is up to a tenth of a call's time."""
    return f"{platform.python_compiler()}, {platform.python_build()[1]}"


def processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return found[1].strip() if found else platform.processor() or "unknown"


def said_version(program: str, option: str) -> str | None:
    """What `program` says is its version; None if it is not there."""
    if (path := shutil.which(program)) is None:
        return None
    said = subprocess.run([path, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.+~-]*", said.stdout + said.stderr)
    return found[0] if found else None
