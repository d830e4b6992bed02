"""Rules between keys, and between the file and the machine.

They read the tree, not the finished Config, so that they speak up beside other faults. A value
of the wrong type is passed over here: the model reports it.
"""

import os
import shutil
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from only1mcp.config.faults import Report
from only1mcp.config.show import find_secret, is_token, names_secret
from only1mcp.config.tree import Node
from only1mcp.config.values import is_loopback

_FALSE: Final = ("false", "no", "off", "0")
_DEFAULT_HOST: Final = "127.0.0.1"


def settle_paths(root: Node, base: Path, environ: Mapping[str, str]) -> None:
    """Make file names absolute: `~` is HOME, others start at the folder of the file."""
    tls = [root.at("server", "tls", "cert"), root.at("server", "tls", "key")]
    logs = [root.at("logging", "file"), root.at("logging", "access", "file")]
    folders = [one.child("cwd") for server in _servers(root) for one in _transports(server)]
    for node in (*tls, *logs, *folders):
        if node is not None and isinstance(node.value, str) and node.value:
            node.value = _absolute(node.value, base if node.place.line else Path.cwd(), environ)


def _absolute(name: str, base: Path, environ: Mapping[str, str]) -> str:
    home = environ.get("HOME")
    if home and (name == "~" or name.startswith("~/")):
        return str(Path(home, name[2:]))
    return str(base / name)


def check(root: Node, environ: Mapping[str, str], report: Report) -> None:
    """Report every rule that is broken."""
    _check_auth(root, report)
    _check_tls(root, report)
    _check_ids(root, report)
    _check_some_server(root, report)
    _warn_of_secrets(root.at("server", "auth", "tokens"), "ONLY1MCP_TOKEN", report)
    _warn_of_secrets(root.at("server", "admin_tokens"), "ONLY1MCP_ADMIN_TOKEN", report)
    _warn_of_secrets(root.at("server", "metrics_tokens"), "ONLY1MCP_METRICS_TOKEN", report)
    _warn_of_shared_tokens(root, report)
    find = cache(shutil.which)  # most servers are started by one of a few programs
    for server in _servers(root):
        _check_tools(server, report)
        _check_reach(server, report)
        for transport in _transports(server):
            _check_era(server, transport, report)
            _check_program(server, transport, environ, find, report)
            _warn_of_secrets(transport.child("env"), "", report)
            _warn_of_secrets(transport.child("headers"), "", report)
            _warn_of_arguments(transport.child("args"), report)


def _servers(root: Node) -> list[Node]:
    node = root.child("servers")
    return node.elements() if node else []


def _transports(server: Node) -> list[Node]:
    """The ways to its replicas; most servers have one."""
    replicas = server.child("replicas")
    owners = [server, *(replicas.elements() if replicas else [])]
    return [found for one in owners if (found := one.child("transport")) is not None]


def _is_off(server: Node) -> bool:
    enabled = server.child("enabled")
    return enabled is not None and str(enabled.value).lower() in _FALSE


def _check_auth(root: Node, report: Report) -> None:
    host, auth = root.at("server", "host"), root.at("server", "auth")
    name = host.text() if host else _DEFAULT_HOST
    if host is None or name is None or host.spoiled or is_loopback(name):
        return
    if auth is None or auth.value is None:
        hint = 'set server.auth.tokens: ["${ONLY1MCP_TOKEN}"], or server.auth: none to let all in'
        message = f"other machines can reach host {host.said()}, so server.auth is required"
        report.error(host.place, message, hint)
    elif auth.value == "none":
        report.warn(auth.place, f"anybody who can reach host {host.said()} may use all servers")


def _check_tls(root: Node, report: Report) -> None:
    cert, key = root.at("server", "tls", "cert"), root.at("server", "tls", "key")
    usable = [_readable(node, report) for node in (cert, key) if node is not None]
    if cert is None or key is None or len(usable) < 2 or not all(usable):
        return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(cert.value), str(key.value), password="")  # else it would ask
    except (ssl.SSLError, OSError, ValueError):
        hint = "both are PEM files, the key without a passphrase"
        report.error(cert.place, "cert and key do not load as a certificate and its key", hint)


def _readable(node: Node, report: Report) -> bool:
    if not isinstance(node.value, str) or not node.value or node.spoiled or "\0" in node.value:
        return False
    try:
        with Path(node.value).open("rb"):
            return True
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        report.error(node.place, f"cannot read {node.said()!r}: {reason}")
        return False


def _check_ids(root: Node, report: Report) -> None:
    first: dict[str, Node] = {}
    for server in _servers(root):
        node = server.child("id")
        name = node.text() if node else None
        if node is None or name is None or node.spoiled:
            continue
        if (other := first.setdefault(name, node)) is not node:
            place = other.place
            at = f"{place.source}:{place.line}:{place.column}" if place.line else place.source
            report.error(node.place, f"server id {node.said()!r} is taken", f"the first is at {at}")


def _check_some_server(root: Node, report: Report) -> None:
    if all(map(_is_off, _servers(root))):
        node = root.child("servers") or root
        report.warn(node.spot, "no server is enabled, so clients will see no tools")


def _check_tools(server: Node, report: Report) -> None:
    rename = server.at("tools", "rename")
    first: dict[str, str] = {}
    for tool, node in (rename.mapping() if rename else {}).items():
        new = node.text()
        if new is not None and first.setdefault(new, tool) != tool:
            message = f"{tool!r} would be renamed to {node.said()!r}, as {first[new]!r} is"
            report.error(node.place, message, "give each tool a name of its own")
    allow = server.at("tools", "allow")
    deny = server.at("tools", "deny")
    if (allow is not None and allow.value == []) or "*" in _texts(deny):
        node = server.child("tools") or server
        report.warn(node.spot, "no tool of this server is offered")


def _check_reach(server: Node, report: Report) -> None:
    transport, replicas = server.child("transport"), server.child("replicas")
    if transport is not None and replicas is not None and replicas.value:
        report.error(replicas.spot, "replicas is given beside transport", "keep one of them")
    elif isinstance(server.value, dict) and transport is None and not (replicas and replicas.value):
        place = server.spot._replace(where=f"{server.place.where}.transport")
        report.error(place, "key 'transport' is missing", "several instances go into replicas")


def _check_era(server: Node, transport: Node, report: Report) -> None:
    protocol, kind = server.child("protocol"), transport.child("type")
    if protocol is None or kind is None or (protocol.value, kind.value) != ("modern", "sse"):
        return
    hint = "leave protocol out, or give a Streamable HTTP URL with type: http"
    report.error(protocol.place, "transport type sse knows no modern revision", hint)


def _texts(node: Node | None) -> list[str]:
    return [text for item in (node.elements() if node else []) if (text := item.text())]


def _check_program(
    server: Node,
    transport: Node,
    environ: Mapping[str, str],
    find: Callable[..., str | None],
    report: Report,
) -> None:
    """Look the program up where the child process would."""
    command = transport.child("command")
    if command is None or _is_off(server):
        return
    cwd, path = transport.at("cwd"), transport.at("env", "PATH")
    folder = Path((cwd.text() if cwd else None) or ".")
    if cwd is not None and cwd.text() and not _is_folder(folder):
        report.warn(cwd.place, f"folder {cwd.said()!r} does not exist")
    name = command.text()
    if not name or command.spoiled or "\0" in name:
        return
    search = (path.text() if path else None) or environ.get("PATH", os.defpath)
    if find(str(folder / name) if os.sep in name else name, path=search) is None:
        hint = "install it, or give its full path"
        if " " in name:
            hint = "command is the program alone; put the rest into args"
        report.warn(command.place, f"program {command.said()!r} is not found", hint)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long, or no name at all
        return False


def _warn_of_secrets(block: Node | None, variable: str, report: Report) -> None:
    """Warn of secrets written into the file itself. Their values are not repeated."""
    if block is None:
        return
    named = [("a token", node) for node in block.elements()]
    for name, node in block.mapping().items():
        if names_secret(name) or is_token(node.text() or ""):
            named.append((name, node))
    for name, node in named:
        if node.text():
            _warn_of_secret(name, node, variable or _variable(name), report)


def _warn_of_shared_tokens(root: Node, report: Report) -> None:
    """Warn of a token that opens more than the list it stands in is for."""
    seen: dict[str, str] = {}  # what it opens besides
    for place, opens in (
        (("admin_tokens",), "whoever has it may change what the gateway runs"),
        (("auth", "tokens"), "whoever has it may use all servers"),
        (("metrics_tokens",), ""),
    ):
        block = root.at("server", *place)
        found = {
            text: node for node in (block.elements() if block else ()) if (text := node.text())
        }
        for text, node in found.items():
            if text in seen:
                report.warn(node.place, seen[text], "give each list tokens of its own")
            else:
                name = ".".join(("server", *place))
                seen[text] = f"the same token is one of {name}: {opens}"


def _warn_of_arguments(args: Node | None, report: Report) -> None:
    """Warn of secrets on a command line, as far as their names tell."""
    before = ""
    for node in args.elements() if args else []:
        text = node.text() or ""
        if (found := find_secret(text, before)) is not None:
            _warn_of_secret(found[0], node, _variable(found[0]), report)
        before = text


def _warn_of_secret(name: str, node: Node, variable: str, report: Report) -> None:
    if node.written is None:
        hint = f"put it into the environment and write ${{{variable}}}"
        report.warn(node.place, f"{name}: a secret stands in the file", hint)


def _variable(name: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in name).upper()
