"""Other spellings of our keys: what is read all the same, and what a misspelt key meant.

Durations written the way of the Rust Only1MCP (`drain_timeout_seconds: 30`) are read with a
warning. Keys of other gateways and clients are refused with a hint that names ours.
"""

from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from only1mcp.config import shape
from only1mcp.config.faults import Report
from only1mcp.config.model import Config
from only1mcp.config.tree import Node
from only1mcp.config.values import Model

_UNITS: Final = {"_seconds": "s", "_secs": "s", "_sec": "s", "_s": "s", "_ms": "ms"}

_LATER: Final = "this version has no such setting; remove it"
_HINTS: Final[dict[str, dict[str, str]]] = {
    "Config": {
        "auth": "it belongs under server: server.auth.tokens",
        "backends": "write servers",
        "circuit_breaker": "it belongs into each server",
        "host": "it belongs under server: server.host",
        "inputs": "write ${VARIABLE} where the input was used",
        "log_level": "write logging.level",
        "mcp": "write the servers under servers, or in their client's format under mcpServers",
        "observability": "write logging.level and logging.format",
        "port": "it belongs under server: server.port",
        "proxy": "host, port and max_connections belong under server",
        "routing": "write load_balancing in each server",
        "tls": "it belongs under server: server.tls.cert and server.tls.key",
        "upstreams": "write servers",
    },
    "Listener": {
        "address": "write host",
        "api_keys": "write auth.tokens",
        "bind": "write host and port",
        "cors": "write allowed_origins",
        "listen": "write host and port",
        "max_body_size": "write max_body_bytes",
        "request_timeout": "write timeouts.call_max in each server",
        "request_timeout_ms": "write timeouts.call_max in each server",
        "shutdown_timeout": "write drain_timeout",
        "tokens": "write auth.tokens",
    },
    "Auth": {
        "api_keys": "write tokens",
        "keys": "write tokens",
        "token": "write tokens, a list",
    },
    "Tls": {
        "cert_file": "write cert",
        "cert_path": "write cert",
        "certificate": "write cert",
        "enabled": "TLS is on when this block is there; remove the key",
        "key_file": "write key",
        "key_path": "write key",
        "private_key": "write key",
    },
    "Server": {
        "args": "it belongs under transport: transport.args",
        "command": "it belongs under transport: {type: stdio, command: ...}",
        "cwd": "it belongs under transport: transport.cwd",
        "disabled": "write enabled: false",
        "endpoint": "write transport: {type: http, url: ...}",
        "env": "it belongs under transport: transport.env",
        "headers": "it belongs under transport: transport.headers",
        "limits": "write concurrency",
        "name": "write id",
        "retries": "write retry",
        "routing": "write load_balancing",
        "timeout": "write timeouts.call_idle or timeouts.call_max",
        "timeout_ms": "write timeouts.call_idle or timeouts.call_max",
        "type": "it belongs under transport: transport.type",
        "url": "it belongs under transport: {type: http, url: ...}",
        "weight": "it belongs into replicas: [{transport: ..., weight: ...}]",
    },
    "Stdio": {
        "cmd": "write command",
        "environment": "write env",
        "envs": "write env",
        "url": "a server with a URL has type: http",
        "headers": "a server with headers has type: http",
        "workdir": "write cwd",
        "working_dir": "write cwd",
        "working_directory": "write cwd",
    },
    "Http": {
        "args": "only a program (type: stdio) has it",
        "cwd": "only a program (type: stdio) has it",
        "env": "only a program (type: stdio) has it",
        "command": "a server that is a program has type: stdio",
        "endpoint": "write url",
        "httpUrl": "write url",
        "http_headers": "write headers",
        "serverUrl": "write url",
        "timeout": "write timeouts in the server, beside transport",
        "timeout_ms": "write timeouts in the server, beside transport",
    },
    "Sse": {
        "command": "a server that is a program has type: stdio",
        "endpoint": "write url",
        "timeout": "write timeouts in the server, beside transport",
    },
    "Tools": {
        "disabled": "write deny",
        "enabled": "write allow",
        "exclude": "write deny",
        "include": "write allow",
    },
    "Cache": {
        "max_entries": "write capacity in l1, l2 and l3",
        "ttl": "write ttl in l1, l2 and l3",
        "ttl_seconds": "write ttl in l1, l2 and l3",
    },
    "Batching": {"max_batch_size": "write max_size", "methods": "it goes for what may be cached"},
    "Logging": {"log_level": "write level", "output": "logs go to stderr; redirect it"},
}
_NOT_YET: Final = {
    "Config": "context_optimization",
    "Listener": "admin worker_threads workers",
    "Server": "connection_pool pool rate_limit",
}
_WORDS: Final = {
    "local": "stdio",
    "remote": "http",
    "streamable_http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "trace": "debug",
    "warn": "warning",
    "pretty": "text",
}


def hint_for_key(model: type[Model], key: str) -> str | None:
    """What an unknown key of this block probably means."""
    if known := _HINTS.get(model.__name__, {}).get(key):
        return known
    if key in _NOT_YET.get(model.__name__, "").split():
        return _LATER
    near = get_close_matches(key.lower(), list(model.model_fields), n=1)
    return f"did you mean {near[0]!r}?" if near else None


def hint_for_word(word: Any, known: list[str]) -> str | None:
    """What a value that is none of the `known` words probably means."""
    meant = _WORDS.get(str(word))
    near = [meant] if meant in known else get_close_matches(str(word).lower(), known, n=1)
    return f"did you mean {near[0]!r}?" if near else None


def settle(root: Node, report: Report) -> None:
    """Bring tolerated spellings into ours: older duration keys, and blocks left blank."""
    _settle(root, Config, report)


def _settle(node: Node, model: type[Model], report: Report) -> None:
    if not isinstance(node.value, dict):
        return
    keys = _keys(model)
    for key, child in [*node.value.items()]:
        if key not in keys:
            _rename_duration(node.value, key, model, report)
        if (found := keys.get(key)) is None:
            continue
        is_list, blocks = found
        if child.value is None:
            _fill_blank(node.value, key, child, is_list)
            continue
        for inner in child.elements() or [child]:
            if not isinstance(inner.value, dict):
                continue
            kind = inner.child("type")
            if block := shape.pick(blocks, kind.text() if kind else None):
                _settle(inner, block, report)


@cache
def _keys(model: type[Model]) -> dict[str, tuple[bool, tuple[type[Model], ...]] | None]:
    """The keys of a block; for those that hold blocks or lists, whether a list, and of which
    blocks."""
    return {
        key: (shape.is_list(field), shape.blocks(field.annotation))
        if shape.is_container(field)
        else None
        for key, field in model.model_fields.items()
    }


def _fill_blank(entries: dict[str, Node], key: str, node: Node, is_list: bool) -> None:
    """`servers:` with everything under it commented out is an empty list."""
    if is_list:
        node.value = []
    else:
        del entries[key]


def _rename_duration(
    entries: dict[str, Node], key: str, model: type[Model], report: Report
) -> None:
    """`start_ms: 500` is read as `start: 500ms`."""
    for suffix, unit in _UNITS.items():
        name = key.removesuffix(suffix)
        field = model.model_fields.get(name)
        if name == key or field is None or not shape.is_duration(field):
            continue
        node = entries.pop(key)
        if name in entries:
            report.error(node.spot, f"{key} is given beside {name}", f"keep {name} alone")
            return
        if isinstance(node.value, int | float | str) and not isinstance(node.value, bool):
            text = str(node.value).strip()
            node.value = f"{text}{unit}" if text.replace(".", "", 1).isdigit() else text
        report.warn(node.spot, f"{key} is an older spelling", f"write {name} with a unit: 30s")
        entries[name] = node
        return
