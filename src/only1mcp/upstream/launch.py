"""How a stdio server is started: which program, with which environment, or why not.

What cannot be started is a fault of the configuration, told apart from a server that crashes.
"""

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from only1mcp.config.overrides import DEPTH, depth
from only1mcp.config.servers import Stdio
from only1mcp.protocol.errors import ServerUnavailable

INHERITED: Final = frozenset(
    (
        *("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"),
        *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    )
)
"""What a child gets of our environment, with LC_* and XDG_*: secrets live in the rest."""
INHERITED_PREFIXES: Final = ("LC_", "XDG_")

_CONFIG_ERRNOS: Final = (
    errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP, errno.E2BIG,
)  # fmt: skip


class NotStartable(ServerUnavailable):
    """The configuration is at fault: starting the server again would not help."""


def environment(transport: Stdio, ours: Mapping[str, str]) -> dict[str, str]:
    """What the child of `transport` gets: the harmless part of `ours`, and its own `env`.

    A value that starts with "()" is an exported shell function, which is code.
    """
    inherited = {
        name: value
        for name, value in ours.items()
        if (name in INHERITED or name.startswith(INHERITED_PREFIXES)) and not value.startswith("()")
    }
    deeper = {DEPTH: str(depth(ours) + 1)}
    own = {name: value.get_secret_value() for name, value in transport.env.items()}
    return inherited | deeper | own


def find(server: str, transport: Stdio, path: str) -> str:
    """The program file to run: a bare name is looked up on `path`, others start from `cwd`.

    Raises:
        NotStartable: there is no such file or directory, or it may not be executed.
    """
    command, cwd = transport.command, transport.cwd
    if cwd is not None and not Path(cwd).is_dir():
        raise NotStartable(
            server,
            f"server '{server}' cannot start: its working directory {cwd} does not exist",
            hint="create it, or correct transport.cwd",
        )
    if os.sep in command:
        command = str(Path(cwd or ".").absolute() / command)
    found = shutil.which(command, path=path)
    if found is None:
        raise not_startable(server, transport, path, _why_not(command, path))
    return found


def _why_not(command: str, path: str) -> str:
    for folder in path.split(os.pathsep):
        candidate = Path(folder, command)
        if candidate.is_file():
            return f"{candidate} is not executable"
    return "there is no such program"


def not_startable(server: str, transport: Stdio, path: str, why: str) -> NotStartable:
    """The fault of a command that cannot be run, with where it was looked for."""
    return NotStartable(
        server,
        f"server '{server}' cannot start '{transport.command}': {why}; PATH searched: {path}",
        hint="install it, or give its full path in transport.command, or set PATH in transport.env",
    )


def spawn_fault(
    server: str, transport: Stdio, path: str, error: OSError | ValueError
) -> ServerUnavailable:
    """What a failed spawn means: a ValueError is a NUL in the command or in its environment."""
    if isinstance(error, ValueError) or error.errno in _CONFIG_ERRNOS:
        return not_startable(server, transport, path, str(error))
    return ServerUnavailable(
        server,
        f"server '{server}' cannot start '{transport.command}': {error}",
        hint="the machine is short of processes, memory or file descriptors",
    )
