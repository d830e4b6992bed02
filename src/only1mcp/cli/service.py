"""`service`: a unit of systemd, or an agent of launchd, that runs the gateway of one user.

The file is written or removed and the commands that make it count are printed; nothing is
started here.
Source  systemd.service(5), systemd.exec(5); launchd.plist(5).
"""

import os
import plistlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from only1mcp.cli.daemon import CLOSE_S, config_of, place_of
from only1mcp.cli.instance import DEFAULT, Place
from only1mcp.cli.say import Exit, Failure, fail, note
from only1mcp.config.load import ConfigError, default_path, load
from only1mcp.config.model import Listener

WATCHDOG_S: Final = 30
"""A loop that stands still for so long is killed and the gateway started anew."""
_VARIABLES: Final = "only1mcp.env"
_UNIT: Final = """\
[Unit]
Description=Only1MCP, one endpoint in front of many MCP servers ({config})

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
# Commands of servers are looked up here; the PATH of a service is shorter than that of a shell.
Environment={path}
# NAME=value lines for the ${{VARIABLES}} of the configuration; keep it private (chmod 600).
EnvironmentFile=-{variables}
WorkingDirectory=~

# Calls under way may finish: only the gateway hears SIGTERM, and it ends its servers itself.
KillMode=mixed
TimeoutStopSec={stop_s}
Restart=on-failure
RestartSec=2
# 2: the configuration has faults, which starting again does not mend
RestartPreventExitStatus=2
WatchdogSec={watchdog_s}

# These hold for the servers too. sudo and setuid programs do not work under NoNewPrivileges.
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
UMask=0077

[Install]
WantedBy=default.target
"""


class Manager(NamedTuple):
    """A service manager: where the file of a service is, what it says, what to do afterwards."""

    file: Path
    content: Callable[[Path, Mapping[str, str]], bytes]
    """Of a configuration file and an environment."""
    install: tuple[str, ...]
    uninstall: tuple[str, ...]
    links: tuple[Path, ...] = ()
    """What the manager makes of the file; goes with it."""


def install(file: Path | None, name: str | None, *, force: bool) -> int:
    """`only1mcp service install`."""
    try:
        config = config_of(file)
        manager = manager_of(place_of(config, name), dict(os.environ), sys.platform)
        if manager.file.exists() and not force:
            raise Failure(f"{manager.file} exists; --force overwrites it")
        manager.file.parent.mkdir(parents=True, exist_ok=True)
        manager.file.write_bytes(manager.content(config, dict(os.environ)))
    except OSError as error:
        return fail(Failure(f"cannot write {error.filename}: {error.strerror}"))
    except Failure as error:
        return fail(error)
    _tell(f"wrote {manager.file}", manager.install)
    return Exit.OK


def uninstall(file: Path | None, name: str | None) -> int:
    """`only1mcp service uninstall`."""
    try:
        manager = manager_of(place_of(file, name), dict(os.environ), sys.platform)
        manager.file.unlink()
        for link in manager.links:
            link.unlink(missing_ok=True)
    except FileNotFoundError as error:
        return fail(Failure(f"{error.filename} is not there"))
    except OSError as error:
        return fail(Failure(f"cannot remove {error.filename}: {error.strerror}"))
    except Failure as error:
        return fail(error)
    _tell(f"removed {manager.file}", manager.uninstall)
    return Exit.OK


def _tell(done: str, commands: tuple[str, ...]) -> None:
    note(f"{done}; now run")
    for command in commands:
        print(f"  {command}")


def manager_of(place: Place, environ: Mapping[str, str], platform: str) -> Manager:
    """systemd, or launchd on macOS, for the gateway of this place."""
    title = "only1mcp" if place.name == DEFAULT else f"only1mcp-{place.name}"
    if platform == "darwin":
        return launchd(title, place.log, environ)
    return systemd(title, environ)


def systemd(title: str, environ: Mapping[str, str]) -> Manager:
    """The user's own systemd."""
    folder = default_path({**environ, "ONLY1MCP_CONFIG": ""}).parent.parent / "systemd" / "user"
    unit, control = f"{title}.service", "systemctl --user"
    return Manager(
        folder / unit,
        _unit,
        (
            f"{control} daemon-reload",
            f"{control} enable --now {unit}",
            f"journalctl --user -u {unit} -f",
            "loginctl enable-linger          # to run without a login",
        ),
        (f"{control} stop {unit}", f"{control} daemon-reload"),
        (folder / "default.target.wants" / unit,),
    )


def _unit(config: Path, environ: Mapping[str, str]) -> bytes:
    folder = default_path({**environ, "ONLY1MCP_CONFIG": ""}).parent
    text = _UNIT.format(
        config=config.name.replace("%", "%%"),
        command=" ".join(map(quoted, _argv(config))),
        path=quoted(f"PATH={environ.get('PATH', os.defpath)}", variables=False),
        variables=str(folder / _VARIABLES).replace("%", "%%"),
        stop_s=_stop_s(config, environ),
        watchdog_s=WATCHDOG_S,
    )
    return text.encode("utf-8", "surrogateescape")


def launchd(title: str, log: Path, environ: Mapping[str, str]) -> Manager:
    """The user's own launchd."""
    label = f"io.github.{title}"
    file = Path(environ.get("HOME", "/"), "Library", "LaunchAgents", f"{label}.plist")

    def agent(config: Path, environ: Mapping[str, str]) -> bytes:
        said = {
            "Label": label,
            "ProgramArguments": _argv(config),
            "EnvironmentVariables": {"PATH": environ.get("PATH", os.defpath)},
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ExitTimeOut": _stop_s(config, environ),
            "Umask": 0o077,
            "StandardErrorPath": str(log),
        }
        return plistlib.dumps(said)

    start = f"launchctl bootstrap gui/$(id -u) {file}"
    return Manager(
        file, agent, (start, f"tail -f {log}"), (f"launchctl bootout gui/$(id -u)/{label}",)
    )


def _argv(config: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "only1mcp", "run", "--config", str(config)]


def _stop_s(config: Path, environ: Mapping[str, str]) -> int:
    """How long to wait for the end, as far as the configuration can be read here and now."""
    server = Listener()
    try:
        server = load(config, environ).config.server
    except ConfigError as error:
        note(f"warning: {config} has faults in this shell, such as: {error.faults[0].message}")
    return round(server.drain_delay + server.drain_timeout + CLOSE_S)


def quoted(word: str, *, variables: bool = True) -> str:
    """`word` as one word of a unit; `variables`: where systemd would expand $NAME too."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text.replace("$", "$$") if variables else text}"'
