"""`logs`: the last lines of the background gateway's log, and those to come."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from only1mcp.cli.daemon import meant, others
from only1mcp.cli.say import Exit, Failure, fail, note
from only1mcp.observe.logs import readable

_POLL_S: Final = 0.2


def show_logs(file: Path | None, name: str | None, count: int, *, follow: bool) -> int:
    """`only1mcp logs`: JSON lines are shown for people on a terminal, as they are elsewhere."""
    try:
        place = meant(file, name)
        running = place.look()
        known = running or place.last()
        path = Path(known.log) if known else place.log
        with suppress(KeyboardInterrupt), path.open(encoding="utf-8", errors="replace") as log:
            if running is None:
                past = f"'{place.name}' does not run, this is the log of its last run"
                note("; ".join(filter(None, (past, others()))))
            say = _say if sys.stdout.isatty() else _pass_on
            for line in deque(log, count):
                say(line)
            if follow:
                _follow(path, log, say)
    except Failure as error:
        return fail(error)
    except FileNotFoundError:
        return fail(Failure(f"there is no log at {path}; {others() or 'see `only1mcp start`'}"))
    except BrokenPipeError:  # `| head` has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return fail(Failure(f"cannot read {path}: {error.strerror}"))
    return Exit.OK


def _follow(path: Path, log: IO[str], say: Callable[[str], None]) -> None:
    """What is added, for ever; also to a new file of this name."""
    rest = ""
    while True:
        if line := log.readline():
            rest += line
            if rest.endswith("\n"):
                say(rest)
                rest = ""
            continue
        time.sleep(_POLL_S)
        if _is_another(path, log):
            for line in log:  # what was added before it was moved away
                say(line)
            log = path.open(encoding="utf-8", errors="replace")


def _is_another(path: Path, log: IO[str]) -> bool:
    """Whether the name is a new file's by now, or the file was emptied."""
    try:
        now, then = path.stat(), os.fstat(log.fileno())
    except FileNotFoundError:  # between two: it will come
        return False
    return (now.st_dev, now.st_ino) != (then.st_dev, then.st_ino) or now.st_size < log.tell()


def _say(line: str) -> None:
    print(readable(line.rstrip("\n")), flush=True)


def _pass_on(line: str) -> None:
    sys.stdout.write(line if line.endswith("\n") else line + "\n")
    sys.stdout.flush()
