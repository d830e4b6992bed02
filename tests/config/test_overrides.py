"""Options win over the environment, the environment over the file, the file over the default."""

from collections.abc import Callable
from typing import Any

import pytest

from only1mcp.config.load import Loaded

Load = Callable[..., Loaded]
Complain = Callable[..., list[str]]
PORT = "ONLY1MCP_SERVER__PORT"


@pytest.mark.parametrize(
    ("text", "environ", "options", "port"),
    [
        ("", {}, {}, 8080),
        ("server: {port: 1}", {}, {}, 1),
        ("server: {port: 1}", {PORT: "2"}, {}, 2),
        ("server: {port: 1}", {PORT: "2"}, {"server.port": 3}, 3),
        ("server: {port: '${NO}'}", {}, {"server.port": 3}, 3),
        ("server: none", {PORT: "2"}, {}, 2),
    ],
)
def test_precedence(
    read: Load, text: str, environ: dict[str, str], options: dict[str, Any], port: int
) -> None:
    assert read(text, environ, overrides=options).config.server.port == port


def test_lists_and_blocks_are_json(read: Load) -> None:
    environ = {
        "ONLY1MCP_SERVER__ALLOWED_ORIGINS": '["https://a.example"]',
        "ONLY1MCP_SERVER__AUTH": '{"tokens": ["t"]}',
        "ONLY1MCP_NAMING__SEPARATOR": "-",
    }
    config = read("server: {auth: none}", environ).config
    assert config.server.allowed_origins == ("https://a.example",)
    assert config.server.auth is not None and config.server.auth != "none"
    assert config.server.auth.tokens[0].get_secret_value() == "t"
    assert config.naming.separator == "-"


def test_a_block_replaces_a_word(read: Load) -> None:
    environ = {"ONLY1MCP_SERVER__AUTH__TOKENS": '["${x}"]'}
    auth = read("server: {auth: none}", environ).config.server.auth
    assert auth is not None and auth != "none"
    assert auth.tokens[0].get_secret_value() == "${x}"  # taken as it stands


def test_faults_name_the_variable_or_the_option(complaints: Complain) -> None:
    said = complaints(
        "servers: []",
        {
            PORT: "99999",
            "ONLY1MCP_SERVER__PROT": "1",
            "ONLY1MCP_NOSUCH__X": "1",
            "ONLY1MCP_SERVERS__0__ID": "x",
            "ONLY1MCP_NAMING__MODE": "{oops",
        },
        overrides={"logging.level": "loud"},
    )
    assert set(said) == {
        f"environment variable {PORT}: port: expected a whole number between 1 and 65535,"
        " got '99999'",
        "environment variable ONLY1MCP_SERVER__PROT: unknown key 'prot'; did you mean 'port'?",
        "environment variable ONLY1MCP_NOSUCH__X: unknown key 'nosuch'",
        "environment variable ONLY1MCP_SERVERS__0__ID: servers is a list, which only the file"
        " can change in part",
        "environment variable ONLY1MCP_NAMING__MODE: mode: expected prefix, bare or on_conflict,"
        " got '{oops'",
        "option logging.level: level: expected debug, info, warning or error, got 'loud'",
    }


def test_other_variables_are_none_of_ours(complaints: Complain) -> None:
    environ = {"ONLY1MCP_CONFIG": "x", "ONLY1MCP_TOKEN": "y", "OTHER__X": "z", "ONLY1MCP_": ""}
    assert complaints("", environ) == []
