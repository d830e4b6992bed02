"""`${VAR}` and `${VAR:-default}` in values, from the environment.

One pass, no nesting, keys untouched; `$$` is a plain `$`, and a `$` before anything else stays.
As in a shell, the default also stands in for a variable that is set but empty.
`${env:VAR}`, as some clients write it, means the same.
"""

import re
from collections.abc import Mapping
from typing import Final

from only1mcp.config.faults import Place, Report
from only1mcp.config.tree import Node

_TOKEN: Final = re.compile(r"\$(?:\$|\{(?P<body>[^{}]*)\}|\{)")
_VARIABLE: Final = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def expand(root: Node, environ: Mapping[str, str], report: Report) -> None:
    """Put the variables into every text of the tree; what cannot be is reported and spoiled."""
    value = root.value
    if isinstance(value, dict | list):
        for node in value.values() if isinstance(value, dict) else value:
            expand(node, environ, report)
    elif isinstance(value, str) and "$" in value and root.written is None:
        _expand_text(root, value, environ, report)


def _expand_text(node: Node, text: str, environ: Mapping[str, str], report: Report) -> None:
    parts: list[str] = []
    end = 0
    for match in _TOKEN.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match.group() == "$$":
            parts.append("$")
            continue
        value = _value(match["body"], environ, node.place, report)
        node.spoiled = node.spoiled or value is None
        node.written = text
        parts.append(value or "")
    node.value = "".join((*parts, text[end:]))


def _value(
    body: str | None, environ: Mapping[str, str], place: Place, report: Report
) -> str | None:
    """What `${body}` stands for; None when it is reported."""
    if body is not None and (match := _VARIABLE.fullmatch(body)):
        name, default = match.groups()
        value = environ.get(name)
        if value is not None and (value or default is None):
            return value
        if default is None:
            hint = f"set it in the environment, or write ${{{name}:-default}}"
            report.error(place, f"variable {name} is not set", hint)
        return default
    if body is not None and body.startswith("input:"):
        hint = "write ${VARIABLE} and set it in the environment"
        report.error(place, "${input:...} is a question of VS Code; the gateway asks none", hint)
        return None
    # the text is not shown: it may be a password with a $ in it
    message = "found ${ that begins neither ${VARIABLE} nor ${VARIABLE:-default}"
    report.error(place, message, "write $$ for a plain $")
    return None
