"""A configuration file to a Config: read, adopt, override, expand, check; all faults at once.

    text ──reader──► tree with places ──► client shapes ──► overrides ──► ${VAR}
         ──► older spellings ──► rules ──► model ──► Loaded, or ConfigError with every fault

Cost    a YAML file of 500 servers takes up to a tenth of a second, and several times that if
        ruamel has to read it: libyaml.py. To read it again costs half to seven tenths, JSON two
        fifths, as long as there is nothing to warn of: `_quiet`, checked.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from platformdirs import user_config_path
from pydantic import ValidationError

from only1mcp.config import read_json, read_toml, read_yaml, rules
from only1mcp.config.checked import Checked
from only1mcp.config.expand import expand
from only1mcp.config.faults import ConfigError, Fault, Place, Report
from only1mcp.config.foreign import adopt
from only1mcp.config.model import Config, Listener
from only1mcp.config.overrides import override
from only1mcp.config.spelling import settle
from only1mcp.config.tree import Node
from only1mcp.config.wording import report_errors

__all__ = [
    "ConfigError",
    "Fault",
    "Format",
    "Loaded",
    "check",
    "default_path",
    "find",
    "format_of",
    "load",
    "load_address",
    "load_text",
    "parse",
]

Format = Literal["yaml", "toml", "json"]

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
"""Longest file that is read: thousands of servers fit, a device or a dump does not."""
_READERS: Final[dict[Format, Callable[[str, str, Report], Node]]] = {
    "yaml": read_yaml.read,
    "toml": read_toml.read,
    "json": read_json.read,
}
_UNPLACED: Final[dict[Format, Callable[[str, str], Node | None]]] = {
    "yaml": read_yaml.unplaced,
    "json": read_json.unplaced,
}
_NAMES: Final = ("only1mcp.yaml", "only1mcp.yml", "only1mcp.toml", "only1mcp.json")
_NO_FORMAT: Final[Format] = "yaml"  # of a file that is not there
_ADDRESS: Final = ("host", "port", "tls")
_ADDRESS_VARIABLES: Final = tuple(f"ONLY1MCP_SERVER__{key.upper()}" for key in _ADDRESS)
_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration, what is odd about it, and where it came from."""

    config: Config
    warnings: tuple[Fault, ...]
    path: Path | None
    """None: no file was read."""


def load(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = _NO_OPTIONS,
    checked: Checked | None = None,
) -> Loaded:
    """Read the file, or with None the defaults, under the environment and `overrides`.

    In  overrides: dotted keys such as `server.port`; they win over environment and file.
        checked: what the load before has found valid need not be checked again.

    Raises:
        ConfigError: every fault that was found.
    """
    if path is None:
        return load_text("", "defaults", "yaml", environ, overrides)
    return check(path, _read(path), environ, overrides, checked)


def check(
    path: Path,
    text: str,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = _NO_OPTIONS,
    checked: Checked | None = None,
) -> Loaded:
    """As `load`, if this were the text of the file.

    Raises:
        ConfigError: every fault that was found.
    """
    folder = path.absolute().parent
    if checked is not None:
        root = _unplaced(text, path)
        if root is not None and (config := _quiet(root, environ, overrides, folder, checked)):
            return Loaded(config, (), path)
    report = Report()
    root = parse(text, str(path), format_of(path, text), report)
    _settle(root, environ, overrides, folder, report)
    return Loaded(_validated(root, report, checked or Checked()), report.warnings(), path)


def _unplaced(text: str, path: Path) -> Node | None:
    """The tree of a text without places, as far as it is had for less."""
    read = _UNPLACED.get(format_of(path, text))
    root = read(text, str(path)) if read is not None else None
    return root if root is not None and isinstance(root.value, dict) else None


def _quiet(
    root: Node,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    base: Path,
    checked: Checked,
) -> Config | None:
    """What a tree without places comes to, if there is nothing to say of it; None: it has to be
    read with its places. Most files that are read again are as good as they were before."""
    report = Report()
    try:
        _settle(root, environ, overrides, base, report)
        config = _validated(root, report, checked)
    except ConfigError:
        return None
    return None if report.found else config


def load_text(
    text: str,
    name: str,
    format: Format,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = _NO_OPTIONS,
    base: Path | None = None,
) -> Loaded:
    """As `load`, from a text. Faults call it `name`; file names in it start at `base`.

    Raises:
        ConfigError: every fault that was found.
    """
    report = Report()
    root = parse(text, name, format, report)
    _settle(root, environ, overrides, base or Path.cwd(), report)
    return Loaded(_validated(root, report, Checked()), report.warnings(), None)


def _settle(
    root: Node,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    base: Path,
    report: Report,
) -> None:
    """Bring what is written into what the model reads, and look at it by the rules."""
    adopt(root, environ, report)
    override(root, environ, overrides, report)
    expand(root, environ, report)
    settle(root, report)
    rules.settle_paths(root, base, environ)
    rules.check(root, environ, report)


def load_address(path: Path | None, environ: Mapping[str, str]) -> Listener:
    """Where the gateway of this file listens, for its clients: `host`, `port` and `tls` alone.

    The rest need not be right, nor its variables be set in this shell.

    Raises:
        ConfigError: the file cannot be read, or these keys have faults.
    """
    report = Report()
    text = "" if path is None else _read(path)
    name, format = (str(path), format_of(path, text)) if path else ("defaults", _NO_FORMAT)
    root = parse(text, name, format, report)
    server = root.child("server")
    said = server.mapping() if server else {}
    root.value = {"server": Node({key: said[key] for key in _ADDRESS if key in said}, root.place)}
    ours = {name: value for name, value in environ.items() if name.upper() in _ADDRESS_VARIABLES}
    override(root, ours, _NO_OPTIONS, report)
    expand(root, environ, report)
    rules.settle_paths(root, (path.absolute() if path else Path.cwd()).parent, environ)
    return _validated(root, report, Checked()).server


def find(environ: Mapping[str, str]) -> Path | None:
    """The file used when none is named: $ONLY1MCP_CONFIG, else the first in our folder."""
    if chosen := environ.get("ONLY1MCP_CONFIG"):
        return Path(chosen)
    candidates = (_folder(environ) / name for name in _NAMES)
    return next((path for path in candidates if _is_there(path)), None)


def default_path(environ: Mapping[str, str]) -> Path:
    """Where a new configuration file belongs."""
    return Path(environ.get("ONLY1MCP_CONFIG") or _folder(environ) / _NAMES[0])


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # not ours to look at: reading it will say why
        return True


def _folder(environ: Mapping[str, str]) -> Path:
    xdg = Path(environ.get("XDG_CONFIG_HOME", ""))
    if xdg.is_absolute():  # a relative one is to be ignored (XDG base directory specification)
        return xdg / "only1mcp"
    if home := environ.get("HOME"):
        return Path(home, ".config", "only1mcp")
    return user_config_path("only1mcp", appauthor=False)


def _read(path: Path) -> str:
    """The text of the file.

    Raises: ConfigError, if it cannot be read, is too long or is not UTF-8.
    """
    report = Report()
    place = Place(str(path), 0, 0, "")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        report.error(place, f"cannot be read: {reason}", "only1mcp config init writes a new one")
        raise report.failure() from None
    if len(content) > MAX_FILE_BYTES:
        report.error(place, f"longer than {MAX_FILE_BYTES} bytes")
        raise report.failure()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - before.rfind(b"\n")
        place = Place(str(path), before.count(b"\n") + 1, column, "")
        report.error(place, "not UTF-8 text", "save the file as UTF-8")
        raise report.failure() from None


def format_of(path: Path, text: str) -> Format:
    """By the ending of the name; without one of ours, by the first character."""
    match path.suffix.lower():
        case ".toml":
            return "toml"
        case ".json" | ".jsonc":
            return "json"
        case ".yaml" | ".yml":
            return "yaml"
    return "json" if text.lstrip().startswith(("{", "//", "/*")) else "yaml"


def parse(text: str, name: str, format: Format, report: Report) -> Node:
    """The tree of a text as it is written; always a block of keys.

    Raises:
        ConfigError: it is none.
    """
    root = _READERS[format](text, name, report)
    if root.value is None:
        root.value = {}
    if not isinstance(root.value, dict):
        report.error(root.place, "expected a block of keys such as server and servers")
        raise report.failure()
    return root


def _validated(root: Node, report: Report, checked: Checked) -> Config:
    try:
        config = checked.validate(root.plain())
    except ValidationError as error:
        report_errors(root, error, report)
        raise report.failure() from None
    report.fail_if_any()
    return config
