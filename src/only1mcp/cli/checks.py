"""What `doctor` checks without starting a server: machine, files, listener, running gateway."""

import errno
import os
import platform
import resource
import shlex
import socket
import ssl
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from only1mcp import __version__
from only1mcp.cli.instance import Place, Running, every, name_of, state_folder
from only1mcp.cli.reach import ask_page, url_of
from only1mcp.cli.say import Failure
from only1mcp.config.load import Fault, Loaded
from only1mcp.config.model import Config, Listener, Tls
from only1mcp.config.servers import Stdio
from only1mcp.config.show import mask_arguments

EXPIRES_SOON_S: Final = 14 * 86400.0
FILES_PER_SERVER: Final = 12
"""Descriptors: three pipes of a child, or the connections to a URL; twice for a second era."""
FILES_OF_OURS: Final = 64


class Verdict(StrEnum):
    """How a check ended."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and the next step unless all is well."""

    verdict: Verdict
    name: str
    text: str
    fix: str | None = None

    @classmethod
    def ok(cls, name: str, text: str) -> "Check":
        """All is well."""
        return cls(Verdict.OK, name, text)

    @classmethod
    def warn(cls, name: str, text: str, fix: str | None) -> "Check":
        """It works, but not for everybody or not for ever."""
        return cls(Verdict.WARN, name, text, fix)

    @classmethod
    def fail(cls, name: str, text: str, fix: str | None) -> "Check":
        """It does not work."""
        return cls(Verdict.FAIL, name, text, fix)

    def as_row(self) -> dict[str, Any]:
        """For programs."""
        return {
            "verdict": str(self.verdict), "name": self.name, "text": self.text, "fix": self.fix,
        }  # fmt: skip

    def __str__(self) -> str:
        """For people: aligned, with the next step below."""
        text = self.text.replace("\n", "\n" + " " * 27)
        fix = f"\n{'':27}-> {self.fix}" if self.fix else ""
        return f"{self.verdict:<5} {self.name:<20} {text}{fix}"


def machine() -> Check:
    """Which program runs where."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Check.ok(
        "system", f"only1mcp {__version__}, Python {platform.python_version()}, {system}"
    )


def state(environ: Mapping[str, str]) -> Check:
    """Whether a background gateway can keep its files, for itself."""
    folder = state_folder(environ)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = folder.stat().st_mode
    except OSError as error:
        return Check.fail("state folder", f"{folder}: {error.strerror}", f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check.fail("state folder", f"{folder} is not writable", f"chmod u+rwx {folder}")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = f"others on this machine may write to {folder}"
        return Check.warn("state folder", text, f"chmod 700 {folder}")
    return Check.ok("state folder", str(folder))


def faults(path: Path, found: tuple[Fault, ...]) -> list[Check]:
    """What is wrong, or odd, in a configuration."""
    checks = []
    for one in found:
        place = f"{one.path}:{one.line}:{one.column}" if one.line else one.path
        verdict = Verdict.FAIL if one.severity == "error" else Verdict.WARN
        fix = one.hint or f"only1mcp validate {path}"
        checks.append(Check(verdict, "config", f"{place}: {one.message}", fix))
    return checks


def configuration(path: Path, loaded: Loaded) -> list[Check]:
    """A configuration that can be used: what is odd about it, and who may read it."""
    count = len(loaded.config.servers)
    found = [Check.ok("config", f"{path}, {count} server{'s' * (count != 1)}")]
    found += faults(path, loaded.warnings)
    mode = path.stat().st_mode
    holds_secret = any("a secret stands in the file" in one.message for one in loaded.warnings)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = f"others may write to {path}, and so have any program started"
        found.append(Check.fail("permissions", text, f"chmod go-w {path}"))
    elif holds_secret and mode & (stat.S_IRGRP | stat.S_IROTH):
        text = f"{path} holds a secret that others on this machine may read"
        found.append(Check.warn("permissions", text, f"chmod 600 {path}"))
    else:
        found.append(Check.ok("permissions", f"{path} is {stat.filemode(mode)}"))
    return found


def listener(path: Path, config: Config, environ: Mapping[str, str]) -> list[Check]:
    """Whether clients can come in, and who is there already."""
    found = [*_running(path, config.server, environ), _files(config)]
    if config.server.tls is not None:
        found.append(_certificate(config.server.tls))
    return found


def _running(path: Path, server: Listener, environ: Mapping[str, str]) -> list[Check]:
    """Our own gateway in the background, or whoever has the port."""
    try:
        running = Place(name_of(path, environ), environ).look()
    except Failure as error:
        return [Check.fail("gateway", str(error), "only1mcp status")]
    if running is not None:
        who = f"'{running.name}', pid {running.pid}"
        return [_gateway(running.url, who, "only1mcp restart")]
    taken = _taken(server)
    if taken is None:
        return [
            Check.ok("port", f"{server.host}:{server.port} is free"),
            Check.ok("gateway", "none runs; `only1mcp start` starts it"),
        ]
    if taken.errno != errno.EADDRINUSE:
        text = f"cannot bind {server.host}:{server.port}: {taken.strerror}"
        return [Check.fail("port", text, "set server.host or server.port, or give --port")]
    move = "only1mcp start --port 0, or set server.port"
    url = url_of(server)
    if (other := _other(server.port, environ)) is not None:
        text = f"{server.host}:{server.port} is taken by our '{other.name}', of {other.config}"
        return [Check.fail("port", text, move)]
    if _health(url) is not None:
        return [_gateway(url, "in the foreground or as a service", "restart it")]
    text = f"{server.host}:{server.port} is taken by {_owner(server.port)}"
    return [Check.fail("port", text, move)]


def _other(port: int, environ: Mapping[str, str]) -> Running | None:
    """A gateway of another configuration that has this port."""
    running = every(environ)
    return next((one for one in running if one.url.endswith(f":{port}")), None)


def _gateway(url: str, who: str, fix: str) -> Check:
    said = _health(url) if url else None
    if said is None:
        return Check.fail("gateway", f"{who}, does not answer at {url or 'any address yet'}", fix)
    if (version := said["version"]) != __version__:
        return Check.warn("gateway", f"{who}, is of version {version}, this is {__version__}", fix)
    up = f"{said['servers_ready']} of {said['servers']} servers up"
    return Check.ok("gateway", f"runs at {url} ({who}), {said['status']}, {up}")


def _health(url: str) -> dict[str, Any] | None:
    """What a gateway says of itself; None if there is none of ours."""
    said = ask_page(url, "/health")
    ours = isinstance(said, dict) and {"version", "servers", "servers_ready", "status"} <= {*said}
    return said if ours else None


def _taken(server: Listener) -> OSError | None:
    """Why the port cannot be had."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, proto) as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wire.bind(address)
            wire.listen()  # only this tells, where somebody else is bound but with REUSEADDR
    except OSError as error:
        return error
    return None


def _owner(port: int) -> str:
    import psutil

    with suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
                return f"{psutil.Process(one.pid).name()} (pid {one.pid})"
    return f"another program; `ss -ltnp 'sport = :{port}'` as root says which"


def _files(config: Config) -> Check:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = config.server.max_connections
    needed = most + FILES_OF_OURS + FILES_PER_SERVER * len(config.servers)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Check.ok("open files", f"{soft} allowed, {needed} may be needed")
    text = f"{soft} allowed, {needed} needed for server.max_connections: {most}"
    higher = hard == resource.RLIM_INFINITY or hard >= needed
    fix = f"ulimit -n {needed}" if higher else f"set server.max_connections: {max(10, soft // 2)}"
    return Check.warn("open files", text, fix)


def _certificate(tls: Tls) -> Check:
    """Whether the certificate is in its time, found out by a handshake with itself."""
    try:
        until = expiry(tls)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "verify_message", "") or str(error)
        return Check.fail("certificate", f"{tls.cert}: {reason}", "renew it, then restart")
    day = time.strftime("%Y-%m-%d", time.gmtime(until))
    if until - time.time() < EXPIRES_SOON_S:
        return Check.warn("certificate", f"{tls.cert} expires on {day}", "renew it, then restart")
    return Check.ok("certificate", f"{tls.cert} is good until {day}")


def expiry(tls: Tls) -> float:
    """When the certificate ends, in seconds since 1970.

    Raises:
        ssl.SSLError, OSError: it cannot be used, or has expired.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tls.cert, tls.key, password="")  # else it would ask
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a leaf may be all there is
    client.load_verify_locations(tls.cert)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True))
    for _ in range(4):  # each turn carries one flight
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    said = ends[0].getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(said["notAfter"])))


def command_line(transport: Stdio) -> str:
    """How a person starts the server, secrets hidden."""
    return shlex.join((transport.command, *mask_arguments(transport.args)))
