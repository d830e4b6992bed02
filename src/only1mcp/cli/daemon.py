"""`start`, `stop`, `restart`, `status`: the gateway in the background, on its own.

    start ──► a process in a session of its own ──lock──► listens ──► /readyz says ok ──► done
                   └─ ends before: its last words are the reason

What runs, and what tells a living gateway from what is left of one: `cli/instance.py`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from only1mcp.cli.instance import (
    DEFAULT,
    Place,
    Running,
    every,
    hold,
    listed,
    name_of,
    only,
    taken,
)
from only1mcp.cli.reach import address, ask_page, url_of
from only1mcp.cli.run import in_loop, overrides, serve
from only1mcp.cli.say import (
    Exit,
    Failure,
    fail,
    load_config,
    no_config,
    note,
    source_of,
    start_logs,
)
from only1mcp.config.checked import Checked
from only1mcp.config.load import find
from only1mcp.observe import logs
from only1mcp.observe.writer import File

START_S: Final = 30.0
"""From the start of the process until it must be ready: nothing but reading the configuration
and binding the port happens in it. Servers come up later, each in its own time."""
CLOSE_S: Final = 25.0
"""After the drain: ending servers and connections has bounds, and this is above their sum."""
REASON_LINES: Final = 20
_AT_ONCE_S: Final = 1.0
"""After this long a person wonders what is waited for."""
_POLL_S: Final = 0.03


def start(file: Path | None, name: str | None, host: str | None, port: int | None) -> int:
    """`only1mcp start`."""
    try:
        config = config_of(file)
        place = place_of(config, name)
        if place.look() is not None:
            raise taken(place)
        running = _launch(place, config, host, port)
    except Failure as error:
        return fail(error)
    note(f"only1mcp listens on {running.url}/mcp, '{running.name}', pid {running.pid}")
    note(f"log: {running.log}")
    return Exit.OK


def stop(file: Path | None, name: str | None, *, force: bool) -> int:
    """`only1mcp stop`."""
    try:
        place = meant(file, name)
        running = place.look()
        if running is None:
            raise _nobody(place, file)
        _end(place, running, force=force)
    except Failure as error:
        return fail(error)
    note(f"'{place.name}' has ended")
    return Exit.OK


def restart(file: Path | None, name: str | None, host: str | None, port: int | None) -> int:
    """`only1mcp restart`: with the options it was started with, unless others are given. Who has
    ended is known by its name: without that, nothing is started beside others that run."""
    try:
        place = meant(file, name)
        running = place.look()
        before = running or (place.last() if name else None)
        if before is None and not (file or os.environ.get("ONLY1MCP_CONFIG")) and others():
            raise _nobody(place, file)
        config = config_of(file or (Path(before.config) if before else None))
        if running is not None:
            load_config(config, dict(os.environ))  # do not end what cannot be started again
            _end(place, running, force=False)
        if before is not None:
            host, port = host or before.host, before.port if port is None else port
        running = _launch(place, config, host, port, folder=before.folder if before else None)
    except Failure as error:
        return fail(error)
    note(f"only1mcp listens on {running.url}/mcp, '{running.name}', pid {running.pid}")
    return Exit.OK


def status(file: Path | None, name: str | None, *, as_json: bool) -> int:
    """`only1mcp status`: 0 if it runs, 3 if not."""
    try:
        place = meant(file, name)
        running = place.look()
    except Failure as error:
        return fail(error)
    if running is None:
        if as_json:
            print(json.dumps({"name": place.name, "running": False}))
        return fail(_nobody(place, file))
    said = ask_page(running.url, "/health") or {}
    silent = "silent" if running.url else "starting"
    row = {
        "name": running.name,
        "running": True,
        "pid": running.pid,
        "uptime_s": round(time.time() - running.since, 1),
        "url": running.url,
        "config": running.config,
        "config_status": said.get("config", {}).get("status"),
        "log": running.log,
        "version": said.get("version"),
        "status": "draining" if running.ending else said.get("status", silent),
        "servers": said.get("servers"),
        "servers_ready": said.get("servers_ready"),
    }
    print(json.dumps(row, indent=2) if as_json else _as_text(row))
    return Exit.OK


def run_background(name: str, config: Path, host: str | None, port: int | None) -> int:
    """The process that `start` begins. What it writes to stderr is in the log already."""
    try:
        place = Place(name, dict(os.environ))
        known = {"config": str(config), "folder": os.getcwd(), "host": host, "port": port}  # noqa: PTH109
        with hold(place, log=str(place.log), **known) as held:
            environ, options, checked = dict(os.environ), overrides(host, port), Checked()
            source = source_of(config, environ, options, checked)
            settings = load_config(config, environ, options, checked).config
            own = File(place.log, also=(1, 2))  # not log lines only: a crash, a library
            start_logs(settings, own)
            if settings.logging.file is not None:
                logs.opened(own)
            log = settings.logging.file or str(place.log)
            drain_s = settings.server.drain_timeout + settings.server.drain_delay

            def ending() -> None:
                with suppress(OSError):  # a full disk must not keep calls from ending well
                    held.tell(ending=True)

            return in_loop(
                serve(
                    *(settings, port),
                    lambda url: held.tell(url=url, log=log, drain_s=drain_s),
                    people=False,
                    source=source,
                    ending=ending,
                )
            )
    except Failure as error:
        return fail(error)


def _launch(
    place: Place, config: Path, host: str | None, port: int | None, *, folder: str | None = None
) -> Running:
    """Begin the process and wait until it is ready.

    Raises:
        Failure: it is not; with what it said last.
    """
    options = {"--host": host, "--port": port}
    given = [str(word) for pair in options.items() if pair[1] is not None for word in pair]
    argv = [sys.executable, "-P", "-m", "only1mcp", "background", place.name, str(config), *given]
    try:
        place.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = os.open(place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError as error:
        raise Failure(f"cannot write {place.log}: {error.strerror}") from None
    before = os.fstat(log).st_size
    try:
        child = subprocess.Popen(  # noqa: S603
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            cwd=folder if folder and Path(folder).is_dir() else None,
        )  # fmt: skip
    finally:
        os.close(log)
    try:
        running = _ready(place, child, before)
    except BaseException:  # not in time, or the user has lost patience
        child.kill()
        child.wait()
        raise
    child.returncode = 0  # it is nobody's child from now on: do not warn that it runs
    return running


def _ready(place: Place, child: subprocess.Popen[bytes], before: int) -> Running:
    """Wait until the process is ready; its log had `before` bytes.

    Raises:
        Failure: it ended, or takes too long.
    """
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if (code := child.poll()) is not None:
            raise _not_started(place, before, code)
        running = place.look()
        if running is not None and running.pid == child.pid and _is_ready(running):
            return running
        time.sleep(_POLL_S)
    raise Failure(f"it was not ready within {START_S:.0f} s and is ended; see {place.log}")


def _not_started(place: Place, before: int, code: int) -> Failure:
    """What the process said, as the reason; 2 if that was the configuration."""
    with place.log.open(encoding="utf-8", errors="replace") as file:
        file.seek(before)
        lines = file.read().splitlines()[-REASON_LINES:]
    said = "".join(f"\n  {logs.readable(line)}" for line in lines)
    usage = code == Exit.USAGE
    return Failure(f"the gateway did not start:{said}", Exit.USAGE if usage else Exit.FAILURE)


def _is_ready(running: Running) -> bool:
    return bool(running.url) and ask_page(running.url, "/readyz") is not None


def _end(place: Place, running: Running, *, force: bool) -> None:
    """Ask it to end, and wait as long as calls under way may take.

    Raises:
        Failure: it still runs.
    """
    patience = running.drain_s + CLOSE_S
    _send(running, signal.SIGTERM)
    if _gone(place, running, _AT_ONCE_S):
        return
    note(f"calls under way may finish, for {running.drain_s:g} s at most")
    if _gone(place, running, running.drain_s if force else patience):
        return
    if not force:
        raise Failure(
            f"'{place.name}' (pid {running.pid}) has not ended within {patience:.0f} s; "
            "`only1mcp stop --force` kills it"
        )
    _send(running, signal.SIGKILL)
    if not _gone(place, running, CLOSE_S):
        raise Failure(f"pid {running.pid} survives SIGKILL")


def _send(running: Running, number: signal.Signals) -> None:
    try:
        os.kill(running.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise Failure(f"pid {running.pid} belongs to another user") from None


def _gone(place: Place, running: Running, patience_s: float) -> bool:
    until = time.monotonic() + patience_s
    while (now := place.look()) is not None and now.pid == running.pid:
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    return True


def config_of(file: Path | None) -> Path:
    """The configuration file of the gateway that is meant.

    Raises:
        Failure: there is none.
    """
    found = _some_config(file)
    if found is None:
        raise no_config()
    if not found.exists():
        raise Failure(f"{found} does not exist", Exit.USAGE)
    return found


def _some_config(file: Path | None) -> Path | None:
    found = file or find(dict(os.environ))
    if found is None:
        return None
    clean = Path(os.path.normpath(found.absolute()))
    with suppress(OSError):
        # after a symbolic link `..` leads elsewhere
        if found.exists() and not (clean.exists() and clean.samefile(found)):
            return found.absolute()
    return clean


def place_of(file: Path | None, name: str | None) -> Place:
    """Where the gateway is that is meant: by its name, else by its configuration file.

    Raises:
        Failure: the name can be none.
    """
    environ: Mapping[str, str] = dict(os.environ)
    config = _some_config(file)
    return Place(name or (name_of(config, environ) if config else DEFAULT), environ)


def meant(file: Path | None, name: str | None) -> Place:
    """Where the gateway is that a command about a running one means. Who names none means that
    of the usual configuration; if it does not run, the only one that does, and is told so.

    Raises:
        Failure: the name can be none.
    """
    environ: Mapping[str, str] = dict(os.environ)
    place = place_of(file, name)
    if file or name or environ.get("ONLY1MCP_CONFIG") or place.look() is not None:
        return place
    running = only(environ)
    return place if running is None else Place(running.name, environ)


def others() -> str:
    """What runs, for whom the gateway that was meant does not; empty if nothing does."""
    running = every(dict(os.environ))
    return f"running: {listed(running)}; name one with --name" if running else ""


def _nobody(place: Place, file: Path | None) -> Failure:
    """Nothing runs here; where else something does."""
    text = f"'{place.name}' does not run in the background"
    hint = others() or "see `only1mcp start`"
    config = _some_config(file)
    with suppress(Failure):
        url = url_of(address(config))
        said = ask_page(url, "/health") if config else None
        if isinstance(said, dict) and "servers_ready" in said:
            text += f", but a gateway answers at {url}: `only1mcp run`, or a service"
            hint = others() or "it is ended where it was started"
    return Failure(f"{text}; {hint}", Exit.UNREACHABLE)


def _as_text(row: dict[str, Any]) -> str:
    up = f"{row['servers_ready']} of {row['servers']} up" if row["servers"] is not None else "-"
    shown = row | {"servers": up, "uptime": _span(row["uptime_s"])}
    if row["config_status"] == "refused":
        shown["config"] += ", refused as it is now; `only1mcp reload` says why"
    keys = ("name", "status", "pid", "uptime", "url", "servers", "config", "log", "version")
    return "\n".join(f"{key:<8} {shown[key] or '-'}" for key in keys)


def _span(seconds: float) -> str:
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    return f"{days}d {h}h {m}m" if days else f"{h}h {m}m {s}s" if h else f"{m}m {s}s"
