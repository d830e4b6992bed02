"""One server as a client writes it, turned into one of ours.

Keys that choose tools or set deadlines keep their effect; keys of the client's own screens are
passed over, and any other key is named in a warning, since its author may count on it.
"""

from collections.abc import Callable, Mapping
from typing import Final

from only1mcp.config.faults import Report
from only1mcp.config.spelling import hint_for_word
from only1mcp.config.tree import Node

_Path = tuple[str, ...]

_PLACES: Final[dict[str, tuple[_Path, ...]]] = {
    "command": (("transport", "command"),),
    "args": (("transport", "args"),),
    "env": (("transport", "env"),),
    "cwd": (("transport", "cwd"),),
    "url": (("transport", "url"),),
    "serverUrl": (("transport", "url"),),
    "httpUrl": (("transport", "url"),),
    "headers": (("transport", "headers"),),
    "http_headers": (("transport", "headers"),),
    "enabled": (("enabled",),),
    "protocol": (("protocol",),),
    "timeouts": (("timeouts",),),
    "startup_timeout_sec": (("timeouts", "start"),),
    "startup_timeout_ms": (("timeouts", "start_ms"),),
    "tool_timeout_sec": (("timeouts", "call_idle"), ("timeouts", "call_max")),
    "enabled_tools": (("tools", "allow"),),
    "includeTools": (("tools", "allow"),),
    "disabled_tools": (("tools", "deny"),),
    "disabledTools": (("tools", "deny"),),
    "excludeTools": (("tools", "deny"),),
}
"""Key of a client -> where its value belongs in one of our servers."""
_TYPES: Final = {
    "stdio": "stdio",
    "local": "stdio",
    "http": "http",
    "remote": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
_WHOLE: Final = ("env", "headers", "http_headers", "timeouts", "tools")
"""Whole blocks, taken first: other keys add to them."""
_URL_KEYS: Final = ("url", "serverUrl", "httpUrl")
_SILENT: Final = frozenset(
    {
        *("alwaysAllow", "autoApprove", "description", "displayName", "gallery", "icon"),
        *("name", "required", "source", "title", "trust", "version"),
    }
)
"""Keys that steer the client's own screens: passing them over changes nothing."""


def server_of(
    entry: Node, server_id: str, environ: Mapping[str, str], report: Report
) -> Node | None:
    """The entry as one of our servers; None if it is reported, or disabled and unusable."""
    if not isinstance(entry.value, dict):
        report.error(entry.place, "expected a block with command or url")
        return None
    server = Node({"id": Node(server_id, entry.spot, entry.key)}, entry.place, entry.key)
    own = entry.child("transport")
    if own is not None and isinstance(own.value, dict):
        server.mapping()["transport"] = own
    elif (kind := _kind(entry, report)) is None:
        return None
    else:
        _put(server, ("transport", "type"), kind, report)
    for key, node in sorted(entry.mapping().items(), key=lambda item: item[0] not in _WHOLE):
        _take(key, node, server, environ, report)
    return server


def _kind(entry: Node, report: Report) -> Node | None:
    """stdio, http or sse, as said or as the keys tell; None when there is nothing to use."""
    said = entry.child("type") or entry.child("transport")
    if said is not None:
        return _said_kind(entry, said, report)
    urls = [node for key in _URL_KEYS if (node := entry.child(key)) is not None]
    if bool(urls) == (entry.child("command") is not None):
        report.error(entry.spot, "expected either command (a program) or url")
        return None
    return Node("http" if urls else "stdio", entry.place, entry.key)


def _said_kind(entry: Node, said: Node, report: Report) -> Node | None:
    kind = said.text() or ""
    if kind in _TYPES:
        return Node(_TYPES[kind], said.place, said.key)
    hint = hint_for_word(kind, ["stdio", "http", "sse"])
    report.error(said.place, f"{said.place.where}: expected stdio, http or sse", hint)
    return None


def _take(key: str, node: Node, server: Node, environ: Mapping[str, str], report: Report) -> None:
    if key in _PLACES:
        for path in _PLACES[key]:
            _put(server, path, node, report)
    elif key in _FROM_ENVIRON:
        _FROM_ENVIRON[key](node, server, environ, report)
    elif key == "tools":
        _put(
            server, ("tools", "allow") if isinstance(node.value, list) else ("tools",), node, report
        )
    elif key == "disabled":
        _take_disabled(node, server, report)
    elif key not in _SILENT and key not in ("type", "transport"):
        report.warn(node.spot, f"key {key!r} of the client does nothing here")


def _take_disabled(node: Node, server: Node, report: Report) -> None:
    if isinstance(node.value, bool):
        _put(server, ("enabled",), Node(not node.value, node.place, node.key), report)
    else:
        report.error(node.place, "disabled: expected true or false")


def _take_bearer(node: Node, server: Node, environ: Mapping[str, str], report: Report) -> None:
    """Codex `bearer_token_env_var: NAME`."""
    if (token := _from_environ(node, environ, report)) is not None:
        token.value = f"Bearer {token.value}"
        _put(server, ("transport", "headers", "Authorization"), token, report)


def _take_headers(node: Node, server: Node, environ: Mapping[str, str], report: Report) -> None:
    """Codex `env_http_headers: {Header: NAME}`."""
    for header, name in node.mapping().items():
        if (value := _from_environ(name, environ, report)) is not None:
            _put(server, ("transport", "headers", header), value, report)


def _take_variables(node: Node, server: Node, environ: Mapping[str, str], report: Report) -> None:
    """Codex `env_vars: [NAME]`: handed on if they are set."""
    for name in node.elements():
        text = name.text()
        if text is not None and text in environ:
            value = Node(environ[text], name.place, name.key, written=text)
            _put(server, ("transport", "env", text), value, report)


_FROM_ENVIRON: Final[dict[str, Callable[[Node, Node, Mapping[str, str], Report], None]]] = {
    "bearer_token_env_var": _take_bearer,
    "env_http_headers": _take_headers,
    "env_vars": _take_variables,
}


def _from_environ(name: Node, environ: Mapping[str, str], report: Report) -> Node | None:
    """The value of the variable that is named here."""
    text = name.text()
    if text is None or text not in environ:
        report.error(name.place, f"variable {text or '(no name)'} is not set")
        return None
    return Node(environ[text], name.place, name.key, written=text)


def _put(server: Node, path: _Path, value: Node, report: Report) -> None:
    block = server
    for part in path[:-1]:
        block = block.mapping().setdefault(part, Node({}, server.place, server.key))
    if path[-1] in block.mapping():
        report.error(value.spot, f"{'.'.join(path)} is given twice, under two names")
    else:
        block.mapping()[path[-1]] = value
