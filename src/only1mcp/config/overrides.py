"""Values from outside the file: options of the command line before the environment before it.

    ONLY1MCP_SERVER__PORT=9000        server.port
    ONLY1MCP_LOGGING__LEVEL=debug     logging.level

A value is taken as it stands, `${}` included; a list or block is written as JSON.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from only1mcp.config.faults import Place, Report
from only1mcp.config.tree import Node, literal

PREFIX: Final = "ONLY1MCP_"
_STEP: Final = "__"


def override(
    root: Node, environ: Mapping[str, str], options: Mapping[str, Any], report: Report
) -> None:
    """Write the overrides into the tree. What they say wrongly is found like any other value.

    In  options: dotted keys such as `server.port`.
    """
    for name in sorted(environ):
        keys = name.removeprefix(PREFIX)
        if name.startswith(PREFIX) and _STEP in keys:
            path = keys.lower().split(_STEP)
            place = Place(f"environment variable {name}", 0, 0, ".".join(path))
            _put(root, path, literal(_value(environ[name]), place), report)
    for dotted, value in options.items():
        place = Place(f"option {dotted}", 0, 0, dotted)
        _put(root, dotted.split("."), literal(value, place), report)


def _value(text: str) -> Any:
    """JSON, if it begins like a list or a block; else the text itself."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _put(root: Node, path: Sequence[str], value: Node, report: Report) -> None:
    node = root
    for part in path[:-1]:
        child = node.child(part)
        if child is not None and isinstance(child.value, list):
            report.error(value.place, f"{part} is a list, which only the file can change in part")
            return
        if child is None or not isinstance(child.value, dict):
            child = Node({}, value.place, value.place)
            node.mapping()[part] = child
        node = child
    node.mapping()[path[-1]] = value


DEPTH: Final = "ONLY1MCP_DEPTH"
"""Set for every child, so that a gateway knows when it was started by a gateway."""


def depth(environ: Mapping[str, str]) -> int:
    """How many gateways this process is inside of: one that starts itself would never end."""
    said = environ.get(DEPTH, "")
    return int(said) if said.isascii() and said.isdigit() else 0
