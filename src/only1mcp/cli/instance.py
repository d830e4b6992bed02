"""One gateway in the background: its name, its files, and whether it runs.

A running gateway holds a lock (flock) on its state file. Whoever can take the lock knows that
nobody runs, whatever pid the file still names: after a crash, after kill -9, and when the pid
belongs to another process by now. So no file has ever to be removed by hand.
"""

import fcntl
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from platformdirs import user_state_path

from only1mcp.cli.say import Exit, Failure, note
from only1mcp.config.load import default_path

DEFAULT: Final = "default"
"""The name of the gateway of the usual configuration file."""
NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_SETTLE_S: Final = 2.0
"""How long the file may say nothing of use: its holder is about to write it."""
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Running:
    """What a gateway in the background says of itself."""

    name: str
    pid: int
    began: str
    """When the process began, as the system tells it: a reused pid has another."""
    since: float
    """The same in seconds since 1970, for people."""
    config: str
    log: str
    folder: str = ""
    """The working directory it was started in."""
    host: str | None = None
    port: int | None = None
    """What --host and --port said."""
    drain_s: float = 0.0
    url: str = ""
    """Where it listens; empty as long as it does not."""
    ending: bool = False
    """It takes no new calls, those under way may finish."""

    @property
    def listens(self) -> bool:
        """Whether a client can connect."""
        return bool(self.url) and not self.ending

    @property
    def whereabouts(self) -> str:
        """For people who look for it."""
        if self.ending:
            return "is stopping"
        return f"is at {self.url}" if self.url else "is starting"


class Place:
    """Where the state and the log of one gateway are."""

    def __init__(self, name: str, environ: Mapping[str, str]) -> None:
        """Raises: Failure, if this can be no name."""
        if not NAME.match(name):
            raise Failure(
                f"'{name}' can be no name: up to 64 letters, digits and . _ -", Exit.USAGE
            )
        self.name = name
        self.state = state_folder(environ) / f"{name}.json"
        self.log = state_folder(environ) / f"{name}.log"

    def look(self) -> Running | None:
        """The gateway that runs here, if one does.

        Raises:
            Failure: one does, but the file does not say which.
        """
        until = time.monotonic() + _SETTLE_S
        while self._is_held():
            found = self.last()
            if found is not None and began(found.pid) == found.began:
                return found
            if time.monotonic() > until:
                raise Failure(f"{self.state} is locked by a process that it does not name")
            time.sleep(_POLL_S)
        return None

    def last(self) -> Running | None:
        """What the file says, of a gateway that runs or of the last one."""
        try:
            said = json.loads(self.state.read_text(encoding="utf-8"))
            known = [one.name for one in fields(Running) if one.name in said]
            return Running(**{name: said[name] for name in known})  # of another version, perhaps
        except (OSError, ValueError, TypeError):
            return None

    def _is_held(self) -> bool:
        try:
            with self.state.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError as error:
            raise Failure(f"cannot read {self.state}: {error.strerror}") from None
        return False


class Held:
    """The lock, in the process that is the gateway."""

    def __init__(self, file: IO[str], running: Running) -> None:
        self._file = file
        self._running = running
        self.tell()

    def tell(self, **changes: object) -> None:
        """Write down what is known by now."""
        self._running = replace(self._running, **changes)  # type: ignore[arg-type]
        self._file.seek(0)
        self._file.truncate()
        json.dump(asdict(self._running), self._file, indent=2)
        self._file.flush()


@contextmanager
def hold(place: Place, **known: object) -> Iterator[Held]:
    """Be the gateway of this place until the end of the block, or of the process.

    Raises:
        Failure: another one is.
    """
    try:
        place.state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(place.state, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(f"cannot write {place.state}: {error.strerror}") from None
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        if not _locked(file):
            raise taken(place)
        pid = os.getpid()
        known |= {"name": place.name, "pid": pid, "began": began(pid), "since": time.time()}
        held = Held(file, Running(**known))  # type: ignore[arg-type]
        yield held
        held.tell(url="")


def _locked(file: IO[str]) -> bool:
    """Take the lock; those who only look have it for a moment."""
    until = time.monotonic() + 10 * _POLL_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)


def taken(place: Place) -> Failure:
    """Why nothing can be started here."""
    other = place.look()
    if other and other.ending:
        return Failure(
            f"'{place.name}' is stopping (pid {other.pid}): calls under way may finish, for "
            f"{other.drain_s:g} s at most; another `only1mcp stop` ends them"
        )
    who = f"pid {other.pid}, {other.url or 'starting'}, {other.config}" if other else "ending now"
    return Failure(
        f"'{place.name}' runs already ({who}); `only1mcp restart` starts it anew, --name gives "
        "another one a name of its own"
    )


def every(environ: Mapping[str, str]) -> list[Running]:
    """All gateways of this user that run in the background."""
    names = sorted(path.stem for path in state_folder(environ).glob("*.json"))
    found = [Place(name, environ).look() for name in names if NAME.match(name)]
    return [one for one in found if one is not None]


def only(environ: Mapping[str, str], *, listening: bool = False) -> Running | None:
    """For whom the gateway that was meant does not run: the only one that does in the background,
    and is told so; if `listening`, only if it has come so far, and is not stopping."""
    running = every(environ)
    if len(running) != 1 or (listening and not running[0].listens):
        return None
    note(f"{listed(running)} is the only one that runs")
    return running[0]


def elsewhere(environ: Mapping[str, str]) -> str:
    """What runs in the background, for whom nobody answers; empty if nothing does."""
    running = every(environ)
    said = ", ".join(f"'{one.name}' ({one.config}) {one.whereabouts}" for one in running)
    return f"{said}; name one with --url" if any(one.listens for one in running) else said


def listed(running: list[Running]) -> str:
    """Their names, and the files that tell people which they are."""
    return ", ".join(f"'{one.name}' ({one.config})" for one in running)


def name_of(config: Path, environ: Mapping[str, str]) -> str:
    """The name of the gateway of this file: the same path, the same gateway.

    A symbolic link is not followed: it may lead to another file tomorrow.
    """
    path = Path(os.path.normpath(config.absolute()))
    usual = default_path({**environ, "ONLY1MCP_CONFIG": ""})
    if path.parent == usual.parent and path.stem == usual.stem:
        return DEFAULT
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:32] or "gateway"
    return f"{stem}-{sha256(os.fsencode(path)).hexdigest()[:6]}"


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where state and logs belong (XDG base directory specification)."""
    xdg = Path(environ.get("XDG_STATE_HOME", ""))
    if xdg.is_absolute():
        return xdg / "only1mcp"
    if home := environ.get("HOME"):
        return Path(home, ".local", "state", "only1mcp")
    return user_state_path("only1mcp", appauthor=False)


def began(pid: int) -> str | None:
    """When the process began, in whatever unit the system has; None if there is none.

    Source  proc(5): field 22 of /proc/pid/stat; elsewhere `ps -o lstart`.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return None
    asked = subprocess.run(  # noqa: S603
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
