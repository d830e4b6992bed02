"""Clients' own files: where their servers are found, and what they are called here."""

import json
from collections.abc import Callable

import pytest

from only1mcp.config.load import Loaded

Load = Callable[..., Loaded]
Complain = Callable[..., list[str]]

SERVERS = {"memory": {"command": "sh", "args": ["-c", "x"]}, "search": {"url": "http://h/mcp"}}


def ids(loaded: Loaded) -> list[str]:
    return [server.id for server in loaded.config.servers]


@pytest.mark.parametrize("key", ["mcpServers", "mcp_servers", "context_servers", "servers"])
def test_every_clients_key_is_read(read: Load, key: str) -> None:
    loaded = read(json.dumps({key: SERVERS}), format="json")
    assert ids(loaded) == ["memory", "search"]
    assert loaded.warnings == ()


def test_codex_toml_is_read(read: Load) -> None:
    text = '[mcp_servers.memory]\ncommand = "sh"\n[mcp_servers.search]\nurl = "http://h/mcp"\n'
    assert ids(read(text, format="toml")) == ["memory", "search"]


def test_the_rest_of_a_clients_file_is_left_out_with_one_warning(warnings: Complain) -> None:
    text = (
        '{"theme": "dark", "x": "${UNSET}", "inputs": [], "mcpServers": {"a": {"url": "http://h"}}}'
    )
    assert warnings(text, format="json") == [
        "f:1:2: warning: keys of the client that do nothing here: theme, x, inputs"
    ]


def test_a_misspelt_key_of_ours_is_no_key_of_a_client(complaints: Complain) -> None:
    text = "loggin: {level: debug}\nmcpServers: {}\n"
    assert complaints(text) == ["f:1:1: unknown key 'loggin'; did you mean 'logging'?"]


def test_beside_our_own_keys_every_key_counts(complaints: Complain) -> None:
    assert complaints("server: {port: 1}\ntheme: dark\nmcpServers: {}\n") == [
        "f:2:1: unknown key 'theme'"
    ]


def test_clients_servers_follow_ours(read: Load) -> None:
    text = """
        servers: [{id: first, transport: {type: http, url: http://h/}}]
        mcpServers: {second: {url: http://h/}}
        context_servers: {third: {url: http://h/}}
    """
    assert ids(read(text)) == ["first", "second", "third"]


def test_a_blank_list_of_ours_is_no_hindrance(read: Load) -> None:
    assert ids(read("servers:\nmcpServers: {a: {url: http://h/}}\n")) == ["a"]


def test_names_become_legal_ids(read: Load) -> None:
    names = ["My Server!", "my-server", "My_Server", "@scope/name", "ÄÖ", "a" * 40, "A" * 40]
    loaded = read(json.dumps({"mcpServers": {name: {"url": "http://h/"} for name in names}}))
    assert ids(loaded) == [
        "my-server-2",
        "my-server",
        "my-server-3",
        "scope-name",
        "server",
        "a" * 32,
        "a" * 30 + "-2",
    ]
    assert str(loaded.warnings[0]) == (
        "f:1:17: warning: 'My Server!' is not a legal id; it is 'my-server-2' here"
    )


def test_an_id_taken_twice_is_a_fault(complaints: Complain) -> None:
    text = """\
servers: [{id: a, transport: {type: http, url: http://h/}}]
mcpServers:
  a: {url: http://h/}
"""
    assert complaints(text) == ["f:3:3: server id 'a' is taken; the first is at f:1:16"]


def test_what_is_no_block_of_servers(complaints: Complain) -> None:
    assert complaints("mcpServers: [1]\n") == [
        "f:1:13: mcpServers: expected a block of servers by name"
    ]
    assert complaints("servers: text\nmcpServers: {a: {url: http://h/}}\n") == [
        "f:1:10: servers: expected a list; put it in [ ]"
    ]


def test_faults_keep_the_place_in_the_clients_file(complaints: Complain) -> None:
    text = '{"mcpServers": {\n  "a": {"url": "ftp://h"}}}'
    assert complaints(text, format="json") == [
        "f:2:16: url: expected an http or https URL such as http://127.0.0.1:9001/mcp,"
        " got 'ftp://h'"
    ]


def test_schema_key_is_for_editors(read: Load) -> None:
    assert read('{"$schema": "x", "server": {"port": 1}}').config.server.port == 1
