"""docs/configuration.md, made from the model: every key with type, default, range and meaning."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic.fields import FieldInfo

from only1mcp.config import shape
from only1mcp.config.model import Config
from only1mcp.config.values import Model, format_duration

_HEAD: Final = """\
# Configuration

The first part says how the file is found and read; the tables below it list every key and are
made from the same types that check the file.

## The file

`only1mcp run -c FILE` names it. Without `-c` it is `$ONLY1MCP_CONFIG`, else the first of
`only1mcp.yaml`, `only1mcp.yml`, `only1mcp.toml` and `only1mcp.json` in
`$XDG_CONFIG_HOME/only1mcp` or `~/.config/only1mcp`. YAML 1.2, TOML and JSON say the same:

```yaml
server:
  port: 8080
servers:
  - id: memory
    transport: {type: stdio, command: npx, args: ["-y", "@modelcontextprotocol/server-memory"]}
  - id: search
    transport:
      type: http
      url: https://search.example/mcp
      headers: {Authorization: "Bearer ${SEARCH_TOKEN}"}
```

`only1mcp config init` writes a commented file to start from, `only1mcp validate` lists every
fault with file, line and column, and `only1mcp config show` prints what is in force without its
secrets. A JSON file may name its schema (`only1mcp config schema`) in `$schema`.

## Values from the environment

- `${NAME}` in a value is replaced by the variable; a variable that is not set is a fault.
- `${NAME:-default}` falls back to the default if the variable is not set or empty.
- `$$` is a plain `$`. Keys are left alone, and what a variable holds is not expanded again.
- Keep secrets there: one that stands in the file itself draws a warning, if its key tells that it
  is one, or its beginning, as that of tokens of well-known services does (`ghp_`, `sk-`, …).

A whole setting can come from the environment too: `ONLY1MCP_SERVER__PORT=9000` is `server.port`,
two underscores for each dot; lists and blocks are written as JSON. Options of the command line
win over the environment, the environment over the file, the file over the defaults.

## Servers in a client's format

A client's own file is read as it stands, and its block may also be pasted into ours: `mcpServers`
(Claude, Cursor, Windsurf, Cline, Gemini, Copilot), `servers` as a block of names (VS Code),
`context_servers` (Zed) and `mcp_servers` (Codex).

```json
{"mcpServers": {
  "memory": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-memory"]},
  "search": {"url": "https://search.example/mcp", "headers": {"X-Key": "${SEARCH_KEY}"}}}}
```

A name that is no legal id is changed to one, and a warning says to which. An entry that leads
back to the gateway itself, by whatever address and through other gateways too, is not used: its
state says so, and it may stay where the client needs it. Comments, and a
comma after the last element, do no harm in JSON.

## How old a list may be

What a server offers is kept until it says list_changed, for as long as it says itself (`ttlMs`) or
else as `cache` says. A server that declares no `listChanged` for a list and gives no time is
asked again when a client lists and the list is older than 5 seconds, once for all clients who ask
meanwhile; other clients then hear of a change as of any other.

## Durations

`500ms`, `30s`, `5m`, `1h`, or a number of seconds. `start_seconds: 30` and `start_ms: 500`, the
older spellings, are read with a warning.
"""


def reference_page() -> str:
    """The whole page, as Markdown."""
    parts = [_HEAD, "## Keys\n"]
    shown: set[type[Model]] = set()
    for path, model in _sections(Config, ""):
        if model in shown:  # the same block in a second place, such as the transport of a replica
            continue
        shown.add(model)
        parts += [f"### {path}\n", f"{_one_line(model.__doc__ or '')}\n", _table(model)]
    return "\n".join(parts)


def _sections(model: type[Model], path: str) -> Iterator[tuple[str, type[Model]]]:
    """Each block of keys under the path by which a reader finds it."""
    yield f"`{path}`" if path else "Top level", model
    for name, field in model.model_fields.items():
        here = f"{path}.{name}".lstrip(".")
        if shape.is_list(field):
            here += "[]"
        blocks = shape.blocks(field.annotation)
        for block in blocks:
            kind = f" (type: {shape.block_type(block)})" if len(blocks) > 1 else ""
            for inner, inner_model in _sections(block, here):
                yield f"{inner}{kind}", inner_model


def _table(model: type[Model]) -> str:
    rows = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        cells = (f"`{name}`", _value(field), _default(name, field), field.description or "")
        rows.append("| " + " | ".join(_one_line(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _value(field: FieldInfo) -> str:
    words = shape.expected(field)
    kind = shape.alternatives(field.annotation)[0]
    if words in ("a list", "a block of names and values") and not shape.blocks(kind):
        words = f"{words}: {shape.expected_element(field)}"
    return words.removesuffix(", such as 30s")


def _default(name: str, field: FieldInfo) -> str:
    value: Any = field.default
    if field.is_required() or name == "type":
        return "required"
    if isinstance(value, Model):
        return "see below"
    if value is None:
        return "none given"
    return f"`{_written(value, field)}`"


def _written(value: Any, field: FieldInfo) -> str:
    if shape.is_duration(field):
        return format_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(repr, value))}]".replace("'", '"')
    return str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())
