"""Instructions per tools/call, counted by callgrind: a figure that a busy machine does not change.

    python -m bench.instructions [--write] [--check]

The gateway runs twice under valgrind, with many calls and with few, for the same time: start, end
and what it does by the clock cancel out, the difference is that of the calls alone. The count
depends on processor, Python and libraries, so the file keeps one for each pair of gateway version
and Python. `--check` ends with 1 if it is 3 % more.
Cost    a minute; a program under callgrind is fifty times slower.
"""

import argparse
import json
import platform
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from only1mcp import __version__
from only1mcp.bench import started
from only1mcp.bench.endpoint import Endpoint
from only1mcp.bench.load import Line, is_result
from only1mcp.bench.processes import Program, cores
from only1mcp.bench.started import http_server, ready, url_in

FILE: Final = Path(__file__).resolve().parent / "instructions.json"
FEW: Final = 700
MANY: Final = 1700
SLACK: Final = 0.03
PATIENCE_S: Final = 300.0
_COLLECTED: Final = re.compile(r"Collected : (\d+)")


def main(arguments: list[str]) -> int:
    """Count, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--write", action="store_true", help="keep the count")
    parser.add_argument("--check", action="store_true", help="hold it against the one kept")
    given = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        print("valgrind is not on PATH", file=sys.stderr)
        return 1
    count = per_call()
    key = f"{__version__} {platform.python_implementation()} {platform.python_version()}"
    kept = json.loads(FILE.read_text()) if FILE.exists() else {}
    print(f"{count} instructions per tools/call ({key})")
    if given.write:
        FILE.write_text(json.dumps(kept | {key: count}, indent=1) + "\n")
    before = kept.get(key)
    if given.check and before is None:
        print("no count of this version and Python is kept", file=sys.stderr)
    if given.check and before is not None and count > before * (1 + SLACK):
        print(f"{count / before - 1:.1%} more than the {before} that are kept", file=sys.stderr)
        return 1
    return 0


def per_call() -> int:
    """The instructions of one call."""
    with started.stub(cores().server) as stub:
        many, took_s = _instructions(stub.url, MANY, 0.0)
        few, _ = _instructions(stub.url, FEW, took_s)
    return round((many - few) / (MANY - FEW))


def _instructions(server: str, calls: int, least_s: float) -> tuple[int, float]:
    """All instructions of a gateway from its start to its end, with so many calls; and how long it
    was ready, `least_s` at least."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "only1mcp.json"
        file.write_text(json.dumps({"servers": [http_server("stub", server)]}))
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command = [sys.executable, "-m", "only1mcp", "run", "-c", str(file), "--port", "0"]
        env = {"HOME": folder, "PYTHONHASHSEED": "0"}
        program = Program([*valgrind, *command], cores().gateway, env=env)
        try:
            url = program.wait_for(url_in, PATIENCE_S)
            program.wait_for(ready, PATIENCE_S)
            began = time.monotonic()
            _call(Endpoint(url).open(), calls)
            time.sleep(max(0.0, began + least_s - time.monotonic()))
            took_s = time.monotonic() - began
            for process in program.family()[:1]:
                process.terminate()
            found = program.wait_for(_COLLECTED.search, PATIENCE_S)
        finally:
            program.end()
    return int(found[1]), took_s


def _call(end: Endpoint, calls: int) -> None:
    request = end.request("tools/call", {"name": "stub__echo", "arguments": {"text": "y" * 400}})
    line = Line(end.host, end.port)
    line.socket.settimeout(60)
    for number in range(calls):
        line.send(b"%b%d%b" % (request.before, 1_000_000_000 + number, request.after), 0.0)
        while not line.receive():
            pass
        if not is_result(line.data):
            raise SystemExit(f"a call failed: {bytes(line.data[:300])!r}")
    line.socket.close()
    time.sleep(0.5)  # what a call leaves behind is done


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
