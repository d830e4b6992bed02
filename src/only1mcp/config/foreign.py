"""The servers of a client's own file, read as they stand.

`mcpServers` (Claude, Cursor, Windsurf, Cline, Gemini, Copilot), `servers` as a block (VS Code),
`context_servers` (Zed) and `mcp_servers` (Codex), as the whole file or beside our own keys:

    {name: {command, args, env, cwd} | {url, headers}}  ->  servers: [{id, transport}]
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from only1mcp.config.entry import server_of
from only1mcp.config.faults import Report
from only1mcp.config.model import Config
from only1mcp.config.tree import Node

CLIENT_KEYS: Final = ("mcpServers", "mcp_servers", "context_servers")
"""Where clients keep their servers, besides `servers` as a block."""
_LEGAL_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ID_LENGTH: Final = 32
_NAMED: Final = 8  # keys that one warning lists


def adopt(root: Node, environ: Mapping[str, str], report: Report) -> None:
    """Move the servers of clients' blocks to the end of our own `servers`."""
    entries = root.mapping()
    entries.pop("$schema", None)  # for editors
    taken = [key for key in (*CLIENT_KEYS, "servers") if _is_clients(key, entries.get(key))]
    named = list(_servers([entries.pop(key) for key in taken], report))
    if taken and not any(key in entries for key in Config.model_fields):
        _leave_out(entries, report)
    if not named:
        return
    own = entries.get("servers") or Node([], root.place._replace(where="servers"), root.key)
    if own.value is None:
        own.value = []
    ids = _ids([name for name, _ in named], own)
    for name, node in named:
        if ids[name] != name:
            report.warn(node.spot, f"{name!r} is not a legal id", f"it is {ids[name]!r} here")
        if (server := server_of(node, ids[name], environ, report)) is not None:
            own.elements().append(server)
    entries["servers"] = own


def places(root: Node) -> dict[str, tuple[str, str]]:
    """Where the servers of clients' blocks stand: block and name, by the id that each has here."""
    entries = root.mapping()
    blocks = [key for key in (*CLIENT_KEYS, "servers") if _is_clients(key, entries.get(key))]
    found = [(block, name) for block in blocks for name in entries[block].mapping()]
    own = entries.get("servers", root)
    ids = _ids([name for _, name in found], own)
    return {ids[name]: (block, name) for block, name in found}


def _is_clients(key: str, node: Node | None) -> bool:
    return node is not None and (key != "servers" or isinstance(node.value, dict))


def _servers(blocks: Iterable[Node], report: Report) -> Iterator[tuple[str, Node]]:
    for block in blocks:
        if not isinstance(block.value, dict | None):
            report.error(block.place, f"{block.place.where}: expected a block of servers by name")
        yield from block.mapping().items()


def _leave_out(entries: dict[str, Node], report: Report) -> None:
    """Drop what a client keeps in its file for itself, unless it is nearly one of our keys."""
    ours = list(Config.model_fields)
    others = [key for key in entries if not get_close_matches(key, ours, n=1, cutoff=0.8)]
    if not others:
        return
    names = ", ".join(others[:_NAMED]) + (" and more" if len(others) > _NAMED else "")
    report.warn(entries[others[0]].spot, f"keys of the client that do nothing here: {names}")
    for key in others:
        del entries[key]


def _ids(names: list[str], own: Node) -> dict[str, str]:
    """A legal id for each name; a legal name is its own, whatever else there is."""
    chosen = {name: name for name in names if _LEGAL_ID.fullmatch(name)}
    given = (node.child("id") for node in own.elements())
    taken = {*chosen, *(node.text() for node in given if node)}
    for name in names:
        if name not in chosen:
            chosen[name] = _slug(name, taken)
            taken.add(chosen[name])
    return chosen


def _slug(name: str, taken: set[str | None]) -> str:
    """`My Server!` is `my-server`, or `my-server-2` if that is taken."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_ID_LENGTH].rstrip("-")
    base = base or "server"
    slug, number = base, 1
    while slug in taken:
        number += 1
        slug = f"{base[: _ID_LENGTH - len(str(number)) - 1]}-{number}"
    return slug
