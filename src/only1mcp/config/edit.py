"""Changes one server in the text of a configuration file and leaves all else as it is written.

    add, change, remove ──► where the server stands ──► steps (put, append, drop a path)
                        ──► carried out in the text: edit_yaml, tomlkit, or JSON written anew

Comments, `${VARIABLES}`, order and spelling stay. A server that stands in a client's block
(`mcpServers` and the like) stays there, with the keys that mean the same in both.
Rule    load the result and look whether it says what was wanted: an alias or an environment
        variable may have a say too. JSON with comments is not edited: they would be lost.
Raises  NoServer and NotEditable; ConfigError, if the text cannot be read at all.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from ruamel.yaml.error import YAMLError

from only1mcp.config import edit_yaml, read_json
from only1mcp.config.edit_yaml import BY_HAND, NotEditable
from only1mcp.config.faults import Report
from only1mcp.config.foreign import places
from only1mcp.config.load import Format, parse
from only1mcp.config.model import Config
from only1mcp.config.tree import Node, Path

__all__ = ["NoServer", "NotEditable", "add", "change", "remove"]

Patch = Mapping[str, Any]

_SAME_IN_BOTH: Final = ("enabled", "protocol", "timeouts", "tools")
"""Keys of a server that mean the same in a client's block."""
_TRANSPORT: Final = ("command", "args", "env", "cwd", "url", "headers")
_MOVE: Final = "move the server to a list under `servers` first"


class NoServer(Exception):
    """The text has no server of this id."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: put a value at `path`, append it to the list there, or drop what is there."""

    do: Literal["put", "append", "drop"]
    path: Path
    value: Any = None


def add(text: str, format: Format, server: Mapping[str, Any]) -> str:
    """The text with one more server, given as the file would have it.

    In a file that is a client's, in that client's format.
    """
    root = _read(text, format)
    blocks = [block for block, _ in places(root).values()]
    if blocks and not any(key in root.mapping() for key in Config.model_fields if key != blocks[0]):
        step = Step("put", (blocks[0], server["id"]), _flat(server))
    elif (own := root.child("servers")) is not None and own.elements():
        step = Step("append", ("servers",), server)
    else:
        step = Step("put", ("servers",), [server])
    return _WRITERS[format](text, [step])


def change(text: str, format: Format, id: str, patch: Patch) -> str:
    """The text with a server changed by a JSON merge patch (RFC 7396): None drops a key.

    Beyond it, a transport of another `type` replaces the one that is there.
    """
    root = _read(text, format)
    path = _find(root, id)
    node = root.at(*path)
    assert node is not None
    entry: dict[str, Any] = node.plain()
    if isinstance(path[1], str):
        steps = _merge(path, entry, _in_block(patch, entry, path))
    else:
        steps = _merge(path, entry, patch)
    return _WRITERS[format](text, list(steps))


def remove(text: str, format: Format, id: str) -> str:
    """The text without a server."""
    return _WRITERS[format](text, [Step("drop", _find(_read(text, format), id))])


def _read(text: str, format: Format) -> Node:
    return parse(text, "configuration", format, Report())


def _find(root: Node, id: str) -> Path:
    """Where the server of this id stands."""
    own = root.child("servers")
    for index, entry in enumerate(own.elements() if own else ()):
        if (said := entry.child("id")) is not None and said.value == id:
            return ("servers", index)
    try:
        return places(root)[id]
    except KeyError:
        raise NoServer from None


def _flat(server: Mapping[str, Any]) -> dict[str, Any]:
    """A server as clients write it."""
    rest = {key: value for key, value in server.items() if key not in ("id", "transport")}
    if not rest.keys() <= {*_SAME_IN_BOTH} or not isinstance(server.get("transport"), Mapping):
        allowed = ", ".join(("transport", *_SAME_IN_BOTH))
        raise NotEditable(
            f"the file has its servers in a client's format, which knows only {allowed}; "
            "move them to a list under `servers` first"
        )
    transport = dict(server["transport"])
    if transport.get("type") == "stdio":
        del transport["type"]
    return transport | rest


def _in_block(patch: Patch, entry: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A patch as it is for an entry of a client's block."""
    if odd := sorted(set(patch) - {*_SAME_IN_BOTH, "transport"}):
        raise NotEditable(f"{path[0]}.{path[1]} is in a client's format, without {odd[0]}; {_MOVE}")
    found = {key: value for key, value in patch.items() if key != "transport"}
    if "enabled" in found and "disabled" in entry:
        found["disabled"] = None
    transport = patch.get("transport", {})
    if isinstance(entry.get("transport"), dict):
        return dict(patch)
    if not isinstance(transport, Mapping):
        raise NotEditable(f"{path[0]}.{path[1]} is in a client's format; {_MOVE}")
    other = dict.fromkeys(_TRANSPORT) if "type" in transport else {}
    return {**found, **other, **transport}


def _merge(path: Path, old: Any, patch: Patch) -> Iterator[Step]:
    for key, value in patch.items():
        here = (*path, key)
        was = old.get(key) if isinstance(old, dict) else None
        if value is None:
            if isinstance(old, dict) and key in old:
                yield Step("drop", here)
        elif isinstance(value, Mapping) and isinstance(was, dict) and was:
            if value.get("type", was.get("type")) == was.get("type"):
                yield from _merge(here, was, value)
            else:
                yield Step("put", here, _without_none(value))
        elif value != was or type(value) is not type(was):
            yield Step("put", here, _without_none(value))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


# --- the text ---


def _in_yaml(text: str, steps: list[Step]) -> str:
    try:
        for step in steps:
            text = edit_yaml.ACTIONS[step.do](text, step.path, step.value)
    except (YAMLError, ValueError, IndexError):  # some way to write YAML that nobody thought of
        raise NotEditable(f"it is {BY_HAND}") from None
    return text


def _in_json(text: str, steps: list[Step]) -> str:
    if read_json.uncommented(text) != text:
        raise NotEditable("JSON is written anew, without its comments; edit the file by hand")
    root = json.loads(read_json.strict(text)) if text.strip() else {}
    for step in steps:
        _do(root, step)
    indent = re.search(r"\n([ \t]+)\S", text)
    end = "\n" if text.endswith("\n") or not text else ""
    return json.dumps(root, indent=indent[1] if indent else None, ensure_ascii=False) + end


def _in_toml(text: str, steps: list[Step]) -> str:
    import tomlkit  # 8 ms, which a gateway saves whose file nobody edits in this way
    from tomlkit.exceptions import TOMLKitError

    try:
        root = tomlkit.parse(text)
        for step in steps:
            _do(root, step)
        return tomlkit.dumps(root)
    except TOMLKitError as error:
        raise NotEditable(f"this TOML cannot be written: {error}; edit the file by hand") from None


_WRITERS: Final[dict[Format, Callable[[str, list[Step]], str]]] = {
    "yaml": _in_yaml,
    "json": _in_json,
    "toml": _in_toml,
}


def _do(root: MutableMapping[str, Any], step: Step) -> None:
    """Carry out a step in a tree of mappings and lists."""
    *way, last = step.path
    block: Any = root
    for part in way:
        block = block[part]
    match step.do:
        case "put":
            block[last] = step.value
        case "append":
            block[last].append(step.value)
        case "drop":
            del block[last]
