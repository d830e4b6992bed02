"""One server changed in the text of a file, whatever its format."""

import json
from typing import Any

import pytest

from only1mcp.config.edit import NoServer, NotEditable, add, change, remove
from only1mcp.config.load import Format, load_text
from only1mcp.config.model import Config

HTTP = {"type": "http", "url": "http://127.0.0.1:2/mcp"}
YAML = """\
# mine
servers:
  - id: one  # first
    transport: {type: stdio, command: npx, env: {KEY: "${KEY}"}}
  - id: two
    transport: {type: http, url: "http://127.0.0.1:1/mcp"}
"""
TOML = """\
# mine
[[servers]]
id = "one"  # first
transport = { type = "stdio", command = "npx", env = { KEY = "${KEY}" } }

# the second
[[servers]]
id = "two"

[servers.transport]
type = "http"
url = "http://127.0.0.1:1/mcp"
"""
JSON = json.dumps(
    {
        "servers": [
            {
                "id": "one",
                "transport": {"type": "stdio", "command": "npx", "env": {"KEY": "${KEY}"}},
            },
            {"id": "two", "transport": {"type": "http", "url": "http://127.0.0.1:1/mcp"}},
        ]
    },
    indent=4,
)
CLIENT = """\
{
  "theme": "dark",
  "mcpServers": {
    "My One": {"command": "npx", "env": {"KEY": "${KEY}"}, "disabled": true},
    "two": {"url": "http://127.0.0.1:1/mcp"}
  }
}
"""
FORMATS: list[tuple[Format, str]] = [("yaml", YAML), ("toml", TOML), ("json", JSON)]


def load(text: str, format: Format) -> Config:
    """What the text says."""
    return load_text(text, "file", format, {"KEY": "k"}).config


def ids(text: str, format: Format) -> list[str]:
    """The servers in it."""
    return [server.id for server in load(text, format).servers]


def transport(text: str, format: Format, index: int) -> dict[str, Any]:
    """How a server is reached."""
    found = load(text, format).servers[index].transport
    assert found is not None
    return found.model_dump()


@pytest.mark.parametrize(("format", "text"), FORMATS)
def test_a_server_comes_changes_and_goes(format: Format, text: str) -> None:
    text = add(text, format, {"id": "three", "transport": HTTP, "tools": {"deny": ["x"]}})
    assert ids(text, format) == ["one", "two", "three"]
    text = change(text, format, "three", {"enabled": False, "tools": {"deny": None}})
    three = load(text, format).servers[2]
    assert (three.enabled, three.tools.deny) == (False, ())
    text = remove(text, format, "one")
    assert ids(text, format) == ["two", "three"]
    text = remove(remove(text, format, "two"), format, "three")
    assert ids(text, format) == []
    assert ids(add(text, format, {"id": "four", "transport": HTTP}), format) == ["four"]


@pytest.mark.parametrize(("format", "text"), FORMATS)
def test_what_is_not_named_stays_as_it_is_written(format: Format, text: str) -> None:
    after = change(text, format, "one", {"transport": {"command": "uvx", "env": {"B": "${KEY}"}}})
    assert after.count("${KEY}") == 2
    for comment in ("# mine", "# first", "# the second"):
        assert after.count(comment) == text.count(comment)
    assert change(text, format, "one", {}) == text
    assert change(text, format, "one", {"enabled": None}) == text


@pytest.mark.parametrize(("format", "text"), FORMATS)
def test_a_transport_of_another_type_replaces_the_old_one(format: Format, text: str) -> None:
    after = change(text, format, "one", {"transport": HTTP})
    assert transport(after, format, 0) == {**HTTP, "headers": {}}


@pytest.mark.parametrize(("format", "text"), FORMATS)
def test_a_server_that_is_not_there(format: Format, text: str) -> None:
    with pytest.raises(NoServer):
        change(text, format, "three", {"enabled": False})
    with pytest.raises(NoServer):
        remove(text, format, "")


def test_a_clients_file_stays_one() -> None:
    text = change(CLIENT, "json", "my-one", {"enabled": True, "transport": {"args": ["-y"]}})
    entry = json.loads(text)["mcpServers"]["My One"]
    assert entry == {
        "command": "npx", "env": {"KEY": "${KEY}"}, "enabled": True, "args": ["-y"],
    }  # fmt: skip
    text = add(text, "json", {"id": "three", "transport": {"type": "stdio", "command": "x"}})
    text = change(text, "json", "two", {"transport": {"type": "stdio", "command": "y"}})
    text = remove(text, "json", "my-one")
    assert json.loads(text) == {
        "theme": "dark",
        "mcpServers": {"two": {"type": "stdio", "command": "y"}, "three": {"command": "x"}},
    }
    assert ids(text, "json") == ["two", "three"]


def test_a_clients_block_beside_our_keys() -> None:
    text = "logging: {level: debug}\nmcpServers:\n  a: {command: x}  # why\n"
    text = add(text, "yaml", {"id": "b", "transport": HTTP})
    assert ids(text, "yaml") == ["b", "a"]
    text = change(text, "yaml", "a", {"enabled": False})
    assert "  a: {command: x, enabled: false}  # why\n" in text


def test_what_a_clients_format_does_not_know() -> None:
    with pytest.raises(NotEditable, match=r"mcpServers\.two is in a client's format, without retr"):
        change(CLIENT, "json", "two", {"retry": {"budget": 0.1}})
    with pytest.raises(NotEditable, match="knows only transport, enabled"):
        add(CLIENT, "json", {"id": "x", "transport": HTTP, "retry": {}})
    with pytest.raises(NotEditable, match="knows only transport"):
        add(CLIENT, "json", {"id": "x"})


def test_json_keeps_its_indentation() -> None:
    text = change(JSON, "json", "one", {"enabled": False})
    assert '\n            "enabled": false\n' in text
    assert "\n" not in change(json.dumps(json.loads(JSON)), "json", "one", {"enabled": False})


def test_json_as_editors_write_it() -> None:
    commas = '{"servers": [{"id": "one", "transport": {"type": "stdio", "command": "x"},},],}'
    assert json.loads(change(commas, "json", "one", {"enabled": False})) == {
        "servers": [{"id": "one", "transport": {"type": "stdio", "command": "x"}, "enabled": False}]
    }
    with pytest.raises(NotEditable, match="without its comments; edit the file by hand"):
        change(f"// mine\n{commas}", "json", "one", {"enabled": False})
