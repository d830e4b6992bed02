"""Files, formats and where they are looked for; and that only ConfigError ever comes out."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.config.load import (
    MAX_FILE_BYTES,
    ConfigError,
    Format,
    default_path,
    find,
    load,
    load_text,
)
from only1mcp.config.model import Config

FORMATS: tuple[Format, ...] = ("yaml", "toml", "json")
SAME: dict[str, str] = {
    "a.yaml": "server: {port: 9}\nservers: [{id: x, transport: {type: http, url: 'http://h'}}]\n",
    "a.yml": "server:\n  port: 9\nservers:\n- id: x\n  transport: {type: http, url: 'http://h'}",
    "a.toml": '[server]\nport = 9\n[[servers]]\nid="x"\ntransport={type="http",url="http://h"}\n',
    "a.json": '{"server": {"port": 9},'
    '\t"servers": [{"id": "x", "transport": {"type": "http", "url": "http:\\/\\/h"}}]}',
    "a.conf": "server: {port: 9}\nservers: [{id: x, transport: {type: http, url: 'http://h'}}]\n",
    "mcp": '\n{"server": {"port": "9"}, "mcpServers": {"x": {"url": "http://h"}}}',
}


def test_every_format_says_the_same(tmp_path: Path) -> None:
    found = []
    for name, text in SAME.items():
        path = tmp_path / name
        path.write_text(text)
        loaded = load(path, {})
        assert (loaded.path, loaded.warnings) == (path, ())
        found.append(loaded.config)
    assert all(config == found[0] for config in found)
    assert (found[0].server.port, found[0].servers[0].id) == (9, "x")


def fault(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    return str(caught.value).replace(str(path), "f")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    assert fault(path) == (
        "f: cannot be read: No such file or directory; only1mcp config init writes a new one"
    )
    assert fault(tmp_path).startswith("f: cannot be read: Is a directory")
    assert "not a file name" in fault(Path("\0"))
    path.write_bytes(b"server:\n  host: \xff\n")
    assert fault(path) == "f:2:9: not UTF-8 text; save the file as UTF-8"
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    assert fault(path) == f"f: longer than {MAX_FILE_BYTES} bytes"


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.toml", "a.json"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + SAME[name].encode())
        assert load(tmp_path / name, {}).config.server.port == 9


def test_without_a_file_there_are_defaults_and_overrides() -> None:
    loaded = load(None, {"ONLY1MCP_SERVER__PORT": "9"}, {"logging.level": "debug"})
    assert (loaded.config.server.port, loaded.config.logging.level) == (9, "debug")
    assert loaded.path is None


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_file_is_the_default(format: Format) -> None:
    assert load_text("", "f", format, {}).config == Config()


def test_yaml_null_is_the_default() -> None:
    assert load_text("~", "f", "yaml", {}).config == Config()


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    folder = tmp_path / ".config" / "only1mcp"
    assert find(home) is None
    assert default_path(home) == folder / "only1mcp.yaml"
    folder.mkdir(parents=True)
    for name in ("json", "toml", "yml", "yaml"):
        path = folder / f"only1mcp.{name}"
        path.touch()
        assert find(home) == path


def test_xdg_and_our_own_variable_come_first(tmp_path: Path) -> None:
    xdg = {"HOME": "/nonexistent", "XDG_CONFIG_HOME": str(tmp_path)}
    assert default_path(xdg) == tmp_path / "only1mcp" / "only1mcp.yaml"
    named = xdg | {"ONLY1MCP_CONFIG": str(tmp_path / "no.yaml")}
    assert find(named) == default_path(named) == tmp_path / "no.yaml"
    relative = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "here"}
    assert default_path(relative) == tmp_path / ".config" / "only1mcp" / "only1mcp.yaml"


def test_without_a_home_the_platform_knows() -> None:
    assert default_path({}).name == "only1mcp.yaml"


def test_five_hundred_servers_load() -> None:
    server = {"transport": {"type": "http", "url": "http://h"}, "timeouts": {"start": "1s"}}
    text = json.dumps({"servers": [{"id": f"s{number}", **server} for number in range(500)]})
    for format in ("yaml", "json"):
        assert len(load_text(text, "f", format, {}).config.servers) == 500


def survives(text: str, format: Format) -> None:
    with suppress(ConfigError):
        load_text(text, "f", format, {"A": "secret", "PATH": ""})


PIECES = st.sampled_from(
    [
        *("server", "servers", "id", "transport", "url", "command", "a", "${A}", "${", "$", "0"),
        *(": ", ":", "\n", "  ", "\t", "- ", "[", "]", "{", "}", ",", '"', "'", "#", "=", "&a "),
        *("*a", "<<", "!", "!!int ", "|", ">", "%YAML 1.1\n", "---\n", "\\", "\\u", '"""', "'''"),
        *("[[servers]]\n", "\x00", "\ud800", "\x85", "\ufeff", "é", "1e9", ".inf", "null"),
    ]
)


@pytest.mark.parametrize("format", FORMATS)
@given(text=st.text() | st.lists(PIECES).map("".join))
def test_any_text_loads_or_is_a_config_error(format: Format, text: str) -> None:
    survives(text, format)


KEYS = st.sampled_from(
    [
        *(
            "server",
            "servers",
            "mcpServers",
            "host",
            "port",
            "auth",
            "tokens",
            "tls",
            "cert",
            "key",
        ),
        *("id", "enabled", "disabled", "transport", "type", "command", "args", "env", "cwd", "url"),
        *("headers", "tools", "allow", "deny", "rename", "timeouts", "start", "start_ms", "x"),
        *("bearer_token_env_var", "env_vars", "includeTools", "drain_timeout_seconds", "naming"),
    ]
)
SCALARS = st.sampled_from(
    [
        *(None, True, 0, -1, 8080, 1.5, 1e999, 10**400, "", "x", "stdio", "http", "sse", "none"),
        *("0.0.0.0", "::1", "http://h", "http://[", "http://u:p@h:1/?a=b", "${A}", "${B:-z}"),
        *("${input:x}", "$$", "30s", "\ud800", "\x00", "*", "~", "~/x", "x" * 5000, "9" * 5000),
    ]
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(DOCUMENTS)
def test_any_document_loads_or_is_a_config_error(document: Any) -> None:
    text = json.dumps(document)
    survives(text, "json")
    survives(text, "yaml")
